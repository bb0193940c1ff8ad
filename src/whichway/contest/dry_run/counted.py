"""Estimates of work that a backend counts: its units, times the rate of its kind, as the run itself prices it.

A rate is measured once for each kind of work and kept, so a probe reads a few rows once for each model instead of once
for each shape of prompt, and prices of all shapes follow from their tokens.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from whichway.contest.dry_run.costs import CHUNK, FEW, Answering, Learning, spread
from whichway.contest.dry_run.rate_memory import READ, RateMemory
from whichway.contracts import Backend, ForecastsWork, Work, read_kind
from whichway.errors import AdapterNotLive
from whichway.measurements import agree
from whichway.nouns import Message, Reply, Request, TrainJob, Weights
from whichway.training_length import length_of

LEARN_READS = 3.0  # what training on a token takes, as a multiple of reading it: forward, and twice that backward
AGREE = 1.25  # factor within which two times agree; a third decides where they do not
ENOUGH = 2.0  # seconds of reading that tell its rate: eight short rows are read 1.3 times slower than a chunk of them
BESIDE, WORDS = CHUNK // 2, 8  # rows that are written side by side, as in a contest, and the tokens of each


class KnownTimes(Protocol):
    """A probe: see `profile.Timings`."""

    memory: RateMemory

    def measuring(self) -> AbstractContextManager[None]:
        """What is done inside is taken off the time of the probe."""
        ...

    def fits(self) -> bool:
        """Whether there is time to look at one more training."""
        ...

    def real_part(self, weights: Weights) -> tuple[Weights, Path | None]:
        """Weights that can answer in place of simulated ones."""
        ...

    def probe_training(self, backend: Backend, job: TrainJob) -> Learning:
        """Train briefly, and learn rates from it."""
        ...


def answering(
    known: KnownTimes, backend: Backend, weights: Weights, requests: Sequence[Request], about: Sequence[Any]
) -> Answering:
    """What a row like these costs; `about` names them, where their texts have to be written to know their length."""
    assert isinstance(backend, ForecastsWork)
    few = spread(requests, FEW)
    if requests[0].decoding.mode == "generate":  # how long a text becomes is seen when it is written
        return _written(known, backend, weights, requests, about)
    # the first row of a call pays for what all share, so asking it twice tells how much that is
    first, *works = backend.expected_answers(weights, [few[0], *few])
    shared = first.units - works[0].units
    if known.memory.stale(first.kind) or known.memory.unchecked(first.kind):
        _read(known, backend, weights, requests)
    rate = known.memory.rate(first.kind) or 0.0
    seconds = rate * sum(work.units for work in works) / len(works)
    return Answering(seconds, _memory(known, backend, weights), shared * rate, _opening(known, backend, weights, few))


def learning(known: KnownTimes, backend: Backend, job: TrainJob) -> Learning:
    """What trainings like this one cost.

    Raises:
        WayFailed: a few steps failed already.
    """
    assert isinstance(backend, ForecastsWork)
    works = backend.expected_training(job)
    memory, kinds = known.memory, sorted(work.kind for work in works)
    name = ["learned", *kinds]
    facts, read_rate = memory.remembered(name), memory.rate(read_kind(job.weights))
    unknown = facts is None or any(memory.rate(kind) is None for kind in kinds)
    stale = unknown or any(memory.stale(kind) for kind in kinds if not kind.endswith(READ))
    fits = not stale or read_rate is None or known.fits()
    if unknown and not fits:
        return _worked_out(works, read_rate or 0.0, job)
    if facts is None or (stale and fits):
        took = known.probe_training(backend, job)
        facts = {"bytes": took.bytes, "peak_bytes": took.peak_bytes, "opening": took.opening}
        memory.remember(name, facts)
    seconds = {work.kind: work.units * (memory.rate(work.kind) or 0.0) for work in works}
    length = length_of(job)
    read = sum(s for kind, s in seconds.items() if kind.endswith(READ)) if length else 0.0
    units = float(length.steps if length else len(job.rows))
    return Learning(0.0, (sum(seconds.values()) - read) / units, 0.0, once=read, **facts)


def _worked_out(works: Sequence[Work], read_rate: float, job: TrainJob) -> Learning:
    """What a training costs that was not measured: its tokens at a multiple of the rate of reading."""
    each = LEARN_READS * read_rate * float(job.options.get("share", 1.0))  # layers below the share are read once
    seconds = sum(work.units * (read_rate if work.kind.endswith(READ) else each) for work in works)
    length = length_of(job)
    return Learning(0.0, seconds / (length.steps if length else len(job.rows)), 0.0, 0, None)


def _ask(backend: Backend, weights: Weights, place: Path | None, requests: Sequence[Request]) -> list[Reply]:
    """Answers in one call, in which nothing is ready from the call before."""
    with backend.open(weights, place) as session:
        ask = session.choose if requests[0].labels else session.generate
        ask([replace(requests[0], messages=(Message("user", "?"),))])
        return ask(requests)


def _live(
    known: KnownTimes, backend: Backend, weights: Weights, requests: Sequence[Request]
) -> tuple[Weights, Path | None, list[Reply]]:
    """Weights that answer in place of simulated ones, their trained part, and the answers: the base where so few steps
    of training changed nothing that is seen.
    """
    real, place = known.real_part(weights)
    try:
        return real, place, _ask(backend, real, place, requests)
    except AdapterNotLive:
        base = replace(weights, adapter=None, kind="none")
        return base, None, _ask(backend, base, None, requests)


def _read(known: KnownTimes, backend: Backend, weights: Weights, requests: Sequence[Request]) -> None:
    """Answer rows until two times agree, with the remembered one or each other; learn their rate by the median."""
    with known.measuring():
        times = _timed_rows(known, backend, weights, requests)
    pace = statistics.median_low([_pace(works) for works in times])
    known.memory.learn([Work(times[0][0].kind, 1.0, pace)])
    known.memory.remember(_memory_name(backend, weights), {"memory_bytes": _rss()})


def _timed_rows(known: KnownTimes, backend: Backend, weights: Weights, requests: Sequence[Request]) -> list[list[Work]]:
    """The work of each call, until they are enough: all rows where texts are written, some that take long to read."""
    assert isinstance(backend, ForecastsWork)
    few = spread(requests, FEW)
    real, place, _ = _live(known, backend, weights, few[:2])  # the first answers are slower than all others
    rows = few if requests[0].labels else tuple(requests)
    times = list[list[Work]]()
    while not _enough(known.memory, times):
        replies = _ask(backend, real, place, rows)
        works = [backend.answer_work(real, q, r) for q, r in zip(rows, replies, strict=True)]
        took = sum(work.seconds for work in works)
        if rows is few and took < ENOUGH / 2 and len(requests) > FEW:
            rows = spread(requests, int(FEW * ENOUGH / max(took, FEW * ENOUGH / CHUNK)))  # a chunk at most
            continue
        times.append(works)
    return times


def _pace(works: Sequence[Work]) -> float:
    """Seconds for a unit."""
    units = sum(work.units for work in works)
    return sum(work.seconds for work in works) / units if units else 0.0


def _enough(memory: RateMemory, times: Sequence[Sequence[Work]]) -> bool:
    """Whether a remembered rate is confirmed, two calls agree, or three were made."""
    paces = [_pace(works) for works in times]
    if len(paces) == 1:
        return memory.confirms(times[0][0].kind, paces[0])
    return len(paces) > 2 or (len(paces) == 2 and agree(paces[0], paces[1], AGREE))


def _written(
    known: KnownTimes, backend: Backend, weights: Weights, requests: Sequence[Request], about: Sequence[Any]
) -> Answering:
    """What a row costs whose answer is written, by the length of a few texts and the rate of many side by side.

    A text of eight that are written at once takes up to four times as long as one of sixty-four.
    """
    assert isinstance(backend, ForecastsWork)
    memory, few = known.memory, spread(requests, FEW)
    name, kind = ["written", *about], backend.expected_answers(weights, few[:1])[0].kind
    facts = memory.remembered(name)
    if facts is None:
        facts = _written_units(known, backend, weights, few)
        memory.remember(name, facts)
    if memory.stale(kind) or memory.unchecked(kind):
        _read(known, backend, weights, [_begun(request) for request in spread(requests, BESIDE)])
    rate, opening = memory.rate(kind) or 0.0, _opening(known, backend, weights, few)
    return Answering(rate * facts["units"], _memory(known, backend, weights), rate * facts["shared"], opening)


def _begun(request: Request) -> Request:
    """The same request for the first words of its answer."""
    return replace(request, decoding=replace(request.decoding, max_tokens=min(WORDS, request.decoding.max_tokens)))


def _written_units(known: KnownTimes, backend: Backend, weights: Weights, rows: Sequence[Request]) -> dict[str, float]:
    """The work of a row whose answer is written now, and of the prompt that rows share."""
    assert isinstance(backend, ForecastsWork)
    with known.measuring():
        real, _, replies = _live(known, backend, weights, rows)
    works = [backend.answer_work(real, q, r) for q, r in zip(rows, replies, strict=True)]
    alike = rows[1] if len(rows) > 1 else rows[0]
    first, second = backend.expected_answers(weights, [alike, alike])
    shared = max(0.0, first.units - second.units) if len({row.messages[:-1] for row in rows}) == 1 else 0.0
    return {"units": max(0.0, sum(work.units for work in works) - shared) / len(works), "shared": shared}


def _opening(known: KnownTimes, backend: Backend, weights: Weights, few: Sequence[Request]) -> float:
    """Seconds by the clock to load a trained part of this kind; no ledger holds them."""
    if weights.adapter is None:
        return 0.0
    name = ["opening", backend.version, weights.revision, weights.kind]
    facts = known.memory.remembered(name)
    if facts is None:
        real, place = known.real_part(weights)
        start, seconds = time.perf_counter(), 0.0
        try:
            with backend.open(real, place) as session:
                replies = (session.choose if few[0].labels else session.generate)(few[:1])
                seconds = sum(reply.seconds for reply in replies)
        except AdapterNotLive:
            place = None
        took = max(0.0, time.perf_counter() - start - seconds) if place else 0.0
        facts = {"seconds": took}
        known.memory.remember(name, facts)
    return float(facts["seconds"])


def _memory_name(backend: Backend, weights: Weights) -> list[str]:
    return ["memory", backend.version, weights.revision]


def _memory(known: KnownTimes, backend: Backend, weights: Weights) -> int:
    """Memory of the process that has answered with this model."""
    facts = known.memory.remembered(_memory_name(backend, weights))
    return int(facts["memory_bytes"]) if facts else _rss()


def _rss() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)
