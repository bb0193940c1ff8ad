"""Small runs on tiny models, and what was shipped of them: helpers of the tests of shipping and serving."""

from __future__ import annotations

import importlib.util
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import whichway as ww

WORDS = ("amber", "birch", "cedar", "dahlia", "elm", "fig", "ginger", "hazel", "iris", "jasmine", "kale", "lilac")
TEXTS = {"billing": "I was billed twice", "bill": "send me the bill", "shipping": "where is my parcel"}
LORA: dict[str, Any] = {"epochs": 1, "steps": 1, "rate": 0.01, "rank": 4}
PROMPTS = ("prompt_plain", "prompt_shots")
TUNED: Mapping[str, Mapping[str, Any]] = {
    "tune_lora": LORA,
    "tune_head": LORA,
    "tune_bias": {"epochs": 1, "steps": 1, "rate": 0.1},
    "tune_soft_prompt": {"epochs": 1, "steps": 1, "rate": 0.3, "tokens": 4},
    "both_prompt_then_lora": {**LORA, "prompts": PROMPTS},
    "both_distill": {**LORA, "keep": 0, "prompts": PROMPTS},
    "both_shots_lora": {**LORA, "counts": [2], "characters": 80, "encoder": "words"},
    "tune_full": {"epochs": 1, "steps": 1, "rate": 0.003},
}


def data(folder: Path) -> Path:
    """36 rows, a text and a label each."""
    triples = itertools.permutations(WORDS, 3)
    labelled = (list(TEXTS.items()) * 12)[:36]
    lines = [json.dumps({"text": f"{' '.join(next(triples))}: {text}", "label": label}) for label, text in labelled]
    (folder / "rows.jsonl").write_text("\n".join(lines))
    return folder / "rows.jsonl"


def contest(
    rows: Path, model: Path | str, ways: str | Mapping[str, Mapping[str, Any]], out: Path | None = None, **more: Any
) -> ww.Run:
    """A finished contest with one seed, without a probe; its folder is `run` beside the rows.

    Args:
        rows: the data.
        model: a folder, or a name.
        ways: a way with its options of `TUNED`, or ways with the options of each.
        out: the run folder.
        more: keys of a task file.
    """
    options = {ways: TUNED.get(ways, {})} if isinstance(ways, str) else ways
    return ww.run(rows, model=model, ways=options, out=out or rows.parent / "run", seeds=1, probe=False, **more)


def standalone(folder: Path) -> Any:
    """The shipped program, imported from the shipped folder."""
    spec = importlib.util.spec_from_file_location("shipped_use", folder / "use.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Winner()


def manifest(folder: Path) -> dict[str, Any]:
    """What a shipped folder says of itself."""
    facts: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return facts


def recorded(run: ww.Run, candidate: str) -> dict[str, str]:
    """Row text -> the answer in the records of the test split."""
    texts = {row.id: row.text for row in run.test}
    return {texts[e]: records[0].text for (c, e), records in run.test_records.items() if c == candidate}


def agree(use: Any, answers: Mapping[str, str]) -> bool:
    """Whether the shipped program answers as measured; the last bits of another engine may turn a tie."""
    return sum(use(text) == answer for text, answer in answers.items()) >= 0.9 * len(answers)


def close(run: ww.Run, candidate: str, use: Any, texts: list[str], room: float = 0.1) -> bool:
    """Whether the shipped program gives labels the scores that `predict` gives them, to rounding."""
    gaps = [
        abs(score - line["scores"][label])
        for line in run.answer(texts, candidate=candidate)
        for label, score in use.label_scores(line["input"]["text"]).items()
    ]
    return bool(max(gaps) < room)
