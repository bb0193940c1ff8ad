"""A playground on the terminal: lines are read until the user leaves, or one prompt is scored once."""

from __future__ import annotations

import json
import sys

from rich.console import Console

from whichway.app.prompt_history import Desk
from whichway.app.prompt_session import Seat
from whichway.cli.playground.screen import Screen
from whichway.cli.playground.shell import Read, Shell
from whichway.nouns import to_json


def sit(seat: Seat, read: Read | None = None, console: Console | None = None) -> Shell:
    """Talk until the user leaves.

    Args:
        seat: the playground.
        read: where lines come from; None: the terminal, with line editing where there is one.
        console: where it prints; None: standard output.
    """
    screen = Screen(console or Console(highlight=False, soft_wrap=True))
    shell = Shell(seat.trials, seat.lint, Desk.of(seat.plain, seat.given), screen, read or _terminal())
    shell.run()
    return shell


def _terminal() -> Read:
    if sys.stdin.isatty():
        import contextlib

        with contextlib.suppress(ImportError):  # line editing and history; not on every system
            import readline  # noqa: F401
    return input


def once(seat: Seat, whole: bool, as_json: bool) -> None:
    """Score the given prompt (or the plain one) and print."""
    prompt = seat.given or seat.plain
    trial = seat.trials.of(prompt, seat.plain, whole=whole)
    found = seat.lint(prompt)
    if as_json:
        findings = [{"id": f.id, "severity": f.severity, "message": f.message} for f in found]
        facts = {key: value for key, value in to_json(trial).items() if key != "prompt"}
        print(json.dumps({**facts, "clear": trial.clear, "findings": findings}, ensure_ascii=False))
        return
    screen = Screen(Console(highlight=False, soft_wrap=True))
    screen.trial(trial, prompt == seat.plain, seat.trials.metric.name)
    if prompt != seat.plain:
        screen.rows(seat.trials, trial, seat.plain, 5)
    screen.lint(found, whole=False)
