from __future__ import annotations

import numpy as np
import pytest

from whichway.verdict.confident_learning import suspects
from whichway.verdict.error_groups import Failures, error_groups, parts_of
from whichway.verdict.slices import RowFacts
from whichway.verdict.text_parts import k_means, text_parts

TOPICS = {
    "refund": "money back refund return sent shop card paid again twice",
    "login": "password login account locked reset code phone mail screen",
    "parcel": "parcel courier late delivery door left rain tracking van",
    "quality": "broken hinge scratch noise battery heat cable loose smell",
}
LABELS = tuple(TOPICS)


def world(seed: int, rows: int = 400, chance: float = 0.1):
    rng = np.random.default_rng(seed)
    targets = tuple(LABELS[k] for k in rng.integers(len(LABELS), size=rows))
    texts = [" ".join(rng.choice(TOPICS[t].split(), rng.integers(4, 14))) for t in targets]
    return rng, targets, texts, rng.random(rows) < chance


def groups(targets, texts, failing, answers=None, **more):
    facts = RowFacts(targets=targets, lengths=tuple(map(len, texts)))
    other = [LABELS[(LABELS.index(t) + 1 + k % 3) % 4] for k, t in enumerate(targets)]
    wrong = tuple(a if fails else t for a, fails, t in zip(answers or other, failing, targets, strict=True))
    return error_groups(Failures(failing, targets, wrong, **more), [*parts_of(facts), *text_parts(texts)])


def test_nothing_is_found_where_failures_are_chance():
    assert sum(bool(groups(*world(seed)[1:])) for seed in range(40)) <= 4


@pytest.mark.parametrize("seed", range(4))
def test_long_rows_that_fail_are_named(seed):
    rng, targets, texts, failing = world(seed)
    long = np.array([len(t) for t in texts]) > np.quantile([len(t) for t in texts], 0.9)
    failing |= long & (rng.random(len(texts)) < 0.8)
    first, *rest = groups(targets, texts, failing)
    assert first.by == "length"
    assert first.value.startswith("over")
    assert rest == []
    assert first.failing == sum(failing[k] for k in first.members[: first.failing])
    assert not any(failing[k] for k in first.members[first.failing :])
    assert first.share > 0.5 > first.elsewhere
    assert first.p < 0.01


@pytest.mark.parametrize("seed", range(4))
def test_a_label_given_for_another_is_named_once(seed):
    rng, targets, texts, failing = world(seed)
    confused = np.array([t == "parcel" for t in targets]) & (rng.random(len(texts)) < 0.5)
    answers = ["refund" if c else LABELS[(LABELS.index(t) + 1 + k % 3) % 4]
               for k, (c, t) in enumerate(zip(confused, targets, strict=True))]  # fmt: skip
    first, *rest = groups(targets, texts, failing | confused, answers)
    assert (first.by, first.value, first.answer) == ("confusion", "parcel", "refund")
    assert first.help == "prompt"
    assert rest == []


def test_a_word_is_named_and_what_would_help_follows_from_the_other_ways():
    rng, targets, texts, failing = world(1)
    has = np.array(["hinge" in t for t in texts])
    failing |= has & (rng.random(len(texts)) < 0.9)
    (only,) = groups(targets, texts, failing)
    assert (only.by, only.value, only.help) == ("word", "hinge", "more rows")
    ways = {"prompt_shots": ~failing | has, "tune_head": ~failing}
    facts = [*text_parts(texts)]
    found = error_groups(Failures(failing, right_by=ways), facts, {"prompt_shots": "prompt", "tune_head": "fine-tune"})
    assert [(g.help, g.way) for g in found] == [("prompt", "prompt_shots")]
    (doubted,) = groups(targets, texts, failing, right_by=ways, doubted=has)
    assert doubted.help == "labels"


def test_rows_that_belong_together_count_less():
    rng, targets, texts, failing = world(2, rows=120, chance=0.15)
    has = np.array(["hinge" in t for t in texts])
    failing |= has & (rng.random(len(texts)) < 0.5)
    alone = groups(targets, texts, failing)
    assert alone
    together = groups(targets, texts, failing, groups=np.arange(len(texts)) // 8)
    assert together == []


def test_few_rows_and_no_failures_give_nothing():
    assert groups((), [], np.zeros(0, dtype=bool)) == []
    _, targets, texts, _ = world(3, rows=30)
    assert groups(targets, texts, np.zeros(30, dtype=bool)) == []
    assert groups(targets, texts, np.ones(30, dtype=bool)) == []


def test_clusters_do_not_depend_on_chance():
    points = np.random.default_rng(0).normal(size=(90, 5))
    points[30:60] += 8
    points[60:] -= 8
    codes = k_means(points, 3)
    assert [len(set(codes[k : k + 30])) for k in (0, 30, 60)] == [1, 1, 1]
    assert len(set(codes)) == 3
    assert (k_means(points, 3) == codes).all()


def test_a_suspect_is_surer_than_rows_of_the_label_are():
    codes = np.array([0] * 5 + [1] * 5)
    chance = np.array([[0.9, 0.1]] * 4 + [[0.05, 0.95]] + [[0.1, 0.9]] * 5)
    assert suspects(chance, codes, 0.6) == [(4, 1)]
    chance[4] = 0.3, 0.7  # less than rows of label 1 have
    assert suspects(chance, codes, 0.6) == []
