"""A training's state on disk: trained weights and the optimiser's moments, by the names of the model's parameters.

So whatever computes a training (our own decoder over one vector, transformers' layers, several processes), any other of
them can go on with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from whichway.engine.train.trainable import Trainable

_MOMENTS = {"m": "exp_avg", "v": "exp_avg_sq"}


def save(file: Path, trainable: Trainable, adam: torch.optim.AdamW, facts: Mapping[str, Any]) -> None:
    """Write the state by write-then-rename; `facts` is what JSON holds of it."""
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    for name, parameter in trainable.tensors.items():
        moments = {kind: adam.state[parameter][word] for kind, word in _MOMENTS.items()}
        for kind, values in {"w": parameter.data, **moments}.items():
            named = trainable.by_name(name, values)
            tensors |= {f"{kind}/{own}": part.contiguous() for own, part in named.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    save_file(tensors, temporary, metadata={"progress": json.dumps(facts)})
    temporary.replace(file)


def read_facts(file: Path) -> dict[str, Any] | None:
    """What was written as JSON; None where there is no state."""
    from safetensors import safe_open

    if not file.exists():
        return None
    with safe_open(file, "pt") as opened:
        facts: dict[str, Any] = json.loads(opened.metadata()["progress"])
    return facts


def load(file: Path, trainable: Trainable, adam: torch.optim.AdamW, step: int) -> bool:
    """Take up the weights and moments after `step` steps; False where the file holds others."""
    from safetensors import safe_open

    with safe_open(file, "pt") as opened:
        stored = set(opened.keys())
        for name, parameter in trainable.tensors.items():
            moments = {kind: torch.zeros_like(parameter.data) for kind in _MOMENTS}
            for kind, values in {"w": parameter.data, **moments}.items():
                for own, part in trainable.by_name(name, values).items():
                    if f"{kind}/{own}" not in stored:
                        return False
                    part.copy_(opened.get_tensor(f"{kind}/{own}"))
            done = torch.tensor(float(step), device=parameter.device)
            adam.state[parameter] = {"step": done, **{word: moments[kind] for kind, word in _MOMENTS.items()}}
    trainable.refresh()
    return True
