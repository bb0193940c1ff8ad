"""Answer rows with this folder: one row a line on standard input, one label a line on standard output.

Needs transformers. It is shipped as `use.py` and does not import whichway. The sentence encoder in `encoder/` reads a
row as the contest did, and the head beside it scores the labels.

    python use.py < rows.txt
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

HERE = Path(__file__).parent
LONGEST = 512  # tokens of a row that are read, where the encoder does not say


class Winner:
    """The shipped encoder and its head."""

    def __init__(self) -> None:
        place = HERE / "encoder"
        self.tokenizer: Any = AutoTokenizer.from_pretrained(place)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.model: Any = AutoModel.from_pretrained(place, use_safetensors=True).float().eval()
        self.labels = json.loads((place / "head.json").read_text(encoding="utf-8"))["labels"]
        self.head = load_file(place / "head.safetensors")
        most = getattr(self.model.config, "max_position_embeddings", None) or LONGEST
        self.longest = int(min(most, LONGEST))

    def __call__(self, text: str) -> str:
        """The label of one row."""
        scores = self.scores(text)
        return max(scores, key=lambda label: scores[label])

    @torch.no_grad()
    def scores(self, text: str) -> dict[str, float]:
        """Label -> log-probability."""
        limits = {"truncation": True, "max_length": self.longest, "split_special_tokens": True}  # "[SEP]" is text
        fed = self.tokenizer([text], return_tensors="pt", **limits)
        states = self.model(input_ids=fed["input_ids"], attention_mask=fed["attention_mask"]).last_hidden_state
        features = states[0].mean(0)
        if "mean" in self.head:
            features = (features - self.head["mean"]) / self.head["scale"]
        logits = self.head["weight"] @ features + self.head["bias"]
        return dict(zip(self.labels, logits.log_softmax(-1).tolist(), strict=True))


def main() -> None:
    """Read rows, write labels."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    winner = Winner()
    for line in sys.stdin:
        if line.strip():
            print(winner(line.rstrip("\n")), flush=True)


if __name__ == "__main__":
    main()
