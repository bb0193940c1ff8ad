"""What is shipped answers as what was measured: `use.py`, on transformers and peft alone, repeats the records."""

from __future__ import annotations

import importlib.util
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from whichway.cli import main
from whichway.contest.folder import read_records, read_rows

WORDS = ["amber", "birch", "cedar", "dahlia", "elm", "fig", "ginger", "hazel", "iris", "jasmine", "kale", "lilac", "maple", "nettle", "oak", "pine"]
SAID = {"billing": "I was billed twice", "bill": "send me the bill", "shipping": "where is my parcel"}
SMALL = ("--seeds", "1", "--no-progress", "--set", "prompt_plain.layouts=system,user")
TUNED = ("--set", "tune_lora.epochs=1", "--set", "tune_lora.rates=0.01", "--set", "tune_lora.rank=4")


def data(folder: Path) -> Path:
    pairs = itertools.permutations(WORDS, 3)
    asked = (list(SAID.items()) * 12)[:36]
    lines = [json.dumps({"text": f"{' '.join(next(pairs))}: {text}", "label": label}) for label, text in asked]
    (folder / "rows.jsonl").write_text("\n".join(lines))
    return folder / "rows.jsonl"


def standalone(folder: Path) -> Any:
    """The shipped program, imported from the shipped folder."""
    spec = importlib.util.spec_from_file_location("shipped_use", folder / "use.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Winner()


def recorded(run: Path, candidate: str) -> dict[str, str]:
    """Row text -> the answer in the records."""
    texts = {row["id"]: row["text"] for row in read_rows(run)}
    return {texts[r.example]: r.text for r in read_records(run) if r.candidate == candidate and r.split == "test"}


@pytest.mark.parametrize("kind", ["llama", "base", "nosystem"])
def test_shipped_program_repeats_the_records(kind: str, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    run, model = tmp_path / "run", tiny(kind)
    ways = ["prompt_plain", "tune_lora"] + (["tune_full"] if kind == "llama" else [])
    words = ["run", "--data", data(tmp_path), "--model", model, "--out", run, "--ways", ",".join(ways), *SMALL, *TUNED]
    if "tune_full" in ways:
        words += ["--set", "tune_full.epochs=1", "--set", "tune_full.rates=0.01"]
    assert main([str(word) for word in words]) == 0
    for way in ways:
        assert main(["ship", str(run), "--way", way, "--out", str(tmp_path / way)]) == 0
        manifest = json.loads((tmp_path / way / "manifest.json").read_text())
        answers = recorded(run, manifest["candidate"])
        assert answers, f"{way} was not measured"
        winner = standalone(tmp_path / way)
        same = sum(winner(text) == answer for text, answer in answers.items())
        assert same >= 0.9 * len(answers)  # all of them in float32; bf16 may turn a tie


def test_adapter_is_a_peft_folder(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """`peft` loads it onto the plain base, and it changes what the base says."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    run, model = tmp_path / "run", tiny("llama")
    words = ["run", "--data", data(tmp_path), "--model", model, "--out", run, "--ways", "tune_lora", *SMALL, *TUNED]
    assert main([str(word) for word in words]) == 0
    assert main(["ship", str(run), "--way", "tune_lora", "--out", str(tmp_path / "winner")]) == 0
    ids = torch.arange(4, 24)[None]
    with torch.no_grad():
        before = AutoModelForCausalLM.from_pretrained(model)(ids).logits
        tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model), tmp_path / "winner" / "adapter")
        assert (tuned(ids).logits - before).abs().max() > 1e-4


def test_free_text_is_written_as_measured(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["run", "--data", data(tmp_path), "--model", tiny("base"), "--out", run, "--labels", "", *SMALL]
    words += ["--metric", "token_f1", "--ways", "prompt_plain", "--set", "prompt_plain.max_tokens=8"]
    assert main([str(word) for word in words]) == 0
    assert main(["ship", str(run), "--way", "prompt_plain", "--out", str(tmp_path / "winner")]) == 0
    manifest = json.loads((tmp_path / "winner" / "manifest.json").read_text())
    answers, winner = recorded(run, manifest["candidate"]), standalone(tmp_path / "winner")
    assert sum(winner(text) == answer for text, answer in answers.items()) >= 0.9 * len(answers)
