"""A trained encoder on disk: what transformers loads by itself, the head beside it, and rows that prove it live."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from whichway.engine.model import load
from whichway.engine.train.encoder_targets import OneLabel, SeveralLabels
from whichway.engine.train.one_vs_rest import LabelSetHead
from whichway.engine.train.probe import Head

if TYPE_CHECKING:
    from whichway.engine.model.sentence_encoder import Encoder

HEAD = "head.safetensors"
LABELS = "head.json"
LIVE = "live.json"
_SETS = "sets"  # of the description of a head whose answers are sets of labels
_FEW = 4  # rows that prove a loaded part live


def write(
    place: Path, base: Encoder, trained: Encoder, head: Any, targets: OneLabel | SeveralLabels, texts: Sequence[str]
) -> None:
    """Write a trained encoder with its head.

    Args:
        place: an empty folder.
        base: the encoder as it was.
        trained: and as it is now.
        head: a linear layer.
        targets: what the head learned.
        texts: training rows; a few are kept with what the head says of them.
    """
    with load.quiet():
        trained.model.save_pretrained(place)
    trained.tokenizer.save_pretrained(place)
    parts = {name: part.detach().float().cpu().numpy() for name, part in head.named_parameters()}
    few = texts[:: max(1, len(texts) // _FEW)][:_FEW]
    sets = targets.set_head(head.weight, head.bias, lambda some: trained(some)[0], texts)
    if sets is not None:
        write_set_head(place, sets, few, trained(few)[0], base(few)[0])
        return
    write_head(place, parts, targets.labels, few, trained(few)[0], base(few)[0])


def write_head(
    place: Path,
    parts: dict[str, np.ndarray[Any, Any]],
    labels: Sequence[str],
    texts: Sequence[str],
    states: np.ndarray[Any, Any],
    base: np.ndarray[Any, Any] | None = None,
) -> None:
    """Write a head, and what it says of a few rows.

    Args:
        place: the folder.
        parts: `weight [K, F]` and `bias [K]`; with `mean [F]` and `scale [F]` where features are standardised first.
        labels: K of them.
        texts: rows.
        states: theirs, `[B, F]`.
        base: states that the untrained encoder gives them, where another one was trained.
    """
    _write(place, parts, {"labels": list(labels)}, texts, states, base)


def write_set_head(
    place: Path,
    head: LabelSetHead,
    texts: Sequence[str],
    states: np.ndarray[Any, Any],
    base: np.ndarray[Any, Any] | None = None,
) -> None:
    """Write a head whose answers are sets of labels, and what it says of a few rows.

    Args:
        place: the folder.
        head: on the states.
        texts: rows.
        states: theirs, `[B, F]`.
        base: states that the untrained encoder gives them, where another one was trained.
    """
    parts = {name: np.asarray(part, np.float32) for name, part in (("weight", head.weight), ("bias", head.bias))}
    sets = {"threshold": head.threshold, "least": head.least, "separator": head.separator}
    _write(place, parts, {"labels": list(head.labels), _SETS: sets}, texts, states, base)


def _write(
    place: Path,
    parts: dict[str, np.ndarray[Any, Any]],
    description: dict[str, Any],
    texts: Sequence[str],
    states: np.ndarray[Any, Any],
    base: np.ndarray[Any, Any] | None,
) -> None:
    """Write a head of either form, and what it says of a few rows once it is read again."""
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(part) for name, part in parts.items()}, place / HEAD)
    (place / LABELS).write_text(json.dumps(description, ensure_ascii=False), encoding="utf-8")
    head = read_head(place)
    live = {"texts": list(texts), "scores": head(states).tolist()}
    live |= {} if base is None else {"base": head(base).tolist()}
    (place / LIVE).write_text(json.dumps(live, ensure_ascii=False), encoding="utf-8")


def read_head(folder: Path) -> Head | LabelSetHead:
    """The head in a saved folder."""
    from safetensors.numpy import load_file

    description = json.loads((folder / LABELS).read_text(encoding="utf-8"))
    labels, sets = description["labels"], description.get(_SETS)
    parts = load_file(folder / HEAD)
    if sets is not None:
        return LabelSetHead(tuple(labels), parts["weight"], parts["bias"], **sets)
    width = parts["weight"].shape[1]
    zeros, ones = np.zeros(width, np.float32), np.ones(width, np.float32)
    return Head(tuple(labels), parts.get("mean", zeros), parts.get("scale", ones), parts["weight"], parts["bias"])
