"""What is written as GGUF is read back as the same model: weights, positions, tokens, chat template, ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf_writer import OWN, module
from tiny_tokenizer import CHATML, tiny_tokenizer

from whichway.errors import ModelError
from whichway.models.gguf import convert
from whichway.models.gguf.header import read
from whichway.models.gguf.pretokenizers import PRE_TOKENIZERS, pipeline
from whichway.models.gguf.vocabulary_writer import PROBES, ChatMetadata
from whichway.models.gguf.writer import tensor_name, write

TALK = ChatMetadata(CHATML, add_bos=True, ends=(1, 3))


def model_folder(place: Path, case: str) -> Any:
    tokenizer = tiny_tokenizer(CHATML)
    model = module(case, vocab=len(tokenizer) + 3)  # three rows of the embedding have no token
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
    return model


def read_back(file: Path, folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    convert(file, folder)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


@torch.no_grad()
def gap(one: Any, other: Any) -> float:
    ids = torch.arange(4, 60)[None]
    return float((one(ids).logits - other(ids).logits).abs().max())


@pytest.mark.parametrize("case", OWN)
def test_every_architecture_comes_back_exactly(case: str, tmp_path: Path, one_thread: None) -> None:
    model = model_folder(tmp_path / "model", case)
    write(tmp_path / "model", tmp_path / "f32.gguf", "F32", "tiny", TALK)
    assert gap(model, read_back(tmp_path / "f32.gguf", tmp_path / "back")) == 0


def test_sixteen_and_eight_bits_round_as_much_as_they_must(tmp_path: Path, one_thread: None) -> None:
    model, gaps = model_folder(tmp_path / "model", "llama"), {}
    for kind in ("F16", "Q8_0"):
        write(tmp_path / "model", tmp_path / f"{kind}.gguf", kind, "tiny", TALK)  # type: ignore[arg-type]
        stored = {info.kind for info in read(tmp_path / f"{kind}.gguf").tensors.values()}
        assert stored == {kind, "F32"}
        gaps[kind] = gap(model, read_back(tmp_path / f"{kind}.gguf", tmp_path / kind))
    assert 0 < gaps["F16"] < 0.03 < gaps["Q8_0"] < 1


def test_tokens_template_and_ends_come_back(tmp_path: Path, one_thread: None) -> None:
    from transformers import AutoTokenizer

    model_folder(tmp_path / "model", "llama")
    write(tmp_path / "model", tmp_path / "m.gguf", "F16", "tiny", TALK)
    metadata = read(tmp_path / "m.gguf").metadata
    assert metadata["tokenizer.ggml.pre"] == "gpt-2"
    assert metadata["tokenizer.ggml.add_bos_token"] is True
    assert (metadata["tokenizer.ggml.eos_token_id"], metadata["tokenizer.ggml.eot_token_id"]) == (1, 3)
    assert metadata["general.file_type"] == 1
    read_back(tmp_path / "m.gguf", tmp_path / "back")
    back, own = AutoTokenizer.from_pretrained(tmp_path / "back"), tiny_tokenizer(CHATML)
    assert back.chat_template == CHATML
    for text in (*PROBES, "<|im_start|>user\nx<|im_end|>"):
        ids = own(text, add_special_tokens=False)["input_ids"]
        assert back(text, add_special_tokens=False)["input_ids"] == ids
        assert back(text)["input_ids"] == [0, *ids]
    ends = json.loads((tmp_path / "back" / "generation_config.json").read_text())["eos_token_id"]
    assert set(ends) == {1, 3}


@pytest.mark.parametrize("name", ["smollm", "llama3", "qwen2", "gpt-2"])
def test_how_text_is_cut_is_recognised(name: str, tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    from whichway.models.gguf.vocabulary_writer import pre_tokenizer

    core = tiny_tokenizer(None).backend_tokenizer
    data = json.loads(core.to_str())
    data["model"]["ignore_merges"] = PRE_TOKENIZERS[name].whole_words
    core = Tokenizer.from_str(json.dumps(data))
    core.pre_tokenizer = pipeline(PRE_TOKENIZERS[name])
    chosen = PRE_TOKENIZERS[pre_tokenizer(core, json.loads(core.to_str())["model"], tmp_path)]
    texts = ["In 2024, 12345 parcels weren't sent!\n\n  def f(x):\n\treturn 1", "I'LL pay 3,50€"]
    ids = [core.encode(text).ids for text in texts]
    core.pre_tokenizer = pipeline(chosen)  # two ways to cut may give the same ids of a vocabulary this small
    assert [core.encode(text).ids for text in texts] == ids


def test_a_cutting_without_a_name_is_refused(tmp_path: Path) -> None:
    from tokenizers import Regex, pre_tokenizers

    from whichway.models.gguf.vocabulary_writer import pre_tokenizer

    core = tiny_tokenizer(None).backend_tokenizer
    cut = pre_tokenizers.Split(Regex("e"), behavior="isolated")
    core.pre_tokenizer = pre_tokenizers.Sequence([cut, pre_tokenizers.ByteLevel(False, use_regex=False)])
    with pytest.raises(ModelError, match="no name for"):
        pre_tokenizer(core, json.loads(core.to_str())["model"], tmp_path)


def test_a_sentencepiece_vocabulary_comes_back(tmp_path: Path, one_thread: None) -> None:
    """Bytes stand in for what has no piece; the scores are the order of the merges."""
    from tokenizers import Tokenizer, decoders, models, normalizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    special = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
    core.train_from_iterator(list(PROBES[:3]), trainers.BpeTrainer(vocab_size=330, special_tokens=special))
    data = json.loads(core.to_str())
    data["added_tokens"] = [token for token in data["added_tokens"] if not token["content"].startswith("<0x")]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(data)), bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    model = module("llama", vocab=len(tokenizer))
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    write(tmp_path / "model", tmp_path / "m.gguf", "F32", "tiny", ChatMetadata(ends=(2,)))
    assert read(tmp_path / "m.gguf").metadata["tokenizer.ggml.model"] == "llama"
    assert gap(model, read_back(tmp_path / "m.gguf", tmp_path / "back")) == 0


def test_what_has_no_gguf_form_is_refused(folder: Path, tmp_path: Path) -> None:
    kind = json.loads((folder / "config.json").read_text())["model_type"]
    if kind == "gpt2":
        with pytest.raises(ModelError, match="can be written: gemma"):
            write(folder, tmp_path / "m.gguf", "F16", "tiny", TALK)
    else:
        write(folder, tmp_path / "m.gguf", "F16", "tiny", TALK)
    assert tensor_name("model.layers.0.mlp.nonsense.weight", "llama") is None
    assert tensor_name("model.layers.3.self_attn.q_proj.weight", "qwen2") == "blk.3.attn_q.weight"
