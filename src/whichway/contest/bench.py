"""What a way works at: renders, answers or trains, meters, keeps. Blind to the test split until the house opens it.

A hit in the cache charges the purse its list price all the same: were hits free, a rerun would get further on the same
budget and could give another verdict. *Paid* is a column of the ledger, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whichway.contest.cache import Cache, reply_key
from whichway.contest.folder import Lines, keep_adapter, noun, read_lines, record_key, write_json
from whichway.contest.plan import House, Settings
from whichway.contracts import Backend, Listener, Metric
from whichway.errors import BudgetSpent, WayFailed
from whichway.nouns import (
    Adapter,
    Candidate,
    Example,
    Practice,
    Prompt,
    Record,
    Reply,
    Request,
    Split,
    TrainJob,
    TrainRow,
    Weights,
    digest,
    to_json,
)
from whichway.prompts.template import messages
from whichway.verdict.stats import macro_f1

CHUNK = 64  # rows answered and kept at once: what a kill can cost, and the same batches on every rerun


def judge(
    metric: Metric,
    candidate: str,
    example: Example,
    split: Split,
    request: Request,
    reply: Reply,
    usd: float,
    cached: bool,
) -> Record:
    """Reply -> record: the one place where a record is made."""
    if reply.finish == "error":
        outcome, value, why = "error", None, reply.error
    else:
        score = metric(example, reply.text)
        outcome, value, why = ("unparsed" if score.value is None else "ok"), score.value, score.why
    return Record(
        candidate=candidate,
        example=example.id,
        split=split,
        repeat=request.repeat,
        outcome=outcome,  # type: ignore[arg-type]
        score=value,
        text=reply.text,
        why=why,
        tokens_in=reply.tokens_in,
        tokens_cached=reply.tokens_cached,
        tokens_out=reply.tokens_out,
        seconds=reply.seconds,
        usd=usd,
        cached=cached,
    )


def total(metric: Metric, examples: Sequence[Example], records: Sequence[Record]) -> float:
    """The metric over rows. A row without a readable answer counts as 0 here; its share is reported beside it."""
    if metric.aggregate == "macro_f1":
        gold = [metric.normal(e.target) for e in examples]
        said = [metric.normal(r.text) if r.outcome == "ok" else None for r in records]
        code = {label: i for i, label in enumerate(sorted(set(gold)))}
        return float(macro_f1([code[g] for g in gold], [code.get(s, -1) if s is not None else -1 for s in said]))
    return sum(r.score or 0.0 for r in records) / max(1, len(records))


@dataclass(slots=True)
class Purse:
    """What one way has spent, at list price."""

    seconds: float = 0.0
    usd: float = 0.0
    calls: int = 0

    def add(self, seconds: float, usd: float, calls: int = 0) -> None:
        """Charge."""
        self.seconds += seconds
        self.usd += usd
        self.calls += calls


@dataclass(slots=True)
class Till:
    """What all ways of a run share: the books, the cache, and how much was really paid by this process."""

    folder: Path
    house: House
    settings: Settings
    cache: Cache
    payer: str
    records: Lines
    ledger: Lines
    listener: Listener
    written: dict[tuple[str, str, str, int], Record] = field(default_factory=dict)
    booked: set[str] = field(default_factory=set)
    paid_seconds: float = 0.0
    paid_usd: float = 0.0

    def book(self, who: str, what: str, key: str, calls: int, seconds: float, paid: float, fresh: float) -> None:
        """A line of the ledger, once per key. `paid`: seconds this run paid; `fresh`: those of this very process."""
        per_second = self.settings.price_per_hour / 3600
        self.paid_seconds += fresh
        self.paid_usd += fresh * per_second
        if key in self.booked:
            return
        self.booked.add(key)
        line = {"who": who, "what": what, "key": key, "calls": calls, "seconds": seconds, "usd": seconds * per_second}
        self.ledger.append([{**line, "paid_seconds": paid, "paid_usd": paid * per_second}])

    def write_records(self, records: Sequence[Record]) -> None:
        """Append those not written before."""
        new = []
        for record in records:
            if record_key(record) not in self.written:
                self.written[record_key(record)] = record
                new.append(record)
        self.records.append(new)


class HouseBench:
    """The bench of one way."""

    def __init__(self, till: Till, way: str, practice: Practice) -> None:
        self._till, self._way, self._practice = till, way, practice
        self._split: dict[str, Split] = {e.id: "dev" for e in practice.dev} | {e.id: "train" for e in practice.train}  # type: ignore[assignment]
        self.purse = Purse()
        self.base = till.house.base
        self.seeds = till.settings.seeds
        self._log = till.folder / "ways" / way / "log"
        self._said = {line.rstrip("\n") for line in self._log.open(encoding="utf-8")} if self._log.exists() else set()

    # what ways call

    def has(self, kind: str) -> bool:
        """Whether the model under trial can be trained in this way."""
        return kind in self._backend(self.base.backend).trains()

    def weights(self, backend: str, base: str) -> Weights:
        """Base weights of another backend."""
        return self._backend(backend).weights(base)

    def ask(self, candidate: Candidate, examples: Sequence[Example]) -> list[Reply]:
        """Raw answers, unjudged."""
        return [reply for _, reply, _ in self._answers(candidate, examples, "ask")]

    def score(self, candidate: Candidate, examples: Sequence[Example]) -> list[Record]:
        """Answers to train or dev rows, judged.

        Raises:
            KeyError: a row that is neither in train nor in dev.
        """
        return self._judged(candidate, examples, [self._split[e.id] for e in examples], "score")

    def value(self, candidate: Candidate) -> float:
        """The metric on the whole dev split."""
        dev = self._practice.dev
        return total(self._till.house.metric, dev, self.score(candidate, dev))

    def train(
        self, kind: str, start: Weights, prompt: Prompt, examples: Sequence[Example], seed: int, **options: Any
    ) -> Iterator[Adapter]:
        """Train on rows rendered as `score` renders them; one adapter per checkpoint."""
        rows = tuple(TrainRow(messages(prompt, e.text), e.target) for e in examples)
        job = TrainJob(kind, start, rows, self._practice.labels, seed, options)
        backend = self._backend(start.backend)
        key = digest([backend.version, job.id], 32)
        folder = self._till.cache.training(key)
        before = 0.0
        for index, (adapter, payer) in enumerate(self._checkpoints(backend, job, folder, start)):
            spent = adapter.seconds - before
            before = adapter.seconds
            self._charge("train", f"{key}/{index}", 0, spent, payer, fresh=payer == "")
            self._till.listener("train", {"way": self._way, "kind": kind, "epoch": adapter.epoch, "loss": adapter.loss})
            yield adapter

    def say(self, message: str) -> None:
        """A line of progress, kept in the way's log (once: a rerun does not repeat itself)."""
        self._till.listener("say", {"way": self._way, "message": message})
        if message not in self._said:
            self._said.add(message)
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("a", encoding="utf-8") as log:
                log.write(message + "\n")

    # what the house calls

    def cross(self, candidate: Candidate, test: Sequence[Example]) -> list[Record]:
        """The crossing of the test split: the house does this once per finalist; no way can."""
        return self._judged(candidate, test, ["test"] * len(test), "test")

    def adapter_path(self, weights: Weights) -> Path | None:
        """Where the trained part of weights lies in the cache."""
        if weights.adapter is None:
            return None
        found = sorted((self._till.cache.folder or Path()).glob(f"trainings/*/{weights.adapter}"))
        return found[0] if found else None

    def keep(self, candidate: Candidate) -> None:
        """Put a finalist's trained part into the run folder."""
        path = self.adapter_path(candidate.weights)
        if path is not None and candidate.weights.adapter is not None:
            keep_adapter(self._till.folder, self._way, candidate.weights.adapter, path)

    # inside

    def _backend(self, name: str) -> Backend:
        return self._till.house.backends[name]

    def _charge(self, what: str, key: str, calls: int, seconds: float, payer: str, fresh: bool) -> None:
        self.purse.add(seconds, seconds * self._till.settings.price_per_hour / 3600, calls)
        mine = fresh or payer == self._till.payer
        self._till.book(self._way, what, key, calls, seconds, seconds if mine else 0.0, seconds if fresh else 0.0)

    def _check_purse(self) -> None:
        budget, purse = self._till.settings.budget, self.purse
        for name in ("usd", "seconds", "calls"):
            limit, spent = getattr(budget, name), getattr(purse, name)
            if limit is not None and spent >= limit:
                raise BudgetSpent(f"the purse of {self._way} is empty: {spent:.4g} of {limit:g} {name} spent")

    def _judged(
        self, candidate: Candidate, examples: Sequence[Example], splits: Sequence[Split], what: str
    ) -> list[Record]:
        metric, per_second = self._till.house.metric, self._till.settings.price_per_hour / 3600
        records: list[Record] = []
        name, answers = candidate.id, self._answers(candidate, examples, what)
        for example, split, (request, reply, cached) in zip(examples, splits, answers, strict=True):
            usd = reply.seconds * per_second
            records.append(judge(metric, name, example, split, request, reply, usd, cached))
            if len(records) % CHUNK == 0:
                self._till.write_records(records[-CHUNK:])
        self._till.write_records(records)
        return [self._till.written[record_key(r)] for r in records]  # what the file says, also after a lost cache

    def _answers(
        self, candidate: Candidate, examples: Sequence[Example], what: str
    ) -> Iterator[tuple[Request, Reply, bool]]:
        """Requests and replies in order, chunk by chunk; each chunk is kept before the next one starts."""
        backend = self._backend(candidate.weights.backend)
        labels = self._practice.labels if candidate.decoding.mode == "choose" else ()
        for start in range(0, len(examples), CHUNK):
            if what != "test":
                self._check_purse()
            requests = [
                Request(messages(candidate.prompt, e.text), candidate.decoding, labels)
                for e in examples[start : start + CHUNK]
            ]
            keys = [reply_key(backend.version, candidate.weights, r) for r in requests]
            found = self._till.cache.get(keys)
            missing = {key: r for key, r in zip(keys, requests, strict=True) if key not in found}  # equal ones once
            asked = dict(zip(missing, self._call(backend, candidate, list(missing.values())), strict=True))
            self._till.cache.put(asked.items(), self._till.payer)
            self._book_chunk(candidate, what, keys, found, asked)
            self._till.listener(
                "score", {"way": self._way, "what": what, "done": start + len(requests), "of": len(examples)}
            )
            for i, key in enumerate(keys):
                reply, payer = (asked[key], self._till.payer) if key in asked else found[key]
                yield requests[i], reply, payer != self._till.payer

    def _call(self, backend: Backend, candidate: Candidate, requests: Sequence[Request]) -> list[Reply]:
        if not requests:
            return []
        with backend.open(candidate.weights, self.adapter_path(candidate.weights)) as session:
            answer = session.choose if requests[0].labels else session.generate
            replies = answer(requests)
        if len(replies) != len(requests):
            raise WayFailed(f"backend {backend.name} gave {len(replies)} replies to {len(requests)} requests")
        return replies

    def _book_chunk(
        self,
        candidate: Candidate,
        what: str,
        keys: Sequence[str],
        found: Mapping[str, tuple[Reply, str]],
        asked: Mapping[str, Reply],
    ) -> None:
        replies = [asked[key] if key in asked else found[key][0] for key in keys]
        seconds = sum(r.seconds for r in replies)
        self.purse.add(seconds, seconds * self._till.settings.price_per_hour / 3600, len(replies))
        fresh = sum(r.seconds for r in asked.values())
        mine = fresh + sum(r.seconds for r, payer in found.values() if payer == self._till.payer)
        key = digest([self._way, what, candidate.id, list(keys)], 32)
        self._till.book(self._way, what, key, len(replies), seconds, mine, fresh)

    def _checkpoints(
        self, backend: Backend, job: TrainJob, folder: Path, start: Weights
    ) -> Iterator[tuple[Adapter, str]]:
        """Kept checkpoints first (with who paid), then new ones (paid by no one yet: "")."""
        done = 0
        self._check_purse()
        for line in read_lines(folder / "checkpoints.jsonl"):
            payer = line.pop("payer")
            done += 1
            yield noun(Adapter, line), payer
            self._check_purse()  # as when it was trained: a warm cache must not reach further
        if (folder / "done.json").exists():
            return
        kept = Lines(folder / "checkpoints.jsonl")
        try:
            for index, adapter in enumerate(backend.train(job, folder, self.adapter_path(start))):
                if index < done:
                    continue
                kept.append([{**to_json(adapter), "payer": self._till.payer}])
                yield adapter, ""
                self._check_purse()
            write_json(
                folder / "done.json", {"job": job.id, "kind": job.kind, "seed": job.seed, "options": job.options}
            )
        finally:
            kept.close()
