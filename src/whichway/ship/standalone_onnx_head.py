"""Answer rows with this folder: one row a line on standard input, one answer a line on standard output.

Needs onnxruntime, transformers (its tokenizers alone, no torch) and numpy. It is shipped as `use.py` and does not
import whichway. `model.onnx` is the language model with the head over the labels: token ids of the whole prompt in, a
score for each label out. A row with several fields is a JSON object, a conversation a JSON list of messages.

    python use.py < rows.txt
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from transformers import AutoTokenizer

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
    """The shipped prompt and graph."""

    def __init__(self) -> None:
        self.facts = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
        self.head = json.loads((HERE / "head.json").read_text(encoding="utf-8"))
        self.messages = beside("row_messages").RowMessages(HERE)
        tokenizer: Any = AutoTokenizer.from_pretrained(HERE / "tokenizer")
        self.chat = beside("chat_text").ChatText(tokenizer, self.head["ends"])
        self.think = bool(self.facts["decoding"].get("thinking"))
        self.graph: Any = onnxruntime.InferenceSession(str(HERE / "model.onnx"), providers=["CPUExecutionProvider"])

    def __call__(self, row: Any) -> str:
        """The label of one row: of its text, its fields by name, or the messages of a conversation."""
        scores = self.scores(row)
        return max(scores, key=lambda label: scores[label])

    def prompt(self, row: Any) -> list[int]:
        """Token ids of the prompt for one row."""
        room = max(len(self.chat.answer_ids(label)) for label in self.facts["labels"])
        ids: list[int] = self.chat.fitted(self.messages(row), self.head["longest"] - room, self.think)[0]
        return ids

    def scores(self, row: Any) -> dict[str, float]:
        """Label -> log-probability among the labels."""
        (logs,) = self.graph.run(None, {"input_ids": np.array([self.prompt(row)], np.int64)})
        known = dict(zip(self.head["labels"], map(float, logs[0]), strict=True))
        bias = dict(self.facts["decoding"]["bias"])
        return {label: known[label] + bias.get(label, 0.0) for label in self.facts["labels"]}


def main() -> None:
    """Read rows, write answers."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    winner = Winner()
    for line in sys.stdin:
        if line.strip():
            print(winner(line.rstrip("\n")), flush=True)


if __name__ == "__main__":
    main()
