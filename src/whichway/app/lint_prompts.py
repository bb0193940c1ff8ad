"""From prompts to findings: gather what is known of the task and the model, lint, measure what each edit changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from whichway.app.lint_effect import Effect, PromptScorer, effects
from whichway.app.prompt_files import read_drafts
from whichway.lint import Data, Draft, Finding, FormatScores, Provider, Scene
from whichway.lint import lint as find
from whichway.lint.providers import declared, local, with_user_values
from whichway.nouns import Prompt
from whichway.prompts.plain import base_prompt

if TYPE_CHECKING:
    from whichway.contest import Components


@dataclass(frozen=True, slots=True)
class LintOptions:
    """What the user says beside the file."""

    task: Path | None = None
    model: str | None = None
    provider: str | None = None
    context: int | None = None
    reasoning: bool = False
    usd_per_million: float | None = None
    seed: Path | None = None
    measure: bool = False
    calibrate: bool = True
    cache: Path = Path("runs/.cache")


@dataclass(frozen=True, slots=True)
class LintContext:
    """All that does not change from prompt to prompt."""

    data: Data | None = None
    provider: Provider | None = None
    seed: Prompt | None = None
    scorer: PromptScorer | None = None

    def scene(self, draft: Draft) -> Scene:
        """What rules see of a prompt: with a task, its slots as a run would fill them."""
        if self.data and draft.form == "slots":
            filled = base_prompt(replace(self.data.practice, prompts=(draft.prompt,)))
            draft = replace(draft, prompt=filled)
        formats: FormatScores | None = self.scorer.formats(draft.prompt) if self.scorer else None
        return Scene(draft, self.data, self.provider, self.seed, formats)


@dataclass(frozen=True, slots=True)
class Report:
    """The findings of one prompt."""

    draft: Draft
    findings: list[Finding]
    effects: dict[str, Effect] = field(default_factory=dict)


def lint_drafts(drafts: Sequence[Draft], known: LintOptions, ignore: Sequence[str] = ()) -> list[Report]:
    """The findings of each prompt, with what their edits change where that is to be measured.

    Args:
        drafts: the prompts.
        known: what is said beside them.
        ignore: ids of rules to leave out.

    Raises:
        UserError: the task or the model cannot be used.
    """
    with lint_context(known) as seen:
        return [report_of(seen, draft, find(seen.scene(draft), ignore)) for draft in drafts]


def report_of(seen: LintContext, draft: Draft, findings: list[Finding]) -> Report:
    """Findings of a prompt with what their edits change on dev, where that is to be measured."""
    return Report(draft, findings, effects(seen.scorer, draft.prompt, findings) if seen.scorer else {})


@contextmanager
def lint_context(known: LintOptions) -> Iterator[LintContext]:
    """The task, the model and the bench, as far as they are asked for; closed at the end."""
    seed = read_drafts(known.seed)[0].prompt if known.seed else None
    if known.task is None:
        yield LintContext(None, _provider(known, None), seed)
        return
    from whichway.app.scratch_task import components_of, with_dev
    from whichway.contest.scratch_bench import scratch_bench
    from whichway.tasks import from_flags
    from whichway.tasks.contamination import HeldOutRows

    task, components, settings = components_of(from_flags(known.task, model=known.model), known.cache)
    data = Data(task.train_dev_view(), components.metric, HeldOutRows(task))
    model = _provider(known, components)
    if not known.measure:
        yield LintContext(data, model, seed)
        return
    with scratch_bench(with_dev(task), components, settings, "lint") as bench:
        yield LintContext(data, model, seed, PromptScorer(bench, components.metric, data.practice, known.calibrate))


def _provider(known: LintOptions, components: Components | None) -> Provider | None:
    """The model that will read the prompt; None when nothing is said of it."""
    words = (known.context, known.reasoning, known.usd_per_million)
    if known.provider:
        return declared(known.provider, *words)
    if components is not None:
        return with_user_values(local(components.backends[components.base.backend], components.base), *words)
    if known.model:
        from whichway.app.configure import backends, base_of

        known_backends = backends()
        weights = base_of(known.model, known_backends)
        return with_user_values(local(known_backends[weights.backend], weights), *words)
    return with_user_values(Provider(), *words) if any(words) else None
