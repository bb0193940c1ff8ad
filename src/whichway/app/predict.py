"""New rows answered by a candidate of a finished run, asked exactly as the contest asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from whichway.nouns import Example, Reply, Request
from whichway.prompts.ask import answer, questions

if TYPE_CHECKING:
    from whichway.contracts import Session
    from whichway.prompts.nearest import ShotRetriever
    from whichway.ship import ShipSource

BATCH = 256  # rows answered before the first of them is given


def answers(source: ShipSource, rows: Sequence[Example]) -> Iterator[dict[str, Any]]:
    """For each row its input, the answer (None with the reason where there is none) and the labels' log-probabilities.

    The model is loaded once; answers come batch by batch.
    """
    from whichway.app.configure import backends
    from whichway.prompts.nearest import retriever_of

    weights = source.candidate.weights
    known_backends = backends()
    retriever = retriever_of(known_backends)
    with known_backends.need(weights.backend).open(weights, source.adapter) as session:
        for start in range(0, len(rows), BATCH):
            yield from _batch(session, source, rows[start : start + BATCH], retriever)


def _batch(
    session: Session, source: ShipSource, rows: Sequence[Example], retriever: ShotRetriever
) -> Iterator[dict[str, Any]]:
    retriever.prepare(source.candidate.prompt, (row.text for row in rows))
    requests = [ask(source, row, retriever) for row in rows]
    reply_to = session.choose if requests[0][0].labels else session.generate
    replies = iter(reply_to([one for row_requests in requests for one in row_requests]))
    for row, row_requests in zip(rows, requests, strict=True):
        yield line_of(row, answer(source.candidate, [next(replies) for _ in row_requests]))


def ask(source: ShipSource, row: Example, retriever: ShotRetriever) -> tuple[Request, ...]:
    """The questions exactly as the contest asked them."""
    labels = source.labels if source.candidate.decoding.mode == "choose" else ()
    return questions(source.candidate, row, labels, retrieve=retriever)


def line_of(row: Example, reply: Reply) -> dict[str, Any]:
    """A row and its answer; `answer` is null, with the reason, when there is none."""
    if reply.finish == "error":
        return {"input": dict(row.input), "answer": None, "error": reply.error}
    if reply.unread:
        return {"input": dict(row.input), "answer": None, "error": reply.unread, "text": reply.text}
    scores = {label: round(score, 6) for label, score in reply.scores.items()}
    thoughts = {"thoughts": reply.thoughts} if reply.thoughts else {}
    return {"input": dict(row.input), "answer": reply.text, **({"scores": scores} if scores else {}), **thoughts}
