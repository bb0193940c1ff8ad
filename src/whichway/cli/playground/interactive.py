"""A playground on the terminal: lines are read until the user leaves, or one prompt is scored once."""

from __future__ import annotations

import json
import sys

from rich.console import Console

from whichway.app.prompt_history import PromptHistory
from whichway.app.prompt_session import PlaygroundSession
from whichway.cli.playground.screen import Screen
from whichway.cli.playground.shell import Read, Shell
from whichway.nouns import to_json


def run_session(session: PlaygroundSession, read: Read | None = None, console: Console | None = None) -> Shell:
    """Talk until the user leaves.

    Args:
        session: the playground.
        read: where lines come from; None: the terminal, with line editing where there is one.
        console: where it prints; None: standard output.
    """
    screen = Screen(console or Console(highlight=False, soft_wrap=True))
    shell = Shell(
        session.trials, session.lint, PromptHistory.of(session.plain, session.own_prompt), screen, read or _terminal()
    )
    shell.run()
    return shell


def _terminal() -> Read:
    if sys.stdin.isatty():
        import contextlib

        with contextlib.suppress(ImportError):  # line editing and history; not on every system
            import readline  # noqa: F401
    return input


def once(session: PlaygroundSession, whole: bool, as_json: bool) -> None:
    """Score the given prompt (or the plain one) and print."""
    prompt = session.own_prompt or session.plain
    trial = session.trials.of(prompt, session.plain, whole=whole)
    lint_findings = session.lint(prompt)
    if as_json:
        findings = [{"id": f.id, "severity": f.severity, "message": f.message} for f in lint_findings]
        facts = {key: value for key, value in to_json(trial).items() if key != "prompt"}
        print(json.dumps({**facts, "clear": trial.clear, "findings": findings}, ensure_ascii=False))
        return
    screen = Screen(Console(highlight=False, soft_wrap=True))
    screen.evaluation(trial, prompt == session.plain, session.trials.metric.name)
    if prompt != session.plain:
        screen.rows(session.trials, trial, session.plain, 5)
    screen.lint(lint_findings, whole=False)
