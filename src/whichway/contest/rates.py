"""What local work costs: counted units times a rate that a run measures once for each kind of work, and keeps.

Seconds by the clock hold whatever else the machine did at that moment; a zero-shot prompt once came out dearer than the
same prompt with an adapter. Tokens do not: equal work costs equal, in every way, fold and resumed start of a run. A
rate is the one that a probe of this machine knows, else that of the first work of its kind that the run buys; from then
on it stands in the run folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from whichway.contest.dry_run.machine_load import Load, Since
from whichway.contracts import Backend, Counted, Embedding, Work, read_kind
from whichway.nouns import Adapter, Reply, Request, TrainJob, Weights
from whichway.runs.folder import write_json

FILE = "rates.json"
Learn = Callable[[Sequence[Work], Load], None]


def unknown(kind: str) -> float | None:
    """No rate, whatever the kind: where nothing was probed."""


class Rates:
    """Seconds for a unit of each kind of work in one run.

    Args:
        path: of the file that keeps them.
        probed: the rate of a kind as a probe of this machine measured it; None where it did not.
    """

    def __init__(self, path: Path, probed: Callable[[str], float | None] = unknown) -> None:
        self._path, self._probed = path, probed
        self._known: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def price(self, works: Iterable[Work]) -> list[float]:
        """List seconds of each of some works; kinds that are new get their rate from them, or from the probe."""
        works = list(works)
        sums: dict[str, tuple[float, float]] = {}
        for work in works:
            units, seconds = sums.get(work.kind, (0.0, 0.0))
            sums[work.kind] = units + work.units, seconds + work.seconds
        new = {kind: both for kind, both in sums.items() if kind not in self._known and both[0] > 0}
        for kind, (units, seconds) in new.items():
            probed = self._probed(kind)
            self._known[kind] = seconds / units if probed is None else probed
        if new:
            write_json(self._path, self._known)
        return [work.units * self._known.get(work.kind, 0.0) for work in works]


class Pricing:
    """Answers, trainings and vectors at their list price, with the seconds by the clock beside.

    Args:
        rates: of the run; None: the list price of everything is its seconds by the clock.
        learn: is given the work of each training that was done just now, and the load of the machine meanwhile.
    """

    def __init__(self, rates: Rates | None, learn: Learn | None = None) -> None:
        self._rates, self._learn = rates, learn

    def replies(
        self, backend: Backend, weights: Weights, requests: Iterable[Request], replies: Iterable[Reply]
    ) -> list[Reply]:
        """Replies whose seconds are their list price."""
        replies = list(replies)
        if self._rates is None or not isinstance(backend, Counted):
            return replies
        works = [backend.answer_work(weights, q, r) for q, r in zip(requests, replies, strict=True)]
        seconds = self._rates.price(works)
        return [replace(r, seconds=s, wall=r.seconds) for r, s in zip(replies, seconds, strict=True)]

    def training(
        self, backend: Backend, job: TrainJob, adapter: Adapter, before: Adapter | None, since: Since | None = None
    ) -> tuple[float, float | None]:
        """List seconds from a checkpoint to the next, and those by the clock where they are not the same.

        Args:
            backend: that trains.
            job: the training.
            adapter: the checkpoint.
            before: the one before it; None: there is none.
            since: begun when the work on this checkpoint began; one that is older than that is not learned from.
        """
        wall = adapter.seconds - (before.seconds if before else 0.0)
        if self._rates is None or not isinstance(backend, Counted):
            return wall, None
        works = backend.training_work(job, adapter, before)
        if self._learn is not None and since is not None and since.seconds >= wall:
            self._learn(works, since.load)
        return sum(self._rates.price(works)), wall

    def embeddings(
        self, backend: object, weights: Weights, embeddings: Iterable[Embedding]
    ) -> list[tuple[float, float | None]]:
        """List seconds of each vector, and those by the clock where they are not the same."""
        embeddings = list(embeddings)
        if self._rates is None or not isinstance(backend, Counted):
            return [(embedding.seconds, None) for embedding in embeddings]
        works = [Work(read_kind(weights), e.tokens, e.seconds) for e in embeddings]
        return [(s, e.seconds) for s, e in zip(self._rates.price(works), embeddings, strict=True)]
