"""Questions put to a model and their answers: rendered, cached, charged, judged. Chunk by chunk, each kept at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from whichway.contest.account import WayAccount
from whichway.contest.cache import reply_key
from whichway.contest.embeddings import Embeddings
from whichway.contest.hosted_calls import HostedCalls
from whichway.contest.ledger import SHARED, Charge, RunLedger
from whichway.contracts import Backend, Hosted, RowSession
from whichway.errors import WayFailed
from whichway.events import RowsAnswered
from whichway.nouns import Candidate, Example, Record, Reply, Request, Split, Weights, digest
from whichway.prompts.ask import answer as read_off
from whichway.prompts.ask import questions
from whichway.prompts.calibrate import biased
from whichway.prompts.deferral import in_stages
from whichway.prompts.nearest import ShotRetriever
from whichway.scoring import judge, refuse_written

CHUNK = 64  # rows answered and kept at once: what a kill can cost, and the same batches on every rerun


class CandidateAnswers:
    """Answers of one way's candidates.

    Args:
        ledger: the books of the run.
        account: of the way; it pays.
        backends: that the way works with.
        labels: of the task; empty for free text.
    """

    def __init__(
        self, ledger: RunLedger, account: WayAccount, backends: Mapping[str, Backend], labels: tuple[str, ...]
    ) -> None:
        self._ledger, self._account, self._backends, self._labels = ledger, account, backends, labels
        self._embeddings = Embeddings(ledger.cache, backends, ledger.paid_by, ledger.pricing)
        self.retriever = ShotRetriever(self._embed)
        self._reading = "embed"  # what the ledger says of texts that are read just now

    def keys(self, candidate: Candidate, examples: Sequence[Example]) -> set[str]:
        """Keys of the answers to these rows, equal ones once; of a cascade, as if every stage answered every row."""
        return set[str]().union(*(self._keys(stage, examples) for stage in candidate.stages))

    def _keys(self, candidate: Candidate, examples: Sequence[Example]) -> set[str]:
        backend = self._backends[candidate.weights.backend]
        self.retriever.prepare(candidate.prompt, (e.text for e in examples))
        requests = (request for e in examples for request in self.questions(candidate, e))
        version = backend.version
        return {reply_key(version, candidate.weights, r) for r in requests}

    def questions(self, candidate: Candidate, example: Example, repeat: int = 0) -> tuple[Request, ...]:
        """What the model is asked. A bias is added to what it says afterwards, so that one answer serves all."""
        bare = replace(candidate, decoding=replace(candidate.decoding, bias=()))
        return questions(bare, example, self._choices(candidate, example), repeat, self.retriever)

    def judged(
        self,
        candidate: Candidate,
        examples: Sequence[Example],
        splits: Sequence[Split],
        what: str,
        repeat: int = 0,
    ) -> list[Record]:
        """Answers to rows, judged and written to the records.

        Args:
            candidate: who answers.
            examples: the rows.
            splits: the split of each.
            what: the activity, as the ledger writes it.
            repeat: index of the repeat.
        """
        metric = self._ledger.components.metric
        refuse_written(metric, candidate)
        records: list[Record] = []
        chunk: list[Record] = []
        name, answers = candidate.id, self.answers(candidate, examples, what, repeat)
        for example, split, (reply, cached) in zip(examples, splits, answers, strict=True):
            usd = self._usd(candidate, example, reply)
            chunk.append(judge(metric, name, example, split, repeat, reply, usd, cached))
            if len(chunk) == CHUNK:
                records += self._ledger.write_records(chunk)
                chunk = []
        return records + self._ledger.write_records(chunk)

    def _usd(self, candidate: Candidate, example: Example, reply: Reply) -> float:
        """List price of an answer; of a cascade, what each stage that was asked takes."""
        if reply.stages:
            stages = zip(candidate.stages, reply.stages, strict=False)  # the last ones may not have been asked
            return sum(self._usd(stage, example, one) for stage, one in stages)
        per_second = self._ledger.usd_per_second
        usd = self._ledger.usd_of(candidate.weights, reply)
        if usd is None:
            return reply.seconds * per_second
        return usd + self._embeddings.seconds(candidate.prompt, example.text) * per_second

    def answers(
        self, candidate: Candidate, examples: Sequence[Example], what: str, repeat: int = 0
    ) -> Iterator[tuple[Reply, bool]]:
        """Answers in order, and whether they were cached; each is kept before the next one starts."""
        if candidate.deferral is None:
            yield from self._of_stage(candidate, examples, what, repeat)
            return
        cached = [True] * len(examples)

        def of_stage(stage: Candidate, places: Sequence[int]) -> list[Reply]:
            replies = []
            for place, (reply, hit) in zip(
                places, self._of_stage(stage, [examples[place] for place in places], what, repeat), strict=True
            ):
                cached[place] &= hit
                replies.append(reply)
            return replies

        yield from zip(in_stages(candidate, range(len(examples)), of_stage), cached, strict=True)

    def _of_stage(
        self, candidate: Candidate, examples: Sequence[Example], what: str, repeat: int
    ) -> Iterator[tuple[Reply, bool]]:
        """Answers of a candidate that defers to nobody, chunk by chunk."""
        backend, ledger = self._backends[candidate.weights.backend], self._ledger
        version = backend.version  # looked up among the installed packages
        for start in range(0, len(examples), CHUNK):
            rows = examples[start : start + CHUNK]
            self._reading = "test" if what == "test" else "embed"
            self.retriever.prepare(candidate.prompt, (e.text for e in rows))
            self._reading = "embed"
            requests = [request for e in rows for request in self.questions(candidate, e, repeat)]
            keys = [reply_key(version, candidate.weights, r) for r in requests]
            if what != "test":
                self._account.check(keys)
            of_request = [e for e in rows for _ in range(len(requests) // len(rows))]
            questions_by_key = dict(zip(keys, zip(requests, of_request, strict=True), strict=True))  # equal ones once
            with ledger.cache.reserved(keys, ledger.cache.get):
                cached, fresh = self._buy(backend, candidate, what, keys, questions_by_key)
            ledger.tell(RowsAnswered(self._account.way, what, start + len(rows), len(examples)))
            paid_replies = [(fresh[key], ledger.paid_by) if key in fresh else cached[key] for key in keys]
            votes = candidate.decoding.votes
            for i in range(0, len(paid_replies), votes):
                texts = paid_replies[i : i + votes]
                merged = read_off(candidate, [reply for reply, _ in texts])
                merged = self._embeddings.timed(candidate.prompt, rows[i // votes].text, merged)
                yield biased(merged, candidate.decoding.bias), all(paid_by != ledger.paid_by for _, paid_by in texts)

    def _buy(
        self,
        backend: Backend,
        candidate: Candidate,
        what: str,
        keys: Sequence[str],
        questions_by_key: Mapping[str, tuple[Request, Example]],
    ) -> tuple[dict[str, tuple[Reply, str]], dict[str, Reply]]:
        """The answers of a chunk, kept and charged: those of the cache, and those that were bought now."""
        ledger = self._ledger
        cached = ledger.cache.get(keys)
        missing = {key: question for key, question in questions_by_key.items() if key not in cached}
        ledger.clock.check(len(missing) * ledger.row_seconds.get(self._speed_key(candidate), 0.0))
        if isinstance(backend, Hosted):
            wanted = {key: request for key, (request, _) in missing.items()}
            return cached, self._call_hosted(backend, candidate.weights, what, cached, wanted)
        fresh = dict(zip(missing, self._call(backend, candidate, list(missing.values())), strict=True))
        ledger.cache.put(fresh.items(), ledger.paid_by)
        requests = {key: request for key, (request, _) in questions_by_key.items()}
        cached, fresh = self._priced(candidate, requests, cached, fresh)
        self._charge_chunk(candidate, what, keys, cached, fresh)
        if fresh:
            clock = [reply.seconds if reply.wall is None else reply.wall for reply in fresh.values()]
            ledger.row_seconds[self._speed_key(candidate)] = sum(clock) / len(clock)
        return cached, fresh

    def _speed_key(self, candidate: Candidate) -> tuple[str, str, int, int]:
        """What candidates share that take about as long for a row: model, kind of trained part, examples."""
        prompt = candidate.prompt
        return candidate.weights.base, candidate.weights.kind, len(prompt.shots), prompt.nearest

    def _call(
        self, backend: Backend, candidate: Candidate, questions: Sequence[tuple[Request, Example]]
    ) -> list[Reply]:
        """Replies to requests, each given with the row that it asks about."""
        if not questions:
            return []
        requests = [request for request, _ in questions]
        with backend.open(candidate.weights, self._ledger.cache.adapter(candidate.weights)) as session:
            if isinstance(session, RowSession):
                replies = session.answer_rows(requests, [example for _, example in questions])
            else:
                replies = (session.choose if requests[0].labels else session.generate)(requests)
        if len(replies) != len(requests):
            raise WayFailed(f"backend {backend.name} gave {len(replies)} replies to {len(requests)} requests")
        return replies

    def _call_hosted(
        self,
        backend: Hosted,
        weights: Weights,
        what: str,
        cached: Mapping[str, tuple[Reply, str]],
        missing: Mapping[str, Request],
    ) -> dict[str, Reply]:
        """Answers of a model behind an API: what is there is charged first, each new one as it comes."""
        for key, (reply, payer) in cached.items():
            if what != "test":
                self._account.check_price(key, self._ledger.usd_of(weights, reply))
            self._account.buy_hosted(what, key, reply, payer, weights)
        return HostedCalls(self._ledger, self._account, backend, weights, what).answers(missing)

    def _priced(
        self,
        candidate: Candidate,
        requests: Mapping[str, Request],
        cached: Mapping[str, tuple[Reply, str]],
        fresh: Mapping[str, Reply],
    ) -> tuple[dict[str, tuple[Reply, str]], dict[str, Reply]]:
        """The replies of a chunk, cached and fresh, with the list price of their work as their seconds."""
        replies = {key: fresh[key] if key in fresh else cached[key][0] for key in requests}
        backend = self._backends[candidate.weights.backend]
        priced = self._ledger.pricing.replies(backend, candidate.weights, requests.values(), replies.values())
        by_key = dict(zip(requests, priced, strict=True))
        return {key: (by_key[key], payer) for key, (_, payer) in cached.items()}, {key: by_key[key] for key in fresh}

    def _charge_chunk(
        self,
        candidate: Candidate,
        what: str,
        keys: Sequence[str],
        cached: Mapping[str, tuple[Reply, str]],
        fresh: Mapping[str, Reply],
    ) -> None:
        replies = {**cached, **{key: (reply, "") for key, reply in fresh.items()}}
        usd = {key: self._ledger.usd_of(candidate.weights, reply) for key, (reply, _) in replies.items()}
        charges = [
            Charge(key, reply.seconds, SHARED if reply.recalled else payer, usd[key], reply.wall)
            for key, (reply, payer) in ((key, replies[key]) for key in keys)
        ]
        self._account.buy(what, digest([self._account.name, what, candidate.id, list(keys)], 32), charges, calls=True)

    def _choices(self, candidate: Candidate, example: Example) -> tuple[str, ...]:
        """What may be answered; nothing when answers are written. Sorted, so that the order tells nothing."""
        if candidate.decoding.mode == "choose":
            return self._labels
        if candidate.decoding.mode == "generate":
            return ()
        other = example.rejected
        return (example.target,) if other is None else tuple(sorted((example.target, other)))

    def _embed(self, encoder: Weights, texts: Sequence[str]) -> list[Any]:
        """Vectors of texts; each is bought once, and not counted as a call."""
        vectors = self._embeddings.get(encoder, texts)
        charges = [Charge(one.key, one.seconds, one.paid_by, wall=one.wall) for one in vectors]
        key = digest([self._account.name, "embed", [charge.key for charge in charges]], 32)
        self._account.buy(self._reading, key, charges)
        return [one.embedding.vector for one in vectors]
