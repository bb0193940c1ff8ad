"""A local page: runs live, start, stop, resume, compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option


def web(
    runs: Annotated[Path, Argument(help="The folder of runs.")] = Path("runs"),
    port: Annotated[int, Option(min=0, max=65535, help="Port to listen on; 0: any free one.")] = 0,
) -> None:
    """Show a folder of runs as a page on this machine, live; stop with Ctrl-C. Runs that it started go on."""
    import secrets

    from whichway.web.page_server import serve_page
    from whichway.web.site import site

    token = secrets.token_urlsafe(24)
    serve_page(site(runs, token), port, token)
