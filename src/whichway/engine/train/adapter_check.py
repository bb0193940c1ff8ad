"""Proof that a trained part is live: loaded, it must change the answers, and answer as it did when it was saved.

Adapters have been served that changed nothing, and nobody noticed: names that matched no layer, a path that was
ignored. So every saved part carries a few training rows with the log-probabilities it gave them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from whichway.engine.model import forward, packing
from whichway.engine.model.load import Model
from whichway.engine.train.encoded_rows import Encoded, Targets, encode
from whichway.errors import AdapterNotLive, DataError
from whichway.nouns import Message

__all__ = ["Encoded", "Targets", "encode"]
log = logging.getLogger(__name__)
FILE = "live.json"
_FEW = 4  # rows
_MOVED = 1e-6  # nats; an adapter without effect gives exactly 0
SampledRow = dict[str, Any]  # prompt and answer as token ids, and "logprob": nats per answer token
_ASKS = ("Hello!", "What is the capital of France?", "Write one word.")  # for adapters that others trained


def count_earlier(rows: Sequence[Encoded], conversations: Sequence[Sequence[Message]]) -> None:
    """Warn of earlier answers that the chat template writes otherwise than they were given: they carry no loss.

    Raises:
        DataError: it does so with all of them.
    """
    answers = sum(turn.role == "assistant" and not turn.untrained for messages in conversations for turn in messages)
    located = sum(len(row.earlier) for row in rows)
    if answers and not located:
        raise DataError("The model's chat template rewrites every earlier answer, so none of them can be trained.")
    if located < answers:
        log.warning(
            "%d of %d earlier answers stand otherwise in the prompt; they are not trained.", answers - located, answers
        )


def shared(rows: list[Encoded]) -> tuple[list[Encoded], list[int]]:
    """Rows, and the prefix that their prompts share; earlier answers that lie in it are no targets any more."""
    size = packing.common([row.prompt for row in rows])
    if len({tuple(row.prompt) for row in rows}) == 1:  # nothing tells what is the row's own
        size = min([size, *(start - 1 for start, _ in rows[0].earlier)])
    own = [replace(row, earlier=tuple(span for span in row.earlier if span[0] > size)) for row in rows]
    return own, rows[0].prompt[:size]


@torch.no_grad()
def measure(module: Any, rows: Sequence[Encoded]) -> list[float]:
    """Mean log-probability per answer token of each row, in nats."""
    total = forward.answer_logprobs(module, [(row.prompt, row.answer) for row in rows], None, 0)
    sizes = [len(row.answer) for row in rows]
    return [float(part.mean()) for part in torch.split(total, sizes)]


def sample(module: Any, rows: Sequence[Encoded]) -> list[SampledRow]:
    """A few of a training's rows, and what `module` gives them."""
    few = rows[:: max(1, len(rows) // _FEW)][:_FEW]
    measured = zip(few, measure(module, few), strict=True)
    return [{"prompt": row.prompt, "answer": row.answer, "logprob": number} for row, number in measured]


def write(folder: Path, rows: Sequence[SampledRow]) -> None:
    """Store sampled rows next to the trained part that gave them their numbers."""
    (folder / FILE).write_text(json.dumps(rows), encoding="utf-8")


def check(folder: Path, model: Model, module: Any, base: Any = None) -> None:
    """Compare a loaded part with the base, and with what it gave when it was saved.

    Args:
        folder: of the part.
        model: the base model.
        module: with the part in it.
        base: without it, where that is another module than the model's own (one with a head over labels).

    Raises:
        AdapterNotLive: it changes nothing, or answers differently.
    """
    rows, stored = _rows(folder, model)
    if base is not None and stored is None:
        rows = [Encoded(row.prompt, [0]) for row in rows]  # such a module answers with a label's number
    base = model.module if base is None else base
    before, now = measure(base, _known(rows, base)), measure(module, rows)
    gap = max(abs(a - b) for a, b in zip(before, now, strict=True))
    if not gap > _MOVED:
        raise AdapterNotLive(f"The trained part in {folder} was loaded but changes nothing: the base would answer.")
    if stored is None:
        return
    room = 0.02 if next(model.module.parameters()).dtype == torch.float32 else 0.2
    off = max(abs(a - b) - room * (1 + abs(b)) for a, b in zip(now, stored, strict=True))
    if off > 0:
        raise AdapterNotLive(
            f"The trained part in {folder} does not answer as when it was saved ({off:.3f} nats beyond rounding). "
            "Was it trained on another revision of the base model?"
        )


def _known(rows: Sequence[Encoded], base: Any) -> list[Encoded]:
    """Rows without the ids that the base has no embedding for: those of a soft prompt."""
    size = len(base.get_input_embeddings().weight)
    return [Encoded([i for i in row.prompt if i < size], row.answer) for row in rows]


def _rows(folder: Path, model: Model) -> tuple[list[Encoded], list[float] | None]:
    file = folder / FILE
    if file.exists():
        stored = json.loads(file.read_text(encoding="utf-8"))
        return [Encoded(r["prompt"], r["answer"]) for r in stored], [r["logprob"] for r in stored]
    return encode(model.renderer, [((Message("user", ask),), "Yes") for ask in _ASKS]), None
