"""Rows after a shared prefix must equal rows alone: logits, losses, gradients."""

import pytest
import torch
from torch.nn import functional as F

from whichway.engine.model import forward, load, packing, prefix_attention
from whichway.engine.train import trainer
from whichway.engine.train.adapter_check import Encoded

PREFIX = [5, 9, 40, 41, 200, 13, 7]
ROWS = [([60, 61, 62], [70, 1]), ([80], [90, 91, 92, 1]), ([100, 101, 102, 103, 104, 105], [110, 3])]


def encoded():
    return [Encoded(PREFIX + prompt, answer) for prompt, answer in ROWS]


def alone(module, rows):
    """Losses the ordinary way: transformers' eager attention, one row at a time, whole logits."""
    module.set_attn_implementation("eager")
    losses = []
    for row in rows:
        ids = torch.tensor([row.prompt + row.answer])
        logits = module(ids).logits[0]
        losses.append(F.cross_entropy(logits[len(row.prompt) - 1 : -1], ids[0, len(row.prompt) :], reduction="none"))
    module.set_attn_implementation(packing.ATTENTION)
    return torch.cat(losses)


def gradients(module, losses):
    module.zero_grad()
    losses.mean().backward()
    return {name: p.grad.clone() for name, p in module.named_parameters()}


def close(a, b, tolerance=1e-5):
    return float((a - b).detach().abs().max()) <= tolerance * max(float(b.detach().abs().max()), 1e-3)


@pytest.mark.parametrize("long", [768, 4])
def test_packed_equals_alone(folder, monkeypatch, long):
    monkeypatch.setattr(prefix_attention, "LONG", long)  # plain and fused attention
    monkeypatch.setattr(prefix_attention, "SCORES", 0)
    module = load.load(folder).module.requires_grad_(True)
    wanted = alone(module, encoded())
    wanted_grads = gradients(module, wanted)
    found = trainer.row_losses(module, encoded(), PREFIX)
    assert close(found, wanted)
    grads = gradients(module, found)
    assert all(close(grads[name], wanted_grads[name]) for name in grads)


def test_a_row_does_not_see_its_neighbours(folder):
    module = load.load(folder).module
    together = trainer.row_losses(module, encoded(), PREFIX)
    apart = torch.cat([trainer.row_losses(module, [row], PREFIX) for row in encoded()])
    without_prefix = trainer.row_losses(module, encoded(), [])
    assert close(together, apart)
    assert close(together, without_prefix)


def test_tree_tokens_see_ancestors_only(tiny):
    module = load.load(tiny("llama")).module
    tree = packing.Tree((70, 71, 72), (-1, 0, -1))  # 70 -> 71, and 72 beside them
    prefix = forward.run_prefix(module, PREFIX, module.device)
    layout = packing.pack_rows([3, 1], len(PREFIX), module.device, tree=tree, prefix=prefix)
    found = forward.logits(module, torch.tensor([60, 61, 62, *tree.ids, 80, *tree.ids]), layout, torch.arange(10))
    module.set_attn_implementation("eager")
    for suffix, at in (([60, 61, 62], 3), ([80], 7)):
        branch = module(torch.tensor([[*PREFIX, *suffix, 70, 71]])).logits[0, -2:]
        other = module(torch.tensor([[*PREFIX, *suffix, 72]])).logits[0, -1:]
        assert close(found[at : at + 3], torch.cat([branch, other]))
    module.set_attn_implementation(packing.ATTENTION)


def test_sliding_windows_are_kept(tmp_path, tiny):
    from transformers import AutoModelForCausalLM, AutoTokenizer, MistralConfig

    config = MistralConfig(
        vocab_size=320, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=64, sliding_window=5, max_position_embeddings=128,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny("llama")).save_pretrained(tmp_path)
    module = load.load(tmp_path).module
    assert close(trainer.row_losses(module, encoded(), PREFIX), alone(module, encoded()))
    assert close(trainer.row_losses(module, encoded(), []), alone(module, encoded()))


def test_capped_scores_are_kept(tmp_path, tiny):
    from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma2Config

    config = Gemma2Config(
        vocab_size=320, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
        intermediate_size=64, sliding_window=5, max_position_embeddings=128, attn_logit_softcapping=0.5,
        final_logit_softcapping=2.0,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny("llama")).save_pretrained(tmp_path)
    module = load.load(tmp_path).module
    assert close(trainer.row_losses(module, encoded(), PREFIX), alone(module, encoded()))


def test_common_leaves_each_row_a_token():
    assert packing.common([[1, 2, 3], [1, 2, 4]]) == 2
    assert packing.common([[1, 2], [1, 2]]) == 1
    assert packing.common([[1], [2]]) == 0
    assert packing.common([[1, 2, 3], [1, 2]]) == 1
