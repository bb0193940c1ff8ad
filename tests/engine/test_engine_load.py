"""What is no model is refused with the reason and the way out."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from whichway import embedded, models
from whichway.engine.model import load
from whichway.errors import ModelError


@pytest.fixture
def copy(tiny, tmp_path):
    place = tmp_path / "model"
    shutil.copytree(tiny("llama"), place)
    return place


def refused(folder, match):
    with pytest.raises(ModelError, match=match):
        load.load(models.find(str(folder)))


def test_no_folder(tmp_path):
    refused(tmp_path / "nothing", "There is no folder")


def test_a_file(tmp_path):
    (tmp_path / "model.bin").write_text("x")
    refused(tmp_path / "model.bin", "is a file")


def test_a_folder_that_is_no_model(tmp_path):
    refused(tmp_path, "no config.json")


def test_an_adapter_is_no_model(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    refused(tmp_path, "is an adapter")


def test_pickle_only(copy):
    (copy / "model.safetensors").unlink()
    torch.save({"x": torch.ones(1)}, copy / "pytorch_model.bin")
    refused(copy, "only as pickle")


def test_no_weights(copy):
    (copy / "model.safetensors").unlink()
    refused(copy, "no weights")


def test_no_tokenizer(copy):
    for file in copy.glob("token*"):
        file.unlink()
    refused(copy, "no tokenizer")


def test_remote_code_only(copy):
    config = json.loads((copy / "config.json").read_text())
    config |= {"model_type": "my_own", "auto_map": {"AutoModelForCausalLM": "modeling_my_own.MyOwn"}}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "modeling_my_own.py").write_text("raise SystemExit('remote code ran')")
    refused(copy, "needs its own code, which is never run")


def test_known_architecture_with_remote_code_runs_ours(copy):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModelForCausalLM": "evil.Evil"}}))
    (copy / "evil.py").write_text("raise SystemExit('remote code ran')")
    assert load.load(copy).context == 512


def test_broken_weights(copy):
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    refused(copy, "cannot be read")


def test_missing_weights(copy):
    from safetensors.torch import load_file, save_file

    found = load_file(copy / "model.safetensors")
    found.pop("model.layers.1.mlp.up_proj.weight")
    save_file(found, copy / "model.safetensors", metadata={"format": "pt"})
    refused(copy, "1 weights are missing")


def test_broken_config(copy):
    (copy / "config.json").write_text("{")
    refused(copy, "not valid JSON")


def test_an_encoder_writes_no_text(copy):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"model_type": "t5"}))
    refused(copy, "does not write text")


def test_a_recurrent_model_is_refused(tmp_path, tiny):
    from transformers import AutoTokenizer, MambaConfig, MambaForCausalLM

    config = MambaConfig(vocab_size=320, hidden_size=32, num_hidden_layers=2, state_size=4)
    MambaForCausalLM(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny("llama")).save_pretrained(tmp_path)
    refused(tmp_path, "linear_attention")


def test_unreachable_hub(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="the hub cannot be reached"):
        models.find("nobody/no-such-model")


def test_revision_follows_content(copy):
    before = load.revision(copy)
    assert load.revision(copy) == before
    tokenizer = (copy / "chat_template.jinja").read_text()
    (copy / "chat_template.jinja").write_text(tokenizer + " ")
    assert load.revision(copy) != before


def test_embedded_is_a_folder_or_a_clear_error():
    if (Path(embedded.__file__).parent / "model" / "model.safetensors").exists():
        assert (embedded.path() / "config.json").exists()
    else:
        with pytest.raises(ModelError, match="--model"):
            embedded.path()
