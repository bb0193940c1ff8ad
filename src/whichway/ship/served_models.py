"""What a server offers: every finalist of a run under a model id, and the base as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from whichway.errors import UserError
from whichway.nouns import Candidate, Reply, Weights
from whichway.prompts.deferral import deferred
from whichway.runs.run import Run, as_run
from whichway.ship.source import ShipSource, pick

BASE = "base"
WINNER = "winner"


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What one model id stands for. Without a candidate it is the base, which answers the client's own messages."""

    weights: Weights
    adapter: Path | None = None
    candidate: Candidate | None = None
    labels: tuple[str, ...] = ()  # of the task; empty for free text
    fields: tuple[str, ...] = ()  # names of a row's input fields
    conversation: bool = False  # rows are conversations: the client sends their turns
    next_stage: ServedModel | None = None  # of a cascade: what answers where this is not sure

    def unsure(self, replies: Sequence[Reply]) -> bool:
        """Whether answers are not sure enough to stand, where this is a stage of a cascade."""
        deferral = None if self.candidate is None else self.candidate.deferral
        return deferral is not None and bool(deferred(deferral, replies))

    def fingerprint(self, replies: Sequence[Reply]) -> dict[str, str]:
        """Which stage of a cascade answered, as OpenAI's `system_fingerprint`; {} where there is no cascade."""
        if self.candidate is None or self.candidate.deferral is None:
            return {}
        stages, stage = self.candidate.stages, replies[0].stage
        return {"system_fingerprint": f"stage {stage + 1} of {len(stages)}, {stages[stage].id}"}


def of_run(run: Run | Path) -> dict[str, ServedModel]:
    """Model id -> offer: `winner`, each way's name (what would ship of it), each finalist's id, `base`.

    Raises:
        UserError: no finished run, or nothing in it can be served.
    """
    run = as_run(run)
    verdict, candidates = run.verdict, run.candidates
    offers: dict[str, ServedModel] = {}
    if verdict.candidate in candidates:
        offers[WINNER] = _offer(pick(run))
    for standing in verdict.standings:
        finalists = [key for key in (*standing.candidates, standing.refit) if key in candidates]
        if finalists:
            offers[standing.way] = _offer(pick(run, way=standing.way))
        offers |= {key: _offer(pick(run, candidate=key)) for key in finalists}
    trial = _base(candidates.values())
    if trial is not None:
        offers[BASE] = ServedModel(trial)
    if not offers:
        raise UserError(f"{run.path}: no way gave a candidate, so there is nothing to serve.")
    return offers


def of_model(weights: Weights) -> dict[str, ServedModel]:
    """A model without a run: the base alone."""
    return {BASE: ServedModel(weights)}


def _offer(source: ShipSource) -> ServedModel:
    candidate, labels = source.candidate, source.labels if source.candidate.decoding.mode == "choose" else ()
    later = None if source.next_stage is None else _offer(source.next_stage)
    kind = source.fields, source.conversation
    return ServedModel(candidate.weights, source.adapter, candidate, labels, *kind, next_stage=later)


def _base(candidates: Iterable[Candidate]) -> Weights | None:
    """The model under trial, from any candidate that stands on it."""
    all_weights = (candidate.weights for candidate in candidates)
    trial = next((weights for weights in all_weights if weights.backend not in ("classical", "encoder")), None)
    return None if trial is None else Weights(trial.backend, trial.base, trial.revision)


def names(offers: Mapping[str, ServedModel]) -> Iterator[tuple[str, str]]:
    """Model id and what it is, in a few words."""
    for name, offer in offers.items():
        if offer.candidate is None:
            yield name, "the model without a prompt of ours"
        elif name in (offer.candidate.way, WINNER):
            note = f": {offer.candidate.note}" if offer.candidate.note else ""
            yield name, f"the verdict's choice, {offer.candidate.way}" if name == WINNER else f"what ships of it{note}"
        else:
            yield name, f"a finalist of {offer.candidate.way}"
