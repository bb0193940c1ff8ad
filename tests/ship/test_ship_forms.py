"""The forms in which a winner leaves: which fit, what they hold, and that each prompt form asks the measured words."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from ship_kit import TUNED, contest, data, manifest

import whichway as ww
from whichway.app.configure import backends
from whichway.errors import UserError
from whichway.models.gguf.header import read
from whichway.prompts import template
from whichway.ship import pick, ship
from whichway.ship.forms import fitting, known
from whichway.ship.forms._go_template import of_chat
from whichway.ship.parity.modelfile_prompts import rendered

WAYS: dict[str, dict[str, Any]] = {
    "tune_lora": TUNED["tune_lora"],
    "tune_head": TUNED["tune_head"],
    "tune_soft_prompt": TUNED["tune_soft_prompt"],
    "prompt_plain": {},
    "prompt_shots": {"kinds": ["knn"], "counts": [2]},
    "base_tfidf": {},
}
ONNX = ["onnx"] if find_spec("onnx") and find_spec("onnxscript") else []
PROMPTS = ["prompt", "prompt.yml", "promptfoo", "prompty", "python"]


@pytest.fixture(scope="module")
def run(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> ww.Run:
    return contest(data(tmp_path_factory.mktemp("forms")), tiny("llama"), WAYS)


def shipped(run: ww.Run, out: Path, way: str, *forms: str) -> Path:
    ship(run, out, way=way, backends=backends(), forms=forms)
    return out


@pytest.mark.parametrize(
    ("way", "forms"),
    [
        ("tune_lora", ["folder", "gguf", "merged", "ollama", "peft", *PROMPTS]),
        ("tune_head", ["folder", "merged", "peft", *ONNX, *PROMPTS]),
        ("tune_soft_prompt", ["folder", "peft", *PROMPTS]),
        ("prompt_plain", ["folder", "gguf", "merged", "ollama", *PROMPTS]),
        ("prompt_shots", ["folder", "gguf", "merged", "prompt", "promptfoo", "python"]),
        ("base_tfidf", ["folder"]),
    ],
)
def test_which_forms_fit(run: ww.Run, way: str, forms: list[str]) -> None:
    assert sorted(fitting(pick(run, way=way))) == sorted(forms)


@pytest.mark.parametrize(
    ("way", "form", "reason"),
    [
        ("base_tfidf", "gguf", "it is no language model but word counts. What fits it: folder"),
        ("tune_head", "ollama", "a head over the labels took the place"),
        ("prompt_shots", "prompty", "chosen for each row"),
        ("prompt_plain", "peft", "it has no adapter"),
        ("tune_lora", "onnx", "only heads over labels"),
    ],
)
def test_a_form_that_does_not_fit_says_why_and_which_do(
    run: ww.Run, way: str, form: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=reason):
        run.ship(tmp_path / "x", form=form, way=way)
    assert not (tmp_path / "x").exists()


def test_no_form_at_all_is_refused(run: ww.Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no form is named"):
        ship(run, tmp_path / "x", None, "prompt_plain", backends(), (), None)
    assert not (tmp_path / "x").exists()


def test_every_form_says_what_it_is(run: ww.Run) -> None:
    assert len(known()) == 12
    for name, form in known().items():
        assert name == form.NAME
        assert form.SUMMARY


def test_several_forms_lie_beside_each_other_and_all_names_what_is_left_out(run: ww.Run, tmp_path: Path) -> None:
    done = ship(run, tmp_path / "all", way="prompt_plain", backends=backends(), forms=("prompt", "python"))
    assert done.forms == ("prompt", "python")
    assert {"README.md", "manifest.json", "prompt/messages.json", "python/winner.py"} <= set(done.files)
    assert manifest(tmp_path / "all")["forms"] == ["prompt", "python"]
    assert manifest(tmp_path / "all" / "python")["form"] == "python"
    first = {f: (tmp_path / "all" / f).read_bytes() for f in done.files}
    again = ship(run, tmp_path / "all", way="prompt_plain", backends=backends(), forms=("prompt", "python"))
    assert {f: (tmp_path / "all" / f).read_bytes() for f in again.files} == first
    only = ship(run, tmp_path / "tfidf", way="base_tfidf", backends=backends(), forms=("all",))
    assert only.forms == ("folder",)
    assert "word counts" in only.left_out["peft"]


def test_a_peft_folder_brings_tokenizer_template_and_prompt(run: ww.Run, tmp_path: Path) -> None:
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    place = shipped(run, tmp_path / "peft", "tune_lora", "peft")
    assert AutoPeftModelForCausalLM.from_pretrained(place).peft_config["default"].r == 4
    assert AutoTokenizer.from_pretrained(place).chat_template
    assert {1, 3} == set(json.loads((place / "generation_config.json").read_text())["eos_token_id"])
    assert not (place / "live.json").exists()
    card = (place / "README.md").read_text()
    assert "AutoPeftModelForCausalLM" in card
    assert "library_name: peft" in card


def test_merged_weights_are_base_plus_adapter(run: ww.Run, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file

    place = shipped(run, tmp_path / "merged", "tune_lora", "merged")
    adapter = load_file(pick(run, way="tune_lora").adapter / "adapter_model.safetensors")  # type: ignore[operator]
    base, merged = load_file(tiny("llama") / "model.safetensors"), load_file(place / "model.safetensors")
    name = "model.layers.0.mlp.up_proj"
    a, b = (adapter[f"base_model.model.{name}.lora_{part}.weight"] for part in "AB")
    scale = json.loads((pick(run, way="tune_lora").adapter / "adapter_config.json").read_text())  # type: ignore[operator]
    delta = b @ a * scale["lora_alpha"] / scale["r"]
    assert (merged[f"{name}.weight"] - base[f"{name}.weight"] - delta).abs().max() < 1e-6
    assert delta.abs().max() > 1e-4


def test_gguf_holds_the_merged_model_in_16_and_8_bits(run: ww.Run, tmp_path: Path) -> None:
    place = shipped(run, tmp_path / "gguf", "tune_lora", "gguf")
    for kind in ("F16", "Q8_0"):
        header = read(place / f"model-{kind}.gguf")
        assert kind in {info.kind for info in header.tensors.values()}
        assert "<|im_start|>" in header.metadata["tokenizer.chat_template"]
    assert not list(tmp_path.glob(".*"))  # the merged folder is gone


def test_a_modelfile_says_the_chat_template_and_the_prompt(run: ww.Run, tmp_path: Path) -> None:
    place = shipped(run, tmp_path / "ollama", "prompt_plain", "ollama")
    text = (place / "Modelfile").read_text()
    assert text.startswith("FROM ./model-F16.gguf\nTEMPLATE")
    assert 'PARAMETER stop "<|im_end|>"' in text
    source = pick(run, way="prompt_plain")
    go = text.split('"""')[1]
    turns = [{"role": m.role, "content": m.content} for m in template.messages(source.candidate.prompt, "a row")]
    assert turns[0]["role"] == "system"
    assert f'SYSTEM """{turns[0]["content"]}"""' in text
    chatml = "".join(f"<|im_start|>{t['role']}\n{t['content']}<|im_end|>\n" for t in turns) + "<|im_start|>assistant\n"
    assert rendered(go, [turns[0], {"role": "user", "content": "a row"}]) == chatml


