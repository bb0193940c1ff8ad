"""Attention to start from: copying the answer of the most similar example, written into the first two layers.

Learning from examples in the prompt needs a circuit (Olsson et al. 2022, "In-context Learning and Induction Heads"):
one head moves each token's predecessor forward, others sum up the recent words, and later heads look for a place that
is preceded as the present one (by the assistant's mark, by ":") after words of like meaning, and copy what stands
there. Small models find it late, after more steps than a processor can pay for. Here it is written into the weights,
and stays (`free`) while all around it is trained. The residual stream is laid out for it:

    0 … 143      the token: counted embeddings, their first principal directions
    144          a constant, 0.5: lets a head attend by distance alone (all logits gain the same, so nothing is said)
    145          how rare the token is: summaries heed rare words more, and the chat's own marks hardly at all
    146 … 158    code of the token before: whether it is the assistant's mark, or a colon, and a random projection
    159          the first token of a text, where heads look that have found nothing
    160 … 255    mean of 96 of the recent words' dimensions, less the mean over all text

Content is matched in the slow half of the rotary pairs only: the fast ones turn too much between example and question.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

MEANING, CODE, WORDS = 144, 13, 96
SKIP = 8  # directions that tell how common a word is rather than what it means
ONE, RARE = MEANING, MEANING + 1
BEFORE, NOTHING, LOW = MEANING + 2, MEANING + 2 + CODE, MEANING + 3 + CODE
CONSTANT, START = 0.5, 0.8  # in dimensions `ONE`, and `NOTHING` of the first token
PER_NAT = 20  # nats of rarity for 1 in dimension `RARE`
PAIRS = 32  # of a head of 64
SLOW = 14  # first pair that turns by less than about one radian in 300 tokens, at a base of 500,000
POOL = (range(3, 9), 0.9, 5)  # recent words: rotary pairs, weight, distance of the most heeded one
HEED = 0.35  # nats of attention for each nat of rarity
MATCH, ALIKE, NONE, COPY = 50.0, 10.0, 10.0, 12.0  # nats for the right token before; for like words; how much is copied
SUMMED = 6.0  # scale of the recent words in the stream
NORM = 6.7  # what the second norm multiplies by: 16 over the length of a place's residual


def rarity(counts: Tensor, marks: Sequence[int]) -> Tensor:
    """How rare each token is, about ±0.3; `marks`, the chat's own tokens, count as the commonest of all."""
    nats = (counts.sum() / (counts + 20)).log()
    found = (nats - 10) / PER_NAT
    found[list(marks)] = -0.6
    return found


def meanings(first: Tensor, counts: Tensor, marks: Sequence[int], start: int, generator: torch.Generator) -> Tensor:
    """Embeddings (V, 256) in the layout above, from counted ones (V, D) and token counts (V,).

    `marks` occur together and so would be alike; they get random directions. `start` is the first token of a text.
    """
    directions = torch.linalg.svd(first - first.mean(0), full_matrices=False).Vh[:MEANING]
    token = (first - first.mean(0)) @ directions.T
    token[list(marks)] = torch.randn(len(marks), MEANING, generator=generator)
    rare = rarity(counts, marks)
    token = token / token.norm(dim=1, keepdim=True).clamp_min(1e-6) * (1 - rare[:, None] ** 2).sqrt()  # all are as long
    laid = torch.zeros(len(first), LOW + WORDS)
    laid[:, :MEANING] = token
    laid[:, ONE] = CONSTANT
    laid[:, RARE] = rare
    laid[start, :MEANING], laid[start, NOTHING] = 0.0, START  # so that looking there copies nothing
    return laid


