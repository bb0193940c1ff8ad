"""Floating-point operations that a task cannot do without, from a Llama's shape: what our rates are measured by.

A multiplication and an addition count as two. Padding, copies, norms and activations count nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Shape:
    """What decides a model's work."""

    per_token: int  # weights in the layers' products
    head: int  # weights of the head
    pair: int  # additions and multiplications of one query with one key and value, over all layers and heads
    low: int  # weights of adapters of rank 16

    @staticmethod
    def of(folder: Path) -> Shape:
        """From a model folder."""
        c = json.loads((folder / "config.json").read_text())
        width, inner, layers = c["hidden_size"], c["intermediate_size"], c["num_hidden_layers"]
        heads, key_heads = c["num_attention_heads"], c["num_key_value_heads"]
        depth = c.get("head_dim") or width // heads
        q, kv = heads * depth, key_heads * depth
        products = [(width, q), (width, kv), (width, kv), (q, width), (width, inner), (width, inner), (inner, width)]
        per_token, low = sum(a * b for a, b in products), sum(16 * (a + b) for a, b in products)
        return Shape(layers * per_token, width * c["vocab_size"], layers * 4 * q, layers * low)


def pairs(start: int, size: int) -> int:
    """Queries times keys of `size` tokens after `start` others, each seeing what is before it and itself."""
    return size * start + size * (size + 1) // 2


def learning(shape: Shape, prompt: int, own: Sequence[int], trained: int) -> float:
    """A step over rows of `own` fed tokens after a shared prompt; frozen products go forward and to their inputs."""
    tokens = prompt + sum(own)
    seen = pairs(0, prompt) + sum(pairs(prompt, size) for size in own)
    return 4.0 * (shape.per_token * tokens + shape.head * trained) + 6.0 * shape.low * tokens + 3.0 * shape.pair * seen


def answering(shape: Shape, prompt: int, own: Sequence[int], written: int) -> float:
    """Reading the prompt once and each row after it, and writing tokens; `own` counts what is fed, `written` heads."""
    seen = pairs(0, prompt) + sum(pairs(prompt, size) for size in own)
    return 2.0 * (shape.per_token * (prompt + sum(own)) + shape.head * written) + float(shape.pair * seen)
