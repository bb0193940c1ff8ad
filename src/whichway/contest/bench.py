"""What a way works at: renders, answers or trains, meters, keeps. Blind to the test split until the house opens it.

What a way has bought in this run it has: the same answer or checkpoint is not charged to its purse again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from whichway.contest.cache import reply_key
from whichway.contest.embeddings import Embeddings
from whichway.contest.ledger import Bought, Purse, Till
from whichway.contest.selection.candidate_race import Heat, Lane, hold
from whichway.contest.selection.race import Entry, Rules, looks, shuffled
from whichway.contest.selection.successive_halving import FEWEST_ROWS, Standing, Thinned, Trial, thin
from whichway.contest.training import Training
from whichway.contracts import Attended, Backend, Runner, Sized
from whichway.errors import WayFailed
from whichway.nouns import (
    Adapter,
    Budget,
    Candidate,
    Example,
    Message,
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
)
from whichway.prompts.answer_extraction import CLOSE, spoken
from whichway.prompts.ask import answer as read_off
from whichway.prompts.ask import questions
from whichway.prompts.calibrate import biased
from whichway.prompts.nearest import ShotRetriever
from whichway.prompts.template import messages
from whichway.runs.folder import keep_adapter, record_key
from whichway.scoring import CUT, TRIMMED, clusters, is_mean, judge, loss_of, refuse_written, row_values, total
from whichway.tasks.leave_out import left_out

CHUNK = 64  # rows answered and kept at once: what a kill can cost, and the same batches on every rerun


def without_reasoning(example: Example, reply: Reply) -> tuple[Example, Reply]:
    """What is judged: reasoning is learned and written, the answer after it counts."""
    if CLOSE not in example.target and CLOSE not in reply.text:
        return example, reply
    answer, thoughts = spoken(reply.text)
    return replace(example, target=spoken(example.target)[0]), replace(
        reply, text=answer, thoughts=reply.thoughts or thoughts
    )


def _taught(kind: str, example: Example) -> tuple[str, ...]:
    """The answers of an example that a training sees, each a row."""
    if kind != "dpo":
        return (example.target,)
    if example.rejected is None:
        raise WayFailed("preferences want rows with a chosen and a rejected answer")
    return example.target, example.rejected


class HouseBench:
    """The bench of one way.

    Args:
        till: the books of the run.
        way: whose bench it is.
        practice: train and dev rows of this fit.
        seeds: None for those of the settings.
        who: the name in the ledger; None for the way's.
        note: stands before each line of progress.
    """

    def __init__(
        self,
        till: Till,
        way: str,
        practice: Practice,
        seeds: tuple[int, ...] | None = None,
        who: str | None = None,
        note: str = "",
    ) -> None:
        self._till, self._way, self._practice, self._who, self._note = till, way, practice, who or way, note
        self.who = self._who
        self._split: dict[str, Split] = {e.id: "dev" for e in practice.dev} | {e.id: "train" for e in practice.train}  # type: ignore[assignment]
        self._order = shuffled(practice.dev)
        self._adapters: dict[str, Path] = {}  # digest of a trained part -> where it lies in the cache
        self._have: set[str] = set()  # answers and checkpoints that this way has bought
        self.purse = Purse()
        self.parts: dict[str, Adapter] = {}  # trained part -> its checkpoint
        self.trainings: dict[str, str] = {}  # trained part -> its training
        self.thinned: list[Thinned] = []
        self.rung_rows = [0, 0]  # dev rows answered at rungs, and those of whole dev splits
        self.base = till.house.base_of(way)
        self._embeddings = Embeddings(till.cache, till.house.backends, till.payer)
        self._retriever = ShotRetriever(self._embed)
        self._train_rows_by_key: dict[str, tuple[TrainRow, ...]] = {}
        self._reading = "embed"  # what the ledger says of texts that are read just now
        self.seeds = till.settings.seeds if seeds is None else seeds
        self.until = till.settings.until
        self._log = till.folder / "ways" / way / "log"
        self._said = {line.rstrip("\n") for line in self._log.open(encoding="utf-8")} if self._log.exists() else set()

    # what ways call

    def has(self, kind: str) -> bool:
        """Whether the model under trial can be trained in this way."""
        return kind in self._backend(self.base.backend).trains()

    def weights(self, backend: str, base: str) -> Weights:
        """Base weights of another backend."""
        return self._backend(backend).weights(base)

    def encoder(self, word: str) -> Weights | None:
        """The sentence encoder behind a word, where it is at hand."""
        return self._till.house.encoder_of(word)

    def render(self, prompt: Prompt, row: Example | str) -> tuple[Message, ...]:
        """The messages that ask a prompt of one row."""
        return messages(prompt, row, self._retriever)

    def ask(self, candidate: Candidate, examples: Sequence[Example]) -> list[Reply]:
        """Raw answers, unjudged."""
        return [reply for reply, _ in self._answers(candidate, examples, "ask")]

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
        rows = self._train_rows(kind, prompt, examples)
        job = TrainJob(kind, start, rows, self._practice.labels, seed, options)
        backend = self._backend(start.backend)
        key = digest([backend.version, job.id], 32)
        till = self._till
        training = Training(
            till, backend, job, key, self.adapter_path(start), lambda index: self._check_purse([f"{key}/{index}"])
        )
        if isinstance(backend, Attended):
            backend.watch = lambda facts: till.tell("step", {"way": self._way, "kind": kind, **facts})
        before = 0.0
        try:
            for index, (adapter, payer) in enumerate(training.checkpoints()):
                bought = [Bought(f"{key}/{index}", adapter.seconds - before, payer)]
                self._buy("train", f"{key}/{index}", bought, bytes=adapter.bytes, peak_bytes=adapter.peak_bytes)
                self.parts[adapter.weights.adapter or ""] = adapter
                self.trainings[adapter.weights.adapter or ""] = key
                before = adapter.seconds
                till.tell("train", {"way": self._way, "kind": kind, "epoch": adapter.epoch, "loss": adapter.loss})
                yield adapter
        except WayFailed:
            self._charge_failure(key)
            raise

    def fill(self, prompt: Prompt, examples: Sequence[Example]) -> float:
        """Share of the model's context that the longest of these rows takes, rendered as `train` renders them."""
        backend = self._backend(self.base.backend)
        return backend.fill(self.base, self._train_rows("", prompt, examples)) if isinstance(backend, Sized) else 0.0

    def _train_rows(self, kind: str, prompt: Prompt, examples: Sequence[Example]) -> tuple[TrainRow, ...]:
        """Rows as a training sees them; where each has its own examples, they are chosen once for all trials."""
        key = digest([kind == "dpo", prompt.content, [e.id for e in examples]])
        if key not in self._train_rows_by_key:
            self._retriever.prepare(prompt, (e.text for e in examples))
            without = left_out(examples) if prompt.pool else {}
            self._train_rows_by_key[key] = tuple(
                TrainRow(messages(prompt, e, self._retriever, without.get(e.text, ())), answer)
                for e in examples
                for answer in _taught(kind, e)
            )
        return self._train_rows_by_key[key]

    def halve(self, trials: Sequence[Trial], shares: Sequence[float]) -> int:
        """Successive halving; see the contract."""
        thinned = thin(trials, shares, self._standing, self.say)
        self.thinned.append(thinned)
        if len(trials) > 1:
            facts = {"runs": thinned.runs, "full_runs": thinned.full_runs}
            self._till.tell("halved", {"way": self._way, "trials": len(trials), "kept": thinned.kept, **facts})
        return thinned.kept

    def race(
        self,
        candidates: Sequence[Candidate],
        keep: int = 1,
        rows: int | None = None,
        calls: int | None = None,
        halve: bool = True,
    ) -> list[Runner]:
        """A heat among candidates of this way; see the contract."""
        lanes = [Lane(Entry(candidate)) for candidate in candidates]
        most = len(self._order) if rows is None else max(1, min(rows, len(self._order)))
        at = [look for look in looks(self._order) if look < most]
        limit = self.left.calls
        calls = limit if calls is None else calls if limit is None else min(calls, limit)
        heat = Heat(self._heat_rules((*at, most)), self._run_lane, self._lanes_price, halve)
        return hold(lanes, heat, keep, calls)

    def price(self, candidate: Candidate, examples: Sequence[Example]) -> int:
        """Answers that this way does not have yet."""
        return len(self._keys(candidate, examples) - self._have)

    @property
    def spent(self) -> Budget:
        """What this way has spent so far."""
        return Budget(self.purse.usd, self.purse.seconds, self.purse.calls)

    @property
    def left(self) -> Budget:
        """What is left of the budget."""
        limit, purse = self._till.settings.budget, self.purse
        return Budget(
            None if limit.usd is None else max(0.0, limit.usd - purse.usd),
            None if limit.seconds is None else max(0.0, limit.seconds - purse.seconds),
            None if limit.calls is None else max(0, limit.calls - purse.calls),
        )

    def say(self, message: str) -> None:
        """A line of progress, kept in the way's log (once: a rerun does not repeat itself)."""
        message = self._note + message
        self._till.tell("say", {"way": self._way, "message": message})
        if message not in self._said:
            self._said.add(message)
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("a", encoding="utf-8") as log:
                log.write(message + "\n")

    # what the house calls

    def entry(self, candidate: Candidate) -> Entry:
        """A candidate at the start of the race."""
        part = candidate.weights.adapter or ""
        if part not in self.parts:
            return Entry(candidate)
        training = digest([self.trainings[part], candidate.prompt.content, candidate.decoding])
        return Entry(candidate, training, self.parts[part].step)

    def answer(self, entry: Entry, rows: int) -> None:
        """Give an entry of the race its scores up to `rows` rows.

        Raises:
            BudgetSpent: the purse is empty; the entry stays as it is.
        """
        records = self.score(entry.candidate, self._order[entry.rows : rows])
        entry.records += records
        entry.scores += [r.points for r in records]

    def value_of(self, entry: Entry, rows: int) -> float:
        """The metric on the first rows of the race."""
        return total(self._till.house.metric, self._order[:rows], entry.records[:rows])

    def cross(self, candidate: Candidate, test: Sequence[Example], repeats: int = 1) -> list[list[Record]]:
        """The crossing of the test split: the house does this once per finalist; no way can.

        Args:
            candidate: the finalist.
            test: the rows.
            repeats: decodings of each row, where the candidate draws its answers; otherwise all would be equal.

        Returns:
            [repeat][row].
        """
        if repeats > 1 and not candidate.decoding.draws:
            self.say(f"asked once a row: at temperature 0 all {repeats} repeats would be equal")
            repeats = 1
        crossed = [self._judged(candidate, test, ["test"] * len(test), "test", k) for k in range(repeats)]
        trimmed = sum(TRIMMED in record.why for record in crossed[0])
        if trimmed:
            self.say(f"{candidate.note}: {trimmed} of {len(test)} conversations are longer than the model reads; their "
                     "oldest turns were left out")  # fmt: skip
        cut = sum(CUT in record.why for record in crossed[0])
        if cut:
            self.say(f"{candidate.note}: {cut} of {len(test)} answers were {CUT} the limit of tokens; raise max_tokens")
        return crossed

    def consult(self, candidate: Candidate, examples: Sequence[Example], repeat: int = 0) -> list[Reply]:
        """Answers to questions of the house's own, such as a judge's: metered, cached and in the ledger like all.

        Raises:
            BudgetSpent: the purse is empty.
        """
        return [reply for reply, _ in self._answers(candidate, examples, self._way, repeat)]

    def adapter_path(self, weights: Weights) -> Path | None:
        """Where the trained part of weights lies in the cache."""
        if weights.adapter is None:
            return None
        known = self._adapters.get(weights.adapter)
        if known is None or not known.exists():  # the cache may be large: it is searched once for each trained part
            found = sorted((self._till.cache.folder or Path()).glob(f"trainings/*/{weights.adapter}"))
            if not found:
                return None
            known = self._adapters[weights.adapter] = found[0]
        return known

    def keep(self, candidate: Candidate) -> None:
        """Put a finalist's trained part into the run folder."""
        path = self.adapter_path(candidate.weights)
        if path is not None and candidate.weights.adapter is not None:
            keep_adapter(self._till.folder, self._way, candidate.weights.adapter, path)

    # inside

    def _embed(self, encoder: Weights, texts: Sequence[str]) -> list[Any]:
        """Vectors of texts; each is bought once, and not counted as a call."""
        found = self._embeddings.get(encoder, texts)
        things = [Bought(key, embedding.seconds, payer) for key, embedding, payer in found]
        self._buy(self._reading, digest([self._who, "embed", [thing.key for thing in things]], 32), things)
        return [embedding.vector for _, embedding, _ in found]

    def _backend(self, name: str) -> Backend:
        return self._till.house.backends[name]

    def _buy(self, what: str, key: str, things: Sequence[Bought], calls: bool = False, **facts: Any) -> None:
        """Charge what this way does not have yet."""
        new = {thing.key: thing for thing in things if thing.key not in self._have}
        if new:
            self._have.update(new)
            count = len(new) if calls else 0
            seconds, usd = self._till.book(self._who, what, key, new.values(), count, **facts)
            self.purse.add(seconds, usd, count)

    def _check_purse(self, keys: Sequence[str]) -> None:
        """What is bought already may be looked at with an empty purse."""
        if not self._have.issuperset(keys):
            self.purse.check(self._till.settings.budget, self._who)

    def _charge_failure(self, key: str) -> None:
        failure = self._till.failures.get(key)
        if failure:
            name = f"{key}/failed"
            payer = self._till.payer if name in self._till.booked else ""
            things = [Bought(name, failure.seconds, payer)]
            self._buy("train", name, things, checkpoint=failure.checkpoint, reason=failure.reason)

    def _standing(self, candidate: Candidate, share: float) -> Standing:
        """The task's metric on a share of the dev rows."""
        whole = len(self._order)
        count = max(min(FEWEST_ROWS, whole), math.ceil(share * whole)) if self._till.settings.race else whole
        self.rung_rows[0] += count
        self.rung_rows[1] += whole
        rows = self._order[:count]
        records = self.score(candidate, rows)
        value = total(self._till.house.metric, rows, records)
        self.say(f"{candidate.note}: dev {value:.3f} on {count} rows")
        name = candidate.note.partition(",")[0]
        return Standing(name, value, tuple(row_values(self._till.house.metric, rows, records).tolist()))

    def _heat_rules(self, at: tuple[int, ...]) -> Rules:
        metric, order, settings = self._till.house.metric, self._order, self._till.settings
        return Rules(
            looks=at,
            margin=self._practice.margin,
            alpha=1 - settings.confidence,
            value=self.value_of,
            sequence=is_mean(metric),
            row_values=lambda entry, rows: row_values(metric, order[:rows], entry.records[:rows]),
            groups=clusters(order),
        )

    def _run_lane(self, lane: Lane, rows: int) -> None:
        """Scores of a lane up to so many rows, and the loss of the wanted labels."""
        new = self._order[lane.entry.rows : rows]
        self.answer(lane.entry, rows)
        if lane.entry.candidate.decoding.mode == "choose":
            replies = self.ask(lane.entry.candidate, new)
            lane.losses += [loss_of(reply, e.target) for e, reply in zip(new, replies, strict=True)]

    def _lanes_price(self, lanes: Sequence[Lane], rows: int) -> int:
        keys = (self._keys(lane.entry.candidate, self._order[lane.entry.rows : rows]) for lane in lanes)
        return len(set[str]().union(*keys) - self._have)

    def _keys(self, candidate: Candidate, examples: Sequence[Example]) -> set[str]:
        backend = self._backend(candidate.weights.backend)
        self._retriever.prepare(candidate.prompt, (e.text for e in examples))
        requests = (request for e in examples for request in self._questions(candidate, e))
        return {reply_key(backend.version, candidate.weights, r) for r in requests}

    def _questions(self, candidate: Candidate, example: Example, repeat: int = 0) -> tuple[Request, ...]:
        """What the model is asked. A bias is added to what it says afterwards, so that one answer serves all."""
        bare = replace(candidate, decoding=replace(candidate.decoding, bias=()))
        return questions(bare, example, self._choices(candidate, example), repeat, self._retriever)

    def _judged(
        self,
        candidate: Candidate,
        examples: Sequence[Example],
        splits: Sequence[Split],
        what: str,
        repeat: int = 0,
    ) -> list[Record]:
        metric, per_second = self._till.house.metric, self._till.usd_per_second
        refuse_written(metric, candidate)
        records: list[Record] = []
        name, answers = candidate.id, self._answers(candidate, examples, what, repeat)
        for example, split, (reply, cached) in zip(examples, splits, answers, strict=True):
            usd = reply.seconds * per_second
            judged, said = without_reasoning(example, reply)
            record = judge(metric, name, judged, split, repeat, said, usd, cached)
            records.append(record if judged is example else replace(record, example=example.id))
            if len(records) % CHUNK == 0:
                self._till.write_records(records[-CHUNK:])
        self._till.write_records(records)
        return [self._till.written[record_key(r)] for r in records]  # what the file says, also after a lost cache

    def _choices(self, candidate: Candidate, example: Example) -> tuple[str, ...]:
        """What may be answered; nothing when answers are written. Sorted, so that the order tells nothing."""
        if candidate.decoding.mode == "choose":
            return self._practice.labels
        if candidate.decoding.mode == "generate":
            return ()
        other = example.rejected
        return (example.target,) if other is None else tuple(sorted((example.target, other)))

    def _answers(
        self, candidate: Candidate, examples: Sequence[Example], what: str, repeat: int = 0
    ) -> Iterator[tuple[Reply, bool]]:
        """Answers in order, and whether they were cached, chunk by chunk; each is kept before the next one starts."""
        backend, till = self._backend(candidate.weights.backend), self._till
        for start in range(0, len(examples), CHUNK):
            rows = examples[start : start + CHUNK]
            self._reading = "test" if what == "test" else "embed"
            self._retriever.prepare(candidate.prompt, (e.text for e in rows))
            self._reading = "embed"
            requests = [request for e in rows for request in self._questions(candidate, e, repeat)]
            keys = [reply_key(backend.version, candidate.weights, r) for r in requests]
            if what != "test":
                self._check_purse(keys)
            found = till.cache.get(keys)
            missing = {key: r for key, r in zip(keys, requests, strict=True) if key not in found}  # equal ones once
            asked = dict(zip(missing, self._call(backend, candidate, list(missing.values())), strict=True))
            till.cache.put(asked.items(), till.payer)
            self._book_chunk(candidate, what, keys, found, asked)
            facts = {"way": self._way, "what": what, "done": start + len(rows), "of": len(examples)}
            till.tell("score", facts)
            given = [(asked[key], till.payer) if key in asked else found[key] for key in keys]
            votes = candidate.decoding.votes
            for i in range(0, len(given), votes):
                texts = given[i : i + votes]
                told = read_off(candidate, [reply for reply, _ in texts])
                told = self._embeddings.timed(candidate.prompt, rows[i // votes].text, told)
                yield biased(told, candidate.decoding.bias), all(payer != till.payer for _, payer in texts)

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
        replies = {**found, **{key: (reply, "") for key, reply in asked.items()}}
        things = [Bought(key, replies[key][0].seconds, replies[key][1]) for key in keys]
        self._buy(what, digest([self._who, what, candidate.id, list(keys)], 32), things, calls=True)
