"""Our own decoder: the gradients by hand are those of autograd and of PEFT, in every format."""

import copy

import pytest
import torch
from test_engine_pack import PREFIX, ROWS, encoded
from torch import nn

from whichway.engine.model import (
    attention,
    decoder,
    decoder_loss,
    forward,
    layers,
    load,
    packing,
    prefix_attention,
    weights,
)
from whichway.engine.train import trainer


def wrapped(model, what, kind=torch.float32, targets="all-linear"):
    """A copy of the model in `kind`, all of it or a LoRA adapter (that already says something) to be trained."""
    module = copy.deepcopy(model.module).to(kind)
    if what == "full":
        return module.requires_grad_(True), module
    from peft import LoraConfig, get_peft_model

    gpt2 = module.config.model_type == "gpt2"
    config = LoraConfig(r=4, lora_alpha=12, target_modules=targets, fan_in_fan_out=gpt2)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        outer = get_peft_model(module, config, autocast_adapter_dtype=False)
        for name, p in outer.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(p, std=0.1)
    return outer, outer.get_base_model()


def by_hand(outer, module, kind, prefix=PREFIX):
    """Losses, and gradients by parameter name."""
    own = decoder.known(module)
    names = {id(p): name for name, p in outer.named_parameters()}
    masters = weights.gather(own.weights, outer, kind)
    losses = trainer.row_losses(module, encoded(), prefix, masters)
    losses.mean().backward()
    found = {}
    for slot in own.weights.slots:
        if slot.grad is None:
            continue
        parts = [slot.grad] if len(slot.parameters) == 1 else slot.grad.split([len(p) for p in slot.parameters])
        for p, part in zip(slot.parameters, parts, strict=True):
            turned = part.shape != p.shape or part.stride() != p.stride()
            found[names[id(p)]] = part.t() if turned and part.dim() == 2 else part
    return losses.detach(), found


def by_autograd(outer, module, prefix=PREFIX):
    losses = trainer.row_losses(module, encoded(), prefix)
    losses.mean().backward()
    return losses.detach(), {name: p.grad for name, p in outer.named_parameters() if p.requires_grad}


def gap(a, b):
    return float((a - b).abs().max() / b.abs().max().clamp(min=1e-3))


@pytest.mark.parametrize("what", ["full", "lora"])
@pytest.mark.parametrize("long", [1024, 4])
def test_gradients_by_hand_equal_autograd(model, monkeypatch, what, long):
    monkeypatch.setattr(prefix_attention, "LONG", long)
    for prefix in (PREFIX, []):
        wanted, grads = by_autograd(*wrapped(model, what), prefix)
        found, hand = by_hand(*wrapped(model, what), torch.float32, prefix)
        assert hand.keys() == grads.keys()
        assert gap(found, wanted) < 1e-5
        assert max(gap(hand[name], grads[name]) for name in grads) < 1e-5


@pytest.mark.parametrize("what", ["full", "lora"])
@pytest.mark.parametrize("prefix", [PREFIX, []])
def test_padding_to_even_sizes_changes_no_gradient(model, monkeypatch, what, prefix):
    wanted, grads = by_hand(*wrapped(model, what), torch.float32, prefix)
    monkeypatch.setattr(packing, "pads_shapes", lambda *_: True)
    found, padded = by_hand(*wrapped(model, what), torch.float32, prefix)
    assert len(found) == len(wanted)
    assert gap(found, wanted) < 1e-5
    assert max(gap(padded[name], grads[name]) for name in grads) < 1e-5


def test_sheets_of_other_rows_have_the_same_size_when_padded():
    papers = [
        attention.pack_train_batch([(PREFIX + [9] * size, [3] * answer)], PREFIX, torch.device("cpu"), even=True)
        for size, answer in ((5, 1), (9, 2), (3, 7))
    ]
    assert {(len(paper.ids), len(paper.keep), len(paper.wanted)) for paper in papers} == {(32, 8, 8)}
    assert [paper.real for paper in papers] == [1, 2, 7]


def test_one_fused_layer_equals_peft_in_float64():
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    plain = nn.ModuleDict({name: nn.Linear(24, size) for name, size in (("q", 16), ("k", 8), ("v", 8))}).double()
    peft = get_peft_model(plain, LoraConfig(r=3, lora_alpha=5, target_modules=["q", "k", "v"]), autocast_adapter_dtype=False)  # fmt: skip # noqa: E501
    for name, p in peft.named_parameters():
        if "lora" in name:
            nn.init.normal_(p)
    inputs = torch.randn(11, 24, dtype=torch.float64, requires_grad=True)
    parts = [peft.get_base_model()[name] for name in "qkv"]
    wanted = torch.cat([part(inputs) for part in parts], dim=-1)
    grad = torch.randn_like(wanted)
    wanted.backward(grad)
    group = weights._Reader(_Config()).group(*parts)
    for slot in (group.lora.a, *group.lora.b):
        slot.grad = torch.zeros_like(slot.value)
    found, kept = layers.linear(inputs.detach(), group)
    onward = layers.linear_back(grad, kept, group)
    assert gap(found, wanted.detach()) < 1e-14
    assert gap(onward, inputs.grad) < 1e-13
    assert gap(group.lora.a.grad, torch.cat([p.lora_A["default"].weight.grad for p in parts])) < 1e-13
    for slot, part in zip(group.lora.b, parts, strict=True):
        assert gap(slot.grad, part.lora_B["default"].weight.grad) < 1e-13
    for first, second in ((group, None), group.split(16)):  # the same in two halves, as the last layer asks
        if second is not None:
            halves = torch.cat([layers.linear(inputs.detach(), half)[0] for half in (first, second)], dim=-1)
            assert gap(halves, found) < 1e-14


