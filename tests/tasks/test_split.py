"""The split holds still: new rows never move old ones, groups and near-duplicates never cross."""

import random
from collections import Counter, defaultdict
from functools import cache
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whichway.errors import DataError
from whichway.nouns import Example
from whichway.tasks import near_duplicates, near_pairs
from whichway.tasks.split import split

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@cache
def text(seed):
    """Sentences that differ from each other."""
    draw = random.Random(seed)
    return " ".join("".join(draw.choices(LETTERS, k=draw.randint(2, 9))) for _ in range(draw.randint(3, 12)))


def rows(n, start=0, labels=3, groups=0):
    return [
        Example({"text": text(i)}, f"label {i % labels}", f"g{i % groups}" if groups else None)
        for i in range(start, start + n)
    ]


def altered(sentence, seed):
    """A near-copy: one letter changed, and case and punctuation."""
    at = random.Random(seed).randrange(len(sentence))
    return (sentence[:at] + "z" + sentence[at + 1 :]).capitalize() + "."


def sides(examples, stratify=True, **options):
    found = split(examples, stratify=stratify, **options).of
    return {e.id: side for e, side in zip(examples, found, strict=True)}


@settings(max_examples=15, deadline=None)
@given(st.integers(150, 250), st.integers(1, 100), st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_new_rows_never_move_old_ones_wherever_they_are_added(n, more, start, shuffle):
    old = rows(n, start)
    together = [*old, *rows(more, start + n)]
    shuffle.shuffle(together)
    before, after = sides(old), sides(together)
    assert {key: after[key] for key in before} == before


@settings(max_examples=15, deadline=None)
@given(st.integers(60, 150), st.integers(1, 100), st.integers(0, 10**6))
def test_in_small_data_no_row_that_was_trained_on_is_tested_on(n, more, start):
    old = rows(n, start)
    before, after = sides(old), sides([*old, *rows(more, start + n)])
    entered = [key for key, side in before.items() if side == "train" and after[key] != "train"]
    assert not entered


@settings(max_examples=15, deadline=None)
@given(st.integers(150, 250), st.lists(st.tuples(st.integers(0, 149), st.integers(0, 999)), max_size=30))
def test_near_copies_added_at_the_end_move_nothing(n, copies):
    old = rows(n)
    new = {e.id: e for at, seed in copies if (e := Example({"text": altered(text(at), seed)}, "label 0")).id}
    before, after = sides(old), sides([*old, *new.values()])
    assert {key: after[key] for key in before} == before


@settings(max_examples=20, deadline=None)
@given(
    st.integers(40, 70),
    st.lists(st.tuples(st.integers(0, 39), st.integers(0, 99)), max_size=20),
    st.integers(0, 3),
    st.randoms(use_true_random=False),
)
def test_near_copies_never_cross(n, copies, grouped, shuffle):
    made = {e.id: e for e in rows(n, groups=grouped * 9)}
    for at, seed in copies:
        e = Example({"text": altered(text(at), seed)}, f"label {seed % 3}", f"g{seed}" if grouped else None)
        made[e.id] = e
    examples = list(made.values())
    shuffle.shuffle(examples)
    found = sides(examples)
    grams = {e.id: near_duplicates.grams(near_duplicates.skeleton(e.text)) for e in examples}
    for a, b in combinations(examples, 2):
        if found[a.id] and found[b.id] and found[a.id] != found[b.id]:
            assert not near_duplicates.near_grams(grams[a.id], grams[b.id])


@settings(max_examples=15, deadline=None)
@given(st.integers(60, 300), st.integers(5, 60), st.integers(0, 10**6))
def test_groups_never_cross(n, groups, start):
    examples = rows(n, start, groups=groups)
    by_group = defaultdict(set)
    for example, side in zip(examples, sides(examples).values(), strict=True):
        by_group[example.group].add(side)
    assert all(len(found - {None}) <= 1 for found in by_group.values())


@settings(max_examples=15, deadline=None)
@given(st.integers(60, 250), st.integers(2, 12), st.integers(0, 10**6))
def test_floors_and_labels(n, labels, start):
    examples = rows(n, start, labels)
    found = sides(examples)
    count = Counter(found.values())
    assert count["test"] >= 20
    assert count["dev"] >= 10
    assert count["train"] >= 0.35 * n
    for label in {e.target for e in examples}:
        members = [e for e in examples if e.target == label]
        if len(members) >= 8:
            assert {"dev", "test"} <= {found[e.id] for e in members}


def test_shares_are_kept_in_every_label():
    examples = rows(3000, labels=3)
    found = sides(examples)
    for label in range(3):
        count = Counter(found[e.id] for e in examples if e.target == f"label {label}")
        assert count["test"] / 1000 == pytest.approx(0.25, abs=0.05)
        assert count["dev"] / 1000 == pytest.approx(0.15, abs=0.04)


def test_order_and_label_do_not_matter():
    examples = rows(300)
    other = [Example(e.input, "corrected") for e in examples]
    assert list(sides(examples).values()) == list(sides(other, stratify=False).values())
    assert sides(examples) == sides(examples[::-1])


def test_given_shares():
    count = Counter(sides(rows(2000), fractions={"train": 0.4, "dev": 0.1, "test": 0.5}).values())
    assert count["test"] / 2000 == pytest.approx(0.5, abs=0.05)
    assert count["dev"] / 2000 == pytest.approx(0.1, abs=0.03)


def test_missing_splits_are_carved_from_train():
    examples = rows(200)
    given_sides = ["test" if i < 50 else "train" for i in range(200)]
    found = split(examples, stratify=True, sides_in_data=given_sides)
    assert found.of[:50] == ("test",) * 50
    assert 15 <= found.of.count("dev") <= 50
    both = split(examples, stratify=True, sides_in_data=["train"] * 200)
    assert min(both.of.count("dev"), both.of.count("test")) >= 10
    with pytest.raises(DataError, match="no row is in train"):
        split(examples, stratify=True, sides_in_data=["test"] * 200)


def test_a_row_between_two_sides_is_set_aside():
    base = rows(200)
    found = split(base, stratify=False).of
    first, second = base[found.index("train")], base[found.index("test")]
    options = [Example({"text": first.text}, "x", f"group {i}") for i in range(40)]  # groups decide, texts are copies
    result = split([*base, *options, Example({"text": second.text}, "y")], stratify=False)
    assert result.of[:200] == found
    assert set(result.of[200:240]) == {"train", None}
    assert result.of[240] == "test"
    assert any("set aside" in w for w in result.warnings)


def test_templated_data_are_split_row_by_row():
    examples = [
        Example({"text": f"Please tell me the balance of the account with the number {i}"}, "x") for i in range(200)
    ]
    result = split(examples, stratify=False)
    assert result.of.count(None) == 0
    assert 30 <= result.of.count("test") <= 75
    assert any("template" in w for w in result.warnings)


def test_the_join_finds_exactly_the_near_pairs():
    draw = random.Random(7)
    texts = [text(i) for i in range(120)]
    texts += [altered(draw.choice(texts), i) for i in range(80)]
    texts += [" ".join(texts[i : i + 40]) for i in range(0, 100, 3)]  # long enough for sketches
    texts = list(dict.fromkeys(near_duplicates.skeleton(t) for t in texts))
    grams = [near_duplicates.grams(t) for t in texts]
    brute = [[j for j in range(i) if near_duplicates.near_grams(grams[i], grams[j])] for i in range(len(texts))]
    assert near_duplicates.earlier(texts) == brute
    assert any(brute)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("Where is my parcel?", "where is my   parcel", True),
        ("i paid with my contactless card", "I paid with my contactless cards!", True),
        ("i paid with my contactless card", "i paid with a stolen card", False),
        ("What is 123 plus 456?", "What is 124 plus 456?", False),
        ("yes", "no", False),
        ("", "?", False),
    ],
)
def test_near(first, second, same):
    grams = [near_duplicates.grams(near_duplicates.skeleton(text)) for text in (first, second)]
    assert near_duplicates.near_grams(*grams) is same


