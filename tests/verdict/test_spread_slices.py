"""The variance split finds what was put in; slices find a loss and do not invent one."""

import numpy as np
import pytest

from whichway.verdict import Arm, stats
from whichway.verdict.compare import Table
from whichway.verdict.slices import RowFacts, overlap, slices
from whichway.verdict.spread import agreement, spread


def arm(way, kind, scores, **more):
    return Arm(way=way, kind=kind, scores=np.asarray(scores, dtype=float), **more)


def graded(rng, n=1500, seeds=24, repeats=6, tau=0.05, omega=0.2, sigma=0.1):
    x = 0.5 + omega * rng.normal(size=(1, n, 1)) + tau * rng.normal(size=(seeds, 1, 1))
    return x + sigma * rng.normal(size=(seeds, n, repeats))


def test_the_split_finds_rows_decoding_and_seeds():
    x = graded(np.random.default_rng(2))
    found = spread(arm("a", "fine-tune", x.mean(axis=2), repeats=x))
    assert found.rows_sd == pytest.approx(0.2, rel=0.05)
    assert found.decoding_sd == pytest.approx(0.1, rel=0.02)
    assert found.seeds_sd == pytest.approx(0.05, rel=0.4)
    assert found.rows_error == pytest.approx(found.rows_sd / np.sqrt(1500))
    assert found.decoding_error == pytest.approx(0.1 / np.sqrt(1500 * 24 * 6), rel=0.02)
    assert found.one_decoding == pytest.approx(0.1 / np.sqrt(1500), rel=0.02)
    assert found.seeds_error == pytest.approx(found.seeds_sd / np.sqrt(24))


def test_what_was_not_repeated_is_not_known():
    found = spread(arm("a", "prompt", np.ones((1, 30))))
    assert found.decoding_sd is found.decoding_error is found.one_decoding is found.consistency_repeats is None
    assert found.seeds_sd is found.seeds_error is found.consistency_seeds is None
    assert found.flipping == 0
    assert spread(arm("a", "prompt", np.ones((2, 1)))).rows_error is None


def test_rows_in_groups_have_a_larger_row_error_and_singletons_the_plain_one():
    x = np.repeat((np.random.default_rng(3).random((1, 60)) < 0.6).astype(float), 5, axis=1)
    plain = spread(arm("a", "prompt", x)).rows_error
    grouped = spread(arm("a", "prompt", x, groups=tuple(f"g{i // 5}" for i in range(300)))).rows_error
    alone = spread(arm("a", "prompt", x, groups=tuple(f"g{i}" for i in range(300)))).rows_error
    assert alone == pytest.approx(plain)
    assert grouped == pytest.approx(plain * np.sqrt(5), rel=0.02)


def test_flipping_rows_are_named_the_most_divided_first():
    scores = np.array([[1, 1, 0, 1], [1, 0, 0, 1], [1, 0, 0, 0], [1, 1, 0, 0]], dtype=float)
    found = spread(arm("a", "prompt", scores), ("p", "q", "r", "s"))
    assert (found.flipping, found.flips) == (2, ("q", "s"))
    assert found.consistency_seeds == pytest.approx((1 + 1 / 3 + 1 + 1 / 3) / 4)


def test_agreement_is_the_chance_that_two_answers_score_the_same():
    assert agreement(np.array([[1.0, 1.0, 0.0]])) == pytest.approx(1 / 3)
    assert agreement(np.array([[1.0], [0.0]])) is None


# --- slices


def world(seed=4, n=300, loss=0.0):
    """A choice that is as good as its rivals everywhere, but for label "c" when `loss` is above 0."""
    rng = np.random.default_rng(seed)
    label = np.array(list("abc"))[rng.integers(0, 3, n)]
    base = rng.random(n)
    chosen = (base < np.where(label == "c", 0.8 - loss, 0.8)).astype(float)
    rival = (0.5 * base + 0.5 * rng.random(n) < 0.65).astype(float)
    arms = [
        arm("prompt_a", "prompt", chosen[None]),
        arm("tune_b", "fine-tune", rival[None]),
        arm("base_c", "baseline", rival[None] * 0),
    ]
    rows = RowFacts(
        tuple(map(str, range(n))),
        tuple(label),
        tuple(rng.integers(10, 400, n).tolist()),
        {"x": tuple("uv"[i % 2] for i in range(n))},
    )
    return Table(arms, 0.95), rows


def test_a_bad_slice_is_found_and_named():
    table, rows = world(loss=0.55)
    found = slices(table, 0, rows, (0, 1))
    assert (found[0].by, found[0].value, found[0].rival, found[0].worse) == ("label", "c", "tune_b", True)
    assert found[0].p_holm >= found[0].p
    assert not any(s.worse for s in found if s.value in "ab")
    assert {s.by for s in found} == {"label", "length", "x"}
    assert sum(s.rows for s in found if s.by == "length") == 300


def test_without_a_loss_few_worlds_have_a_bad_slice():
    bad = sum(any(s.worse for s in slices(*world_of(seed))) for seed in range(120))
    assert bad <= 10  # 5 % of 120 is 6; Holm keeps it there


def world_of(seed):
    table, rows = world(seed, n=200)
    return table, 0, rows, (0, 1)


def test_overlap_counts_every_row_once():
    table, _ = world()
    found = overlap(table, (0, 1))
    assert found.both + found.only_prompt + found.only_tuned + found.neither == 300
    assert overlap(table, None) is None


def test_slices_need_rows_and_a_rival():
    table, rows = world(n=300)
    assert slices(Table(table.arms[:1], 0.95), 0, rows, None) == ()
    assert slices(table, 0, RowFacts(), (0, 1)) == ()
    few = RowFacts(rows.ids, tuple("z" if i < 5 else "y" for i in range(300)), (), {})
    assert [s.value for s in slices(table, 0, few, (0, 1))] == ["y"]


# --- seeds and rows are crossed


def test_the_noise_that_rows_and_seeds_share_is_counted_once():
    rng = np.random.default_rng(5)
    errors, stated = [], []
    for _ in range(300):
        x = (rng.random((5, 400)) < 0.6 + 0.03 * rng.normal(size=(5, 1))).astype(float)
        table = Table([arm("a", "fine-tune", x), arm("b", "prompt", np.zeros((1, 400)))], 0.95)
        errors.append(table.value(0) - 0.6)
        stated.append(table.combine(table.row_variance(table.rows[0]), 0)[0] ** 2)
    assert np.mean(stated) == pytest.approx(np.var(errors), rel=0.2)


def test_clustered_error_of_singletons_is_the_plain_one():
    x = np.random.default_rng(6).random(50)
    assert stats.clustered_se(x, list(range(50))) == pytest.approx(x.std(ddof=1) / np.sqrt(50))
