"""Answers that are written side by side by one set of weights, with new ones joining between two steps.

Rows that begin with the same messages (a candidate's instructions and shots) stand after one shared prefix, whose keys
and values are computed once and kept; all other rows stand after none. Each of these groups is a batch of its own, and
a step goes over all of them.
"""

from __future__ import annotations

import itertools
import logging
from collections import OrderedDict, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from whichway.backend_contracts import TokenLogprob, WriteRequest, WrittenPiece
from whichway.engine.infer.answer_text import AnswerText
from whichway.engine.infer.generate import ContinuousBatch, GeneratedRow
from whichway.engine.infer.token_sampler import TokenSampler
from whichway.engine.model import forward, packing, throughput
from whichway.engine.model.load import Model
from whichway.engine.model.packing import PrefixCache
from whichway.errors import UserError, WhichwayError
from whichway.nouns import Message, Reply, Request, Role

_ROWS = {"cpu": 64, "cuda": 256}  # answers under way in one group
_TOKENS = {"cpu": 1024, "cuda": 32768}  # of new rows read in one step
_PREFIXES, _PREFIX_TOKENS = 8, 16384  # kept: so many, and so many tokens of them together
_WIDTH = 64  # room in the cache grows by so many tokens
_HEADS = 1000  # beginnings that are remembered
log = logging.getLogger(__name__)


class WritingSession(Protocol):
    """What is used of a session."""

    model: Model
    module: Any  # the model's own, or a fork of it with trained parts

    def prompts(self, requests: Sequence[Request]) -> list[tuple[list[int], int]]:
        """Each prompt's ids, and how many of its oldest turns were left out."""
        ...

    def too_long(self, request: Request, prompt: Sequence[int]) -> Reply | None:
        """The reply to a request whose prompt leaves no room for an answer."""
        ...

    def over(self, ids: list[int]) -> bool:
        """Whether written ids are a whole answer."""
        ...


@dataclass(slots=True, eq=False)
class OpenRow(GeneratedRow):
    """An answer under way."""

    number: int = 0
    query: WriteRequest = field(kw_only=True)
    answer: AnswerText = field(kw_only=True)
    tokens: TokenSampler = field(kw_only=True)  # its sampler
    head: tuple[int, ...] = ()  # the shared prefix in front of it
    cached: int = 0  # tokens of its prompt that another row computed
    trimmed: int = 0  # oldest turns left out
    read: tuple[TokenLogprob, ...] = ()  # the prompt's tokens, where they are asked for
    dropped: bool = False


