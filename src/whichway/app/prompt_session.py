"""From a task to an open playground: the model is loaded once and stays, the bench is the contest's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from whichway.app.lint_effect import Scale
from whichway.app.prompt_trial import Trials
from whichway.app.scratch import house_of, with_dev
from whichway.lint import Data, Draft, Finding, Provider, Scene
from whichway.lint import lint as find
from whichway.lint.providers import local
from whichway.nouns import Prompt
from whichway.prompts.files import dump
from whichway.prompts.plain import first_prompt

if TYPE_CHECKING:
    from whichway.tasks import Spec


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
def sitting(spec: Spec, cache: Path, most: int | None, calibrate: bool) -> Iterator[Seat]:
    """Open a playground on a task.

    Raises:
        UserError: the task or the model cannot be used.
    """
    from whichway.contest.scratch_bench import open_booth
    from whichway.tasks.contamination import Held

    task, house, settings = house_of(spec, cache)
    practice = task.practice()
    data = Data(practice, house.metric, Held(task))
    provider = local(house.backends[house.base.backend], house.base)
    plain = first_prompt(replace(practice, prompts=()))
    with open_booth(with_dev(task), house, settings, "try") as bench:
        trials = Trials(Scale(bench, house.metric, practice, calibrate), most)
        yield Seat(trials, data, provider, plain, task.prompts[0] if task.prompts else None)