def test_rows_of_one_template_are_one_family_without_all_pairs(monkeypatch):
    """Each is near to the first, and to so many others that are near indeed; the work is in proportion to the rows."""
    monkeypatch.setattr(near_pairs, "SLICE", 500)
    texts = [f"please tell me the balance of the account with the long number {i}" for i in range(400)]
    draw = random.Random(3)
    draw.shuffle(texts)
    others = [near_duplicates.skeleton(text(i)) for i in range(20)]
    near = near_duplicates.earlier([*texts, *others])
    assert all(found and 0 in found for found in near[1:400])
    assert sum(map(len, near)) < 400 * 3 * near_duplicates.ENOUGH
    grams = [near_duplicates.grams(one) for one in texts]
    assert all(near_duplicates.near_grams(grams[i], grams[j]) for i in range(400) for j in near[i] if j)
    assert not any(near[400:])


def test_texts_that_are_just_not_near_are_compared_in_part_and_that_is_told():
    words = ["".join(random.Random(n).choices("abcdefghijklmnopqrstuvwxyz", k=7)) for n in range(600)]
    texts = [f"{w} is what they wrote and nobody knows it now" for w in words]
    examples = [Example({"text": one}, "x") for one in texts]
    part = near_duplicates.in_part([near_duplicates.skeleton(one) for one in texts])
    warned = " ".join(split(examples, stratify=False).warnings)
    assert (f"{part} inputs differ little from many others" in warned) == bool(part)
