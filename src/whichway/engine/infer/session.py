"""How a model answers: closed labels are scored, free text is written, and the shared prefix is computed once."""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from whichway.engine.infer import channel
from whichway.engine.infer.frozen_layer_reads import FrozenLayerReads
from whichway.engine.infer.generate import ContinuousBatch, GeneratedRow, Sampler
from whichway.engine.infer.label_trie import Trie, grow, score
from whichway.engine.infer.open_batch import OpenAnswers
from whichway.engine.infer.row_reads import ComputedRows, PromptRow, RowReads
from whichway.engine.model import decoder, forward, packing, throughput
from whichway.engine.model.load import Model
from whichway.engine.model.out_of_memory import out_of_memory
from whichway.engine.model.packing import PrefixCache
from whichway.errors import WayFailed
from whichway.nouns import Reply, Request
from whichway.prompts.answer_extraction import CLOSE, spoken

T = TypeVar("T")
_ROWS = {"cpu": 64, "cuda": 256}  # decoded together
_TOKENS = {"cpu": 1024, "cuda": 32768}  # packed together
_SMALL = 32 << 20  # bytes of weights that a processor's cache holds
_PART = 8  # rows that are worth a thread of their own
READ = 256  # tokens of plain text in one pass


Work = Callable[[list[PromptRow]], list[Reply]]
Recall = Callable[[list[PromptRow]], dict[int, Reply]]  # number of a row -> its reply, where it was read before


