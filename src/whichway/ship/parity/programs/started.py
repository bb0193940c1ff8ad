"""What the programs of this folder share: the job on standard input, the result in a file, the folder's own prompt."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any


def module_in(folder: Path, name: str) -> Any:
    """A Python file of the exported folder, imported."""
    spec = spec_from_file_location(name, folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def messages_of(folder: Path, rows: list[Any]) -> list[list[dict[str, str]]]:
    """The rows' messages by the folder's own `row_messages.py`, role and content alone."""
    ask = module_in(folder, "row_messages").RowMessages(folder)
    return [[{"role": turn["role"], "content": turn["content"]} for turn in ask(row)] for row in rows]


def plain_of(folder: Path, messages: list[dict[str, str]]) -> str:
    """Messages as the plain text that a model without a chat template reads."""
    return str(module_in(folder, "row_messages").plain(messages))


def biased(scores: dict[str, float], bias: dict[str, float]) -> dict[str, float]:
    """Scores with what calibration adds to each label, as they were measured."""
    return {label: score + bias.get(label, 0.0) for label, score in scores.items()}


def best(scores: dict[str, float]) -> str:
    """The label of the highest score; the first of equals."""
    return max(scores, key=lambda label: scores[label])


def run(work: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Read the job (a JSON file, the first argument), do it, write the result (the second)."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    try:
        result = work(job)
    except Exception as error:  # a broken export can make a runtime say anything
        result = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")
