"""The work of a local model in tokens: of an answer by what the session counted, of a training by what it says.

Kinds of work are "read" (prompts, labels that are scored), "write", and a kind for each way to train; `Work.kind` names
the model with them. Weights that were trained read as the base does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from whichway.contracts import Work, read_kind
from whichway.engine.infer.label_trie import grow
from whichway.engine.model import packing, tokenizer_files
from whichway.engine.model.chat_template import Renderer
from whichway.engine.model.token_cost import TokenCost, token_cost
from whichway.engine.train import adapter_check
from whichway.nouns import Adapter, Reply, Request, TrainJob, Weights, digest
from whichway.prompts.template import with_label
from whichway.training_kinds import (
    FREE_OPTIONS,
    KINDS,
    HeadOptions,
    TopFullOptions,
    TopOptions,
    options,
    stored_as,
)
from whichway.training_length import length_of


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
        fixed = {name: value for name, value in job.options.items() if name not in FREE_OPTIONS}
        kind = f"{self._name} {job.kind} {digest([KINDS[job.kind].version, fixed, len(job.labels)], 8)}"
        return training_work(self._read, kind, adapter, before)

    def expected_answers(self, weights: Weights, requests: Sequence[Request]) -> list[Work]:
        """The work of answers in one call, without seconds; a written answer is as long as it may be."""
        if requests[0].decoding.channel:
            counts = self._channel(requests)
        else:
            prompts = self._renderer.prompt_ids([r.messages for r in requests], requests[0].decoding.thinking)
            common = packing.common(prompts)
            counts = [(len(ids) - common * bool(n), common * bool(n)) for n, ids in enumerate(prompts)]
        written = requests[0].decoding.max_tokens if requests[0].decoding.mode == "generate" else 0
        replies = [Reply("", *pair, written) for pair in counts]
        return [self.answer(weights, request, reply) for request, reply in zip(requests, replies, strict=True)]

    def _channel(self, requests: Sequence[Request]) -> list[tuple[int, int]]:
        """Tokens computed and reused of each row, where labels are prompts and the row is the answer."""
        first = requests[0]
        turns = [with_label(first.messages, label)[:-1] for label in first.labels]
        prompts = self._renderer.prompt_ids(turns)
        common = packing.common(prompts)
        front = common + sum(len(prompt) - common for prompt in prompts)
        texts = (len(first.labels) * self._size(request.messages[-1].content) for request in requests)
        return [(size + front * (n == 0), front * bool(n)) for n, size in enumerate(texts)]

    def expected_training(self, job: TrainJob) -> tuple[Work, ...]:
        """The work of a whole training, without seconds: a mean step times the number of steps."""
        settings: Any = options(KINDS[job.kind].options, job.options)
        wanted: adapter_check.Targets = "all" if job.options.get("targets") == "all" else "last"
        rows = adapter_check.encode(self._renderer, [(row.messages, row.answer) for row in job.rows], wanted)
        answers = job.kind == "head" or stored_as(job.kind, "probe")  # of one number, which is never read
        sizes = [len(row.prompt) + (0 if answers else len(row.answer) - 1) for row in rows]
        front = packing.common([row.prompt for row in rows])
        read = self._cost.read(front) + sum(self._cost.read(size - front, front) for size in sizes)
        length = length_of(job)
        if length is None:
            work = {"read": (read, 0.0), "fit": (float(len(rows)), 0.0)}
            return self._training(job, work)
        members = int(getattr(settings, "soup", 1))
        soft = int(getattr(settings, "tokens", 0)) if job.kind == "soft_prompt" else 0
        per_pass = sum(size - front for size in sizes) + length.per_epoch * (front + soft)
        work = {"train": (members * per_pass * length.steps / length.per_epoch, 0.0)}
        below = self._below(settings)
        if below:
            work["read"] = (read * below, 0.0)
        elif KINDS[job.kind].pairs:  # what the base says of each answer
            work["read"] = (read, 0.0)
        return self._training(job, work)

    def _training(self, job: TrainJob, work: Mapping[str, tuple[float, float]]) -> tuple[Work, ...]:
        return self.training(job, Adapter(job.weights, 1, 1.0, None, 0.0, 0, 0, work=work), None)

    def _below(self, settings: object) -> float:
        """Share of the layers that are run once, below those that are trained."""
        layers = self._cost.layers
        if isinstance(settings, TopOptions | TopFullOptions):
            return 1 - min(settings.layers, layers) / layers
        if isinstance(settings, HeadOptions) and settings.share < 1:
            return 1 - max(1, round(settings.share * layers)) / layers
        return 0.0

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
