"""From files to findings: read, gather what is known, lint, measure, leave out what is accepted, print."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whichway.app.lint_effect import Effect, Scale, effects
from whichway.app.prompt_files import read_drafts
from whichway.cli.linting import show
from whichway.errors import DiskError
from whichway.lint import Data, Draft, Finding, Formats, Provider, Scene, rules
from whichway.lint import lint as find
from whichway.lint.providers import declared, local, said
from whichway.lint.sarif import sarif
from whichway.lint.suppress import baseline, check_ids, fresh, read_baseline, suppressions
from whichway.nouns import Prompt, to_json
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
class Output:
    """What becomes of the findings."""

    ignore: tuple[str, ...] = ()
    baseline: Path | None = None
    write_baseline: Path | None = None
    sarif: Path | None = None
    json: bool = False


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
        formats: Formats | None = self.scale.formats(draft.prompt) if self.scale else None
        return Scene(draft, self.data, self.provider, self.seed, formats)


@dataclass(frozen=True, slots=True)
class Report:
    """The findings of one prompt."""

    draft: Draft
    found: list[Finding]
    effects: dict[str, Effect] = field(default_factory=dict)


def check(files: Sequence[Path], known: Known, output: Output) -> int:
    """Lint files and print; the exit code is 1 when an error is left.

    Raises:
        UserError: a file, the task or an option is at fault.
    """
    left_out = [word.strip().upper() for words in output.ignore for word in words.split(",") if word.strip()]
    check_ids(left_out, rules())
    drafts = [draft for file in files for draft in read_drafts(file)]
    with world(known) as seen:
        raw = [(draft, find(seen.scene(draft), left_out)) for draft in drafts]
        kept, dropped = _kept(raw, output)
        reports = [
            Report(draft, found, effects(seen.scale, draft.prompt, found) if seen.scale else {})
            for draft, found in kept
        ]
    _write(reports, output)
    _print(reports, dropped, output)
    return int(any(f.severity == "error" for report in reports for f in report.found))


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


def _kept(raw: Sequence[tuple[Draft, list[Finding]]], output: Output) -> tuple[list[tuple[Draft, list[Finding]]], int]:
    """Findings without those that files suppress or a baseline accepts, and how many that were."""
    accepted: Counter[str] = Counter()
    if output.baseline:
        from whichway.tasks.read import decode

        accepted = read_baseline(decode(output.baseline), str(output.baseline))
    kept = []
    for draft, found in raw:
        ignored = suppressions(draft.source, rules())
        kept.append((draft, fresh([f for f in found if not ignored.holds(f)], accepted)))
    return kept, sum(len(found) for _, found in raw) - sum(len(found) for _, found in kept)


def _write(reports: Sequence[Report], output: Output) -> None:
    found = [(_uri(report.draft.path), f) for report in reports for f in report.found]
    texts = {output.sarif: sarif(found, rules()), output.write_baseline: baseline([f for _, f in found])}
    for path, text in texts.items():
        if path is None:
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise DiskError(f"{path} cannot be written: {error.strerror}. Give another place.") from None


def _uri(path: str) -> str:
    """A path as SARIF wants it: relative to here where it lies below, with forward slashes."""
    relative = os.path.relpath(path)
    return Path(path if relative.startswith("..") else relative).as_posix()


def _print(reports: Sequence[Report], dropped: int, output: Output) -> None:
    if output.json:
        print(json.dumps({"findings": [line for report in reports for line in _lines(report)]}, ensure_ascii=False))
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for report in reports:
        show.show(console, report.draft.path, report.draft.source, report.found, report.effects)
    console.print(show.summary([f for report in reports for f in report.found], dropped))


def _lines(report: Report) -> Iterator[dict[str, Any]]:
    for finding in report.found:
        effect = report.effects.get(finding.fingerprint)
        names = [name for name in Finding.__slots__ if name != "edit"]
        facts = {name: getattr(finding, name) for name in names}
        edit = finding.edit.what if finding.edit else None
        yield {"path": report.draft.path, **facts, "edit": edit, "measured": to_json(effect) if effect else None}
