"""New rows answered by a candidate of a finished run, asked exactly as the contest asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from whichway.nouns import Candidate, Example, Reply, Request
from whichway.prompts.ask import answer, questions
from whichway.prompts.calibrate import biased
from whichway.prompts.deferral import in_stages

if TYPE_CHECKING:
    from whichway.contracts import Session
    from whichway.prompts.nearest import ShotRetriever
    from whichway.ship import ShipSource

BATCH = 256  # rows answered before the first of them is given


def answers(source: ShipSource, rows: Sequence[Example]) -> Iterator[dict[str, Any]]:
    """For each row its input, the answer (None with the reason where there is none) and the labels' log-probabilities.

    The model is loaded once, the second one of a cascade when it is wanted first; answers come batch by batch.
    """
    from whichway.app.configure import backends
    from whichway.prompts.nearest import retriever_of

    known_backends = backends()
    retriever = retriever_of(known_backends)
    stages = {stage.candidate: stage for stage in source.stages}
    with ExitStack() as opened:
        sessions: dict[Candidate, Session] = {}

        def of_stage(candidate: Candidate, batch: Sequence[Example]) -> list[Reply]:
            stage = stages[candidate]
            if candidate not in sessions:
                weights = candidate.weights
                opening = known_backends.need(weights.backend).open(weights, stage.adapter)
                sessions[candidate] = opened.enter_context(opening)
            return _replies(sessions[candidate], stage, batch, retriever)

        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            replies = in_stages(source.candidate, batch, of_stage)
            for row, reply in zip(batch, replies, strict=True):
                line = line_of(row, reply)
                yield line if source.next_stage is None else {**line, "stage": reply.stage + 1}


def _replies(
    session: Session, source: ShipSource, rows: Sequence[Example], retriever: ShotRetriever
) -> list[Reply]:
    """The answers of a candidate that defers to nobody."""
    retriever.prepare(source.candidate.prompt, (row.text for row in rows))
    requests = [ask(source, row, retriever) for row in rows]
    reply_to = session.choose if requests[0][0].labels else session.generate
    replies = iter(reply_to([one for row_requests in requests for one in row_requests]))
    read = (answer(source.candidate, [next(replies) for _ in row_requests]) for row_requests in requests)
    return [biased(reply, source.candidate.decoding.bias) for reply in read]


def ask(source: ShipSource, row: Example, retriever: ShotRetriever) -> tuple[Request, ...]:
    """The questions exactly as the contest asked them: without a bias, which is added to what the model says."""
    labels = source.labels if source.candidate.decoding.mode == "choose" else ()
    bare = replace(source.candidate, decoding=replace(source.candidate.decoding, bias=()))
    return questions(bare, row, labels, retrieve=retriever)


def line_of(row: Example, reply: Reply) -> dict[str, Any]:
    """A row and its answer; `answer` is null, with the reason, when there is none."""
    if reply.finish == "error":
        return {"input": dict(row.input), "answer": None, "error": reply.error}
    if reply.unread:
        return {"input": dict(row.input), "answer": None, "error": reply.unread, "text": reply.text}
    scores = {label: round(score, 6) for label, score in reply.scores.items()}
    thoughts = {"thoughts": reply.thoughts} if reply.thoughts else {}
    return {"input": dict(row.input), "answer": reply.text, **({"scores": scores} if scores else {}), **thoughts}