class SharedPrefixBatch(ContinuousBatch):
    """Rows after one prefix; its cache of keys and values grows with what it must hold."""

    def __init__(self, session: WritingSession, prefix: PrefixCache) -> None:
        super().__init__(session.module, session.model.device, prefix, 0, session.over)
        self.width, self._ends = 0, session.model.renderer.ends
        self._most = _ROWS[self.device.type]
        self.queue: deque[OpenRow] = deque()

    def advance(self) -> list[OpenRow]:
        """Read rows that wait into free places, and write a token of each row; gives all that were at work."""
        new = self._next()
        if new:
            self._reserve(new)
            self._timed(new, self._read)
        rows = [*self.rows]
        if rows:
            self._timed(rows, self._step)
        at_work = list({id(row): row for row in (*new, *rows)}.values())
        if not self.rows:  # give the memory back
            self.cache, self.places, self.width = [], 0, 0
        return at_work  # type: ignore[return-value]  # all rows here are open ones

    def _next(self) -> list[OpenRow]:
        room, new = _TOKENS[self.device.type], list[OpenRow]()
        while self.queue and len(self.rows) + len(new) < self._most:
            if new and len(self.queue[0].ids) > room:
                break
            row = self.queue.popleft()
            room -= len(row.ids)
            new.append(row)
        return new

    def _reserve(self, new: Sequence[GeneratedRow]) -> None:
        """Have room in the cache for the rows here and these."""
        count, width = len(self.rows) + len(new), max(len(row.ids) + row.room for row in new)
        if count <= self.places and width <= self.width:
            return
        if count > self.places:
            self.places = min(self._most, max(count, 2 * self.places))
        self.width = max(self.width, -(-width // _WIDTH) * _WIDTH)
        for n, (keys, values) in enumerate(self.cache):
            shape = (keys.shape[0], self.places, self.width, keys.shape[3])
            larger = keys.new_zeros(shape), values.new_zeros(shape)
            for into, old in zip(larger, (keys, values), strict=True):
                into[:, : old.shape[1], : old.shape[2]] = old
            self.cache[n] = larger

    def _ended(self, row: GeneratedRow) -> bool:
        assert isinstance(row, OpenRow)
        if row.dropped or row.tokens.complete or len(row.written) >= row.room or self._stops(row):
            return True
        return row.query.stops != () and row.answer.meets_stop(row.written)

    def _stops(self, row: OpenRow) -> bool:
        """Whether the model ends here; a text that goes on with another ends at no blank line."""
        if row.query.plain is not None:
            return row.written[-1] in self._ends
        return self.over(row.written)


class OpenAnswers:
    """The answers of one session that are under way; see `backend_contracts.OpenBatch`."""

    def __init__(self, session: WritingSession) -> None:
        self._session, self._renderer = session, session.model.renderer
        self._numbers = itertools.count()
        self._heads: OrderedDict[tuple[Message, ...], _Head] = OrderedDict()
        self._batches: dict[tuple[int, ...], SharedPrefixBatch] = {}
        self._rows: dict[int, OpenRow] = {}
        self._ready: list[WrittenPiece] = []  # of requests that get no more than this

    @torch.no_grad()
    def admit(self, query: WriteRequest) -> int:
        """Take up an answer; its number.

        Raises:
            UserError: a schema that cannot be followed.
            ModelError: messages that the chat template cannot render.
        """
        number, session = next(self._numbers), self._session
        ids, trimmed = self._prompt(query)
        too_long = session.too_long(query.request, ids)
        if too_long is not None:
            self._ready.append(WrittenPiece(number, "", reply=too_long))
            return number
        read = prompt_logprobs(session, ids, query.top_logprobs or 0) if query.reads_prompt else ()
        room = min(query.request.decoding.max_tokens, session.model.context - len(ids))
        if room < 1:
            self._ready.append(WrittenPiece(number, "", reply=Reply("", len(ids), finish="length"), prompt=read))
            return number
        head = self._head(query, ids)
        tokens = TokenSampler(query, ids, self._renderer, len(session.module.get_input_embeddings().weight))
        reasons = query.request.decoding.thinking and self._renderer.opens
        text = AnswerText(self._renderer, query.stops, reasons, query.plain is not None)
        row = OpenRow(ids[len(head) :], room, tokens, number=number, query=query, answer=text, tokens=tokens)
        row.head, row.trimmed, row.read = head, trimmed, read
        self._join(row)
        return number

    def drop(self, number: int) -> None:
        """End an answer that nobody waits for."""
        row = self._rows.pop(number, None)
        if row is not None:
            row.dropped = True
            with suppress(ValueError):
                self._batches[row.head].queue.remove(row)

    @torch.no_grad()
    def step(self) -> list[WrittenPiece]:
        """Write at least one more token of each group's answers."""
        pieces, self._ready = self._ready, []
        with throughput.fitting():
            for head, batch in list(self._batches.items()):
                pieces += self._advance(head, batch)
                if not batch.rows and not batch.queue:
                    del self._batches[head]
        return pieces

    def _prompt(self, query: WriteRequest) -> tuple[list[int], int]:
        if query.plain is None:
            return self._session.prompts([query.request])[0]
        ids = self._renderer.text_ids(query.plain) if isinstance(query.plain, str) else list(query.plain)
        size = len(self._session.module.get_input_embeddings().weight)
        if not ids or min(ids) < 0 or max(ids) >= size:
            raise UserError(f"a prompt is at least one token, and its tokens are numbers from 0 to {size - 1}")
        return ids, 0

    # Shared beginnings

    def _head(self, query: WriteRequest, ids: list[int]) -> tuple[int, ...]:
        """The tokens that stand in front of this row and others; nothing where they were not met before."""
        messages = query.request.messages
        if query.plain is not None or not query.shared or query.shared >= len(messages):
            return ()
        key = messages[: query.shared]
        if key not in self._heads:
            self._heads[key] = _Head(self._beginning(key, messages[query.shared].role))
            if len(self._heads) > _HEADS:
                self._heads.popitem(last=False)
            return ()
        self._heads.move_to_end(key)
        head = self._heads[key].ids
        return head if len(head) < len(ids) and tuple(ids[: len(head)]) == head else ()

    def _beginning(self, messages: tuple[Message, ...], role: Role) -> tuple[int, ...]:
        """The tokens of some messages, as far as they do not depend on what follows."""
        both = self._renderer.prompt_ids([(*messages, Message(role, text)) for text in ("a", "7")])
        return tuple(both[0][: packing.agree(both)])

    def _join(self, row: OpenRow) -> None:
        """Put a row into its group, whose prefix is computed where it is not kept."""
        known = next((head for head in self._heads.values() if head.ids == row.head), None) if row.head else None
        if known is not None:
            row.cached = len(row.head) if known.cache is not None else 0
            if known.cache is None:
                layers = forward.run_prefix(self._session.module, row.head, self._session.model.device)
                known.cache = PrefixCache([*row.head], layers)
                self._forget(known)
        prefix = PrefixCache([], None) if known is None or known.cache is None else known.cache
        batch = self._batches.setdefault(row.head, SharedPrefixBatch(self._session, prefix))
        batch.queue.append(row)
        self._rows[row.number] = row

    def _forget(self, latest: _Head) -> None:
        """Keep no more prefixes than fit; those of groups at work stay with them."""
        cached = [head for head in reversed(self._heads.values()) if head.cache is not None and head is not latest]
        tokens = len(latest.ids)
        for place, head in enumerate(cached, 2):
            tokens += len(head.ids)
            if place > _PREFIXES or tokens > _PREFIX_TOKENS:
                head.cache = None

    # Pieces

    def _advance(self, head: tuple[int, ...], batch: SharedPrefixBatch) -> list[WrittenPiece]:
        try:
            rows = batch.advance()
        except (MemoryError, RuntimeError, WhichwayError) as error:
            log.exception("answers are lost")
            del self._batches[head]
            why = f"the answer could not be written: {str(error).splitlines()[0]}"
            lost = [row for row in self._rows.values() if row.head == head]
            return [self._last(row, Reply("", finish="error", error=why), "") for row in lost]
        here = {id(row) for row in batch.rows}
        pieces = (self._piece(row, id(row) not in here) for row in rows if not row.dropped)
        return [piece for piece in pieces if piece is not None]

    def _piece(self, row: OpenRow, over: bool) -> WrittenPiece | None:
        text = row.answer.piece(row.written, over)
        if over:
            return self._last(row, self._reply(row), text)
        if not text:  # what is noted goes along with the text
            return None
        noted, row.tokens.noted = tuple(row.tokens.noted), []
        read, row.read = row.read, ()
        return WrittenPiece(row.number, text, noted, prompt=read)

    def _last(self, row: OpenRow, reply: Reply, text: str) -> WrittenPiece:
        self._rows.pop(row.number, None)
        return WrittenPiece(row.number, text, tuple(row.tokens.noted), reply, row.read)

    def _reply(self, row: OpenRow) -> Reply:
        text, thoughts = row.answer.whole(row.written)
        ended = row.answer.stopped or row.tokens.complete or row.written[-1] in self._renderer.ends
        ended = ended or (row.query.plain is None and self._session.over(row.written))
        size, finish = len(row.head) + len(row.ids), "stop" if ended else "length"
        return Reply(
            text, size - row.cached, row.cached, len(row.written), row.seconds, finish=finish,  # type: ignore[arg-type]
            thoughts=thoughts, trimmed=row.trimmed,
        )  # fmt: skip


def prompt_logprobs(session: WritingSession, ids: list[int], top: int) -> tuple[TokenLogprob, ...]:
    """A prompt's tokens with their log-probabilities, after the first one, and so many likeliest in each place."""
    renderer = session.model.renderer
    layout = packing.pack_rows([len(ids)], 0, session.model.device, even=forward.even(session.module))
    every = torch.arange(len(ids), device=session.model.device)
    tokens = torch.tensor(ids, device=session.model.device)
    logprobs = forward.logits(session.module, tokens, layout, every).float().log_softmax(-1)[: len(ids) - 1]
    values, places = logprobs.topk(max(top, 1))
    own = logprobs.gather(1, tokens[1:, None])[:, 0].tolist()
    lines = [TokenLogprob(renderer.token_text(ids[0]), 0.0)]
    for token, logprob, numbers, at in zip(ids[1:], own, values.tolist(), places.tolist(), strict=True):
        likeliest = tuple((renderer.token_text(place), value) for place, value in zip(at, numbers, strict=True))
        lines.append(TokenLogprob(renderer.token_text(token), logprob, likeliest[:top]))
    return tuple(lines)


@dataclass(slots=True)
class _Head:
    """Tokens that rows begin with, and their keys and values where they are kept."""

    ids: tuple[int, ...]
    cache: PrefixCache | None = None
