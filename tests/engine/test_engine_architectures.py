"""Ten architectures, tiny and random: rows after a shared prefix, longer than every window, equal transformers."""

import json
import shutil

import pytest
import torch
from torch.nn import functional as F

from whichway.engine.infer.session import InferenceSession
from whichway.engine.model import load, packing
from whichway.engine.train import tokenization_report, trainer
from whichway.engine.train.adapter_check import Encoded
from whichway.errors import ModelError
from whichway.nouns import Decoding, Message, Request

WINDOW = 6
WIDE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
GROUPED = {**WIDE, "num_key_value_heads": 2, "max_position_embeddings": 256}
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
LONG = [1.0 + 0.25 * n for n in range(4)]
LONGROPE = {
    "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4, "long_factor": LONG,
    "original_max_position_embeddings": 64,
}  # fmt: skip
GEMMA = {**GROUPED, "head_dim": 16, "sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"]}
KINDS = {
    "Llama-3.2": ("llama", {**GROUPED, "rope_scaling": LLAMA3, "tie_word_embeddings": True}),
    "Qwen2.5": ("qwen2", {**GROUPED, "use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1}),
    "Qwen3": ("qwen3", {**GROUPED, "head_dim": 16}),
    "Gemma 2": ("gemma2", {**GEMMA, "attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0}),
    "Gemma 3": ("gemma3_text", {**GEMMA, "rope_local_base_freq": 100.0}),
    "Phi-3": ("phi3", {**GROUPED, "sliding_window": WINDOW, "pad_token_id": 1}),
    "Phi-3 longrope": ("phi3", {**GROUPED, "rope_scaling": LONGROPE, "pad_token_id": 1,
                                "original_max_position_embeddings": 64}),
    "Mistral": ("mistral", {**GROUPED, "sliding_window": WINDOW}),
    "OLMo-2": ("olmo2", GROUPED),
    "Pythia": ("gpt_neox", {**WIDE, "rotary_pct": 0.25, "max_position_embeddings": 256}),
    "Falcon": ("falcon", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}),
}  # fmt: skip
REFUSED = {"Falcon"}
PREFIX = [5, 9, 40, 41, 200, 13, 7, 8, 11, 17]
ROWS = [(list(range(60, 73)), [70, 1]), ([80], [90, 91, 92, 1]), (list(range(100, 120)), [110, 3])]


@pytest.fixture
def made(tmp_path, tiny, one_thread):
    def make(name, **more):
        from transformers import AutoConfig, AutoModelForCausalLM

        kind, sizes = KINDS[name]
        ids = {"vocab_size": 320, "bos_token_id": 0, "eos_token_id": 1}
        config = AutoConfig.for_model(kind, **{**ids, **sizes, **more})
        with torch.random.fork_rng():
            torch.manual_seed(7)
            module = AutoModelForCausalLM.from_config(config)
            for parameter in module.parameters():
                if parameter.dim() > 1:
                    torch.nn.init.normal_(parameter, std=0.2)
        module.save_pretrained(tmp_path / "model")
        for file in tiny("llama").glob("token*"):
            shutil.copy(file, tmp_path / "model")
        return tmp_path / "model"

    return make


def encoded():
    return [Encoded(PREFIX + prompt, answer) for prompt, answer in ROWS]


@torch.no_grad()
def alone(module, rows):
    """Losses by transformers' eager attention, one row at a time."""
    module.set_attn_implementation("eager")
    losses = []
    for row in rows:
        ids = torch.tensor([row.prompt + row.answer])
        logits = module(ids).logits[0]
        losses.append(F.cross_entropy(logits[len(row.prompt) - 1 : -1], ids[0, len(row.prompt) :], reduction="none"))
    module.set_attn_implementation(packing.ATTENTION)
    return torch.cat(losses)


@pytest.mark.parametrize("name", [name for name in KINDS if name not in REFUSED])
def test_rows_beyond_every_window_equal_transformers(name, made):
    module = load.load(made(name)).module
    wanted = alone(module, encoded())
    for prefix in (PREFIX, []):
        with torch.no_grad():
            found = trainer.row_losses(module, encoded(), prefix)
        with torch.enable_grad():  # transformers' own layers over our attention
            learning = trainer.row_losses(module, encoded(), prefix).detach()
        assert torch.allclose(found, wanted, atol=2e-4), (found - wanted).abs().max()
        assert torch.allclose(learning, wanted, atol=2e-4), (learning - wanted).abs().max()


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_not_supported_is_refused_by_name(name, made):
    with pytest.raises(ModelError, match=name):
        load.load(made(name))


def test_a_window_matters(made):
    """The test above would notice a window that is ignored."""
    wide = load.load(made("Mistral", sliding_window=None)).module
    wanted = alone(wide, encoded())
    narrow = load.load(made("Mistral")).module
    assert not torch.allclose(trainer.row_losses(narrow, encoded(), PREFIX), wanted, atol=1e-2)


def test_rows_that_would_turn_others_are_not_taken(made):
    """Longrope turns every row of a batch by the longest: rows from that length on are left out, and told."""
    folder = made("Phi-3 longrope")
    model = load.load(folder)
    read = tokenization_report.reader(folder)
    assert model.context == read.context == 64
    assert model.limit == read.limit
    assert "longrope" in model.limit
    asked = Request((Message("user", "a word " * 90),), Decoding("generate"))
    (reply,) = InferenceSession(model, model.module).generate([asked])
    assert reply.finish == "error"
    assert reply.error.endswith(f"the model takes 64 ({model.limit})")
    assert not load.load(made("Mistral")).limit
    long = Encoded([7] * 90, [70, 1])
    with torch.no_grad():
        together = trainer.row_losses(model.module, [long, *encoded()], [])[2:]
    assert not torch.allclose(together, alone(model.module, encoded()), atol=1e-3)  # what would happen


def test_a_tokenizer_with_more_tokens_than_the_embedding_is_refused(made, tiny):
    folder = made("Qwen3", vocab_size=300)
    for opened in (load.load, tokenization_report.reader):
        with pytest.raises(ModelError, match=r"320 tokens, the model's embedding 300"):
            opened(folder)
    config = json.loads((folder / "config.json").read_text())
    assert config["vocab_size"] == 300
