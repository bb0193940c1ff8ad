"""That what answers under a name is what the name says.

Two things are asked, through the very path that answers chats. Rows that the candidate answered in its run: does it
answer them as it did? And the same questions to the base without the trained part: do answers or scores move? Adapters
that were loaded and changed nothing have been served before, and nobody noticed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from whichway.errors import WhichwayError
from whichway.nouns import Candidate, Decoding, Reply, Request, Weights
from whichway.prompts.ask import answer, questions
from whichway.prompts.calibrate import biased
from whichway.ship.parity.reference import PROBE_LABELS, PROBED, example_of
from whichway.ship.served_models import ServedModel

if TYPE_CHECKING:
    from whichway.nouns import Example
    from whichway.prompts.nearest import ShotRetriever
    from whichway.runs.run import Run
    from whichway.ship.batching import ContinuousBatcher

WRITTEN = 3  # rows where answers are written: that takes longer
MOVED = 1e-6  # nats; an adapter without effect gives exactly 0
RowRequests = list[tuple[Request, ...]]


@dataclass(frozen=True, slots=True)
class ProofRow:
    """One row of a proof."""

    text: str
    answer: str
    recorded: str | None  # what it answered in the run; None: it did not see the row there
    bare: str | None  # what the base without the trained part answers to the same; None: it was not asked


@dataclass(frozen=True, slots=True)
class StageProof:
    """A candidate that answers, alone or as a stage of a cascade."""

    candidate: str
    adapter: str
    rows: tuple[ProofRow, ...]
    moved: float | None  # most nats by which a score moves without the trained part; None: nothing to compare
    note: str = ""  # why there is nothing to compare

    @property
    def as_recorded(self) -> tuple[int, int]:
        """How many of the rows with a recorded answer are answered alike, and how many there are."""
        rows = [row for row in self.rows if row.recorded is not None]
        return sum(row.answer == row.recorded for row in rows), len(rows)

    @property
    def changed(self) -> int:
        """How many answers are others without the trained part."""
        return sum(row.bare is not None and row.bare != row.answer for row in self.rows)

    @property
    def shift(self) -> float | None:
        """By how much scores move without the trained part, where that is no rounding."""
        return self.moved if self.moved is not None and self.moved > MOVED else None

    @property
    def live(self) -> bool | None:
        """Whether the trained part is at work; None: there is none, or the base alone cannot answer."""
        return None if self.moved is None else self.shift is not None or self.changed > 0


@dataclass(frozen=True, slots=True)
class CandidateProof:
    """What was seen of a name; `problem` where it is not what it says."""

    stages: tuple[StageProof, ...]
    problem: str = ""


async def prove(run: Run, served: ServedModel, batcher: ContinuousBatcher, retriever: ShotRetriever) -> CandidateProof:
    """Ask a served model, and its base without the trained part, a few rows of its run.

    Args:
        run: the run.
        served: what a name stands for.
        batcher: that answers chats with it.
        retriever: chooses the shots of rows.
    """
    if served.candidate is None:
        return CandidateProof(())
    proofs: list[StageProof] = []
    stage: ServedModel | None = served
    try:
        while stage is not None:
            proofs.append(await _prove_stage(run, stage, batcher, retriever))
            stage = stage.next_stage
    except WhichwayError as error:  # it does not load, or is not live: then it does not answer either
        return CandidateProof(tuple(proofs), str(error))
    dead = next((proof for proof in proofs if proof.live is False), None)
    problem = "" if dead is None else f"The trained part {dead.adapter} changes nothing: the base answers."
    other = next((proof for proof in proofs if proof.as_recorded[0] < proof.as_recorded[1] / 2), None)
    if not problem and other is not None:
        problem = f"{other.candidate} does not answer as it did in its run."
    return CandidateProof(tuple(proofs), problem)


async def _prove_stage(
    run: Run, served: ServedModel, batcher: ContinuousBatcher, retriever: ShotRetriever
) -> StageProof:
    candidate = served.candidate
    assert candidate is not None
    candidate = replace(candidate, deferral=None)
    prepared = await asyncio.to_thread(_prepared, run, candidate, served.labels, retriever)  # files, an encoder
    examples, recorded, requests = prepared
    mine = await _answers(candidate, served, requests, batcher)
    weights = candidate.weights
    alone = ServedModel(Weights(weights.backend, weights.base, weights.revision))
    moved: float | None = None
    theirs: list[str | None] = [None] * len(examples)
    note = ""
    if weights.adapter is None:
        note = "it has no trained part: the prompt is all that was engineered"
    elif weights.backend in ("classical", "encoder"):
        note = "its trained part is all that answers; it was compared with its saved answers when it was loaded"
    else:
        without = await _answers(candidate, alone, requests, batcher)
        moved = await _moved(mine, without, (served, alone), requests, batcher)
        theirs = [reply.text for reply in without]
    rows = [
        ProofRow(example.text, reply.text, old, base)
        for example, reply, old, base in zip(examples, mine, recorded, theirs, strict=True)
    ]
    return StageProof(candidate.id, weights.adapter or "", tuple(rows), moved, note)


def _prepared(
    run: Run, candidate: Candidate, labels: tuple[str, ...], retriever: ShotRetriever
) -> tuple[list[Example], list[str | None], RowRequests]:
    """Rows, what the candidate answered to them in its run, and the questions, as the contest asked them."""
    examples, recorded = _rows(run, candidate, PROBED if labels else WRITTEN)
    bare = replace(candidate, decoding=replace(candidate.decoding, bias=()))
    retriever.prepare(candidate.prompt, (example.text for example in examples))
    return examples, recorded, [questions(bare, example, labels, retrieve=retriever) for example in examples]


def _rows(run: Run, candidate: Candidate, count: int) -> tuple[list[Example], list[str | None]]:
    """Rows that the candidate answered in its run, else any; in the order of their ids. And what it answered."""
    drawn = candidate.decoding.samples or candidate.decoding.votes > 1
    records = {} if drawn else {row: rs[0] for (key, row), rs in run.test_records.items() if key == candidate.id}
    lines = sorted(run.row_lines, key=lambda line: (line["id"] not in records, str(line["id"])))[:count]
    answers = [records[line["id"]].text if line["id"] in records else None for line in lines]
    return [example_of(line) for line in lines], answers


async def _answers(
    candidate: Candidate, served: ServedModel, requests: RowRequests, batcher: ContinuousBatcher
) -> list[Reply]:
    replies = iter(await batcher.ask(served, [one for of_row in requests for one in of_row]))
    read = [answer(candidate, [next(replies) for _ in of_row]) for of_row in requests]
    return [biased(reply, candidate.decoding.bias) for reply in read]


async def _moved(
    mine: Sequence[Reply],
    without: Sequence[Reply],
    pair: tuple[ServedModel, ServedModel],
    requests: RowRequests,
    batcher: ContinuousBatcher,
) -> float:
    """The most nats by which a label's score moves; where answers are written, a few words are scored for this."""
    if not mine[0].scores:
        scored = [replace(of_row[0], decoding=Decoding(), labels=PROBE_LABELS) for of_row in requests]
        mine, without = [await batcher.ask(served, scored) for served in pair]
    gaps = [
        abs(score - other.scores[label])
        for one, other in zip(mine, without, strict=True)
        for label, score in one.scores.items()
        if label in other.scores
    ]
    return max(gaps, default=0.0)