def test_a_template_that_is_no_sequence_of_turns_has_no_go_form() -> None:
    def marks(turns: Any, ask: bool) -> str:
        return "".join(f"[{t['role']}]{t['content']}[end]" for t in turns) + "[go]" * ask

    assert of_chat(marks, True) is not None
    assert of_chat(lambda turns, ask: marks(turns, ask) + str(len(turns)), True) is None
    assert of_chat(lambda turns, ask: marks(turns[-2:], ask), False) is None


def test_the_python_module_needs_nothing_but_python(run: ww.Run, tmp_path: Path) -> None:
    for way in ("prompt_plain", "prompt_shots"):
        place = shipped(run, tmp_path / way, way, "python")
        row = "elm {{input}} fig: where is my parcel"
        code = "import json, sys; sys.path.insert(0, sys.argv[1]); import winner; "
        code += "print(json.dumps(winner.messages(sys.argv[2])))"
        words = [sys.executable, "-I", "-S", "-c", code, str(place), row]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        prompt = pick(run, way=way).candidate.prompt
        assert [(m["role"], m["content"]) for m in json.loads(done.stdout)] == [
            (m.role, m.content) for m in template.messages(prompt, row)
        ]
    assert len((tmp_path / "prompt_plain" / "winner.py").read_text().splitlines()) < 50


def test_prompt_yml_carries_test_rows_and_evaluators(run: ww.Run, tmp_path: Path) -> None:
    place = shipped(run, tmp_path / "yml", "prompt_plain", "prompt.yml")
    content = yaml.safe_load((place / "winner.prompt.yml").read_text())
    assert [row["expected"] for row in content["testData"]] == [row.target for row in run.test]
    assert content["evaluators"] == [{"name": "accuracy", "string": {"equals": "{{expected}}"}}]
    assert "{{text}}" in content["messages"][-1]["content"]


def test_prompty_has_front_matter_and_roles(run: ww.Run, tmp_path: Path) -> None:
    text = (shipped(run, tmp_path / "p", "prompt_plain", "prompty") / "winner.prompty").read_text()
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front)["inputs"] == {"text": {"type": "string"}}
    assert body.startswith("system:\n")
    assert "user:\n{{ text }}" in body


def test_an_encoder_leaves_for_sentence_transformers_and_onnx(encoder: Path, tmp_path: Path) -> None:
    run = contest(data(tmp_path), "fake", {"base_encoder": {"model": str(encoder)}})
    assert {"encoder", "folder"} <= set(fitting(pick(run, way="base_encoder")))
    place = shipped(run, tmp_path / "encoder", "base_encoder", "encoder") / "encoder"
    modules = json.loads((place / "modules.json").read_text())
    assert [one["type"].rpartition(".")[2] for one in modules] == ["Transformer", "Pooling"]
    assert json.loads((place / "sentence_bert_config.json").read_text()) == {"max_seq_length": 128}
    assert json.loads((place / "1_Pooling" / "config.json").read_text())["word_embedding_dimension"] == 32
    assert (place / "head.safetensors").is_file()


def test_a_modelfile_of_a_base_model_says_plain_text(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    run = contest(data(tmp_path), tiny("base"), {"prompt_plain": {"layouts": ["system"]}})
    text = (shipped(run, tmp_path / "ollama", "prompt_plain", "ollama") / "Modelfile").read_text()
    prompt = pick(run, way="prompt_plain").candidate.prompt
    turns = template.messages(prompt, "a row")
    fixed = [{"role": turn.role, "content": turn.content} for turn in turns[:-1]]
    assert fixed
    assert rendered(text.split('"""')[1], [*fixed, {"role": "user", "content": "a row"}]) == template.plain(turns)
