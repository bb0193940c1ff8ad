"""Random models of the benchmarks' shapes, with the embedded model's tokenizer: written under our interpreter."""

import sys
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from whichway import embedded

M135 = {
    "hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
    "intermediate_size": 1536, "vocab_size": 49152, "max_position_embeddings": 4096,
}  # fmt: skip


def make(name, folder):
    """Write the model once. The embedded model keeps its shape and tokenizer; its weights are its own."""
    if (folder / "config.json").exists():
        return
    tokenizer = AutoTokenizer.from_pretrained(embedded.path())
    if name == "embedded":
        model = AutoModelForCausalLM.from_pretrained(embedded.path())
        model.config.max_position_embeddings = 4096  # rotary: a long prompt needs no other weights
    else:
        ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 1}
        config = AutoConfig.for_model("llama", tie_word_embeddings=True, rms_norm_eps=1e-5, **ends, **M135)
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


make(sys.argv[1], Path(sys.argv[2]))