class InferenceSession:
    """A session: one set of weights, answering. Keeps the last shared prefix between calls."""

    def __init__(self, model: Model, module: Any, reads: RowReads | None = None) -> None:
        """`module`: the base's own or a fork of it with trained parts. `reads`: what is kept of the base's rows."""
        self.model = model
        self.module = module
        self.prefix = PrefixCache([], None)
        self.reads, self.computed = reads, ComputedRows(reads)
        self.frozen: FrozenLayerReads | None = None  # where the top of the model alone was trained
        self._common = 0  # tokens that the prompts of the call share
        self._reach: int | None = None  # how long the prefix may be that is run for them; None: as long as they share
        self._first = 0  # number of the call's first row
        self._small = model.device.type == "cpu" and decoder.decoder_of(module) is not None and _bytes(module) <= _SMALL
        self._hands = 1  # parts of the call that are answered side by side

    @torch.no_grad()
    def choose(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer each request with one of its labels; equal scores go to the first."""
        if requests and requests[0].decoding.channel:
            return channel.choose(self, requests)
        return self._answer(requests, self._choose, self._recall)

    @torch.no_grad()
    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Write an answer to each request; greedy at temperature 0, else drawn from a seed of the request's content."""
        return self._answer(requests, self._generate)

    @torch.no_grad()
    def read(self, texts: Sequence[str]) -> list[Reply]:
        """Loss on plain text; each text on its own, in pieces that fit the model."""
        return [self._loss(text) for text in texts]

    def open_batch(self) -> OpenAnswers:
        """Answers that are handed out token by token."""
        return OpenAnswers(self)

    def _loss(self, text: str) -> Reply:
        start = time.perf_counter()
        ids = self.model.renderer.text_ids(text)
        size = min(self.model.context, READ)
        pieces = [ids[i : i + size] for i in range(0, len(ids), size)]
        nats, count = 0.0, 0
        for piece in pieces:
            if len(piece) > 1:
                logprobs = forward.answer_logprobs(self.module, [(piece[:1], piece[1:])], None, 0)
                nats, count = nats - float(logprobs.sum()), count + len(piece) - 1
        return Reply("", tokens_in=count, seconds=time.perf_counter() - start, scores={"nats": nats})

    def _answer(self, requests: Sequence[Request], work: Work, recall: Recall | None = None) -> list[Reply]:
        """Replies to requests: what `recall` finds was read before, `work` computes the rest."""
        fitted = self.prompts(requests)
        prompts = [ids for ids, _ in fitted]
        replies: list[Reply | None] = [self.too_long(r, p) for r, p in zip(requests, prompts, strict=True)]
        open_ = [i for i, reply in enumerate(replies) if reply is None]
        if open_:
            with throughput.fitting():
                rows = [PromptRow(i, requests[i], prompts[i], size=len(prompts[i])) for i in open_]
                self._fill(replies, rows, work, recall)
        answered = [reply for reply in replies if reply]
        return [replace(reply, trimmed=n) if n else reply for reply, (_, n) in zip(answered, fitted, strict=True)]

    def prompts(self, requests: Sequence[Request]) -> list[tuple[list[int], int]]:
        """Each prompt's ids, and how many of its oldest turns were left out so that there is room for an answer."""
        renderer = self.model.renderer
        prompt_ids: dict[int, list[int]] = {}
        for think in {r.decoding.thinking for r in requests}:
            places = [n for n, r in enumerate(requests) if r.decoding.thinking is think]
            prompts = renderer.prompt_ids([requests[n].messages for n in places], think)
            prompt_ids |= dict(zip(places, prompts, strict=True))
        return [self._trimmed(request, prompt_ids[n]) for n, request in enumerate(requests)]

    def _trimmed(self, request: Request, ids: list[int]) -> tuple[list[int], int]:
        if not any(message.earlier for message in request.messages):
            return ids, 0
        most = self.model.context
        room = most - self._need(request) if request.labels else most - min(request.decoding.max_tokens, most // 2)
        if len(ids) <= room:
            return ids, 0
        return self.model.renderer.fitted(request.messages, room, request.decoding.thinking)

    def _need(self, request: Request) -> int:
        """Tokens that an answer may take at least."""
        return max((len(self.model.renderer.answer_ids(label)) for label in request.labels), default=1)

    def _fill(self, replies: list[Reply | None], rows: list[PromptRow], work: Work, recall: Recall | None) -> None:
        """Answer rows that have no reply yet; each still has its whole prompt."""
        self._first = rows[0].number
        self._mark(rows)
        known = {} if recall is None else recall(rows)
        for number, reply in known.items():
            replies[number] = reply
        rest = [row for row in rows if row.number not in known]
        if not rest:
            return
        start = time.perf_counter()
        self._reach = min((row.start for row in rest if row.start is not None), default=None)
        if self.frozen is not None:
            self._reach = self.frozen.reach(rest)
        self.share([row.ids for row in rest])
        size = len(self.prefix.ids)
        each = (time.perf_counter() - start) / len(rest)
        for row in rest:
            row.ids, row.seconds = row.ids[size:], each
        for row, reply in self._side_by_side(rest, work):
            replies[row.number] = reply
        self.computed.keep(rest)
        if self.frozen is not None:
            self.frozen.keep()

    def _mark(self, rows: list[PromptRow]) -> None:
        """Count what the rows' prompts share, and say of which rows more is kept than the reply."""
        self._common = packing.common([row.ids for row in rows])
        self.computed.mark(rows)

    def _side_by_side(self, rows: list[PromptRow], work: Work) -> list[tuple[PromptRow, Reply]]:
        """Answer rows; those of a small model in parts, a thread each.

        Its products are too short to be shared among threads: waiting for each other would take a third of the time.
        """
        hands = self._hands = max(1, min(torch.get_num_threads(), len(rows) // _PART)) if self._small else 1
        if hands == 1:
            return list(zip(rows, work(rows), strict=True))
        parts = [rows[n::hands] for n in range(hands)]
        with throughput.using(1), ThreadPoolExecutor(hands) as pool:
            done = list(pool.map(torch.no_grad()(work), parts))
        return [pair for part, replies in zip(parts, done, strict=True) for pair in zip(part, replies, strict=True)]

    def too_long(self, request: Request, prompt: Sequence[int]) -> Reply | None:
        """The reply to a request whose prompt leaves no room for an answer; None where there is room."""
        room = self.model.context - len(prompt)
        if room >= self._need(request):
            return None
        reason = f"the prompt has {len(prompt)} tokens, the model takes {self.model.context}"
        reason += f" ({self.model.limit})" if self.model.limit else ""
        return Reply("", finish="error", error=reason)

    def share(self, prompts: list[list[int]]) -> None:
        """Have the prompts' common prefix ready in `prefix`; what an earlier call left is used again."""
        size = packing.common(prompts)
        size = size if self._reach is None else min(size, self._reach)
        ids, known = prompts[0][:size], self.prefix
        same = packing.agree([ids, known.ids])
        if known.layers is not None and same >= size / 2:
            self.prefix = PrefixCache(
                ids[:same], [(k[:, :same], v[:, :same]) for k, v in known.layers] if same else None
            )
            return
        self.prefix = PrefixCache(ids, forward.run_prefix(self.module, ids, self.model.device, seen=self.computed.seen))

    def _counts(self, row: PromptRow, first: bool) -> tuple[int, int]:
        """Tokens computed and reused, by a rule: the first row of a call pays for the prefix, the others find it ready.

        What an earlier call left ready saves time but is not counted: counts must not depend on a process's history.
        """
        cached = 0 if first else self._common
        return row.size - cached, cached

    # Closed labels

    def _choose(self, rows: list[PromptRow]) -> list[Reply]:
        if rows[0].request.decoding.mode != "choose":
            return self._likelier(rows)
        groups: dict[tuple[str, ...], list[PromptRow]] = defaultdict(list)
        for row in rows:
            groups[row.request.labels].append(row)
        replies: dict[int, Reply] = {}
        for labels, group in groups.items():
            trie = self._trie(labels)
            for batch in self._batches(group, len(trie.tree.ids)):
                work = functools.partial(self._scores, trie=trie)
                scores = halving(functools.partial(self._timed, work=work), batch)
                for row, numbers in zip(batch, scores, strict=True):
                    replies[row.number] = _pick(row, numbers, trie, self._counts(row, row.number == self._first))
        return [replies[row.number] for row in rows]

    def _trie(self, labels: Sequence[str]) -> Trie:
        return grow([self.model.renderer.answer_ids(label) for label in labels], self.model.renderer.closing)

    def _score_key(self, row: PromptRow, ids: Sequence[int]) -> str:
        """Under which a row's label scores are kept; `ids`: of its whole prompt."""
        assert self.reads is not None
        return self.reads.scores(ids, [self.model.renderer.answer_ids(label) for label in row.request.labels])

    def _recall(self, rows: list[PromptRow]) -> dict[int, Reply]:
        """Replies to rows whose label scores are kept."""
        marked = {self._score_key(row, row.ids): row for row in rows if row.start is not None and row.request.labels}
        if self.reads is None or not marked:
            return {}
        replies, tries = {}, dict[tuple[str, ...], Trie]()
        for key, entry in self.reads.store.get(list(marked)).items():
            row = marked[key]
            row.seconds, labels = entry.seconds, row.request.labels
            trie = tries[labels] if labels in tries else tries.setdefault(labels, self._trie(labels))
            counts = self._counts(row, row.number == self._first)
            replies[row.number] = replace(_pick(row, entry.array.tolist(), trie, counts), recalled=True)
        return replies

    def _likelier(self, rows: list[PromptRow]) -> list[Reply]:
        """The likelier of each row's own answers as a whole, summed over tokens or per token."""
        replies: dict[int, Reply] = {}
        for batch in self._batches(rows, 2 * max(self._longest_answer(row) for row in rows)):
            scores = halving(functools.partial(self._timed, work=self._whole), batch)
            for row, numbers in zip(batch, scores, strict=True):
                scores_by_label = dict(zip(row.request.labels, numbers, strict=True))
                text = max(scores_by_label, key=lambda label: scores_by_label[label])  # the first of equals
                size = len(self.model.renderer.answer_ids(text))
                counts = self._counts(row, row.number == self._first)
                replies[row.number] = Reply(text, *counts, size, row.seconds, scores_by_label)
        return [replies[row.number] for row in rows]

    def _longest_answer(self, row: PromptRow) -> int:
        return max(len(self.model.renderer.answer_ids(label)) for label in row.request.labels)

    def _whole(self, rows: list[PromptRow]) -> list[list[float]]:
        """Log-probability of each answer of each row; one forward pass."""
        answers = [[self.model.renderer.answer_ids(label) for label in row.request.labels] for row in rows]
        pairs = [([*self.prefix.ids, *row.ids], ids) for row, mine in zip(rows, answers, strict=True) for ids in mine]
        logprobs = forward.answer_logprobs(self.module, pairs, self.prefix.layers, len(self.prefix.ids))
        parts = iter(torch.split(logprobs, [len(ids) for _, ids in pairs]))
        return [
            [float(part.mean() if row.request.decoding.mode == "likelier_per_token" else part.sum()) for _, part in
             zip(mine, parts, strict=False)]
            for row, mine in zip(rows, answers, strict=True)
        ]  # fmt: skip

    def _scores(self, rows: list[PromptRow], trie: Trie) -> list[list[float]]:
        """Each row's score of each label; one forward pass."""
        if not trie.branches:
            return [[0.0] * len(trie.sizes) for _ in rows]
        extra, device = len(trie.tree.ids), self.model.device
        lengths = [len(row.ids) for row in rows]
        even = forward.even(self.module)
        layout = packing.pack_rows(
            lengths, len(self.prefix.ids), device, tree=trie.tree, prefix=self.prefix.layers, even=even
        )
        ids = torch.tensor([i for row in rows for i in (*row.ids, *trie.tree.ids)], device=device)
        ends = torch.tensor(lengths, device=device).add(extra).cumsum(0) - extra  # after each row's prompt
        nodes = torch.tensor([branch.node for branch in trie.branches], device=device)
        only, at = torch.tensor(trie.tokens, device=device), (ends[:, None] + nodes).flatten()
        if all(row.start is None for row in rows):
            logits = self._logits(rows, ids, layout, at, only, trie.tree).float()
            return score(logits.view(len(rows), len(nodes), -1), trie)
        logits, depths = forward.logits_and_depths(self.module, ids, layout, at, only)
        scores = score(logits.float().view(len(rows), len(nodes), -1), trie)
        self.computed.note(rows, self.prefix.ids, depths, extra)
        for row, numbers in zip(rows, scores, strict=True):
            if row.start is not None:
                self.computed.add(row, self._score_key(row, [*self.prefix.ids, *row.ids]), torch.tensor(numbers))
        return scores

    def _logits(
        self, rows: list[PromptRow], ids: Tensor, layout: packing.PackedRows, keep: Tensor,
        only: Tensor | None = None, tree: packing.Tree | None = None,
    ) -> Tensor:  # fmt: skip
        """Logits of packed rows; through the trained layers alone where what lies below is kept."""
        if self.frozen is None:
            return forward.logits(self.module, ids, layout, keep, only)
        return self.frozen.logits(self.module, rows, self.prefix.ids, ids, layout, keep, only, tree)

    def _batches(self, rows: list[PromptRow], extra: int) -> list[list[PromptRow]]:
        """Rows of similar length together, as many as fit."""
        limit, batches = _TOKENS[self.model.device.type], [[]]  # type: tuple[int, list[list[PromptRow]]]
        total = 0
        for row in sorted(rows, key=lambda row: len(row.ids)):
            size = len(row.ids) + extra
            if batches[-1] and total + size > limit:
                batches.append([])
                total = 0
            batches[-1].append(row)
            total += size
        return batches

    def _timed(self, rows: list[PromptRow], work: Callable[[list[PromptRow]], list[T]]) -> list[T]:
        """Run and charge each row its share of the time, by tokens."""
        start = time.perf_counter()
        done = work(rows)
        rate = (time.perf_counter() - start) / sum(len(row.ids) for row in rows) / self._hands
        for row in rows:
            row.seconds += rate * len(row.ids)
        return done

    # Free text

    def _generate(self, rows: list[PromptRow]) -> list[Reply]:
        written = self._write(rows)
        counted = [self._counts(row, row.number == self._first) for row in rows]
        return [self._read(row, ids, counts) for row, ids, counts in zip(rows, written, counted, strict=True)]

    def _read(self, row: PromptRow, ids: list[int], counts: tuple[int, int]) -> Reply:
        renderer = self.model.renderer
        stopped = ids[-1] in renderer.ends or renderer.broken(ids)
        text = renderer.text(ids)
        answer, thoughts = spoken(text)
        reply = Reply(answer, *counts, len(ids), row.seconds, finish="stop" if stopped else "length", thoughts=thoughts)
        inside = row.request.decoding.thinking and renderer.opens and CLOSE not in text
        if inside or (thoughts and not answer):
            return replace(
                reply, text=text, thoughts="", unread=f"the reasoning has no end ({CLOSE}) with an answer after it"
            )
        return reply

    def _room(self, row: PromptRow) -> int:
        """How many tokens this row may still get."""
        return min(row.request.decoding.max_tokens, self.model.context - len(self.prefix.ids) - len(row.ids))

    def _write(self, rows: list[PromptRow]) -> list[list[int]]:
        """Decode all rows; fewer at once when memory runs out."""
        places = _ROWS[self.model.device.type]
        while True:
            writing = [
                GeneratedRow(row.ids, self._room(row), Sampler(row.request, self.prefix.ids + row.ids)) for row in rows
            ]
            try:
                ContinuousBatch(self.module, self.model.device, self.prefix, places, self.over).run(writing)
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                if places == 1:
                    longest = max(len(row.ids) for row in rows)
                    raise WayFailed(f"One prompt of {longest} tokens does not fit into memory.") from error
                places = max(1, places // 2)
                continue
            for row, done in zip(rows, writing, strict=True):
                row.seconds += done.seconds / self._hands
            return [done.written for done in writing]

    def over(self, ids: list[int]) -> bool:
        """Whether written ids are a whole answer."""
        renderer = self.model.renderer
        return ids[-1] in renderer.ends or renderer.broken(ids)


def _pick(row: PromptRow, numbers: list[float], trie: Trie, counts: tuple[int, int]) -> Reply:
    bias = dict(row.request.decoding.bias)
    scores = {label: n + bias.get(label, 0.0) for label, n in zip(row.request.labels, numbers, strict=True)}
    best = int(np.argmax(list(scores.values())))  # the first of equals
    text = list(scores)[best]
    size = trie.sizes[row.request.labels.index(text)]
    return Reply(text, *counts, size, row.seconds, scores)


def _bytes(module: Any) -> int:
    return sum(p.numel() * p.element_size() for p in module.parameters())


def halving(work: Callable[[list[PromptRow]], list[T]], rows: list[PromptRow]) -> list[T]:
    """Run `work`; when memory runs out, run it on each half."""
    try:
        return work(rows)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        if len(rows) == 1:
            raise WayFailed(f"One prompt of {len(rows[0].ids)} tokens does not fit into memory.") from error
    middle = len(rows) // 2
    return halving(work, rows[:middle]) + halving(work, rows[middle:])
