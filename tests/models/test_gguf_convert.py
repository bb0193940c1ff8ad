"""A converted folder computes what the module computed that was written into the GGUF file."""

import json
import sys

import gguf
import gguf_writer
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_tokenizer import CHATML
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from whichway.models.gguf import convert

CASES = sorted(gguf_writer.OWN)
IDS = torch.arange(5, 45)[None] * 7 % 300


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """`converted("llama")`: the module, the file and the converted folder."""
    root, made = tmp_path_factory.mktemp("gguf"), {}

    def make(case, kind="F32", **metadata):
        key = f"{case}-{kind}"
        if key not in made:
            module = gguf_writer.module(case)
            tokenizer = gguf_writer.byte_level(CHATML, **{"ggml.padding_token_id": 1} if kind != "F32" else {})
            file = gguf_writer.write(root / f"{key}.gguf", module, case, tokenizer, kind, **metadata)
            convert(file, root / key)
            made[key] = module, file, root / key
        return made[key]

    return make


def logits(module):
    with torch.no_grad():
        return module(IDS).logits


def opened(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return model.eval()


@pytest.mark.parametrize("case", CASES)
def test_logits_are_those_of_the_module(converted, case):
    module, _, folder = converted(case)
    wanted = logits(module)
    assert wanted.std() > 0.3
    assert (logits(opened(folder)) - wanted).abs().max() < 1e-4 * max(1.0, float(wanted.abs().max()))


@pytest.mark.parametrize("case", ["llama", "qwen2", "gemma2", "gemma3", "phi3"])
def test_logits_are_those_of_transformers_own_loading(converted, case):
    _, file, folder = converted(case, "Q8_0")
    own = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32, attn_implementation="eager"
    )
    if "gemma" in case:  # transformers takes 256, whatever the width of a head is
        for layer in own.model.layers:
            layer.self_attn.scaling = 32**-0.5
    # transformers leaves out Phi-3's window, which is 8 here
    seen = slice(8) if case == "phi3" else slice(None)
    assert (logits(opened(folder)) - logits(own.eval()))[0, seen].abs().max() < 1e-4


def test_the_engine_opens_every_architecture(converted, one_thread):
    from whichway.engine.model import load

    for case in ("llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "mistral"):
        model = load.load(converted(case)[2])
        assert model.renderer.chat
        assert model.renderer.turn_end == 3, case


def test_the_engine_answers_and_learns_on_a_converted_model(converted, tmp_path, one_thread):
    from whichway.backends.local import backend
    from whichway.nouns import Decoding, Message, Request, TrainJob, TrainRow

    rows = tuple(
        TrainRow((Message("user", f"{word} {n}"),), label)
        for n in range(6)
        for word, label in (("refund", "billing"), ("parcel", "shipping"))
    )
    asks = [Request(row.messages, Decoding(), ("billing", "shipping")) for row in rows]
    door = backend()
    base = door.weights(str(converted("llama", "Q8_0")[2]))
    job = TrainJob("lora", base, rows, ("billing", "shipping"), 0, {"epochs": 8, "batch": 4, "rate": 0.01})
    *_, made = door.train(job, tmp_path, None)
    with door.open(made.weights, tmp_path / made.weights.adapter) as session:
        texts = [reply.text for reply in session.choose(asks)]
    assert sum(text == row.answer for text, row in zip(texts, rows, strict=True)) >= 10


def test_bfloat16_is_kept_where_it_loses_nothing(converted):
    module, _, folder = converted("qwen2", "BF16")
    stored = load_file(folder / "model.safetensors")
    matrices = {name: tensor for name, tensor in stored.items() if tensor.dim() > 1}
    assert {tensor.dtype for tensor in matrices.values()} == {torch.bfloat16}
    for name, tensor in matrices.items():
        assert torch.equal(tensor, module.state_dict()[name].bfloat16()), name
    assert json.loads((folder / "config.json").read_text())["torch_dtype"] == "float32"  # the norms need it


def test_large_models_are_rounded_to_bfloat16(converted, tmp_path, monkeypatch):
    module, file, _ = converted("llama")
    monkeypatch.setattr(sys.modules["whichway.models.gguf.convert"], "EXACT_BELOW", 1000)
    convert(file, tmp_path / "model")
    stored = load_file(tmp_path / "model" / "model.safetensors")
    assert all((tensor.dtype == torch.bfloat16) == (tensor.dim() > 1) for tensor in stored.values())
    for name, tensor in stored.items():
        assert torch.equal(tensor, module.state_dict()[name].to(tensor.dtype)), name


def test_what_stands_in_the_folder(converted):
    _, _, folder = converted("llama", "Q8_0")
    assert sorted(path.name for path in folder.iterdir()) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "source.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    source = json.loads((folder / "source.json").read_text())
    assert source["quantisation"] == {"F32": 5, "Q8_0": 16}
    assert source["name"] == "tiny llama"
    assert len(source["sha256"]) == 64
    ends = json.loads((folder / "generation_config.json").read_text())["eos_token_id"]
    assert ends == [1, 3]  # the file's own end, and the end of a turn, which it does not name


def test_the_same_file_gives_the_same_bytes(converted, tmp_path):
    _, file, folder = converted("qwen3")
    convert(file, tmp_path / "again")
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_tied_embeddings_are_stored_once(converted):
    folder = converted("qwen2")[2]
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    assert AutoConfig.from_pretrained(folder).tie_word_embeddings


def test_only_the_configured_attention_scale_of_the_27b_differs(tmp_path):
    model = gguf_writer.module("gemma2", num_hidden_layers=46, num_attention_heads=8)
    file = gguf_writer.write(tmp_path / "wide.gguf", model, "gemma2", gguf_writer.byte_level())
    convert(file, tmp_path / "model")
    assert AutoConfig.from_pretrained(tmp_path / "model").query_pre_attn_scalar == 64 // 8


TYPES = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]


