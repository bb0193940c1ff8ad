"""A LoRA adapter as a GGUF file: on the base's file it gives what the merged model's file holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf_writer import module
from tiny_tokenizer import CHATML, tiny_tokenizer

from whichway.errors import ModelError
from whichway.models.gguf.adapter_writer import reason_against, write_adapter
from whichway.models.gguf.header import read
from whichway.models.gguf.values import values
from whichway.models.gguf.vocabulary_writer import ChatMetadata
from whichway.models.gguf.writer import write


def adapted(place: Path, case: str, **options: Any) -> Any:
    """A base model and an adapter on all its layers, in folders; the merged model in a third."""
    import torch
    from peft import LoraConfig, get_peft_model

    tokenizer = tiny_tokenizer(CHATML)
    base = module(case, vocab=len(tokenizer))
    for name in ("base", "merged"):
        tokenizer.save_pretrained(place / name)
    base.save_pretrained(place / "base")
    settings = LoraConfig(
        r=4, lora_alpha=6, target_modules=["q_proj", "k_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM", **options
    )
    wrapped = get_peft_model(base, settings)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for name, parameter in wrapped.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    wrapped.save_pretrained(place / "adapter")
    wrapped.merge_and_unload().save_pretrained(place / "merged")


@pytest.mark.parametrize(("case", "options"), [("llama", {}), ("qwen2", {"use_rslora": True}), ("gemma", {})])
def test_base_and_adapter_are_the_merged_model(
    case: str, options: dict[str, Any], tmp_path: Path, one_thread: None
) -> None:
    adapted(tmp_path, case, **options)
    for name in ("base", "merged"):
        write(tmp_path / name, tmp_path / f"{name}.gguf", "F32", name, ChatMetadata(CHATML, ends=(3,)))
    settings = json.loads((tmp_path / "base" / "config.json").read_text())
    write_adapter(tmp_path / "adapter", settings, tmp_path / "adapter.gguf", "adapter")
    base, merged, adapter = (read(tmp_path / f"{name}.gguf") for name in ("base", "merged", "adapter"))
    assert adapter.metadata["general.type"] == "adapter"
    assert adapter.metadata["adapter.type"] == "lora"
    changed = sorted(name.removesuffix(".lora_a") for name in adapter.tensors if name.endswith(".lora_a"))
    assert len(changed) == 4 * 2
    for name in changed:
        a, b = values(adapter, f"{name}.lora_a"), values(adapter, f"{name}.lora_b")
        scale = adapter.metadata["adapter.lora.alpha"] / len(a)  # as llama.cpp scales
        difference = values(merged, name) - values(base, name)
        assert np.abs(difference).max() > 1e-3
        assert np.allclose(difference, b @ a * scale, atol=1e-5)


@pytest.mark.parametrize(("change", "reason"), [
    ({"use_dora": True}, "DoRA"), ({"lora_bias": True}, "more than the low-rank"),
    ({"peft_type": "LN_TUNING"}, "no LoRA"),
    ({"init_lora_weights": "pissa"}, "base changed by 'pissa'"), ({"rank_pattern": {"x": 2}}, "scaled differently"),
])  # fmt: skip
def test_what_is_more_than_two_small_matrices_is_refused(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    plain = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8, "init_lora_weights": True}
    (tmp_path / "adapter_config.json").write_text(json.dumps(plain))
    assert reason_against(tmp_path) == ""
    (tmp_path / "adapter_config.json").write_text(json.dumps({**plain, **change}))
    assert reason in reason_against(tmp_path)
    with pytest.raises(ModelError, match="has no GGUF form"):
        write_adapter(tmp_path, {"model_type": "llama"}, tmp_path / "a.gguf", "a")
