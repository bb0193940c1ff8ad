"""From a task to an open playground: the model is loaded once and stays, the bench is the contest's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from whichway.app.lint_effect import PromptScorer
from whichway.app.prompt_trial import PromptEvaluator
from whichway.app.scratch_task import components_of, with_dev
from whichway.errors import OptionError
from whichway.lint import Data, Draft, Finding, Provider, Scene
from whichway.lint import lint as find
from whichway.lint.providers import local
from whichway.nouns import Prompt
from whichway.prompts.files import dump
from whichway.prompts.plain import base_prompt

if TYPE_CHECKING:
    from whichway.tasks import Spec


@dataclass(frozen=True, slots=True)
class PlaygroundSession:
    """A playground before its first line: the rows, what lint may know, the plain prompt and the user's."""

    trials: PromptEvaluator
    data: Data
    provider: Provider
    plain: Prompt
    own_prompt: Prompt | None
    ids: frozenset[str] = frozenset()  # of all rows of the task, test rows as well

    def lint(self, prompt: Prompt) -> list[Finding]:
        """What lint finds in a prompt."""
        filled = base_prompt(replace(self.data.practice, prompts=(prompt,)))
        return find(Scene(Draft(filled, dump(prompt), "prompt", "slots"), self.data, self.provider))


@contextmanager
def open_session(
    spec: Spec, cache: Path, most: int | None, calibrate: bool, free: bool = False
) -> Iterator[PlaygroundSession]:
    """Open a playground on a task.

    Args:
        spec: what is said about the task.
        cache: of answers.
        most: dev rows at most; None: all.
        calibrate: take out the labels' own popularity.
        free: refuse a model that costs money, where nobody can be asked.

    Raises:
        UserError: the task or the model cannot be used.
    """
    from whichway.app.hosted import costs
    from whichway.contest.scratch_bench import scratch_bench
    from whichway.tasks.contamination import HeldOutRows

    task, components, settings = components_of(spec, cache)
    if free and costs(components):
        raise OptionError(f"{components.base.base} costs money, which nobody agreed to here. Use `whichway try`.")
    practice = task.train_dev_view()
    data = Data(practice, components.metric, HeldOutRows(task))
    provider = local(components.backends[components.base.backend], components.base)
    plain = base_prompt(replace(practice, prompts=()))
    with scratch_bench(with_dev(task), components, settings, "try") as bench:
        trials = PromptEvaluator(PromptScorer(bench, components.metric, practice, calibrate), most)
        ids = frozenset(example.id for example in (*task.train, *task.dev, *task.test))
        yield PlaygroundSession(trials, data, provider, plain, task.prompts[0] if task.prompts else None, ids)
