"""Every tensor is made where the model is: on a device without numbers here, and on a GPU where there is one."""

import copy

import pytest
import torch
from test_engine_decoder import wrapped
from test_engine_pack import PREFIX, encoded
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from whichway.engine.infer import session as answer
from whichway.engine.model import attention, decoder, load, packing, prefix_attention, weights
from whichway.engine.train import trainer
from whichway.nouns import Decoding, Message, Request

MOVES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}


class OneDevice(TorchDispatchMode):
    """Refuses operations that mix tensors of two devices, as a GPU would; numbers without dimensions may cross."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        devices = {t.device.type for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor) and t.dim()}
        assert len(devices) < 2 or func in MOVES, f"{func} mixes {devices}"
        return func(*args, **(kwargs or {}))


def elsewhere(module):
    return copy.deepcopy(module).to("meta")


def test_a_mix_is_noticed():
    with OneDevice(), pytest.raises(AssertionError, match="mixes"):
        torch.ones(2, device="meta").index_select(0, torch.zeros(1, dtype=torch.long))


@pytest.mark.parametrize("what", ["full", "lora"])
@pytest.mark.parametrize("long", [1024, 4])  # plain products, and the fused attention that a GPU takes
def test_learning_makes_its_tensors_on_the_models_device(model, monkeypatch, what, long):
    monkeypatch.setattr(prefix_attention, "LONG", long)
    monkeypatch.setattr(prefix_attention, "SCORES", 0)
    outer, _ = wrapped(model, what)
    outer = outer.to("meta")
    module = outer if what == "full" else outer.get_base_model()
    with OneDevice():
        masters = weights.gather(decoder.known(module).weights, outer, torch.bfloat16)
        for prefix in (PREFIX, []):
            losses = trainer.row_losses(module, encoded(), prefix, masters)
            assert losses.device.type == "meta"
            losses.mean().backward()
        torch.nn.utils.clip_grad_norm_([masters.vector], 1.0)
        masters.refresh()
    assert masters.vector.grad.device.type == "meta"


@pytest.mark.parametrize("long", [1024, 4])
def test_answering_makes_its_tensors_on_the_models_device(model, monkeypatch, long):
    monkeypatch.setattr(prefix_attention, "LONG", long)
    monkeypatch.setattr(prefix_attention, "SCORES", 0)
    own = decoder.Decoder(weights.read(elsewhere(model.module)))
    device = torch.device("meta")
    tree = packing.Tree((70, 71), (-1, 0))
    with OneDevice(), torch.no_grad():
        first = packing.pack_rows([len(PREFIX)], 0, device, keep=True)
        own.fill(torch.tensor(PREFIX, device=device), first)
        prefix = [first.key_values[n] for n in sorted(first.key_values)]
        layout = packing.pack_rows([3, 1], len(PREFIX), device, tree=tree, prefix=prefix)
        out = own.logits(torch.zeros(8, dtype=torch.long, device=device), layout, torch.arange(8, device=device))
    assert out.device.type == "meta"
    assert out.shape[0] == 8


cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@cuda
@pytest.mark.parametrize("what", ["full", "lora"])
def test_a_gpu_gives_the_processors_losses_and_gradients(model, what):
    found = {}
    for device in ("cpu", "cuda"):
        outer, _ = wrapped(model, what)
        outer = outer.to(device)
        module = outer if what == "full" else outer.get_base_model()
        masters = weights.gather(decoder.known(module).weights, outer, torch.float32)
        losses = trainer.row_losses(module, encoded(), PREFIX, masters)
        losses.mean().backward()
        found[device] = losses.detach().cpu(), masters.vector.grad.cpu()
    for here, there in zip(found["cpu"], found["cuda"], strict=True):
        assert float((here - there).abs().max()) < 1e-4 * max(1.0, float(here.abs().max()))


@cuda
def test_a_gpu_gives_the_processors_answers(tiny, monkeypatch):
    labels = ("bill", "billing", "shipping")
    asked = [Request((Message("user", text),), Decoding(), labels) for text in ("Hi", "Where?")]
    given = []
    for device in ("cpu", "cuda"):
        monkeypatch.setattr(load, "device", lambda device=device: torch.device(device))
        monkeypatch.setattr("whichway.engine.model.throughput.dtype", lambda *_: torch.float32)
        model = load.load(tiny("llama"))
        session = answer.InferenceSession(model, model.module)
        written = [Request(r.messages, Decoding("generate", 8), ()) for r in asked]
        given.append((session.choose(asked), [r.text for r in session.generate(written)]))
    assert given[0][1] == given[1][1]
    for here, there in zip(given[0][0], given[1][0], strict=True):
        assert here.scores == pytest.approx(there.scores, abs=1e-3)


def test_a_gpu_that_does_not_compute_is_not_used(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    honest = torch.ones

    def broken(*size, device=None, **more):
        if device == "cuda":
            raise RuntimeError("no kernel image is available")
        return honest(*size, device=device, **more)

    monkeypatch.setattr(torch, "ones", broken)
    assert load.device.__wrapped__() == torch.device("cpu")
    assert "no kernel image" in caplog.text


def test_rows_are_padded_to_eights():
    paper = attention.pack_train_batch([(row.prompt, row.answer) for row in encoded()], PREFIX, torch.device("cpu"))
    for block in (*paper.blocks(None), *paper.last(None)):
        assert block.prefix_keys == 0 or block.row_mask.shape[1] % 8 == block.row_mask.shape[2] % 8 == 0
