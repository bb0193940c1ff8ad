"""What is shipped: one candidate of a finished run, with everything the run folder knows about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from whichway.errors import OptionError, UserError, did_you_mean
from whichway.nouns import Candidate, Standing, Verdict
from whichway.runs.folder import adapter_folder
from whichway.runs.run import CandidateEntry, Run, as_run
from whichway.training_kinds import KINDS
from whichway.verdict.compare import shipped_place


@dataclass(frozen=True, slots=True)
class ShipSource:
    """One candidate and its run."""

    run: Path
    candidate: Candidate
    facts: Mapping[str, Any]  # dev_score, seconds_fit, ...
    plan: Mapping[str, Any]
    plan_sha256: str
    verdict: Verdict
    fields: tuple[str, ...]  # names of a row's input fields
    adapter: Path | None  # folder of the trained part
    conversation: bool = False  # rows are conversations: their turns are the model's turns
    next_stage: ShipSource | None = None  # of a cascade: the candidate that this one defers to

    @property
    def stages(self) -> tuple[ShipSource, ...]:
        """The candidates that may answer a row, in the order in which they are asked, each as a source of its own."""
        if self.next_stage is None:
            return (self,)
        first = replace(self, candidate=replace(self.candidate, deferral=None), next_stage=None)
        return first, *self.next_stage.stages

    @property
    def standing(self) -> Standing | None:
        """The candidate's way in the verdict."""
        return next((s for s in self.verdict.standings if s.way == self.candidate.way), None)

    @property
    def classical(self) -> str:
        """What answers in place of a model, in words: of baselines that have none; "" of all others."""
        weights = self.candidate.weights
        if weights.backend != "classical":
            return ""
        return "word counts" if "tfidf" in weights.base else "the most frequent answer"

    @property
    def asks(self) -> bool:
        """Whether the candidate answers to a prompt; a classical baseline or an encoder reads the bare row.

        A cascade itself does not: its stages do, or not.
        """
        return self.candidate.deferral is None and self.candidate.weights.backend not in ("classical", "encoder")

    @property
    def one_request(self) -> bool:
        """Whether a row's question is one request to the bare model: not where shots are chosen for each row.

        Nor where the row's text is scored under each label.
        """
        candidate = self.candidate
        if candidate.deferral is not None:
            return False
        bare = candidate.weights.adapter is None and not candidate.decoding.channel
        return self.asks and bare and not candidate.prompt.pool

    @property
    def asks_base(self) -> bool:
        """Whether the bare model's reply to it is the answer: not where that is read off thoughts or voted on."""
        decoding = self.candidate.decoding
        return self.one_request and not decoding.answer_mark and decoding.votes == 1

    @property
    def stands_alone(self) -> bool:
        """Whether it runs on transformers (and peft) alone: `use.py` is shipped with it."""
        if self.next_stage is not None:
            return all(stage.stands_alone for stage in self.stages)
        weights = self.candidate.weights
        alone = weights.kind == "none" or KINDS[weights.kind].loads_without_us
        return weights.backend in ("local", "encoder") and alone

    @property
    def labels(self) -> tuple[str, ...]:
        """The closed label set; empty for free text."""
        return tuple(self.plan["labels"])


def pick(run: Run | Path, candidate: str | None = None, way: str | None = None) -> ShipSource:
    """A candidate of a finished run: by id (or the start of it), by way, or the verdict's choice.

    Args:
        run: the run, or its folder.
        candidate: a candidate's id.
        way: a way's name; its candidate that was made of all rows, else its finalist that is best on dev.

    Raises:
        UserError: no finished run, no such candidate, or its trained part was not kept.
    """
    run = as_run(run)
    if not run.path.is_dir():
        raise UserError(f"{run.path}: there is no such run folder. Run `whichway run` first, or look into runs/.")
    if candidate is not None:
        chosen = run.known[_by_id(candidate, run.known)]
    elif way is not None:
        chosen = _of_way(run, way, _by_way(way, run))
    else:
        chosen = _of_way(run, run.verdict.choice or "", _winner(run))
    return _source(run, chosen.candidate, chosen.facts)


def _source(run: Run, candidate: Candidate, facts: Mapping[str, Any]) -> ShipSource:
    deferral = candidate.deferral
    return ShipSource(
        run=run.path,
        candidate=candidate,
        facts=facts,
        plan=run.plan_data,
        plan_sha256=run.plan_sha256,
        verdict=run.verdict,
        fields=tuple(run.row_lines[0]["input"]) if run.row_lines else ("text",),
        adapter=_adapter(run, candidate),
        conversation=any("turns" in row for row in run.row_lines),
        next_stage=None if deferral is None else _source(run, deferral.to, facts),
    )


def _of_way(run: Run, way: str, key: str) -> CandidateEntry:
    """A candidate as this way has it: two ways may end at one candidate."""
    return next((entry for entry in run.entries.get(way, ()) if entry.facts["id"] == key), run.known[key])


def _by_id(word: str, known: Iterable[str]) -> str:
    fits = [key for key in known if key.startswith(word)]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise OptionError(f"candidate '{word}' is the start of {len(fits)} ids: {', '.join(fits)}. Write more of it.")
    raise OptionError(f"there is no candidate '{word}' in this run.{did_you_mean(word, known)}")


def _by_way(way: str, run: Run) -> str:
    standings = {s.way: s for s in run.verdict.standings}
    if way not in standings:
        raise OptionError(f"there is no way '{way}' in this run.{did_you_mean(way, standings)}")
    if standings[way].refit in run.known:
        return standings[way].refit
    finalists = [key for key in standings[way].candidates if key in run.known]
    if not finalists:
        raise UserError(f"way '{way}' gave no candidate: {standings[way].reason or standings[way].status}.")
    return finalists[shipped_place([run.known[key].facts.get("dev_score") for key in finalists])]


def _winner(run: Run) -> str:
    if run.verdict.candidate is None or run.verdict.candidate not in run.known:
        raise UserError(
            f"{run.path}: the verdict names no winner ({run.verdict.headline}). Choose one with --candidate or --way."
        )
    return run.verdict.candidate


def _adapter(run: Run, candidate: Candidate) -> Path | None:
    digest = candidate.weights.adapter
    if digest is None:
        return None
    places = [adapter_folder(run.path, candidate.way, digest), *sorted(run.path.glob(f"ways/*/adapters/{digest}"))]
    for place in places:
        if place.is_dir():
            return place
    available = ", ".join(key for key, entry in run.known.items() if entry.facts.get("finalist"))
    raise UserError(
        f"{places[0]} is missing: a run keeps the trained parts of its finalists only. Choose one of them: {available}."
    )
