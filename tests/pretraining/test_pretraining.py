"""The recipe's own pieces: attention's backward, rows for learning in context, the written circuit."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

sys.path.insert(0, str(Path(__file__).parents[2] / "pretraining"))

import attention
import circuit
import episodes
import train


@pytest.mark.parametrize("length", [40, 300])
def test_the_backward_equals_autograd(length):
    drawn = torch.Generator().manual_seed(3)
    q, k, v = (torch.randn(2, 3, length, 16, generator=drawn, requires_grad=True) for _ in range(3))
    document = torch.arange(length) // 23
    seen = (document[:, None] == document[None]) & torch.ones(length, length, dtype=torch.bool).tril()
    mask = torch.zeros(2, 1, length, length).masked_fill_(~seen, -1e9)
    given = torch.randn(2, 3, length, 16, generator=drawn)
    out = attention.Packed.apply(q, k, v, mask, 0.25)
    found = torch.autograd.grad(out, (q, k, v), given)
    plain = scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=0.25)
    wanted = torch.autograd.grad(plain, (q, k, v), given)
    assert torch.allclose(out, plain, atol=1e-5)
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def rows():
    """Turn pairs of four sources with names of their own; every second row gives codes in their place."""
    texts = {name: [f"please {name} the {thing}" for thing in "abcdefghijklmnopqrst"] for name in ("order", "cancel")}
    made = []
    for source in ("Books", "Meals", "Trips", "Rooms"):
        named = {"order": f"Order{source}", "cancel": json.dumps({"label": f"cancel_{source.lower()}"})}
        for shift in range(0, 20, 2):
            for said in (named, {"order": "mirror", "cancel": "zip"}):
                messages = [{"role": "system", "content": "Label."}]
                for name, own in texts.items():
                    for text in own[shift : shift + 2]:
                        messages += [{"role": "user", "content": text}, {"role": "assistant", "content": said[name]}]
                made.append({"messages": messages, "source": source, "task": "classify"})
    return made


def test_pools_know_classes_and_leave_codes_and_overlaps_out():
    found = episodes.pools(rows(), lambda text: text.endswith(" a"))
    assert [sorted(p.texts) for p in found] == [
        [f"cancel {source}", f"order {source}"] for source in ("books", "meals", "rooms", "trips")
    ]
    texts = [text for pool in found for own in pool.texts.values() for text in own]
    assert len(texts) == 4 * 2 * 19
    assert not any(text.endswith(" a") for text in texts)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ('{"label": "OrderPizza"}', "order pizza"),
        ("The answer is Routing.", "routing"),
        ("**cancel_order**", "cancel order"),
        ("topic: travel", "travel"),
        ("#booktable", ""),
    ],
)
def test_a_label_without_its_format(label, name):
    assert episodes.plain(label) == name


@pytest.fixture
def pools():
    texts = {f"class {c}": [f"{c} text {n}" for n in range(30)] for c in "abcdefghijkl"}
    return [episodes.Pool("s", {name: [name] for name in texts}, texts)]


def test_tasks_are_told_apart_by_their_own_turns(pools):
    for row in episodes.learning(pools, 200, 5):
        messages = row["messages"]
        assert messages[0]["role"] == "system"
        assert len({m["content"] for m in messages[1::2]}) == len(messages[1::2])
        said = {}
        for user, answer in zip(messages[1::2], messages[2::2], strict=True):
            said.setdefault(user["content"].split()[0], set()).add(answer["content"])
        assert all(len(answers) == 1 for answers in said.values())
    assert list(episodes.learning(pools, 20, 5)) == list(episodes.learning(pools, 20, 5))


def test_formats_give_what_they_ask_for(pools):
    asked = 0
    for row in episodes.formats(pools, 300, 5):
        *question, answer = (m["content"] for m in row["messages"])
        if "JSON" in question[0]:
            asked += 1
            (key,) = json.loads(answer)
            assert re.search(rf"\b{key}\b", question[0])
    assert asked > 50


def test_an_untrained_model_copies_the_answer_of_like_examples():
    """Twelve of forty kinds of text, each of its own words; the answer to a new text is the answer of its kind."""
    rng = np.random.default_rng(0)
    marks, colon, kinds, shown, size = [0, 1, 2, 3], 4, 40, 12, 1600
    center = rng.normal(size=(kinds, 256))
    kind_of = rng.integers(kinds, size=size)
    table = torch.tensor(center[kind_of] + 0.6 * rng.normal(size=(size, 256)), dtype=torch.float32)
    counts = torch.full((size,), 100.0)
    recipe = train.Recipe()
    tokens = type("Tokens", (), {"__len__": lambda _: size, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1})()
    model = train.build(recipe, tokens)
    drawn = torch.Generator().manual_seed(1)
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(circuit.meanings(table, counts, marks, 0, drawn))
        talk = counts.clone()
        talk[marks] = 0
        circuit.write(model, recipe.rotary, talk, [3, colon], drawn)
    right = []
    for _ in range(40):
        answers = rng.choice(np.arange(5, size), shown, replace=False)
        drawn_kinds = rng.choice(kinds, shown, replace=False)
        ids = [0]
        for n in [*rng.permutation(shown), rng.integers(shown)]:
            kind = drawn_kinds[n]
            words = rng.choice(np.flatnonzero((kind_of == kind) & (np.arange(size) > 4)), 7)
            ids += [2, *words, 1, 3, answers[n], 1]
        with torch.no_grad():
            logits = model(torch.tensor([ids[:-2]])).logits[0, -1]
        right.append(int(np.argmax(logits[answers])) == n)
    assert np.mean(right) > 0.5  # by chance 0.08
