"""What is shipped answers as what was measured: `use.py`, on transformers and peft alone, repeats the records."""

from __future__ import annotations

import importlib.util
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from whichway.app.configure import backends
from whichway.cli import main
from whichway.nouns import Decoding, Message, Request
from whichway.prompts.nearest import retriever_of
from whichway.prompts.row_shots import row_shots
from whichway.runs.folder import read_candidates, read_records, read_rows
from whichway.ship import served_models

WORDS = ("amber", "birch", "cedar", "dahlia", "elm", "fig", "ginger", "hazel", "iris", "jasmine", "kale", "lilac")
SAID = {"billing": "I was billed twice", "bill": "send me the bill", "shipping": "where is my parcel"}
SMALL = ("--seeds", "1", "--no-progress")
TUNED = {
    way: tuple(word for option in said for word in ("--set", f"{way}.{option}"))
    for way, said in {
        "tune_lora": ("epochs=1", "steps=1", "rate=0.01", "rank=4"),
        "tune_bias": ("epochs=1", "steps=1", "rate=0.1"),
        "tune_soft_prompt": ("epochs=1", "steps=1", "rate=0.3", "tokens=4"),
        "both_prompt_then_lora": ("epochs=1", "steps=1", "rate=0.01", "rank=4", "prompts=prompt_plain,prompt_shots"),
        "both_distill": ("epochs=1", "steps=1", "rate=0.01", "rank=4", "keep=0", "prompts=prompt_plain,prompt_shots"),
        "both_shots_lora": ("epochs=1", "steps=1", "rate=0.01", "rank=4", "counts=2", "characters=80", "encoder=words"),
        "tune_full": ("epochs=1", "steps=1", "rate=0.003"),
    }.items()
}


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


