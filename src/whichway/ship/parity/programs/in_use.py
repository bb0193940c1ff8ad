"""Answers rows with the `use.py` of a shipped folder."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from started import module_in, run


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Prompts, answers and scores of the job's rows."""
    folder = Path(job["folder"])
    sys.path.insert(0, str(folder))
    import torch

    torch.set_num_threads(job["threads"])
    program = module_in(folder, "use")
    about = f"use.py, transformers {version('transformers')}"
    if not job["asks"]:
        winner = program.Winner()
        scores = [] if job["sets"] else [winner.scores(row) for row in job["rows"][: job["probed"]]]
        return {"answers": [winner(row) for row in job["rows"]], "scores": scores, "runtime": about}
    winner = program.Winner(job["base"])
    few = job["rows"][: job["probed"]]
    result: dict[str, Any] = {"runtime": about, "read": True, "ends": sorted(winner.ends)}
    if job["prompted"]:
        result["prompts"] = [winner.prompt(row) for row in job["rows"]]
    if job["choose"]:
        all_scores = [winner.label_scores(row) for row in job["rows"]]
        return {
            **result,
            "answers": [max(scores, key=lambda label: scores[label]) for scores in all_scores],
            "scores": all_scores[: job["probed"]],
        }
    result["scores"] = [winner.scores_of(winner.prompt(row), job["answers"]) for row in few]
    return {**result, "answers": [winner(row) for row in job["rows"]] if job["write"] else []}


if __name__ == "__main__":
    run(answer)
