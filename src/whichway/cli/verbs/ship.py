"""Write a run's winner in the forms that others accept, and check that each answers as it was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

_FORMS = (
    "folder, peft, merged, gguf, ollama, encoder, onnx, prompt, promptfoo, prompty, prompt.yml, python; several with "
    "commas; all: each that fits."
)


def ship(
    run: Annotated[Path, Argument(help="A finished run folder.")],
    to: Annotated[
        Path | None, Option("--to", "--out", help="The folder to write; default: winner, or winner-FORM.")
    ] = None,
    form: Annotated[str, Option("--form", "--format", help=_FORMS)] = "folder",
    candidate: Annotated[
        str | None, Option(help="A candidate's id, or the start of it, instead of the winner.")
    ] = None,
    way: Annotated[str | None, Option(help="A way's best candidate instead of the winner.")] = None,
    check: Annotated[
        bool, Option(help="Start what was written in its own runtime and compare its answers with the recorded ones.")
    ] = True,
    check_rows: Annotated[int, Option(min=1, help="Recorded test rows that are answered again, at most.")] = 50,
    check_python: Annotated[
        Path | None, Option(help="Another Python that has llama-cpp-python or sentence-transformers.")
    ] = None,
) -> None:
    """Write a run's winner in the forms that others accept, and check that each answers as it was measured."""
    from whichway.app.configure import backends
    from whichway.errors import OptionError
    from whichway.ship import CheckOptions
    from whichway.ship import ship as write

    if check_python is not None and not check_python.is_file():
        raise OptionError(
            f"--check-python {check_python}: no such file. Give the path of a Python, such as venv/bin/python."
        )
    to = to or Path("winner" if form == "folder" else "winner-" + form.replace(",", "-"))
    words = tuple(dict.fromkeys(word.strip() for word in form.split(",") if word.strip()))
    options = CheckOptions(check_rows, check_python) if check else None
    shipped = write(run, to, candidate, way, backends(), words, options)
    print(f"{shipped.candidate.way} ({shipped.candidate.id}) -> {shipped.folder}")
    for name in shipped.files:
        print(f"  {name}")
    for name, reason in shipped.left_out.items():
        print(f"left out {name}: {reason}")
    for report in shipped.checks:
        print("\n".join(report.lines))
    if options is None:
        print("not checked: --no-check")
    shipped.raise_if_unsound()
