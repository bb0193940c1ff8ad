"""Where weights go: decided by the memory of cards; a model in parts answers like a whole one."""

import logging

import pytest
import torch

from whichway.backends.local import backend
from whichway.engine.infer import session
from whichway.engine.model import decoder, forward, load, packing, placement
from whichway.engine.train import adapter_check, adapters, head, run_job
from whichway.errors import ModelError, OptionError, WayFailed
from whichway.nouns import Decoding, Message, Request, TrainJob, TrainRow

GIB = 1 << 30
LABELS = ("bill", "billing", "shipping")
ASKED = [Request((Message("user", text),), Decoding(), LABELS) for text in ("Hi", "Where is it?", "refund")]
WRITTEN = [Request(request.messages, Decoding("generate", 8), ()) for request in ASKED]


@pytest.fixture
def large(monkeypatch, tiny):
    """A folder whose weights take 40 GiB, by word, in 40 layers."""
    layers = {"hidden_size": 4096, "intermediate_size": 16384, "num_hidden_layers": 40, "vocab_size": 32000}
    monkeypatch.setattr(placement, "config_of", lambda folder: layers)
    monkeypatch.setattr(placement, "weight_bytes", lambda folder, dtype: 40 * GIB)
    return tiny("llama")


def cards(monkeypatch, *gib):
    monkeypatch.setattr(placement, "free_bytes", lambda own=False: [int(size * GIB) for size in gib])


def test_a_model_goes_whole_to_a_card_that_holds_it_else_in_parts(large, monkeypatch, caplog):
    for free in ((), (80,), (40.5,), (48, 48)):
        cards(monkeypatch, *free)
        assert placement.parts_of(large, torch.bfloat16) is None
    cards(monkeypatch, 24, 24)
    parts = placement.parts_of(large, torch.bfloat16)
    assert parts.max_memory == {0: 22 * GIB, 1: 22 * GIB}
    assert "take 40.0 GiB; free on the 2 cards: 24.0 GiB, 24.0 GiB" in caplog.text
    for free in ((24,), (16, 16)):
        cards(monkeypatch, *free)
        with pytest.raises(ModelError, match=r"weights take 40.0 GiB in bfloat16.* free on the .*Take a smaller model"):
            placement.parts_of(large, torch.bfloat16)


def test_free_memory_is_that_of_each_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda n: (100 + n, 500))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda n: 30)
    assert placement.free_bytes() == [100, 101]
    assert placement.free_bytes(own=True) == [130, 131]


def test_trainings_are_sharded_where_one_card_does_not_hold_model_and_training(large, monkeypatch, caplog):
    placement._say_once.cache_clear()
    for free, device, wanted in (((100, 100), "cuda", None), ((60,), "cuda", None), ((), "cpu", None), ((), "cpu", 1)):
        cards(monkeypatch, *free)
        assert placement.sharding(large, torch.bfloat16, device, wanted) is None
    cards(monkeypatch, 60, 60)
    with caplog.at_level(logging.WARNING):
        sharding = placement.sharding(large, torch.bfloat16, "cuda", None)
    assert (sharding.count, sharding.device, sharding.dtype) == (2, "cuda", "bfloat16")
    assert "sharded over 2 processes" in caplog.text
    assert "60.0 GiB, 60.0 GiB" in caplog.text
    assert placement.sharding(large, torch.bfloat16, "cuda", 1) is None
    assert placement.sharding(large, torch.float32, "cpu", 2).count == 2
    with pytest.raises(OptionError, match="--shards 3: there are 2 cards"):
        placement.sharding(large, torch.bfloat16, "cuda", 3)
    cards(monkeypatch, 22, 22)
    with pytest.raises(ModelError, match=r"each of 2 cards has to hold about .* GiB .*free on the 2 cards: 22.0 GiB"):
        placement.sharding(large, torch.bfloat16, "cuda", None)


