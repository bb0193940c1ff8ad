"""What is shipped answers as what was measured: `use.py`, on transformers and peft alone, repeats the records."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ship_kit import TUNED, WORDS, agree, close, contest, data, manifest, recorded, standalone

from whichway.app.configure import backends
from whichway.nouns import Decoding, Message, Request
from whichway.prompts.nearest import retriever_of
from whichway.prompts.row_shots import row_shots
from whichway.ship import served_models


@pytest.mark.parametrize(
    ("kind", "way", "more"),
    [
        ("llama", "tune_full", {}),
        ("llama", "tune_lora", {}),
        ("base", "tune_lora", {}),
        ("nosystem", "prompt_plain", {}),
        ("llama", "tune_lora", {"variant": "rslora"}),
        ("qwen2", "tune_lora", {"variant": "dora"}),
        ("llama", "tune_lora", {"variant": "pissa"}),
        ("llama", "tune_head", {"share": 1}),
        ("gpt2", "tune_head", {}),
        ("llama", "tune_bias", {}),
        ("qwen2", "tune_bias", {"part": "bias"}),
        ("gemma", "tune_bias", {"part": "norm"}),
        ("llama", "tune_soft_prompt", {}),
        ("base", "tune_soft_prompt", {"instead": True}),
        ("gpt2", "tune_soft_prompt", {}),
        ("llama", "both_prompt_then_lora", {}),
        ("llama", "both_distill", {}),
        ("llama", "both_shots_lora", {}),
    ],
)
def test_shipped_program_answers_as_measured(
    kind: str, way: str, more: dict[str, Any], tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    run = contest(data(tmp_path), tiny(kind), {way: {**TUNED.get(way, {}), **more}})
    winner = run.ship(tmp_path / "winner", way=way, check=False)
    key = manifest(winner)["candidate"]
    answers, use = recorded(run, key), standalone(winner)
    assert len(answers) >= 4
    assert agree(use, answers)
    assert close(run, key, use, list(answers))


def test_adapter_is_a_peft_folder(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """`peft` loads it onto the plain base, and it changes what the base says."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = tiny("llama")
    winner = contest(data(tmp_path), model, "tune_lora").ship(tmp_path / "winner", way="tune_lora", check=False)
    ids = torch.arange(4, 24)[None]
    with torch.no_grad():
        before = AutoModelForCausalLM.from_pretrained(model)(ids).logits
        tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model), winner / "adapter")
        assert (tuned(ids).logits - before).abs().max() > 1e-4


WRITTEN: dict[str, Any] = {"labels": (), "metric": "token_f1"}  # free text


