"""Contests in folds on drawn scores: what intervals cover, what verdicts cost, and how often they err."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import simulate_folds as sim


@pytest.mark.parametrize(("tau", "size"), [(0.0, 1), (0.02, 5), (0.05, 1)])
def test_intervals_of_six_ways_cover(tau: float, size: int):
    held = sim.coverage(300, tau, size, sim.KINDS, 40)
    assert set(held) == {"0", "1", "2"}  # neither way of a pair is trained, one, both
    for which, worlds in held.items():
        covered, by_rows, half = worlds.mean(axis=0)
        assert covered >= 0.9, (which, covered)
        assert covered >= by_rows - 1e-9
        assert 0.05 < half < 0.11
    if tau == 0.05:
        assert held["2"][:, 1].mean() < 0.88  # rows alone do not cover


def test_two_fine_tunes_alone_rest_on_their_own_folds():
    assert sim.coverage(1000, 0.05, 1, ("fine-tune", "fine-tune"), 60)["2"][:, 0].mean() >= 0.85


@pytest.mark.parametrize("prior", sim.PRIORS)
def test_verdicts_of_few_rows(prior: str):
    found = sim.verdicts(prior, 125, 60, True)
    assert found.wrong_kind <= 0.02
    assert found.regret_undecided <= 1.2 * found.best_undecided + 0.05
    assert found.regret <= 1.1 * found.best + 0.05
    assert len(found.said) == len(found.true) == 60 * len(sim.KINDS)


def test_folds_decide_more_than_one_split_of_the_same_rows():
    folds, split = (sim.verdicts("house", 300, 40, folds, more=folds) for folds in (True, False))
    assert folds.undecided < split.undecided
    assert folds.rows_alone <= folds.undecided
    assert folds.sure_wrong <= 0.05


def test_equal_ways_are_not_decided_for_a_dearer_one():
    assert sim.ties(300, 0.02, 40) <= 0.05
