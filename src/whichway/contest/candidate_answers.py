"""Questions put to a model and their answers: rendered, cached, charged, judged. Chunk by chunk, each kept at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from whichway.contest.account import WayAccount
from whichway.contest.cache import reply_key
from whichway.contest.embeddings import Embeddings
from whichway.contest.hosted import HostedCalls
from whichway.contest.ledger import Bought, Till
from whichway.contracts import Backend, Hosted, RowSession
from whichway.errors import WayFailed
from whichway.events import RowsAnswered
from whichway.nouns import Candidate, Example, Record, Reply, Request, Split, Weights, digest
from whichway.prompts.answer_extraction import CLOSE, spoken
from whichway.prompts.ask import answer as read_off
from whichway.prompts.ask import questions
from whichway.prompts.calibrate import biased
from whichway.prompts.nearest import ShotRetriever
from whichway.runs.folder import record_key
from whichway.scoring import judge, refuse_written

CHUNK = 64  # rows answered and kept at once: what a kill can cost, and the same batches on every rerun


def without_reasoning(example: Example, reply: Reply) -> tuple[Example, Reply]:
    """What is judged: reasoning is learned and written, the answer after it counts."""
    if CLOSE not in example.target and CLOSE not in reply.text:
        return example, reply
    answer, thoughts = spoken(reply.text)
    return replace(example, target=spoken(example.target)[0]), replace(
        reply, text=answer, thoughts=reply.thoughts or thoughts
    )


class CandidateAnswers:
    """Answers of one way's candidates.

    Args:
        till: the books of the run.
        account: of the way; it pays.
        backends: that the way works with.
        labels: of the task; empty for free text.
    """

    def __init__(
        self, till: Till, account: WayAccount, backends: Mapping[str, Backend], labels: tuple[str, ...]
    ) -> None:
        self._till, self._account, self._backends, self._labels = till, account, backends, labels
        self._embeddings = Embeddings(till.cache, backends, till.payer)
        self.retriever = ShotRetriever(self._embed)
        self._reading = "embed"  # what the ledger says of texts that are read just now

    def keys(self, candidate: Candidate, examples: Sequence[Example]) -> set[str]:
        """Keys of the answers to these rows, equal ones once."""
        backend = self._backends[candidate.weights.backend]
        self.retriever.prepare(candidate.prompt, (e.text for e in examples))
        requests = (request for e in examples for request in self.questions(candidate, e))
        return {reply_key(backend.version, candidate.weights, r) for r in requests}

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
        metric, per_second = self._till.house.metric, self._till.usd_per_second
        refuse_written(metric, candidate)
        records: list[Record] = []
        name, answers = candidate.id, self.answers(candidate, examples, what, repeat)
        for example, split, (reply, cached) in zip(examples, splits, answers, strict=True):
            usd = self._till.usd_of(candidate.weights, reply)
            if usd is None:
                usd = reply.seconds * per_second
            else:
                usd += self._embeddings.seconds(candidate.prompt, example.text) * per_second
            judged, said = without_reasoning(example, reply)
            record = judge(metric, name, judged, split, repeat, said, usd, cached)
            records.append(record if judged is example else replace(record, example=example.id))
            if len(records) % CHUNK == 0:
                self._till.write_records(records[-CHUNK:])
        self._till.write_records(records)
        return [self._till.written[record_key(r)] for r in records]  # what the file says, also after a lost cache

    def answers(
        self, candidate: Candidate, examples: Sequence[Example], what: str, repeat: int = 0
    ) -> Iterator[tuple[Reply, bool]]:
        """Answers in order, and whether they were cached, chunk by chunk; each is kept before the next one starts."""
        backend, till = self._backends[candidate.weights.backend], self._till
        for start in range(0, len(examples), CHUNK):
            rows = examples[start : start + CHUNK]
            self._reading = "test" if what == "test" else "embed"
            self.retriever.prepare(candidate.prompt, (e.text for e in rows))
            self._reading = "embed"
            requests = [request for e in rows for request in self.questions(candidate, e, repeat)]
            keys = [reply_key(backend.version, candidate.weights, r) for r in requests]
            if what != "test":
                self._account.check(keys)
            found = till.cache.get(keys)
            of_request = [e for e in rows for _ in range(len(requests) // len(rows))]
            missing = {  # equal ones once
                key: (r, e) for key, r, e in zip(keys, requests, of_request, strict=True) if key not in found
            }
            if isinstance(backend, Hosted):
                wanted = {key: request for key, (request, _) in missing.items()}
                asked = self._call_hosted(backend, candidate.weights, what, found, wanted)
            else:
                asked = dict(zip(missing, self._call(backend, candidate, list(missing.values())), strict=True))
                till.cache.put(asked.items(), till.payer)
                self._book_chunk(candidate, what, keys, found, asked)
            till.tell(RowsAnswered(self._account.way, what, start + len(rows), len(examples)))
            given = [(asked[key], till.payer) if key in asked else found[key] for key in keys]
            votes = candidate.decoding.votes
            for i in range(0, len(given), votes):
                texts = given[i : i + votes]
                told = read_off(candidate, [reply for reply, _ in texts])
                told = self._embeddings.timed(candidate.prompt, rows[i // votes].text, told)
                yield biased(told, candidate.decoding.bias), all(payer != till.payer for _, payer in texts)

    def _call(
        self, backend: Backend, candidate: Candidate, asked: Sequence[tuple[Request, Example]]
    ) -> list[Reply]:
        """Replies to requests, each given with the row that it asks about."""
        if not asked:
            return []
        requests = [request for request, _ in asked]
        with backend.open(candidate.weights, self._till.cache.adapter(candidate.weights)) as session:
            if isinstance(session, RowSession):
                replies = session.answer_rows(requests, [example for _, example in asked])
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
        found: Mapping[str, tuple[Reply, str]],
        missing: Mapping[str, Request],
    ) -> dict[str, Reply]:
        """Answers of a model behind an API: what is there is charged first, each new one as it comes."""
        for key, (reply, payer) in found.items():
            self._account.buy_hosted(what, key, reply, payer, weights)
        return HostedCalls(self._till, self._account, backend, weights, what).answers(missing)

    def _book_chunk(
        self,
        candidate: Candidate,
        what: str,
        keys: Sequence[str],
        found: Mapping[str, tuple[Reply, str]],
        asked: Mapping[str, Reply],
    ) -> None:
        replies = {**found, **{key: (reply, "") for key, reply in asked.items()}}
        usd = {key: self._till.usd_of(candidate.weights, reply) for key, (reply, _) in replies.items()}
        things = [Bought(key, replies[key][0].seconds, replies[key][1], usd[key]) for key in keys]
        self._account.buy(what, digest([self._account.name, what, candidate.id, list(keys)], 32), things, calls=True)

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
        found = self._embeddings.get(encoder, texts)
        things = [Bought(key, embedding.seconds, payer) for key, embedding, payer in found]
        key = digest([self._account.name, "embed", [thing.key for thing in things]], 32)
        self._account.buy(self._reading, key, things)
        return [embedding.vector for _, embedding, _ in found]
