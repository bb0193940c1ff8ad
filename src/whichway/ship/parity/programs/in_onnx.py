"""Answers rows with an exported ONNX graph in ONNX Runtime, through the folder's own `use.py`."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from started import module_in, run


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Answers and scores of the job's rows."""
    winner = module_in(Path(job["folder"]), "use").Winner()
    scores = [] if job["sets"] else [winner.scores(row) for row in job["rows"][: job["probed"]]]
    about = f"ONNX Runtime {version('onnxruntime')}"
    prompts = {"prompts": [winner.prompt(row) for row in job["rows"]]} if job["asks"] and job["prompted"] else {}
    return {"answers": [winner(row) for row in job["rows"]], "scores": scores, "runtime": about, **prompts}


if __name__ == "__main__":
    run(answer)
