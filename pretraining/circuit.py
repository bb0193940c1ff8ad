"""Attention to start from: copying the answer of the most similar example, written into the first three layers.

Learning from examples in the prompt needs a circuit (Olsson et al. 2022, "In-context Learning and Induction Heads"):
one head moves each token's predecessor forward, one sums up the recent words, and later heads look for a place that is
preceded as the present one (":" or the assistant's mark) after words of like meaning, and copy what stands there. Small
models find it late, after more steps than a processor can pay for. Here it is written into the weights, to be trained
on like all others. The residual stream is laid out for it:

    0 … M-1        the token: counted embeddings, M = 160
    M              a constant, 0.5: lets a head attend by distance alone (all logits gain the same, so nothing is said)
    M+1 … M+32     code of the token before (a random projection of its embedding)
    M+33 … 255     mean of the recent words' first embedding dimensions

Content is matched in the slow half of the rotary pairs only: the fast ones turn too much between example and question.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

MEANING, CODE = 160, 32
CONSTANT = 0.5
PAIRS = 32  # of a head of 64
MATCH, ALIKE, COPY = (
    2.2,
    1.6,
    0.3,
)  # how sharply the token before and the words before it must agree; how much is copied
POOL = (range(4, 9), 0.6, 5)  # recent words: rotary pairs, weight, distance of the most heeded one
SLOW = 14  # first pair that turns by less than about one radian in 300 tokens, at a base of 500,000


def meanings(first: Tensor, hidden: int, marks: list[int], generator: torch.Generator) -> Tensor:
    """Embeddings (V, hidden) in the layout above, from counted ones (V, hidden): their first M principal directions.

    `marks`, the ids of the chat's own tokens, occur together and so would be alike; they get random directions.
    """
    directions = torch.linalg.svd(first - first.mean(0), full_matrices=False).Vh[:MEANING]
    token = (first - first.mean(0)) @ directions.T
    token[marks] = torch.randn(len(marks), MEANING, generator=generator)
    token = token / token.norm(dim=1, keepdim=True).clamp_min(1e-6)
    laid = torch.zeros(len(first), hidden)
    laid[:, :MEANING] = token
    laid[:, MEANING] = CONSTANT
    return laid


@torch.no_grad()
def write(model: Any, base: float, generator: torch.Generator) -> None:
    """Write the circuit into layers 0 (heads 0 and 1) and 2 (heads 0 and 1) of a Llama with heads of 64.

    Args:
        model: its residual outputs are zero, its embeddings are `meanings`.
        base: of the rotary embedding.
        generator: draws the code of the previous token.
    """
    hidden = model.config.hidden_size
    turns = base ** (-torch.arange(PAIRS) / PAIRS)  # radians per token of each pair
    code = torch.randn(CODE, MEANING, generator=generator) / CODE**0.5
    low, layers = MEANING + 1 + CODE, model.model.layers
    words = hidden - low
    gain = 16 / (1 + CONSTANT**2) ** 0.5  # of the first norm, on embeddings of length sqrt(1 + c²)
    _by_distance(layers[0].self_attn, 0, turns, gain, pairs=range(12), weight=5.0, shift=1)
    _by_distance(layers[0].self_attn, 1, turns, gain, pairs=POOL[0], weight=POOL[1], shift=POOL[2])
    before = torch.zeros(64, hidden)
    before[:CODE, :MEANING] = code
    _move(layers[0].self_attn, 0, before, range(MEANING + 1, low), 0.7 / gain)
    recent = torch.zeros(64, hidden)
    recent[:words, :words] = torch.eye(words)
    _move(layers[0].self_attn, 1, recent, range(low, hidden), 1.6 / gain)
    slow = [p + half for half in (0, PAIRS) for p in range(SLOW, PAIRS)]  # 36 of a head's 64
    for head in (0, 1):
        query, key = torch.zeros(64, hidden), torch.zeros(64, hidden)
        for place, n in zip(slow[:16], range(16 * head, 16 * head + 16), strict=True):
            query[place, :MEANING] = MATCH * code[n]
            key[place, MEANING + 1 + n] = MATCH
        for place, n in zip(slow[16:], range(20 * head, 20 * head + 20), strict=True):
            query[place, low + n] = key[place, low + n] = ALIKE
        attention = layers[2].self_attn
        rows = slice(64 * head, 64 * head + 64)
        attention.q_proj.weight[rows], attention.k_proj.weight[rows] = query, key
        own = torch.zeros(64, hidden)
        own[:, 64 * head : 64 * head + 64] = torch.eye(64)
        _move(attention, head, own, range(64 * head, 64 * head + 64), COPY)


def _by_distance(
    attention: Any, head: int, turns: Tensor, gain: float, *, pairs: range, weight: float, shift: int
) -> None:
    """Scores `weight · Σ cos(turn · (distance - shift))` over the pairs, whatever the tokens are."""
    size = (8 * weight) ** 0.5 / (gain * CONSTANT)
    query, key = torch.zeros_like(attention.q_proj.weight[:64]), torch.zeros_like(attention.k_proj.weight[:64])
    for p in pairs:
        # Scores of a pair: |q||k| cos(angle of q - angle of k + turn · distance).
        angle = -shift * turns[p]
        query[p, MEANING], query[p + PAIRS, MEANING] = size * angle.cos(), size * angle.sin()
        key[p, MEANING] = size
    rows = slice(64 * head, 64 * head + 64)
    attention.q_proj.weight[rows], attention.k_proj.weight[rows] = query, key


def _move(attention: Any, head: int, read: Tensor, places: range, scale: float) -> None:
    """The head reads `read` (64, hidden) where it attends and adds its first rows, scaled, to `places`."""
    rows = slice(64 * head, 64 * head + 64)
    attention.v_proj.weight[rows] = read
    for n, place in enumerate(places):
        attention.o_proj.weight[place, 64 * head + n] = scale
