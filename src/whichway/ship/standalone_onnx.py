"""Answer rows with this folder: one row a line on standard input, one answer a line on standard output.

Needs onnxruntime, tokenizers and numpy. It is shipped as `use.py` and does not import whichway. `model.onnx` is the
sentence encoder with its head: token ids in, a score for each label out. A row with several fields is a
JSON object, a conversation a JSON list of messages.

    python use.py < rows.txt
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

HERE = Path(__file__).parent


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
    """The shipped graph."""

    def __init__(self) -> None:
        self.facts = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
        self.text = beside("row_messages").bare_text
        description = json.loads((HERE / "head.json").read_text(encoding="utf-8"))
        self.labels, self.sets, self.longest = description["labels"], description.get("sets"), description["longest"]
        self.tokenizer: Any = Tokenizer.from_file(str(HERE / "tokenizer.json"))
        self.tokenizer.encode_special_tokens = True  # "[SEP]" in a row is text
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.longest)
        self.graph: Any = onnxruntime.InferenceSession(str(HERE / "model.onnx"), providers=["CPUExecutionProvider"])

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

    def scores(self, row: Any) -> dict[str, float]:
        """Label -> log-probability: among the labels, or of each by itself where a row may have several."""
        text = self.text(row, self.facts)
        ids = np.array([self.tokenizer.encode(text).ids], np.int64)
        (logs,) = self.graph.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        return dict(zip(self.labels, map(float, logs[0]), strict=True))


def main() -> None:
    """Read rows, write answers."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    winner = Winner()
    for line in sys.stdin:
        if line.strip():
            print(winner(line.rstrip("\n")), flush=True)


if __name__ == "__main__":
    main()