@pytest.mark.parametrize("kind", TYPES)
def test_each_type_that_can_be_written_here(kind, tmp_path):
    module = gguf_writer.module("qwen2")
    file = gguf_writer.write(tmp_path / "m.gguf", module, "qwen2", gguf_writer.byte_level(), kind)
    convert(file, tmp_path / "model")
    stored = load_file(tmp_path / "model" / "model.safetensors")
    bits = {"F32": 24, "F16": 11, "BF16": 8, "Q8_0": 7}.get(kind, int(kind[1]) - 1 if kind[0] == "Q" else 0)
    for name, parameter in module.state_dict().items():
        if parameter.dim() < 2:
            assert torch.equal(stored[name].float(), parameter), name
        elif name in stored:
            gap = (stored[name].float() - parameter).abs().max() / parameter.abs().max()
            assert gap <= 2.0**-bits, (name, float(gap))


@pytest.mark.parametrize("kind", ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_XS"])
def test_super_blocks_are_read_as_transformers_reads_them(kind, tmp_path):
    """K-quants can be read but not written in Python: random blocks with small scales, against another reader."""
    from transformers.integrations.gguf.dequant import dequantize

    from whichway.models.gguf.header import Header, TensorInfo
    from whichway.models.gguf.values import values

    which = gguf.GGMLQuantizationType[kind]
    _, size = gguf.GGML_QUANT_SIZES[which]
    rng = np.random.default_rng(5)
    blocks = rng.integers(0, 256, (6, size), dtype=np.uint8)
    scale = rng.uniform(0.01, 0.1, (6, 2)).astype(np.float16).view(np.uint8)
    places = {"Q2_K": slice(-4, None), "Q3_K": slice(-2, None), "Q6_K": slice(-2, None), "IQ4_XS": slice(0, 2)}
    place = places.get(kind, slice(0, 4))
    blocks[:, place] = scale[:, : blocks[:, place].shape[1]]
    (tmp_path / "blocks").write_bytes(blocks.tobytes())
    info = TensorInfo("t", (3, 512), kind, 0, blocks.size)
    found = values(Header(tmp_path / "blocks", {}, {"t": info}), "t")
    wanted = dequantize(torch.from_numpy(blocks.reshape(-1)), int(which)).reshape(3, 512)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-5, atol=1e-6)


def test_rounding_to_bfloat16_is_torchs():
    from whichway.models.gguf.values import to_bfloat16

    floats = torch.cat([torch.randn(5000), torch.tensor([0.0, -0.0, 1 + 2**-8, 1 + 3 * 2**-8, 3e-40, float("inf")])])
    found = torch.from_numpy(to_bfloat16(floats.numpy()).view(np.int16)).view(torch.bfloat16)
    assert torch.equal(found, floats.bfloat16())


def test_tokens_reach_auto_tokenizer_as_they_were_built(converted):
    from tokenizers import Tokenizer

    texts = ["Where is my parcel? 1234", "<think>\nno</think><|im_end|>", "  two\n\nlines\t", "naïve 🦔 漢字"]
    for case in ("llama", "qwen2", "gemma3", "phi3", "mistral"):
        folder = converted(case)[2]
        core, auto = Tokenizer.from_file(str(folder / "tokenizer.json")), AutoTokenizer.from_pretrained(folder)
        for text in texts:
            assert auto(text)["input_ids"] == core.encode(text).ids, (case, text)
            assert auto.decode(auto(text)["input_ids"]) == text, case
