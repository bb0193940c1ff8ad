"""Answers rows with the `use.py` of a shipped cascade, which asks one stage after the other."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from started import module_in, run


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Answers of the job's rows, the stage of each, and the first stage's scores, by which it was chosen."""
    import torch

    torch.set_num_threads(job["threads"])
    winner = module_in(Path(job["folder"]), "use").Winner()
    both = [winner.staged(row) for row in job["rows"]]
    first = winner.stage(1)
    scores = [getattr(first, "label_scores", first.scores)(row) for row in job["rows"]]
    about = f"use.py, transformers {version('transformers')}"
    return {"answers": [text for text, _ in both], "stages": [n for _, n in both], "scores": scores, "runtime": about}


if __name__ == "__main__":
    run(answer)