def test_free_text_is_written_as_measured(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    run = contest(data(tmp_path), tiny("base"), {"prompt_plain": {"max_tokens": 8}}, **WRITTEN)
    winner = run.ship(tmp_path / "winner", way="prompt_plain", check=False)
    assert agree(standalone(winner), recorded(run, manifest(winner)["candidate"]))


@pytest.mark.parametrize(
    ("kind", "way", "more"),
    [
        ("llama", "prompt_plain", {"layouts": ["user"]}),
        ("base", "prompt_plain", {"layouts": ["system"]}),
        ("llama", "prompt_shots", {"kinds": ["balanced"], "counts": [2]}),
        ("nosystem", "prompt_shots", {"kinds": ["knn"], "counts": [2], "layout": "user"}),
    ],
)
def test_a_noisy_channel_answers_as_measured(
    kind: str, way: str, more: dict[str, Any], tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    run = contest(data(tmp_path), tiny(kind), {way: {**more, "channel": True, "calibrate": 8}})
    candidates = [c for c in run.candidates.values() if c.decoding.channel]
    assert candidates
    texts = list({row.text for row in run.rows})[:6]
    for candidate in candidates:  # with calibration, and without where the way has both
        winner = run.ship(tmp_path / "winner", candidate=candidate.id, check=False)
        assert not (winner / "request.json").exists()
        assert "likeliest" in (winner / "README.md").read_text()
        assert close(run, candidate.id, standalone(winner), texts, 1e-3)


@pytest.mark.parametrize("layout", ["system", "user"])
def test_shots_for_each_row_are_chosen_as_measured(layout: str, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    options = {"kinds": ["knn"], "counts": [2], "layout": layout, "calibrate": 8}
    run = contest(data(tmp_path), tiny("llama"), {"prompt_shots": options})
    winner = run.ship(tmp_path / "winner", way="prompt_shots", check=False)
    assert (winner / "tfidf.py").is_file()
    assert not (winner / "request.json").exists()
    key = manifest(winner)["candidate"]
    answers, use = recorded(run, key), standalone(winner)
    assert agree(use, answers)
    assert close(run, key, use, list(answers))


def test_thoughts_are_read_as_measured(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """A random model writes no "Answer:", so a frequent letter is the mark."""
    options = {"mark": "e", "votes": [1], "max_tokens": 24}
    run = contest(data(tmp_path), tiny("base"), {"prompt_reason": options}, **WRITTEN)
    winner = run.ship(tmp_path / "winner", way="prompt_reason", check=False)
    key, texts = manifest(winner)["candidate"], {row.id: row.text for row in run.test}
    records = [r for (candidate, _), (r, *_) in run.test_records.items() if candidate == key]
    answers = {texts[r.example]: r.text if r.outcome == "ok" else "" for r in records}
    assert sum(map(bool, answers.values())) > len(answers) / 2
    assert agree(standalone(winner), answers)


def test_votes_are_drawn_and_counted(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """Drawn texts cannot be equal to those of another engine, but the vote is taken in the same way."""
    options = {"mark": "e", "votes": [3], "max_tokens": 12}
    run = contest(data(tmp_path), tiny("base"), {"prompt_reason": options}, **WRITTEN)
    winner = run.ship(tmp_path / "winner", way="prompt_reason", check=False)
    use = standalone(winner)
    drawn = [use.write(use.prompt("amber birch"), number) for number in (0, 1, 2)]
    assert len(set(drawn)) > 1
    answer = use("amber birch")
    assert use("amber birch") == answer
    ends = [text.lower().rpartition("e")[2].strip() for text in drawn if "e" in text.lower()]
    assert not answer or answer.lower() in ends
    assert json.loads((winner / "request.json").read_text())["n"] == 3


def test_a_model_trained_on_preferences_ships_and_writes(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """Measured by which of two answers is likelier; shipped, it writes what `predict` writes."""
    triples = [" ".join(three) for three in itertools.permutations(WORDS, 3)][:40]
    lines = [
        json.dumps({"prompt": f"{words}, please", "chosen": f"Gladly: {words.split()[2]}", "rejected": "send the bill"})
        for words in triples
    ]
    rows = tmp_path / "pairs.jsonl"
    rows.write_text("\n".join(lines))
    options = {"epochs": 2, "steps": 1, "rate": 0.003, "rank": 4, "max_tokens": 6}
    run = contest(rows, tiny("llama"), {"tune_dpo": options})
    use = standalone(run.ship(tmp_path / "winner", way="tune_dpo", check=False))
    prompts = [f"{words}, please" for words in triples[:3]]
    assert [use(prompt) for prompt in prompts] == run.predict(prompts, way="tune_dpo")


@pytest.mark.parametrize("way", ["base_encoder", "tune_encoder"])
def test_an_encoder_ships_and_answers_as_measured(way: str, encoder: Path, tmp_path: Path) -> None:
    more = {} if way == "base_encoder" else {"rate": 0.003, "epochs": 2, "steps": 1, "checkpoints": 1}
    run = contest(data(tmp_path), "fake", {way: {"model": str(encoder), **more}})
    winner = run.ship(tmp_path / "winner", way=way, check=False)
    assert (winner / "encoder" / "head.safetensors").exists()
    answers = recorded(run, manifest(winner)["candidate"])
    lines = run.answer(list(answers), way=way)
    assert {line["input"]["text"]: line["answer"] for line in lines} == answers
    assert not (winner / "encoder" / "live.json").exists()
    use = standalone(winner)
    assert {text: use(text) for text in answers} == answers
    gaps = [abs(use.scores(line["input"]["text"])[label] - s) for line in lines for label, s in line["scores"].items()]
    assert max(gaps) < 1e-3
    offers = served_models.of_run(run)
    assert "base" not in offers  # an encoder does not answer without a head
    with backends()["encoder"].open(offers["winner"].weights, offers["winner"].adapter) as session:
        requests = [Request((Message("user", text),), Decoding()) for text in answers]
        assert [reply.text for reply in session.choose(requests)] == list(answers.values())


@pytest.mark.parametrize("layout", ["system", "user"])
def test_shots_that_an_encoder_chooses_are_chosen_as_measured(
    layout: str, tiny: Callable[[str], Path], encoder: Path, tmp_path: Path
) -> None:
    """The encoder travels with the prompt; `predict` and `use.py` show each row the shots that the contest showed."""
    options = {"kinds": ["knn"], "counts": [2], "layout": layout, "calibrate": 8, "encoder": str(encoder)}
    run = contest(data(tmp_path), tiny("llama"), {"prompt_shots": options})
    winner = run.ship(tmp_path / "winner", way="prompt_shots", check=False)
    key = manifest(winner)["candidate"]
    candidate = run.candidates[key]
    assert candidate.prompt.encoder is not None
    assert candidate.prompt.encoder.base == str(encoder)
    shipped = {path.name for path in (winner / "retriever").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= shipped
    assert run.plan.versions[f"encoder {encoder}"]
    answers, use = recorded(run, key), standalone(winner)
    assert agree(use, answers)
    assert close(run, key, use, list(answers))
    retrieve = retriever_of(backends())
    for text in answers:
        shown = [turn["content"] for turn in use.shots(text)[::2]]
        assert shown == [shot.text for shot in retrieve(candidate.prompt, text)]


def test_examples_and_adapter_travel_together(tiny: Callable[[str], Path], encoder: Path, tmp_path: Path) -> None:
    """`both_shots_lora` ships adapter, pool and encoder; each row is shown the examples for which there was room."""
    options = {**TUNED["both_shots_lora"], "encoder": str(encoder)}
    run = contest(data(tmp_path), tiny("gemma"), {"both_shots_lora": options})
    winner = run.ship(tmp_path / "winner", way="both_shots_lora", check=False)
    key = manifest(winner)["candidate"]
    prompt = run.candidates[key].prompt
    assert (winner / "adapter" / "adapter_config.json").is_file()
    answers, use = recorded(run, key), standalone(winner)
    assert agree(use, answers)
    assert close(run, key, use, list(answers))
    retrieve = retriever_of(backends())
    shown = {text: [turn["content"] for turn in use.shots(text)[::2]] for text in answers}
    assert shown == {text: [shot.text for shot in row_shots(prompt, text, retrieve)] for text in answers}
    assert {len(shots) for shots in shown.values()} == {1, 2}  # 80 characters are not enough for two long ones
