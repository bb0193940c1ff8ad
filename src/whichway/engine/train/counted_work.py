"""The work of a local model in tokens: of an answer by what the session counted, of a training by what it says.

Kinds of work are "read" (prompts, labels that are scored), "write", and a kind for each way to train; `Work.kind` names
the model with them. Weights that were trained read as the base does.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from whichway.contracts import Work, read_kind
from whichway.engine.infer.label_trie import grow
from whichway.engine.model import tokenizer_files
from whichway.engine.model.chat_template import Renderer
from whichway.engine.model.token_cost import TokenCost, token_cost
from whichway.nouns import Adapter, Reply, Request, TrainJob, Weights, digest
from whichway.training_kinds import FREE_OPTIONS, KINDS, stored_as


class WorkCounter:
    """Counts the work of one base model.

    Args:
        folder: of the model.
        weights: the base, or any weights on it.
    """

    def __init__(self, folder: Path, weights: Weights) -> None:
        self._folder, self._read = folder, read_kind(weights)
        self._name = self._read.removesuffix(" read")
        self._cost: TokenCost = token_cost(folder)
        self._trees: dict[tuple[str, ...], int] = {}
        self._sizes: dict[str, int] = {}

    def answer(self, weights: Weights, request: Request, reply: Reply) -> Work:
        """The work of one answer."""
        mode = request.decoding.mode
        if reply.finish == "error":
            return Work(self._read, 0.0, reply.seconds)
        if mode == "generate":
            front = reply.tokens_cached + reply.tokens_in
            units = self._cost.read(reply.tokens_in, reply.tokens_cached)
            return Work(f"{self._name} write", units + self._cost.write(reply.tokens_out, front), reply.seconds)
        return Work(self._read, self._scored(weights, request, reply), reply.seconds)

    def training(self, job: TrainJob, adapter: Adapter, before: Adapter | None) -> tuple[Work, ...]:
        """The work of a training between two checkpoints."""
        options = {name: value for name, value in job.options.items() if name not in FREE_OPTIONS}
        kind = f"{self._name} {job.kind} {digest([KINDS[job.kind].version, options, len(job.labels)], 8)}"
        return training_work(self._read, kind, adapter, before)

    def _scored(self, weights: Weights, request: Request, reply: Reply) -> float:
        """Tokens of an answer that was chosen: those of the row, and those of the labels behind it."""
        cost, own, front = self._cost, reply.tokens_in, reply.tokens_cached
        if request.decoding.channel:  # each label's text stands in the count, and is predicted word by word
            each = own / max(1, len(request.labels))
            return len(request.labels) * cost.read(each, front) + cost.head * own
        if request.decoding.mode != "choose":
            sizes = [self._size(label) for label in request.labels]
            return sum(cost.read(own + size, front) + cost.head * size for size in sizes)
        behind = 0 if weights.kind == "head" or stored_as(weights.kind, "probe") else self._tree(request.labels)
        return cost.read(own, front) + behind * (1 + cost.pair * (own + front))

    def _tree(self, labels: tuple[str, ...]) -> int:
        """Tokens of a label set that are read behind every row."""
        if labels not in self._trees:
            ids = [self._renderer.answer_ids(label) for label in labels]
            self._trees[labels] = len(grow(ids, self._renderer.closing).tree.ids)
        return self._trees[labels]

    def _size(self, label: str) -> int:
        if label not in self._sizes:
            self._sizes[label] = len(self._renderer.answer_ids(label))
        return self._sizes[label]

    @cached_property
    def _renderer(self) -> Renderer:
        tokenizer, ends, _ = tokenizer_files.tokenizer_and_context(self._folder)
        return Renderer(tokenizer, ends)


def training_work(read: str, kind: str, adapter: Adapter, before: Adapter | None) -> tuple[Work, ...]:
    """The work of a training between two checkpoints, as its checkpoints count it.

    Args:
        read: the kind of reading with the base.
        kind: of all other work.
        adapter: the later checkpoint; one of an older version has counted tokens alone.
        before: the earlier one; None: the start.
    """
    if not adapter.work or (before is not None and not before.work):
        units = float(adapter.tokens - (before.tokens if before else 0))
        seconds = adapter.seconds
        return (Work(f"{kind} older", units, seconds - (before.seconds if before else 0.0)),)
    earlier: Mapping[str, tuple[float, float]] = before.work if before else {}
    works = []
    for what, (units, seconds) in adapter.work.items():
        old_units, old_seconds = earlier.get(what, (0.0, 0.0))
        full = read if what == "read" else f"{kind} {what}"
        works.append(Work(full, units - old_units, seconds - old_seconds))
    return tuple(works)
