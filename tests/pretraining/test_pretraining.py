"""The recipe's own pieces: attention's backward, rows for learning in context, where a run starts."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

sys.path.insert(0, str(Path(__file__).parents[2] / "pretraining"))

import attention
import embed
import episodes
import export
import subjects
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


def test_the_turns_before_a_question_are_the_rows_most_like_it():
    kinds = {"fruit": "apple pear plum fig", "metal": "iron gold zinc tin", "cloth": "silk wool felt lace"}
    texts = {k: [f"{a} and {b} {n}" for n in range(6) for a in w.split() for b in w.split()] for k, w in kinds.items()}
    said, right, rows = set(), [], list(episodes.nearest([episodes.Pool("s", {k: [k] for k in texts}, texts)], 150, 5))
    for row in rows:
        system, *turns = row["messages"]
        assert system["role"] == "system"
        asked = [m["content"] for m in turns[::2]]
        assert len(set(asked)) == len(asked)
        said |= {m["content"] for m in turns[1::2]}
        if len(turns) > 2:
            right.append(turns[-1]["content"] == turns[-3]["content"])
    assert len(right) > 100
    assert all(right)  # no kind shares a word with another, so the last example says the answer
    assert said > set(texts)  # names of their own, and others
    assert rows[:20] == list(episodes.nearest([episodes.Pool("s", {k: [k] for k in texts}, texts)], 20, 5))


def test_formats_give_what_they_ask_for(pools):
    asked = 0
    for row in episodes.formats(pools, 300, 5):
        *question, answer = (m["content"] for m in row["messages"])
        if "JSON" in question[0]:
            asked += 1
            (key,) = json.loads(answer)
            assert re.search(rf"\b{key}\b", question[0])
    assert asked > 50


def documents():
    """Of two sources, each with a heading, sentences of its own, and one that stands in all documents."""
    made = []
    for source in ("anatomy", "finance"):
        for n in range(30):
            heading = f"{source} subject {chr(97 + n % 26)}{n}"
            own = [f"Sentence {k} of this {source} text says {n}thing{source} and a few more words." for k in "abcdef"]
            everywhere = f"This sentence on {heading} says the same wherever it stands in here."
            made.append({"source": source, "text": "\n".join([heading, *own, everywhere])})
    return made


def test_sections_keep_what_only_they_say():
    found = subjects.sections(documents(), lambda text: text.startswith("Sentence f"))
    assert {source: len(kept) for source, kept in found.items()} == {"anatomy": 30, "finance": 30}
    for kept in found.values():
        for section in kept:
            assert len(section.passages) == 5
            assert not any("wherever" in passage or passage.startswith("Sentence f") for passage in section.passages)


@pytest.mark.parametrize(
    ("line", "heading"),
    [
        ("Q: What is (are) Robinow syndrome ?", "Robinow syndrome"),
        ("Q: What are the symptoms of Robinow syndrome ?", ""),
        ("Retinal Disparity", "Retinal Disparity"),
        ("Introduction", ""),
        ("It ends like a sentence.", ""),
    ],
)
def test_a_heading_says_what_a_document_is_about(line, heading):
    assert subjects._heading(line) == heading


def test_a_subject_is_asked_with_its_words_taken_out_and_names_are_kept_apart():
    found = subjects.sections(documents(), lambda text: False)
    rows = list(subjects.tasks(found, {"anatomy": 0.6}, 300, 5))
    assert len(rows) == 300
    assert rows[:20] == list(subjects.tasks(found, {"anatomy": 0.6}, 20, 5))
    hidden, coded = [], 0
    for row in rows:
        system, *turns = row["messages"]
        asked, said = [m["content"] for m in turns[::2]], [m["content"] for m in turns[1::2]]
        if said[-1].split()[0].lower() in found:
            assert all(answer in system["content"] for answer in said)
            hidden += [answer.split()[0] not in text.split() for text, answer in zip(asked, said, strict=True)]
        else:
            coded += 1
            assert said[-1] in said[:-1]  # an earlier turn tells what the name means
    assert coded > 40
    assert 0.5 < np.mean(hidden) < 1


def test_embeddings_are_moved_towards_what_was_counted_and_keep_their_length():
    drawn = torch.Generator().manual_seed(0)
    counted = torch.nn.functional.normalize(torch.randn(900, 8, generator=drawn), dim=1)
    table = counted @ torch.randn(8, 16, generator=drawn) + 0.1 * torch.randn(900, 16, generator=drawn)
    seen = torch.arange(900) * 10
    told = table.clone()
    table[20] = torch.randn(16, generator=drawn)  # a word that the model never learned
    moved = embed.renewed(table, counted, seen)
    assert torch.allclose(moved.norm(dim=1), table.norm(dim=1), rtol=1e-4)
    assert torch.allclose(moved[:10], table[:10], atol=1e-5)  # seen too seldom
    assert torch.allclose(moved[600:], table[600:], atol=1e-5)  # the most frequent ones
    near = torch.nn.functional.cosine_similarity
    assert near(moved[20], told[20], dim=0) > near(table[20], told[20], dim=0) + 0.05


def test_vectors_of_tokens_that_share_their_neighbours_are_alike():
    ids = np.array([[1, 2, 3, 1, 2, 4], [5, 6, 7, 5, 6, 8]] * 40).ravel()
    found = embed.vectors(embed.cooccurrence(ids, 10, 2, even=True), 4, 0)
    assert torch.equal(found[9], torch.zeros(4))
    assert found[3] @ found[4] > found[3] @ found[8]


class Tokens:
    """A tokenizer of 40 tokens, the first three of them marks."""

    bos_token_id, eos_token_id, pad_token_id = 0, 1, 1
    added_tokens_decoder = dict.fromkeys(range(3))

    def __len__(self):
        return 40


def test_a_run_starts_as_counted_embeddings_and_blocks_that_do_nothing():
    recipe = replace(train.Recipe(), hidden=16, heads=2, intermediate=24, layers=2)
    counted = torch.randn(40, 16, generator=torch.Generator().manual_seed(0))
    model = train.build(recipe, Tokens(), counted.clone())
    table = model.model.embed_tokens.weight
    assert torch.equal(table[3:], counted[3:])
    assert not torch.allclose(table[:3], counted[:3])
    ids = torch.tensor([[5, 9, 30]])
    with torch.no_grad():
        states = model.model(ids).last_hidden_state[0]
    assert torch.allclose(states, model.model.norm(table[ids[0]]), atol=1e-6)


def test_the_rate_rises_holds_and_falls():
    recipe = replace(train.Recipe(), warmup_steps=4, decay_start=10, steps=20)
    assert [recipe.rate(n) for n in (0, 3, 4, 9)] == [0.25, 1.0, 1.0, 1.0]
    assert recipe.rate(15) == 0.5
    assert recipe.rate(19) == pytest.approx(0.1)


def test_an_export_keeps_a_share_of_its_start_and_tied_embeddings_are_mixed_once(tmp_path):
    recipe = replace(train.Recipe(), hidden=16, heads=2, intermediate=24, layers=1)
    start, model = (train.build(recipe, Tokens(), torch.full((40, 16), value)) for value in (1.0, 2.0))
    start.save_pretrained(tmp_path / "start")
    export.keep(model, tmp_path / "start", 0.25)
    assert torch.allclose(model.model.embed_tokens.weight[3:], torch.tensor(1.75))
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_an_edited_card_keeps_its_head_and_its_attribution(tmp_path):
    card = tmp_path / "README.md"
    card.write_text("# Head\n\n`python pretraining/evaluate.py --out x`\n\nold\n\n## Attribution\n\n- someone\n")
    export.renew(card, "new\n")
    assert card.read_text() == (
        "# Head\n\n`python pretraining/evaluate.py --out x`\n\nnew\n\n## Attribution\n\n- someone\n"
    )
