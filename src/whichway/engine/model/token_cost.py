"""What a token costs a model: multiplications of its layers, of attention and of the head, from the configuration.

Counts are in whole tokens: 1 is a token through all layers. A token that looks at many others costs a little more, one
that is written costs the head as well. Reading 1,000 tokens behind a prompt of 2,000 is so always the same amount.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class TokenCost:
    """Costs relative to a token through all layers."""

    pair: float  # of a token in front that a token looks at
    head: float  # of the logits at a token
    layers: int = 1

    def read(self, tokens: float, front: float = 0.0) -> float:
        """Tokens of one row that are read behind `front` tokens, each of which looks at all before it."""
        return tokens + self.pair * tokens * (front + tokens / 2)

    def write(self, tokens: float, front: float) -> float:
        """Tokens that are written one after the other behind `front` tokens."""
        return self.read(tokens, front) + self.head * tokens


def token_cost(folder: Path) -> TokenCost:
    """The costs of the model in a folder; of an architecture with other names for its sizes, a token is a token."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config = config.get("text_config") or config
    hidden = int(config.get("hidden_size") or config.get("n_embd") or 0)
    heads = int(config.get("num_attention_heads") or config.get("n_head") or 0)
    if not hidden or not heads:
        return TokenCost(0.0, 0.0)
    size = int(config.get("head_dim") or hidden // heads)
    shared = int(config.get("num_key_value_heads") or heads)
    inner = int(config.get("moe_intermediate_size") or config.get("intermediate_size") or 4 * hidden)
    inner *= int(config.get("num_experts_per_tok") or 1)
    layer = hidden * size * (2 * heads + 2 * shared) + 3 * hidden * inner
    layers = int(config.get("num_hidden_layers") or config.get("n_layer") or 1)
    head = hidden * int(config.get("vocab_size") or 0) / (layer * layers)
    return TokenCost(2 * heads * size / layer, head, layers)
