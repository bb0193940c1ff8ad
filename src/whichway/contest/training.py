"""Trainings at the bench: kept checkpoints first, then new ones; one run at a time in the folder of a training.

A failure is never cached: another run tries again. In the run where it happened it stands in the ledger, so that a
rerun of that run finds the same failure at the same price instead of training into it once more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from whichway.contest.ledger import RunLedger, TrainingFailure
from whichway.contracts import Backend
from whichway.errors import WayFailed
from whichway.events import WarningGiven
from whichway.nouns import Adapter, TrainJob, from_json, to_json
from whichway.runs.folder import Lines, read_lines, write_json


@dataclass(frozen=True, slots=True)
class Training:
    """One training of one run."""

    ledger: RunLedger
    backend: Backend
    job: TrainJob
    key: str
    start: Path | None  # folder of the trained part it starts from
    check: Callable[[int], None]  # refuses to go on to a checkpoint when the budget is spent
    before: Callable[[Path], None]  # refuses to begin what the budget does not pay for, or what may not leave

    @property
    def folder(self) -> Path:
        """Its place in the cache."""
        return self.ledger.cache.training(self.key)

    def checkpoints(self) -> Iterator[tuple[Adapter, str]]:
        """Each checkpoint with the run that paid for it ("": this process, just now).

        Raises:
            BudgetSpent: the budget does not reach to the next one.
            WayFailed: the training failed, now or in an earlier start of this run.
        """
        done = 0
        for adapter, payer in self._cached(0):
            self._replay(done)
            yield adapter, payer
            done += 1
        self._replay(done)
        self.check(done)
        if self._finished:
            return
        with self.ledger.cache.lock(self.key, self._wait):  # another run may be at this very training
            for adapter, payer in self._cached(done):
                yield adapter, payer
                done += 1
            if not self._finished:
                yield from self._new(done)

    def _cached(self, first: int) -> Iterator[tuple[Adapter, str]]:
        for index, line in enumerate(read_lines(self.folder / "checkpoints.jsonl")):
            payer = line.pop("payer")
            if index >= first:
                self.check(index)
                yield from_json(Adapter, line), payer

    @property
    def _finished(self) -> bool:
        return (self.folder / "done.json").exists()

    def _new(self, done: int) -> Iterator[tuple[Adapter, str]]:
        """Train on from where it stopped."""
        self.before(self.folder)
        lines = Lines(self.folder / "checkpoints.jsonl")
        try:
            for index, adapter in enumerate(self._watched(done)):
                if index < done:
                    continue
                lines.append([{**to_json(adapter), "payer": self.ledger.paid_by}])
                yield adapter, ""
                self.check(index + 1)
            job = self.job
            write_json(
                self.folder / "done.json", {"job": job.id, "kind": job.kind, "seed": job.seed, "options": job.options}
            )
        finally:
            lines.close()

    def _watched(self, done: int) -> Iterator[Adapter]:
        """The backend's checkpoints; when it fails, the time since the last one is remembered."""
        steps = self.backend.train(self.job, self.folder, self.start)
        index = 0
        while True:
            self.ledger.clock.check()
            began = time.perf_counter()
            try:
                adapter = next(steps, None)
            except WayFailed as error:
                spent = time.perf_counter() - began if error.seconds is None else error.seconds
                usd = self.ledger.training_usd(self.job.weights, error.tokens)
                self.ledger.failures[self.key] = TrainingFailure(max(index, done), spent, str(error), usd)
                raise
            if adapter is None:
                return
            yield adapter
            index += 1

    def _replay(self, done: int) -> None:
        failure = self.ledger.failures.get(self.key)
        if failure and done >= failure.checkpoint:
            raise WayFailed(failure.reason)

    def _wait(self) -> None:
        self.ledger.tell(WarningGiven(f"waiting for another run that trains the same ({self.job.kind})"))
