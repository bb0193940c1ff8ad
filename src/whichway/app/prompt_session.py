"""From a task to an open playground: the model is loaded once and stays, the bench is the contest's."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from whichway.app.lint_effect import Scale
from whichway.app.prompt_history import Desk
from whichway.app.prompt_trial import Trials
from whichway.app.scratch import of_flags, with_dev
from whichway.cli.flags import TaskFlags
from whichway.cli.playground.screen import Screen
from whichway.cli.playground.shell import Read, Shell
from whichway.lint import Data, Draft, Finding, Provider, Scene
from whichway.lint import lint as find
from whichway.lint.providers import local
from whichway.nouns import Prompt, to_json
from whichway.prompts.files import dump
from whichway.prompts.plain import first_prompt


@dataclass(frozen=True, slots=True)
class Seat:
    """A playground before its first line: the rows, what lint may know, the plain prompt and the user's."""

    trials: Trials
    data: Data
    provider: Provider
    plain: Prompt
    given: Prompt | None

    def lint(self, prompt: Prompt) -> list[Finding]:
        """What lint finds in a prompt."""
        filled = first_prompt(replace(self.data.practice, prompts=(prompt,)))
        return find(Scene(Draft(filled, dump(prompt), "prompt", "slots"), self.data, self.provider))


@contextmanager
def sitting(flags: TaskFlags, cache: Path, most: int | None, calibrate: bool) -> Iterator[Seat]:
    """Open a playground on a task.

    Raises:
        UserError: the task or the model cannot be used.
    """
    from whichway.contest.scratch_bench import open_booth
    from whichway.tasks.contamination import Held

    task, house, settings = of_flags(flags, cache)
    practice = task.practice()
    data = Data(practice, house.metric, Held(task))
    provider = local(house.backends[house.base.backend], house.base)
    plain = first_prompt(replace(practice, prompts=()))
    with open_booth(with_dev(task), house, settings, "try") as bench:
        trials = Trials(Scale(bench, house.metric, practice, calibrate), most)
        yield Seat(trials, data, provider, plain, task.prompts[0] if task.prompts else None)


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