@torch.no_grad()
def write(model: Any, base: float, talk: Tensor, before: Sequence[int], generator: torch.Generator) -> None:
    """Write the circuit into layer 0 (heads 0 to 2) and layer 1 (heads 0 to 2) of a Llama with heads of 64.

    Args:
        model: its residual outputs are zero, its embeddings are `meanings`.
        base: of the rotary embedding.
        talk: counts of tokens in what is to be told apart, (V,).
        before: ids of the tokens behind which an answer stands: the assistant's mark, a colon.
        generator: draws the code of the token before.
    """
    table = model.model.embed_tokens.weight
    turns = base ** (-torch.arange(PAIRS) / PAIRS)  # radians per token of each pair
    gain = 16 / (1 + CONSTANT**2) ** 0.5  # of the first norm, on embeddings of length sqrt(1 + c²)
    code = torch.randn(CODE, MEANING, generator=generator) / MEANING**0.5
    code[: len(before)] = table[list(before), :MEANING]
    first = model.model.layers[0].self_attn
    _by_distance(first, 0, turns, gain, pairs=range(12), weight=5.0, shift=1)
    read = torch.zeros(64, table.shape[1])
    read[:CODE, :MEANING] = code
    _move(first, 0, read, range(BEFORE, BEFORE + CODE), 1 / gain)
    weights = talk * (HEED * PER_NAT * table[:, RARE]).exp()
    usual = (table[:, SKIP : SKIP + WORDS] * (weights / weights.sum())[:, None]).sum(0)
    for head in (1, 2):
        _by_distance(first, head, turns, gain, pairs=POOL[0], weight=POOL[1], shift=POOL[2])
        rows = 64 * head + PAIRS - 1  # the slowest pair
        first.q_proj.weight[rows, ONE] = 8.0 / (gain * CONSTANT)
        first.k_proj.weight[rows, RARE] = HEED * PER_NAT / gain
        half = WORDS // 2
        read = torch.zeros(64, table.shape[1])
        start = half * (head - 1)
        read[:half, SKIP + start : SKIP + start + half] = torch.eye(half)
        read[:half, ONE] = -usual[start : start + half] / CONSTANT
        _move(first, head, read, range(LOW + start, LOW + start + half), SUMMED / gain)
    _copy(model.model.layers[1].self_attn, table[list(before), :MEANING])


def free(model: Any) -> dict[Any, Tensor]:
    """Set what is written apart from what is trained; masks for parameters of which both have a part: 1 where trained.

    Training moves a matrix by more than it holds within a hundred steps. Left free, the circuit was gone by then, long
    before the model had learned what it is for; with a first layer that grew around it, it was drowned.
    """
    first, second = model.model.layers[:2]
    for part in (first.self_attn, first.mlp, first.input_layernorm, second.input_layernorm):
        part.requires_grad_(False)
    embedded = model.model.embed_tokens.weight
    masks = {embedded: torch.ones_like(embedded)}
    masks[embedded][:, MEANING:] = 0
    for projection in (second.self_attn.q_proj, second.self_attn.k_proj):
        masks[projection.weight] = torch.ones_like(projection.weight)
        masks[projection.weight][: 3 * 64] = 0
    return masks


def _copy(attention: Any, marks: Tensor) -> None:
    """Heads that find a place after the same mark and like words, and copy what stands there."""
    slow = [p + half for p in reversed(range(SLOW, PAIRS)) for half in (0, PAIRS)]  # 36 of a head's 64, slowest first
    hidden, each, said = attention.q_proj.weight.shape[1], WORDS // 3, MEANING // 3
    match, alike, none = ((8 * nats) ** 0.5 / NORM for nats in (MATCH, ALIKE, NONE))
    for head in range(3):
        query, key = torch.zeros(64, hidden), torch.zeros(64, hidden)
        for n, place in enumerate(slow[: len(marks)]):
            query[place, :MEANING] = match * marks[n]
            key[place, BEFORE + n] = match
        place = slow[len(marks)]
        query[place, ONE], key[place, NOTHING] = none / CONSTANT, none / START
        for n, place in enumerate(slow[len(marks) + 1 :][:each]):
            query[place, LOW + 3 * n + head] = key[place, LOW + 3 * n + head] = alike
        rows = slice(64 * head, 64 * head + 64)
        attention.q_proj.weight[rows], attention.k_proj.weight[rows] = query, key
        own = torch.zeros(64, hidden)
        own[:said, said * head : said * (head + 1)] = torch.eye(said)
        _move(attention, head, own, range(said * head, said * (head + 1)), COPY / NORM)


def _by_distance(
    attention: Any, head: int, turns: Tensor, gain: float, *, pairs: range, weight: float, shift: int
) -> None:
    """Scores `weight · Σ cos(turn · (distance - shift))` over the pairs, whatever the tokens are."""
    size = (8 * weight) ** 0.5 / (gain * CONSTANT)
    query, key = torch.zeros_like(attention.q_proj.weight[:64]), torch.zeros_like(attention.k_proj.weight[:64])
    for p in pairs:
        # Scores of a pair: |q||k| cos(angle of q - angle of k + turn · distance).
        angle = -shift * turns[p]
        query[p, ONE], query[p + PAIRS, ONE] = size * angle.cos(), size * angle.sin()
        key[p, ONE] = size
    rows = slice(64 * head, 64 * head + 64)
    attention.q_proj.weight[rows], attention.k_proj.weight[rows] = query, key


def _move(attention: Any, head: int, read: Tensor, places: range, scale: float) -> None:
    """The head reads `read` (64, hidden) where it attends and adds its first rows, scaled, to `places`."""
    rows = slice(64 * head, 64 * head + 64)
    attention.v_proj.weight[rows] = read
    for n, place in enumerate(places):
        attention.o_proj.weight[place, 64 * head + n] = scale