@pytest.mark.parametrize(
    ("kind", "way", "more"),
    [
        ("llama", "tune_full", ""),
        ("llama", "tune_lora", ""),
        ("base", "tune_lora", ""),
        ("nosystem", "prompt_plain", ""),
        ("llama", "tune_lora", "variant=rslora"),
        ("qwen2", "tune_lora", "variant=dora"),
        ("llama", "tune_lora", "variant=pissa"),
        ("llama", "tune_bias", ""),
        ("qwen2", "tune_bias", "part=bias"),
        ("gemma", "tune_bias", "part=norm"),
        ("llama", "tune_soft_prompt", ""),
        ("base", "tune_soft_prompt", "instead=true"),
        ("gpt2", "tune_soft_prompt", ""),
        ("llama", "both_prompt_then_lora", ""),
        ("llama", "both_distill", ""),
        ("llama", "both_shots_lora", ""),
    ],
)
def test_shipped_program_answers_as_measured(
    kind: str, way: str, more: str, tiny: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, winner = tmp_path / "run", tmp_path / "winner"
    words = ["run", "--data", data(tmp_path), "--model", tiny(kind), "--out", run, "--ways", way, *SMALL]
    words += TUNED.get(way, ())
    words += ("--set", f"{way}.{more}") if more else ()
    assert main([str(word) for word in words]) == 0
    assert main(["ship", str(run), "--way", way, "--out", str(winner)]) == 0
    key = json.loads((winner / "manifest.json").read_text())["candidate"]
    answers, use = recorded(run, key), standalone(winner)
    assert len(answers) >= 4
    assert sum(use(text) == answer for text, answer in answers.items()) >= 0.9 * len(answers)  # bf16 may turn a tie
    assert close(run, key, use, list(answers), capsys)


def close(run: Path, key: str, use: Any, texts: list[str], capsys: pytest.CaptureFixture[str]) -> bool:
    """Whether the shipped program gives labels the scores that `predict` gives them, to rounding."""
    rows = run.parent / "texts.txt"
    rows.write_text("\n".join(texts))
    capsys.readouterr()
    assert main(["predict", str(run), str(rows), "--candidate", key]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    gaps = [
        abs(score - line["scores"][label])
        for line in lines
        for label, score in use.scores(use.prompt(line["input"]["text"])).items()
    ]
    return bool(max(gaps) < 0.1)


def test_adapter_is_a_peft_folder(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """`peft` loads it onto the plain base, and it changes what the base says."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    run, model = tmp_path / "run", tiny("llama")
    words = ["run", "--data", data(tmp_path), "--model", model, "--out", run, "--ways", "tune_lora", *SMALL]
    words += TUNED["tune_lora"]
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


@pytest.mark.parametrize("layout", ["system", "user"])
def test_shots_for_each_row_are_chosen_as_measured(
    layout: str, tiny: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, winner = tmp_path / "run", tmp_path / "winner"
    words = ["run", "--data", data(tmp_path), "--model", tiny("llama"), "--out", run, "--ways", "prompt_shots", *SMALL]
    for option in ("kinds=knn", "counts=2", f"layout={layout}", "calibrate=8"):
        words += ["--set", f"prompt_shots.{option}"]
    assert main([str(word) for word in words]) == 0
    assert main(["ship", str(run), "--way", "prompt_shots", "--out", str(winner)]) == 0
    assert (winner / "tfidf.py").is_file()
    assert not (winner / "request.json").exists()
    key = json.loads((winner / "manifest.json").read_text())["candidate"]
    answers, use = recorded(run, key), standalone(winner)
    assert sum(use(text) == answer for text, answer in answers.items()) >= 0.9 * len(answers)
    assert close(run, key, use, list(answers), capsys)


def test_thoughts_are_read_as_measured(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """A random model writes no "Answer:", so a frequent letter is the mark."""
    run, winner = tmp_path / "run", tmp_path / "winner"
    words = ["run", "--data", data(tmp_path), "--model", tiny("base"), "--out", run, "--labels", "", *SMALL]
    words += ["--metric", "token_f1", "--ways", "prompt_reason"]
    for option in ("mark=e", "votes=1", "max_tokens=24"):
        words += ["--set", f"prompt_reason.{option}"]
    assert main([str(word) for word in words]) == 0
    assert main(["ship", str(run), "--way", "prompt_reason", "--out", str(winner)]) == 0
    key = json.loads((winner / "manifest.json").read_text())["candidate"]
    texts = {row["id"]: row["text"] for row in read_rows(run)}
    records = [r for r in read_records(run) if r.candidate == key and r.split == "test"]
    answers = {texts[r.example]: r.text if r.outcome == "ok" else "" for r in records}
    assert sum(map(bool, answers.values())) > len(answers) / 2
    use = standalone(winner)
    assert sum(use(text) == answer for text, answer in answers.items()) >= 0.9 * len(answers)


def test_votes_are_drawn_and_counted(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """Drawn texts cannot be equal to those of another engine, but the vote is taken in the same way."""
    run, winner = tmp_path / "run", tmp_path / "winner"
    words = ["run", "--data", data(tmp_path), "--model", tiny("base"), "--out", run, "--labels", "", *SMALL]
    words += ["--metric", "token_f1", "--ways", "prompt_reason"]
    for option in ("mark=e", "votes=3", "max_tokens=12"):
        words += ["--set", f"prompt_reason.{option}"]
    assert main([str(word) for word in words]) == 0
    assert main(["ship", str(run), "--way", "prompt_reason", "--out", str(winner)]) == 0
    use = standalone(winner)
    drawn = [use.write(use.prompt("amber birch"), number) for number in (0, 1, 2)]
    assert len(set(drawn)) > 1
    said = use("amber birch")
    assert use("amber birch") == said
    ends = [text.lower().rpartition("e")[2].strip() for text in drawn if "e" in text.lower()]
    assert not said or said.lower() in ends
    assert json.loads((winner / "request.json").read_text())["n"] == 3


def test_a_model_trained_on_preferences_ships_and_writes(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """Measured by which of two answers is likelier; shipped, it writes what `predict` writes."""
    pairs = [" ".join(three) for three in itertools.permutations(WORDS, 3)][:40]
    lines = [
        json.dumps({"prompt": f"{words}, please", "chosen": f"Gladly: {words.split()[2]}", "rejected": "send the bill"})
        for words in pairs
    ]
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines))
    run, winner = tmp_path / "run", tmp_path / "winner"
    words = ["run", "--data", tmp_path / "pairs.jsonl", "--model", tiny("llama"), "--out", run, *SMALL]
    words += ["--ways", "tune_dpo"]
    for option in ("epochs=2", "steps=1", "rate=0.003", "rank=4", "max_tokens=6"):
        words += ["--set", f"tune_dpo.{option}"]
    assert main([str(word) for word in words]) == 0
    assert main(["ship", str(run), "--way", "tune_dpo", "--out", str(winner)]) == 0
    use = standalone(winner)
    (tmp_path / "asked.txt").write_text("\n".join(f"{w}, please" for w in pairs[:3]))
    told = tmp_path / "told.jsonl"
    assert main(["predict", str(run), str(tmp_path / "asked.txt"), "--way", "tune_dpo", "--out", str(told)]) == 0
    answers = [json.loads(line)["answer"] for line in told.read_text().splitlines()]
    assert [use(f"{w}, please") for w in pairs[:3]] == answers


@pytest.mark.parametrize("way", ["base_encoder", "tune_encoder"])
def test_an_encoder_ships_and_answers_as_measured(way: str, encoder: Path, tmp_path: Path) -> None:
    run, winner = tmp_path / "run", tmp_path / "winner"
    words = ["run", "--data", data(tmp_path), "--model", "fake", "--out", run, "--ways", way, *SMALL]
    words += ["--set", f"{way}.model={encoder}"]
    if way == "tune_encoder":
        for option in ("rate=0.003", "epochs=2", "steps=1", "checkpoints=1"):
            words += ["--set", f"{way}.{option}"]
    assert main([str(word) for word in words]) == 0
    assert main(["ship", str(run), "--way", way, "--out", str(winner)]) == 0
    manifest = json.loads((winner / "manifest.json").read_text())
    assert (winner / "encoder" / "head.safetensors").exists()
    answers = recorded(run, manifest["candidate"])
    (tmp_path / "asked.txt").write_text("\n".join(answers))
    told = tmp_path / "told.jsonl"
    assert main(["predict", str(run), str(tmp_path / "asked.txt"), "--way", way, "--out", str(told)]) == 0
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    assert {line["input"]["text"]: line["answer"] for line in lines} == answers
    assert not (winner / "encoder" / "live.json").exists()
    use = standalone(winner)
    assert {text: use(text) for text in answers} == answers
    gaps = [abs(use.scores(line["input"]["text"])[label] - s) for line in lines for label, s in line["scores"].items()]
    assert max(gaps) < 1e-3
    offers = served_models.of_run(run)
    assert "base" not in offers  # an encoder does not answer without a head
    with backends()["encoder"].open(offers["winner"].weights, offers["winner"].adapter) as session:
        asked = [Request((Message("user", text),), Decoding()) for text in answers]
        assert [reply.text for reply in session.choose(asked)] == list(answers.values())


@pytest.mark.parametrize("layout", ["system", "user"])
def test_shots_that_an_encoder_chooses_are_chosen_as_measured(
    layout: str, tiny: Callable[[str], Path], encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The encoder travels with the prompt; `predict` and `use.py` show each row the shots that the contest showed."""
    run, winner = tmp_path / "run", tmp_path / "winner"
    words = ["run", "--data", data(tmp_path), "--model", tiny("llama"), "--out", run, "--ways", "prompt_shots", *SMALL]
    for option in ("kinds=knn", "counts=2", f"layout={layout}", "calibrate=8", f"encoder={encoder}"):
        words += ["--set", f"prompt_shots.{option}"]
    assert main([str(word) for word in words]) == 0
    assert main(["ship", str(run), "--way", "prompt_shots", "--out", str(winner)]) == 0
    key = json.loads((winner / "manifest.json").read_text())["candidate"]
    candidate = read_candidates(run)[key][0]
    assert candidate.prompt.encoder is not None
    assert candidate.prompt.encoder.base == str(encoder)
    shipped = {path.name for path in (winner / "retriever").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= shipped
    assert json.loads((run / "plan.json").read_text())["versions"][f"encoder {encoder}"]
    answers, use = recorded(run, key), standalone(winner)
    assert sum(use(text) == answer for text, answer in answers.items()) >= 0.9 * len(answers)
    assert close(run, key, use, list(answers), capsys)
    retrieve = retriever_of(backends())
    for text in answers:
        shown = [turn["content"] for turn in use.shots(text)[::2]]
        assert shown == [shot.text for shot in retrieve(candidate.prompt, text)]


def test_examples_and_adapter_travel_together(
    tiny: Callable[[str], Path], encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`both_shots_lora` ships adapter, pool and encoder; each row is shown the examples for which there was room."""
    run, winner = tmp_path / "run", tmp_path / "winner"
    words = ["run", "--data", data(tmp_path), "--model", tiny("gemma"), "--out", run, "--ways", "both_shots_lora"]
    words += [*SMALL, *TUNED["both_shots_lora"], "--set", f"both_shots_lora.encoder={encoder}"]
    assert main([str(word) for word in words]) == 0
    assert main(["ship", str(run), "--way", "both_shots_lora", "--out", str(winner)]) == 0
    key = json.loads((winner / "manifest.json").read_text())["candidate"]
    prompt = read_candidates(run)[key][0].prompt
    assert (winner / "adapter" / "adapter_config.json").is_file()
    answers, use = recorded(run, key), standalone(winner)
    assert sum(use(text) == answer for text, answer in answers.items()) >= 0.9 * len(answers)
    assert close(run, key, use, list(answers), capsys)
    retrieve = retriever_of(backends())
    shown = {text: [turn["content"] for turn in use.shots(text)[::2]] for text in answers}
    assert shown == {text: [shot.text for shot in row_shots(prompt, text, retrieve)] for text in answers}
    assert {len(shots) for shots in shown.values()} == {1, 2}  # 80 characters are not enough for two long ones