def test_passes_are_as_long_as_memory_allows(tiny, monkeypatch):
    llama = {"hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80, "vocab_size": 128256}
    assert 3e6 < placement.token_bytes(llama, 2) < 4e6
    monkeypatch.setattr(placement, "config_of", lambda folder: llama)
    size = 140 * GIB
    few = placement._fitting_tokens(tiny("llama"), size, [80 * GIB] * 4, torch.bfloat16)
    many = placement._fitting_tokens(tiny("llama"), size, [80 * GIB] * 8, torch.bfloat16)
    assert 0 < few < many < 65536


def in_parts(folder, monkeypatch, offload):
    """The model laid over the memory of the processor and the disk: each layer on disk is read when it is run."""
    size = placement.weight_bytes(folder, torch.float32)
    parts = placement.Parts({"cpu": size * 2 // 3}, offload)
    monkeypatch.setattr(placement, "parts_of", lambda *_: parts)
    return load.load(folder)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_model_in_parts_answers_like_a_whole_one(tiny, opened, tmp_path, monkeypatch, kind):
    whole = opened(kind)
    model = in_parts(tiny(kind), monkeypatch, tmp_path)
    assert set(model.module.hf_device_map.values()) == {"cpu", "disk"}
    assert forward.in_parts(model.module)
    assert decoder.decoder_of(model.module) is None
    ids = torch.arange(5, 40)
    with torch.no_grad():
        layouts = [packing.pack_rows([20, 15], 0, torch.device("cpu")) for _ in range(2)]
        sides = [forward.logits(m.module, ids, layout, torch.tensor([3, 19, 34])) for m, layout in
                 zip((whole, model), layouts, strict=True)]  # fmt: skip
    assert torch.allclose(*sides, atol=1e-4)
    replies = [session.InferenceSession(m, m.module) for m in (whole, model)]
    for one, other in zip(*(side.choose(ASKED) for side in replies), strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-3)
    assert [r.text for r in replies[0].generate(WRITTEN)] == [r.text for r in replies[1].generate(WRITTEN)]


def rows():
    return tuple(TrainRow((Message("user", text),), label) for text, label in zip("abcdef", LABELS * 2, strict=True))


@pytest.fixture
def hooked(tiny, opened):
    """A model whose parts all lie in memory, with accelerate's hooks around each."""
    from accelerate import dispatch_model

    model = load.load(tiny("llama"))
    places = {"model.embed_tokens": "cpu", "model.layers.0": "cpu", "model.layers.1": "cpu", "model.norm": "cpu",
              "model.rotary_emb": "cpu", "lm_head": "cpu"}  # fmt: skip
    decoder.unregister(model.module)
    dispatch_model(model.module, places, force_hooks=True)
    for name in ("to", "cuda"):
        vars(model.module).pop(name, None)
    return model


@pytest.mark.parametrize("kind", ["lora", "head"])
def test_a_trained_part_on_a_model_in_parts(opened, hooked, tmp_path, kind):
    whole = opened("llama")
    job = TrainJob(kind, backend().weights(str(whole.folder)), rows(), LABELS, 0, {"max_steps": 3, "rate": 0.01})
    trained = list(run_job.train(whole, job, tmp_path, None))[-1]
    place = tmp_path / trained.weights.adapter
    if kind == "head":
        sides = [head.open_session(model, place) for model in (whole, hooked)]  # each proves that it is live
    else:
        module = adapters.trained(hooked.module, place)
        adapter_check.check(place, hooked, module)
        sides = [
            session.InferenceSession(whole, adapters.trained(whole.module, place)),
            session.InferenceSession(hooked, module),
        ]
    for one, other in zip(*(side.choose(ASKED) for side in sides), strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-3)
    base = [session.InferenceSession(model, model.module).choose(ASKED)[0].scores for model in (whole, hooked)]
    assert base[0] == pytest.approx(base[1], abs=1e-3)  # the base is as it was
    assert base[0] != sides[0].choose(ASKED)[0].scores


def test_a_whole_training_on_a_model_in_parts_says_what_goes(tiny, tmp_path, monkeypatch):
    local = backend()
    weights = local.weights(str(tiny("llama")))
    in_parts(tiny("llama"), monkeypatch, tmp_path / "offload")
    job = TrainJob("full", weights, rows(), LABELS, 0, {"max_steps": 1})
    with pytest.raises(WayFailed, match="lora, top, head are sharded"):
        next(iter(local.train(job, tmp_path, None)))


def test_layers_that_no_card_takes_are_an_error(tiny, monkeypatch):
    monkeypatch.setattr(placement, "parts_of", lambda *_: placement.Parts({"cpu": 20_000}))
    with pytest.raises(ModelError):
        load.load(tiny("llama"))


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("size", [0, 5])
def test_prefix_and_rows_in_one_pass_are_the_two_passes(opened, kind, size):
    module = opened(kind).module
    prefix = list(range(7, 7 + size))
    pairs = [([*prefix, 20, 21, 22], [30, 31]), ([*prefix, 23], [32])]
    with torch.enable_grad():  # through transformers' layers
        front = forward.run_prefix(module, prefix, module.device)
        two = forward.answer_logprobs(module, pairs, front, size)
        one = forward.whole_logprobs(module, pairs, prefix)
    assert torch.allclose(one, two, atol=1e-5)