class _Config:
    model_type, hidden_act = "llama", "silu"


def test_adapters_on_some_layers_only(opened):
    targets = ["q_proj", "v_proj", "down_proj"]
    wanted, grads = by_autograd(*wrapped(opened("llama"), "lora", targets=targets))
    found, hand = by_hand(*wrapped(opened("llama"), "lora", targets=targets), torch.float32)
    assert gap(found, wanted) < 1e-5
    assert max(gap(hand[name], grads[name]) for name in grads) < 1e-5


def test_bf16_products_stay_within_their_noise(model):
    exact, grads = by_hand(*wrapped(model, "full"), torch.float32)
    rounded, hand = by_hand(*wrapped(model, "full"), torch.bfloat16)
    noise, theirs = _bf16_noise(model, exact, grads)
    assert gap(rounded, exact) < 2 * noise + 0.01
    for name, wanted in grads.items():
        away = 1 - float(torch.cosine_similarity(hand[name].flatten(), wanted.flatten(), dim=0))
        assert away < 2 * theirs[name] + 0.01, name


def _bf16_noise(model, exact, grads):
    """What rounding does to transformers' own bf16 computation."""
    outer, module = wrapped(model, "full", torch.bfloat16)
    losses, found = by_autograd(outer, module)
    away = {n: 1 - float(torch.cosine_similarity(found[n].float().flatten(), g.flatten(), dim=0)) for n, g in grads.items()}  # fmt: skip # noqa: E501
    return gap(losses.float(), exact), away


def test_frozen_weights_get_no_gradient(opened):
    outer, module = wrapped(opened("llama"), "lora")
    by_hand(outer, module, torch.float32)
    frozen = [slot for slot in decoder.known(module).weights.slots if not slot.parameters[0].requires_grad]
    assert frozen
    assert all(slot.grad is None for slot in frozen)


def test_weights_are_stored_once(opened):
    module = opened("llama").module
    group = decoder.known(module).weights.layers[0].qkv
    q = module.model.layers[0].self_attn.q_proj.weight
    assert group.weight.value.data_ptr() == q.data_ptr()
    fork = load.fork(module)
    assert decoder.known(fork).weights.layers[0].qkv.weight.value.data_ptr() == q.data_ptr()


def test_a_model_that_our_decoder_gets_wrong_is_run_through_transformers(tiny, monkeypatch, caplog):
    honest = layers.rotate
    monkeypatch.setattr(layers, "rotate", lambda states, cos, sin: honest(states, cos, sin) * 1.5)
    model = load.load(tiny("llama"))
    assert decoder.decoder_of(model.module) is None
    assert "transformers' is used" in caplog.text
    monkeypatch.setattr(layers, "rotate", honest)
    with torch.no_grad():
        prefix = forward.run_prefix(model.module, PREFIX, model.device)
        assert len(prefix) == 2
    assert len(ROWS) == 3


@pytest.mark.parametrize("kept", [1 << 26, 0])
def test_losses_are_the_same_whether_probabilities_are_kept(opened, monkeypatch, kept):
    wanted, grads = by_hand(*wrapped(opened("llama"), "lora"), torch.float32)
    monkeypatch.setattr(decoder_loss, "_KEPT_BYTES", kept)
    monkeypatch.setattr(decoder_loss, "_HEAD_TOKENS", 2)
    found, hand = by_hand(*wrapped(opened("llama"), "lora"), torch.float32)
    assert gap(found, wanted) < 1e-6
    assert max(gap(hand[name], grads[name]) for name in grads) < 1e-5


def test_the_last_layer_is_asked_for_kept_tokens_only(model, monkeypatch):
    tree = packing.Tree((70, 71, 72), (-1, 0, -1))
    ids = torch.tensor([60, 61, 62, *tree.ids, 80, *tree.ids])
    keep = torch.tensor([2, 3, 5, 6, 7, 9])  # the end of each row and two nodes of its tree
    asked, honest = [], packing.PackedRows.ask
    watched = lambda self, n, q, *rest: asked.append(q.shape[1]) or honest(self, n, q, *rest)  # noqa: E731
    monkeypatch.setattr(packing.PackedRows, "ask", watched)
    with torch.no_grad():
        prefix = forward.run_prefix(model.module, PREFIX, model.device)
        layout = packing.pack_rows([3, 1], len(PREFIX), model.device, tree=tree, prefix=prefix)
        every = forward.logits(model.module, ids, layout, torch.arange(10))
        some = forward.logits(model.module, ids, layout, keep)
        uneven = forward.logits(model.module, ids, layout, torch.tensor([2, 3, 6]))
        told = forward.logits(model.module, ids, layout, keep, torch.tensor([70, 5]))
    assert asked == [len(keep), len(keep)]
    assert gap(told, every[keep][:, [70, 5]]) < 1e-5
    assert gap(some, every[keep]) < 1e-5
    assert gap(uneven, every[[2, 3, 6]]) < 1e-5
