"""Answers rows with an encoder that sentence-transformers loads, and the head beside it."""

from __future__ import annotations

import json
import math
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer
from started import run


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Answers and scores of the job's rows."""
    place = Path(job["folder"]) / "encoder"
    encoder = SentenceTransformer(str(place), device="cpu")

    states = np.asarray(encoder.encode(list(job["texts"]), show_progress_bar=False), np.float64)
    answers, scores = head_answers(place, states)
    about = f"sentence-transformers {version('sentence-transformers')}"
    return {"answers": answers, "scores": [] if job["sets"] else scores[: job["probed"]], "runtime": about}


def head_answers(place: Path, states: Any) -> tuple[list[str], list[dict[str, float]]]:
    """The head's answers to vectors `[B, hidden]`, and its scores."""
    description = json.loads((place / "head.json").read_text(encoding="utf-8"))
    parts = load_file(place / "head.safetensors")
    if "mean" in parts:
        states = (states - parts["mean"]) / parts["scale"]
    logits = states @ parts["weight"].T.astype(np.float64) + parts["bias"]
    labels, sets = description["labels"], description.get("sets")
    logs = log_softmax(logits) if sets is None else -np.logaddexp(0.0, -logits)
    scores = [dict(zip(labels, map(float, row), strict=True)) for row in logs]
    return [_chosen(one, labels, sets) for one in scores], scores


def log_softmax(logits: Any) -> Any:
    """Rows of log-probabilities."""
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def _chosen(scores: dict[str, float], labels: list[str], sets: dict[str, Any] | None) -> str:
    likeliest = max(scores, key=lambda label: scores[label])
    if sets is None:
        return likeliest
    border = math.log(sets["threshold"])
    chosen = [label for label in labels if scores[label] >= border or (sets["least"] and label == likeliest)]
    return str(sets["separator"].join(chosen)) or "none"


if __name__ == "__main__":
    run(answer)
