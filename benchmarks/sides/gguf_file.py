"""A Llama folder as llama.cpp's GGUF, same weights. Our random models have a vocabulary that its own script refuses."""

import json

import gguf
import torch
from safetensors.torch import load_file

NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def write(folder, place, kind):
    """Write matrices in `kind` ("bf16", "fp16" or "fp32"), norms in float32."""
    config = json.loads((folder / "config.json").read_text())
    out = gguf.GGUFWriter(place, "llama")
    heads, key_heads = config["num_attention_heads"], config["num_key_value_heads"]
    depth = config.get("head_dim") or config["hidden_size"] // heads
    out.add_context_length(config["max_position_embeddings"])
    out.add_embedding_length(config["hidden_size"])
    out.add_block_count(config["num_hidden_layers"])
    out.add_feed_forward_length(config["intermediate_size"])
    out.add_head_count(heads)
    out.add_head_count_kv(key_heads)
    out.add_layer_norm_rms_eps(config["rms_norm_eps"])
    out.add_rope_freq_base((config.get("rope_parameters") or config).get("rope_theta", 10000.0))
    out.add_rope_dimension_count(depth)
    out.add_key_length(depth)
    out.add_value_length(depth)
    out.add_vocab_size(config["vocab_size"])
    out.add_tokenizer_model("no_vocab")
    for name, tensor in load_file(folder / "model.safetensors").items():
        add(out, name, tensor, {"q_proj": heads, "k_proj": key_heads}, kind)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def add(out, name, tensor, turned, kind):
    """One tensor under its name there; queries and keys in the order that its rotation wants."""
    parts = name.split(".")
    where = ".".join(parts[3:-1])
    if name == "model.embed_tokens.weight":
        new = "token_embd.weight"
    elif name == "model.norm.weight":
        new = "output_norm.weight"
    else:
        new = f"blk.{parts[2]}.{NAMES[where]}.weight"
    for part, heads in turned.items():
        if part in name:
            tensor = tensor.reshape(heads, 2, -1, tensor.shape[1]).transpose(1, 2).reshape(tensor.shape)
    if tensor.dim() == 1 or kind == "fp32":
        out.add_tensor(new, tensor.float().numpy())
    elif kind == "fp16":
        out.add_tensor(new, tensor.to(torch.float16).numpy())
    else:
        raw = tensor.to(torch.bfloat16).contiguous().view(torch.uint16).numpy()
        shape = [raw.shape[0], raw.shape[1] * 2]
        out.add_tensor(new, raw.view("uint8"), raw_shape=shape, raw_dtype=gguf.GGMLQuantizationType.BF16)
