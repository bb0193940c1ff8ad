"""Serve a run's winner, every other finalist and the base over OpenAI's chat protocol."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from whichway.cli.flags import Yes
from whichway.errors import OptionError
from whichway.options import MODEL_HELP

LOCAL = ("127.0.0.1", "localhost", "::1")


def serve(
    run: Annotated[Path | None, Argument(help="A finished run folder; without one, the bare model is served.")] = None,
    model: Annotated[
        str | None, Option(help=f"The model to serve when no run is given: {MODEL_HELP[0].lower()}{MODEL_HELP[1:]}.")
    ] = None,
    yes: Yes = False,
    host: Annotated[str, Option(help="Address to listen on; others than this machine's own want a key.")] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="Port to listen on; 0: any free one.")] = 8000,
    api_key: Annotated[
        str | None, Option(help="Bearer token that clients must send; also read from WHICHWAY_API_KEY.")
    ] = None,
    requests_per_minute: Annotated[
        int | None, Option(min=1, help="Requests that one address may send in a minute; any number unless given.")
    ] = None,
    folder: Annotated[
        Path | None,
        Option(
            help="Where uploaded files and fine-tuned models are kept; 'serve' in the run folder, or ./whichway-serve, "
            "unless given. Nothing is written before something is uploaded."
        ),
    ] = None,
) -> None:
    """Serve models over OpenAI's protocol: chats, completions, files and fine-tuning jobs; stop with Ctrl-C."""
    from whichway.app.configure import backends, base_of
    from whichway.cli.fetching import with_models
    from whichway.runs.run import Run
    from whichway.ship import served_models
    from whichway.ship.access import AccessLimits
    from whichway.ship.listening import address_of, bound, listen
    from whichway.ship.serve import app

    key = api_key or os.environ.get("WHICHWAY_API_KEY") or None
    if host not in LOCAL and key is None:
        raise OptionError(f"--host {host}: others could reach this. Give --api-key, or set WHICHWAY_API_KEY.")
    if run is not None and model is not None:
        raise OptionError(
            f"--model {model}: a run is served with its own models. Leave out --model, or the run folder."
        )
    with bound(host, port) as address:  # a taken port is said before anything is loaded
        known_backends = backends()
        run_served = None if run is None else Run(run)
        offers = (
            served_models.of_run(run_served)
            if run_served is not None
            else served_models.of_model(with_models(lambda: base_of(model or "", known_backends), yes))
        )
        for name, description in served_models.names(offers):
            print(f"  {name:<24}{description}")
        first = next(iter(offers))
        body = f'{{"model": "{first}", "messages": [{{"role": "user", "content": "..."}}]}}'
        print(f"Ctrl-C stops it. Try: curl {address_of(address)}/chat/completions -d '{body}'")
        place = folder or (Path("whichway-serve") if run is None else run / "serve")
        listen(app(offers, known_backends, AccessLimits(key, requests_per_minute), place, run_served), address)
