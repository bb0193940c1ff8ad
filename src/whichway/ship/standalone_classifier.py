"""Answer rows with this folder: one row a line on standard input, one answer a line on standard output.

Needs transformers. It is shipped as `use.py` and does not import whichway. The sentence encoder in `encoder/` reads a
row as the contest did, and the head beside it scores the labels; where rows may have several, the answer is all whose
probability is at least the head's threshold. A row with several fields is a JSON object, a conversation a JSON list of
messages.

    python use.py < rows.txt
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

HERE = Path(__file__).parent
LONGEST = 512  # tokens of a row that are read, where the encoder does not say


def beside(name: str) -> Any:
    """A module that was shipped beside this file."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Winner:
    """The shipped encoder and its head."""

    def __init__(self) -> None:
        self.facts = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
        self.text = beside("row_messages").bare_text
        place = HERE / "encoder"
        self.tokenizer: Any = AutoTokenizer.from_pretrained(place)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.model: Any = AutoModel.from_pretrained(place, use_safetensors=True).float().eval()
        description = json.loads((place / "head.json").read_text(encoding="utf-8"))
        self.labels, self.sets = description["labels"], description.get("sets")
        self.head = load_file(place / "head.safetensors")
        most = getattr(self.model.config, "max_position_embeddings", None) or LONGEST
        self.longest = int(min(most, LONGEST))

    def __call__(self, row: Any) -> str:
        """The label of one row, or its labels: of its text, its fields by name, or the messages of a conversation."""
        scores = self.scores(row)
        likeliest = max(scores, key=lambda label: scores[label])
        if self.sets is None:
            return likeliest
        border = math.log(self.sets["threshold"])
        chosen = [
            label for label in self.labels if scores[label] >= border or (self.sets["least"] and label == likeliest)
        ]
        return str(self.sets["separator"].join(chosen)) or "none"

    @torch.no_grad()
    def scores(self, row: Any) -> dict[str, float]:
        """Label -> log-probability: among the labels, or of each by itself where a row may have several."""
        text = self.text(row, self.facts)
        limits = {"truncation": True, "max_length": self.longest, "split_special_tokens": True}  # "[SEP]" is text
        fed = self.tokenizer([text], return_tensors="pt", **limits)
        states = self.model(input_ids=fed["input_ids"], attention_mask=fed["attention_mask"]).last_hidden_state
        features = states[0].mean(0)
        if "mean" in self.head:
            features = (features - self.head["mean"]) / self.head["scale"]
        logits = self.head["weight"] @ features + self.head["bias"]
        logs = logits.log_softmax(-1) if self.sets is None else torch.nn.functional.logsigmoid(logits)
        return dict(zip(self.labels, logs.tolist(), strict=True))


def main() -> None:
    """Read rows, write answers."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    winner = Winner()
    for line in sys.stdin:
        if line.strip():
            print(winner(line.rstrip("\n")), flush=True)


if __name__ == "__main__":
    main()
