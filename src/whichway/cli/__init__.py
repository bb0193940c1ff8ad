"""The command line: one verb per file in `verbs/`; the file name is the registration.

Nothing heavy is imported here. Help reads the verbs' docstrings without importing them, and a verb's module, with typer
behind it, is imported only when the verb is called.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from whichway import __version__
from whichway.cli.exit_codes import guarded
from whichway.errors import OptionError, did_you_mean

VERBS = os.path.join(os.path.dirname(__file__), "verbs")  # noqa: PTH118, PTH120 - pathlib costs a tenth of the start
HELP = ("-h", "--help", "help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after `whichway`; None: those of this process.

    Returns:
        The exit code: 0 done, 2 the user's input, 1 our fault, 130 interrupted.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # see `engine`; any library may be the first to load OpenMP
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words or bool(os.environ.get("WHICHWAY_DEBUG"))
    words = [word for word in words if word != "--debug"]
    return guarded(lambda: dispatch(words), debug)


def dispatch(words: list[str]) -> int:
    """Find the verb and call it; the returned number is the exit code."""
    if not words or words[0] in HELP:
        if len(words) > 1:
            return dispatch([words[1], "--help"])
        print(overview())
        return 0
    if words[0] in ("--version", "-V", "version"):
        print(f"whichway {__version__}")
        return 0
    known = listing()
    if words[0] not in known:
        what = "option" if words[0].startswith("-") else "verb"
        raise OptionError(f"there is no {what} '{words[0]}'.{did_you_mean(words[0], known)} See: whichway --help")
    return _call(words[0], words[1:])


def listing() -> dict[str, str]:
    """Verb -> first line of its docstring, read from the files; `try_.py` is `try`, which is a word of Python."""
    names = sorted(name[:-3] for name in os.listdir(VERBS) if name.endswith(".py") and not name.startswith("_"))  # noqa: PTH208
    return {name.rstrip("_"): _first_line(os.path.join(VERBS, f"{name}.py")) for name in names}  # noqa: PTH118


def _first_line(path: str) -> str:
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        return file.readline().strip().strip('"')


def overview() -> str:
    """The text of `whichway --help`."""
    lines = [f"  {name:<10}{text}" for name, text in listing().items()]
    return "\n".join(
        [
            "Usage: whichway VERB [OPTIONS]",
            "",
            "For this task, with this model: engineer the prompt or fine-tune the weights?",
            "Tries both, decides with evidence, ships the winner.",
            "",
            "Verbs:",
            *lines,
            "",
            "Start with:  whichway demo",
            "Then:        whichway run --data your.csv",
            "More:        whichway VERB --help   |   --version   |   --debug shows tracebacks",
        ]
    )


def _call(name: str, words: list[str]) -> int:
    import importlib
    import keyword

    import typer

    spelled = f"{name}_" if keyword.iskeyword(name) else name
    verb: Callable[..., int | None] | typer.Typer
    verb = getattr(importlib.import_module(f"whichway.cli.verbs.{spelled}"), spelled)
    settings = {"help_option_names": ["-h", "--help"]}
    if isinstance(verb, typer.Typer):  # it has verbs of its own
        app = verb
        app.info.context_settings = settings
    else:
        app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        app.command(context_settings=settings)(verb)
    command = typer.main.get_command(app)
    try:
        with command.make_context(f"whichway {name}", words) as context:
            return command.invoke(context) or 0
    except typer.Exit as leave:
        return leave.exit_code
