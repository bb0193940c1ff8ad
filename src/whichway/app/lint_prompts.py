"""From prompts to findings: gather what is known of the task and the model, lint, measure what each edit changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from whichway.app.lint_effect import Effect, Scale, effects
from whichway.app.prompt_files import read_drafts
from whichway.lint import Data, Draft, Finding, FormatScores, Provider, Scene
from whichway.lint import lint as find
from whichway.lint.providers import declared, local, said
from whichway.nouns import Prompt
from whichway.prompts.plain import first_prompt

if TYPE_CHECKING:
    from whichway.contest import House


@dataclass(frozen=True, slots=True)
class Known:
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
class World:
    """All that does not change from prompt to prompt."""

    data: Data | None = None
    provider: Provider | None = None
    seed: Prompt | None = None
    scale: Scale | None = None

    def scene(self, draft: Draft) -> Scene:
        """What rules see of a prompt: with a task, its slots as a run would fill them."""
        if self.data and draft.form == "slots":
            filled = first_prompt(replace(self.data.practice, prompts=(draft.prompt,)))
            draft = replace(draft, prompt=filled)
        formats: FormatScores | None = self.scale.formats(draft.prompt) if self.scale else None
        return Scene(draft, self.data, self.provider, self.seed, formats)


@dataclass(frozen=True, slots=True)
class Report:
    """The findings of one prompt."""

    draft: Draft
    found: list[Finding]
    effects: dict[str, Effect] = field(default_factory=dict)


def lint_drafts(drafts: Sequence[Draft], known: Known, ignore: Sequence[str] = ()) -> list[Report]:
    """The findings of each prompt, with what their edits change where that is to be measured.

    Args:
        drafts: the prompts.
        known: what is said beside them.
        ignore: ids of rules to leave out.

    Raises:
        UserError: the task or the model cannot be used.
    """
    with world(known) as seen:
        return [report_of(seen, draft, find(seen.scene(draft), ignore)) for draft in drafts]


def report_of(seen: World, draft: Draft, found: list[Finding]) -> Report:
    """Findings of a prompt with what their edits change on dev, where that is to be measured."""
    return Report(draft, found, effects(seen.scale, draft.prompt, found) if seen.scale else {})


@contextmanager
def world(known: Known) -> Iterator[World]:
    """The task, the model and the bench, as far as they are asked for; closed at the end."""
    seed = read_drafts(known.seed)[0].prompt if known.seed else None
    if known.task is None:
        yield World(None, _provider(known, None), seed)
        return
    from whichway.app.scratch import house_of, with_dev
    from whichway.contest.scratch_bench import open_booth
    from whichway.tasks import from_flags
    from whichway.tasks.contamination import Held

    task, house, settings = house_of(from_flags(known.task, model=known.model), known.cache)
    data = Data(task.practice(), house.metric, Held(task))
    model = _provider(known, house)
    if not known.measure:
        yield World(data, model, seed)
        return
    with open_booth(with_dev(task), house, settings, "lint") as bench:
        yield World(data, model, seed, Scale(bench, house.metric, data.practice, known.calibrate))


def _provider(known: Known, house: House | None) -> Provider | None:
    """The model that will read the prompt; None when nothing is said of it."""
    words = (known.context, known.reasoning, known.usd_per_million)
    if known.provider:
        return declared(known.provider, *words)
    if house is not None:
        return said(local(house.backends[house.base.backend], house.base), *words)
    if known.model:
        from whichway.app.configure import backends, base_of

        doors = backends()
        weights = base_of(known.model, doors)
        return said(local(doors[weights.backend], weights), *words)
    return said(Provider(), *words) if any(words) else None
