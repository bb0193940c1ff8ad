"""Trainings of one way at its bench: rows rendered as answered rows are, checkpoints charged one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whichway.contest.account import WayAccount
from whichway.contest.dry_run.machine_load import Since
from whichway.contest.hosted_calls import HostedCalls
from whichway.contest.hosted_trainings import check_job
from whichway.contest.ledger import Charge, RunLedger
from whichway.contest.training import Training
from whichway.contracts import Attended, Backend, Hosted, TrainsHosted
from whichway.errors import WayFailed
from whichway.events import CheckpointSaved, TrainingBegan, TrainingStep
from whichway.nouns import Adapter, Example, Prompt, TrainJob, TrainRow, Weights, digest
from whichway.prompts.nearest import ShotRetriever
from whichway.prompts.template import messages
from whichway.tasks.leave_out import left_out
from whichway.training_kinds import KINDS
from whichway.training_length import length_of


def _taught(kind: str, example: Example) -> tuple[str, ...]:
    """The answers of an example that a training sees, each a row."""
    if not (kind and KINDS[kind].pairs):
        return (example.target,)
    if example.rejected is None:
        raise WayFailed("preferences want rows with a chosen and a rejected answer")
    return example.target, example.rejected


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a checkpoint was made, so that the same can be made of other rows."""

    kind: str
    start: Weights
    prompt: Prompt
    options: Mapping[str, Any]
    index: int  # of the checkpoint
    whole: bool  # whether all training rows were trained on
    added: tuple[Example, ...] = ()  # and these, which a teacher labelled or wrote


class WayTrainings:
    """The trainings that one way has asked for.

    Args:
        ledger: the books of the run.
        account: of the way; it pays.
        backends: that the way works with.
        retriever: chooses the shots of a row.
    """

    def __init__(
        self, ledger: RunLedger, account: WayAccount, backends: Mapping[str, Backend], retriever: ShotRetriever
    ) -> None:
        self._ledger, self._account, self._backends, self._retriever = ledger, account, backends, retriever
        self._rows: dict[str, tuple[TrainRow, ...]] = {}
        self.parts: dict[str, Adapter] = {}  # digest of a trained part -> its checkpoint
        self.keys: dict[str, str] = {}  # digest of a trained part -> key of its training
        self.recipes: dict[str, Recipe] = {}  # digest of a trained part -> how it was made
        self.dev_rows = 0  # that the checkpoints of a training will answer

    def go_on(self, earlier: WayTrainings) -> None:
        """Take over what was trained for earlier folds."""
        self.parts, self.keys, self.recipes = earlier.parts, earlier.keys, earlier.recipes

    def take_over(self, other: WayTrainings) -> None:
        """Know what another way has trained."""
        self.parts |= other.parts
        self.keys |= other.keys
        self.recipes |= other.recipes

    def train(self, job: TrainJob) -> Iterator[Adapter]:
        """Checkpoints of a training: those kept in the cache first, then new ones.

        Raises:
            BudgetSpent: the budget is spent.
            WayFailed: the training failed.
        """
        ledger, account, way = self._ledger, self._account, self._account.way
        backend = self._backends[job.weights.backend]
        key = digest([backend.version, job.id], 32)
        start = ledger.cache.adapter(job.weights)
        training = Training(
            ledger, backend, job, key, start,
            check=lambda index: account.check([f"{key}/{index}"]),
            before=lambda folder: self._before(job, folder),
        )  # fmt: skip
        if isinstance(backend, Attended):
            backend.watch = self._watch(job.kind)
        length = length_of(job)
        if length is not None:
            ledger.tell(TrainingBegan(way, job.kind, length.epochs, length.steps * int(job.options.get("soup", 1))))
        before: Adapter | None = None
        since = Since()
        try:
            for index, (adapter, paid_by) in enumerate(training.checkpoints()):
                seconds, wall = ledger.pricing.training(backend, job, adapter, before, since)
                tokens = adapter.tokens - (before.tokens if before else 0)
                usd = ledger.training_usd(job.weights, tokens)
                charges = [Charge(f"{key}/{index}", seconds, paid_by, usd, wall)]
                hosted: dict[str, Any] = {} if usd is None else {"way": way, "tokens_trained": tokens}
                facts: dict[str, Any] = {"bytes": adapter.bytes, "peak_bytes": adapter.peak_bytes, **hosted}
                account.buy("train", f"{key}/{index}", charges, **facts)
                self.parts[adapter.weights.adapter or ""] = adapter
                self.keys[adapter.weights.adapter or ""] = key
                before = adapter
                ledger.tell(CheckpointSaved(way, job.kind, adapter.epoch, adapter.loss))
                yield adapter
                since = Since()
        except WayFailed:
            account.charge_failure(key)
            raise

    def _before(self, job: TrainJob, folder: Path) -> None:
        """Refuse a job at a service that could pass the cap, or that would send private data away."""
        backend = self._backends[job.weights.backend]
        if isinstance(backend, Hosted) and isinstance(backend, TrainsHosted):
            calls = HostedCalls(self._ledger, self._account, backend, job.weights, "train")
            check_job(calls, job, folder, self.dev_rows)

    def _watch(self, kind: str) -> Callable[[Mapping[str, Any]], None]:
        """Tells where a training stands, and ends it with the clock: it goes on from there another time."""

        def watch(facts: Mapping[str, Any]) -> None:
            self._ledger.tell(TrainingStep(self._account.way, kind, **facts))
            self._ledger.clock.check()

        return watch

    def rows(self, kind: str, prompt: Prompt, examples: Sequence[Example]) -> tuple[TrainRow, ...]:
        """Rows as a training sees them; where each has its own examples, they are chosen once for all trials."""
        key = digest([bool(kind and KINDS[kind].pairs), prompt.content, [e.id for e in examples]])
        if key not in self._rows:
            self._retriever.prepare(prompt, (e.text for e in examples))
            without = left_out(examples) if prompt.pool else {}
            self._rows[key] = tuple(
                TrainRow(messages(prompt, e, self._retriever, without.get(e.text, ())), answer)
                for e in examples
                for answer in _taught(kind, e)
            )
        return self._rows[key]
