"""A probe of seconds: how long this machine takes for an answer and for a training step, measured on a few of them.

Each kind of work (same model, same kind of trained part, prompts and rows of like length) is measured once and kept in
the cache folder, so that the next estimate costs nothing. Answers are asked of the real model for up to `CHUNK` rows;
trainings are run for a few steps, twice, so that the time of a step is told from that of starting and of saving. Where
a backend counts its work and is slow, three steps of a few rows tell its rate. All takes about `LIMIT` seconds at most.
The seconds are those that the backend itself reports, which are those that the ledger will hold.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from whichway.contest.dry_run import counted
from whichway.contest.dry_run.costs import CHUNK, FEW, SHORT, Answering, Learning, spread
from whichway.contest.dry_run.rate_memory import RateMemory
from whichway.contracts import Backend, Embedder, ForecastsWork, Work, read_kind
from whichway.errors import AdapterNotLive
from whichway.nouns import Adapter, Message, Reply, Request, TrainJob, TrainRow, Weights, digest
from whichway.training_kinds import KINDS
from whichway.training_length import length_of

STEPS = (4, 40)  # of the longer of two trainings
TRAINING = 1.5  # seconds it should take
SLOW = 0.4  # seconds of a step of some rows from which on such steps are measured only
SOME = 8  # rows of such a step; with three a token took twice as long as in whole steps
SMALL = 3  # rows of which so many as of answers are fitted at first, where reading is slow
LIMIT = 20.0  # seconds that a probe takes
RESERVE = 5.0  # of them, that are wanted to look at one more training
RATES = ("rate", "factor", "epochs", "checkpoints")  # options of a training that its time for a step does not depend on


class Timings:
    """Measured times of this machine.

    Args:
        memory: what was measured before; a path: of its file; None: nothing was, and nothing is kept.
        scratch: where probed trainings may be written.
        limit: seconds by the clock that measuring may take; trainings that do not fit are worked out from reading.
        now: seconds of a clock that only goes forward.
    """

    def __init__(
        self,
        memory: RateMemory | Path | None,
        scratch: Path,
        limit: float = LIMIT,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.memory = memory if isinstance(memory, RateMemory) else RateMemory(memory)
        self._scratch, self._left, self._now = scratch, limit, now
        self._answering: dict[str, Answering] = {}  # of counted answers
        self._jobs: dict[tuple[str, str, str], tuple[Backend, TrainJob]] = {}
        self._trained_parts: dict[tuple[str, str, str], tuple[Weights, Path] | None] = {}
        self._learning: dict[str, Learning] = {}  # of counted trainings
        self._inside = False  # whether something is measured just now
        self.probes = 0  # measured now, not taken from the file
        self.worked_out = False  # whether a training was not measured for want of time

    def answering(self, backend: Backend, weights: Weights, requests: Sequence[Request]) -> Answering:
        """What one of these rows takes, which are alike (one chunk of one candidate)."""
        first = requests[0]
        kind = weights.kind if weights.adapter else ""
        about: list[Any] = [backend.version, weights.revision, kind, first.decoding.mode]
        about += [first.decoding.max_tokens if first.decoding.mode == "generate" else 0, len(first.labels)]
        about += ["channel"] if first.decoding.channel else []
        about += _shape(requests)
        if isinstance(backend, ForecastsWork):
            key = digest(about)
            if key not in self._answering:
                self._answering[key] = counted.answering(self, backend, weights, requests, about)
            return self._answering[key]
        facts = self._good(["answering", *about])
        if facts is None:
            with self.measuring():
                facts = self._keep(["answering", *about], self._ask(backend, weights, requests))
        return Answering(**facts)

    def learning(self, backend: Backend, job: TrainJob) -> Learning:
        """What trainings like this one take.

        Raises:
            WayFailed: a few steps failed already.
        """
        self._jobs[_part(job.weights, job.kind)] = (backend, job)
        options = {name: value for name, value in job.options.items() if name not in RATES}
        if isinstance(backend, ForecastsWork):
            size = [job.weights.revision, job.kind, options, job.options.get("epochs"), len(job.labels), len(job.rows)]
            like = digest([*size, _shape(job.rows)])
            if like not in self._learning:  # to count the tokens of all rows takes its time, too
                self._learning[like] = counted.learning(self, backend, job)
            return self._learning[like]
        about: list[Any] = [backend.version, job.weights.revision, job.kind, options, len(job.labels), _shape(job.rows)]
        about += [] if length_of(job) else [_bucket(len(job.rows))]
        facts = self._good(["learning", *about])
        return Learning(**(facts or self._keep(["learning", *about], self.probe_training(backend, job))))

    def embedding(self, backend: Embedder, weights: Weights, texts: Sequence[str]) -> float:
        """Seconds that an encoder takes for a character of texts like these; measured once."""
        about = ["embedding", backend.version, weights.key]
        facts = self._good(about)
        if facts is None:
            some = sorted(texts, key=len)[:: max(1, len(texts) // CHUNK)][:CHUNK]
            with self.measuring():
                backend.embed(weights, some[:2])  # the first is slower than all others
                vectors = backend.embed(weights, some)
                self.memory.learn([Work(read_kind(weights), vector.tokens, vector.seconds) for vector in vectors])
                took = sum(vector.seconds for vector in vectors)
                facts = self._keep(about, Answering(took / max(1, sum(map(len, some))), 0))
        return float(facts["seconds"])

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Take what is done inside off the time that is left."""
        began, outer, self._inside = self._now(), self._inside, True
        if not outer:
            self.memory.watch()
        try:
            yield
        finally:
            self._inside = outer
            self._left -= 0.0 if outer else self._now() - began

    def fits(self) -> bool:
        """Whether a few steps of one more training fit into the limit; where not, the estimate is a wider one."""
        self.worked_out |= self._left < RESERVE
        return self._left >= RESERVE

    def _good(self, about: Sequence[Any]) -> Mapping[str, Any] | None:
        """What was measured before and is still believed."""
        return None if self.memory.hurried(about) else self.memory.remembered(about)

    def _keep(self, about: Sequence[Any], cost: Answering | Learning) -> dict[str, Any]:
        facts = {name: getattr(cost, name) for name in cost.__slots__}
        self.memory.remember(about, facts)
        return facts

    # answering

    def _ask(self, backend: Backend, weights: Weights, requests: Sequence[Request]) -> Answering:
        import psutil

        self.probes += 1

        few, whole = spread(requests, FEW), spread(requests, CHUNK)
        real, place = self.real_part(weights)
        try:
            seconds, prefix, opening = _timed(backend, real, place, few, whole)
        except AdapterNotLive:  # so few steps may change nothing that is seen
            seconds, prefix, _ = _timed(backend, replace(weights, adapter=None, kind="none"), None, few, whole)
            opening = 0.0
        return Answering(seconds, psutil.Process().memory_info().rss, prefix, opening if place else 0.0)

    def real_part(self, weights: Weights) -> tuple[Weights, Path | None]:
        """Weights that can answer in place of simulated ones: the base, or a part of the same kind, trained briefly."""
        if weights.adapter is None:
            return weights, None
        part = _part(weights, weights.kind)
        if part not in self._trained_parts and part in self._jobs:
            self.probe_training(*self._jobs[part])
        trained = self._trained_parts.get(part)
        return trained or (replace(weights, adapter=None, kind="none"), None)

    # learning

    def probe_training(self, backend: Backend, job: TrainJob) -> Learning:
        """What trainings like this one take, from some that are run now."""
        self.probes += 1
        job = replace(job, weights=replace(job.weights, adapter=None, kind="none"))
        with self.measuring():
            if not length_of(job):
                return self._whole(backend, job)
            return self._small_steps(backend, job) or self._steps(backend, job)

    def _small_steps(self, backend: Backend, job: TrainJob) -> Learning | None:
        """Three steps of some rows with a checkpoint after each, where steps are slow and their work is counted.

        The first step, slower than all others, is not counted; where the two others disagree, they are run once more.

        Returns:
            None where whole steps can be measured.
        """
        if not isinstance(backend, ForecastsWork):
            return None
        paces: dict[str, list[float]] = {}
        while True:
            began, marks = time.perf_counter(), list[Adapter]()
            training = self._training(backend, self._few_steps(job, 3, 3, SOME))
            for mark in training:
                marks.append(mark)
                if not paces and len(marks) == 2 and mark.seconds - marks[0].seconds <= SLOW:
                    getattr(training, "close", lambda: None)()
                    return None
            opening = max(0.0, time.perf_counter() - began - marks[-1].seconds)
            for before, after in pairwise(marks):
                for work in backend.training_work(job, after, before):
                    if work.units > 0 and not work.kind.endswith(" read"):
                        paces.setdefault(work.kind, []).append(work.seconds / work.units)
            if all(len(times) > 2 or max(times) <= counted.AGREE * min(times) for times in paces.values()):
                break
        self.memory.learn([Work(kind, 1.0, statistics.median_low(times)) for kind, times in paces.items()], anew=True)
        last = marks[-1]
        return Learning(0.0, 0.0, 0.0, last.bytes, max(mark.peak_bytes or 0 for mark in marks) or None, opening)

    def _steps(self, backend: Backend, job: TrainJob) -> Learning:
        """Two trainings of a few steps: one checkpoint, then two."""
        began = time.perf_counter()
        short = self._run(backend, job, 2, 1)[-1]
        between = time.perf_counter()
        steps = int(min(max(TRAINING / max(short.seconds / 2, 1e-3), STEPS[0]), STEPS[1])) // 2 * 2 + 2
        half, last = self._run(backend, job, steps, 2)
        opening = min(between - began - short.seconds, time.perf_counter() - between - last.seconds)
        unit = (half.seconds - short.seconds) / (steps / 2 - 2) if steps > 4 else (last.seconds - half.seconds) / 2
        if unit <= 0:  # the first steps were slower than all later ones together
            unit = half.seconds / (steps / 2)
        save = max(0.0, last.seconds - half.seconds - unit * steps / 2)
        start = max(0.0, short.seconds - 2 * unit)
        return Learning(start, unit, save, last.bytes, last.peak_bytes, max(0.0, opening))

    def _run(self, backend: Backend, job: TrainJob, steps: int, checkpoints: int) -> list[Adapter]:
        return self._trained(backend, self._few_steps(job, steps, checkpoints))

    def _few_steps(self, job: TrainJob, steps: int, checkpoints: int, most: int | None = None) -> TrainJob:
        """The same training for a few steps, of fewer rows where `most` says so."""
        batch = int(job.options.get("batch", 16))
        options = dict(job.options) if most is None else {**job.options, "batch": min(batch, most)}
        each = int(options.get("batch", 16)) * (2 if KINDS[job.kind].pairs else 1)
        some = replace(job, rows=spread(job.rows, steps * each, pairs=True), options=options)
        length = length_of(some)
        per_epoch = length.per_epoch if length else 1
        return replace(some, options={**options, "epochs": (steps - 0.01) / per_epoch, "checkpoints": checkpoints})

    def _whole(self, backend: Backend, job: TrainJob) -> Learning:
        """A quarter of the rows, then all of them, where that is quick twice; fewer where reading them is slow."""
        if isinstance(backend, ForecastsWork):
            rows = spread(job.rows, FEW * SMALL)
            adapter = self._trained(backend, replace(job, rows=rows))[-1]
            if adapter.seconds > TRAINING / 4:  # the first may have loaded libraries
                adapter = self._trained(backend, replace(job, rows=rows))[-1]
            if adapter.seconds > TRAINING / 4:
                return Learning(0.0, adapter.seconds / len(rows), 0.0, adapter.bytes, adapter.peak_bytes)
        rows = spread(job.rows, max(CHUNK, len(job.rows) // 4))
        adapter = self._trained(backend, replace(job, rows=rows))[-1]
        if adapter.seconds > TRAINING / 2:  # the first may have loaded libraries
            adapter = min(adapter, self._trained(backend, replace(job, rows=rows))[-1], key=lambda a: a.seconds)
        for _ in range(2 if adapter.seconds < TRAINING / 2 else int(adapter.seconds < 2 * TRAINING)):
            again = self._trained(backend, job)[-1]
            adapter = again if len(rows) < len(job.rows) or again.seconds < adapter.seconds else adapter
            rows = job.rows
        return Learning(0.0, adapter.seconds / len(rows), 0.0, adapter.bytes, adapter.peak_bytes)

    def _trained(self, backend: Backend, job: TrainJob) -> list[Adapter]:
        adapters = list(self._training(backend, job))
        if isinstance(backend, ForecastsWork):
            works = [backend.training_work(job, b, a) for a, b in zip([None, *adapters], adapters, strict=False)]
            self.memory.learn([work for part in works for work in part if not work.kind.endswith(" read")], anew=True)
        return adapters

    def _training(self, backend: Backend, job: TrainJob) -> Iterator[Adapter]:
        """Checkpoints of a training whose parts are thrown away later."""
        folder = self._scratch / digest([time.time_ns(), job.id])
        folder.mkdir(parents=True)
        for adapter in backend.train(job, folder, None):
            weights = adapter.weights
            self._trained_parts[_part(job.weights, job.kind)] = (weights, folder / str(weights.adapter))
            yield adapter


def units_of(job: TrainJob) -> float:
    """Steps of a training, or rows where it has none."""
    length = length_of(job)
    return float(len(job.rows) if length is None else length.steps)


def _part(weights: Weights, kind: str) -> tuple[str, str, str]:
    return weights.backend, weights.revision, kind


def _timed(
    backend: Backend, weights: Weights, place: Path | None, few: Sequence[Request], whole: Sequence[Request]
) -> tuple[float, float, float]:
    """Seconds of a row and of the prompt that rows share, as the backend reports them, and by the clock of opening.

    The first answers, slower than all others, are not counted. A session may keep the last shared prompt, so another
    one is asked in between; then some rows pay for theirs, and the next do not. Of two times the shorter stands: what
    comes in between only ever adds.
    """

    def timed_answers(requests: Sequence[Request]) -> tuple[list[Reply], float]:
        began = time.perf_counter()
        with backend.open(weights, place) as session:
            replies = (session.choose if requests[0].labels else session.generate)(requests)
        return replies, time.perf_counter() - began

    first, opened = timed_answers(few[:2])
    timed_answers([replace(few[0], messages=(Message("user", "?"),))])
    cold, took = timed_answers(few)
    some = whole if took < SHORT else few
    row = min(_total(timed_answers(some)[0]) for _ in range(2 if took < SHORT else 1)) / len(some)
    return row, max(0.0, _total(cold) - row * len(cold)), max(0.0, opened - _total(first))


def _total(replies: Sequence[Reply]) -> float:
    return sum(reply.seconds for reply in replies)


def _bucket(size: float) -> int:
    """Sizes within a quarter of each other are alike."""
    return round(math.log(size + 20) / math.log(1.25))


def own_examples(rows: Sequence[Request] | Sequence[TrainRow]) -> bool:
    """Whether rows are shown examples of their own: what comes before them is not the same for all."""
    return len({row.messages[:-1] for row in rows}) > 1


def _shape(rows: Sequence[Request] | Sequence[TrainRow]) -> list[int]:
    """Lengths of what comes before the row, of the row and of the answer, in steps of a quarter.

    What rows share is computed once; examples of its own are each row's price, so whether it has some is told apart.
    """
    count = len(rows)
    head = sum(len(m.content) for row in rows for m in row.messages[:-1]) / count
    tail = sum(len(row.messages[-1].content) for row in rows) / count
    answers = [len(row.answer) for row in rows if isinstance(row, TrainRow)]
    return [
        _bucket(head),
        int(own_examples(rows)),
        _bucket(tail),
        *([_bucket(sum(answers) / count)] if answers else []),
    ]
