"""Noisy-channel reading (Min et al. 2022, arXiv 2108.04106): the label under which the row's own text is likeliest.

A label's score is `log P(text | label)`, turn end included, less the log-sum over all labels: with equal priors the
log-probability of the label given the text. Every token of the row speaks, and a label's name need not be likely
itself, so surface forms do not compete. The price is one pass over the row for each label.

Requests are those of `template.channel_messages`: the last message is the row's text, the one before it is what a
label is appended to. What all labels' prompts begin with is run once; after it each label's own turn is run once for
all rows that share it, and then the rows, packed.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch

from whichway.engine.model import forward, packing, throughput
from whichway.engine.model.out_of_memory import out_of_memory
from whichway.engine.model.packing import PrefixCache
from whichway.errors import WayFailed
from whichway.nouns import Message, Reply, Request
from whichway.prompts.template import with_label

if TYPE_CHECKING:
    from whichway.engine.model.load import Model

_TOKENS = {"cpu": 256, "cuda": 16384}  # scored together: each needs a logit for every word of the vocabulary
_FEW = 3  # rows with one prompt, below which labels are packed side by side instead of one after the other


class PrefixSession(Protocol):
    """What this reading needs of a session."""

    model: Model
    module: Any
    prefix: PrefixCache  # what all prompts of the last call begin with

    def share(self, prompts: list[list[int]]) -> None:
        """Have the prompts' common prefix ready in `prefix`."""
        ...


@dataclass(slots=True)
class _Row:
    """A request on its way to its reply."""

    number: int
    request: Request
    text: list[int]  # token ids of the row's text as an answer
    scores: list[float] = field(default_factory=list)  # one per label so far
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Pair:
    """A row's text after one label's prompt."""

    row: _Row
    prompt: list[int]


@torch.no_grad()
def choose(session: PrefixSession, requests: Sequence[Request]) -> list[Reply]:
    """Answer each request with the label under which its text is likeliest; equal scores go to the first.

    Args:
        session: whose model and module; its shared prefix is used and left ready for the next call.
        requests: with `decoding.channel`.

    Raises:
        WayFailed: one row does not fit into memory.
    """
    replies: dict[int, Reply] = {}
    groups: dict[tuple[tuple[Message, ...], tuple[str, ...]], list[_Row]] = defaultdict(list)
    texts = [session.model.renderer.answer_ids(request.messages[-1].content) for request in requests]
    for number, (request, text) in enumerate(zip(requests, texts, strict=True)):
        groups[request.messages[:-1], request.labels].append(_Row(number, request, list(text)))
    with throughput.fitting():
        common = 0
        for (head, labels), rows in groups.items():
            replies |= _answer_group(session, head, labels, rows, common)
            common = len(session.prefix.ids)
    return [replies[n] for n in range(len(requests))]


def _answer_group(
    session: PrefixSession, head: tuple[Message, ...], labels: tuple[str, ...], rows: list[_Row], common: int
) -> dict[int, Reply]:
    """Replies to rows that share all but their text; `common` tokens in front were computed for an earlier group."""
    start = time.perf_counter()
    prompts = session.model.renderer.prompt_ids(
        [with_label((*head, rows[0].request.messages[-1]), label)[:-1] for label in labels]
    )
    longest = max(len(prompt) for prompt in prompts)
    replies = {row.number: _too_long(session, row, longest) for row in rows}
    open_ = [row for row in rows if replies[row.number] is None]
    if open_:
        session.share(prompts)
        for row in open_:
            row.seconds = (time.perf_counter() - start) / len(open_)
        _score(session, prompts, open_)
    ready = min(common, packing.agree([prompts[0], session.prefix.ids])) if common else 0
    size = len(session.prefix.ids)
    turns = size + sum(len(prompt) - size for prompt in prompts)
    for place, row in enumerate(open_):
        cached = ready if place == 0 else turns
        replies[row.number] = _reply(row, turns + len(labels) * len(row.text) - cached, cached)
    return {number: reply for number, reply in replies.items() if reply is not None}


def _too_long(session: PrefixSession, row: _Row, longest: int) -> Reply | None:
    need, most = longest + len(row.text) - 1, session.model.context
    if need <= most:
        return None
    return Reply("", finish="error", error=f"a label and the row have {need} tokens, the model takes {most}")


def _reply(row: _Row, computed: int, cached: int) -> Reply:
    bias = dict(row.request.decoding.bias)
    chances = torch.tensor(row.scores, dtype=torch.float64).log_softmax(0).tolist()
    scores = {label: n + bias.get(label, 0.0) for label, n in zip(row.request.labels, chances, strict=True)}
    text = max(scores, key=lambda label: scores[label])  # the first of equals
    return Reply(text, computed, cached, 0, row.seconds, scores)


def _score(session: PrefixSession, prompts: Sequence[list[int]], rows: list[_Row]) -> None:
    """Give each row its score under each prompt, in their order."""
    if len(rows) <= _FEW:
        _run(session, session.prefix, [_Pair(row, prompt) for row in rows for prompt in prompts])
        return
    size = len(session.prefix.ids)
    for prompt in prompts:
        began = time.perf_counter()
        ids = prompt[:-1]  # the last one is fed with each row: the text's first token is predicted from it
        layers = forward.run_prefix(session.module, ids[size:], session.model.device, session.prefix)
        each = (time.perf_counter() - began) / len(rows)
        for row in rows:
            row.seconds += each
        _run(session, PrefixCache(ids, layers), [_Pair(row, prompt) for row in rows])


def _run(session: PrefixSession, prefix: PrefixCache, pairs: list[_Pair]) -> None:
    """Append to each pair's row the log-probability of its text; fewer at once when memory runs out."""
    order = {id(pair): n for n, pair in enumerate(pairs)}
    scores_by_pair: dict[int, float] = {}
    for batch in _batches(session, prefix, pairs):
        began = time.perf_counter()
        scores = _log_probabilities(session, prefix, batch)
        rate = (time.perf_counter() - began) / sum(len(pair.row.text) for pair in batch)
        for pair, score in zip(batch, scores, strict=True):
            pair.row.seconds += rate * len(pair.row.text)
            scores_by_pair[order[id(pair)]] = score
    for n, pair in enumerate(pairs):
        pair.row.scores.append(scores_by_pair[n])


def _log_probabilities(session: PrefixSession, prefix: PrefixCache, pairs: list[_Pair]) -> list[float]:
    rows = [(pair.prompt, pair.row.text) for pair in pairs]
    try:
        logprobs = forward.answer_logprobs(session.module, rows, prefix.layers, len(prefix.ids))
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        if len(pairs) == 1:
            raise WayFailed(f"One row of {len(pairs[0].row.text)} tokens does not fit into memory.") from error
        middle = len(pairs) // 2
        first = _log_probabilities(session, prefix, pairs[:middle])
        return first + _log_probabilities(session, prefix, pairs[middle:])
    return [float(part.double().sum()) for part in torch.split(logprobs, [len(text) for _, text in rows])]


def _batches(session: PrefixSession, prefix: PrefixCache, pairs: list[_Pair]) -> Iterator[list[_Pair]]:
    """Pairs of similar length together, as many as fit."""
    limit, batch, total = _TOKENS[session.model.device.type], list[_Pair](), 0
    for pair in sorted(pairs, key=lambda pair: len(pair.prompt) + len(pair.row.text)):
        size = len(pair.prompt) - len(prefix.ids) + len(pair.row.text)
        if batch and total + size > limit:
            yield batch
            batch, total = [], 0
        batch.append(pair)
        total += size
    yield batch
