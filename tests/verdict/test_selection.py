"""Winner's curse against the numbers of the literature and against simulation; dev beside test."""

import numpy as np
import pytest
from scipy.special import ndtri

from whichway.verdict import Arm, selection


@pytest.mark.parametrize(("rows", "points"), [(50, 9.7), (100, 7.0), (200, 4.9)])
def test_best_of_twenty_equal_arms(rows, points):
    assert 100 * selection.winners_curse(20, rows) == pytest.approx(points, abs=0.06)


def test_one_arm_is_not_flattered_and_more_arms_and_fewer_rows_flatter_more():
    assert selection.winners_curse(1, 50) == 0.0
    assert selection.winners_curse(5, 50) < selection.winners_curse(20, 50) < selection.winners_curse(20, 25)
    assert selection.winners_curse(20, 100, correlation=0.9) < selection.winners_curse(20, 100, correlation=0.1)


def test_it_is_what_simulation_gives():
    rng = np.random.default_rng(0)
    hard, own = rng.normal(size=(4000, 1, 80)), rng.normal(size=(4000, 8, 80))
    right = np.sqrt(0.5) * hard + np.sqrt(0.5) * own < ndtri(0.6)
    best = right.mean(axis=2).max(axis=1).mean() - 0.6
    assert selection.winners_curse(8, 80, p=0.6) == pytest.approx(best, abs=0.003)


def test_many_rows_go_over_into_the_normal_formula():
    exact = selection.winners_curse(20, selection.EXACT)
    near = selection.winners_curse(20, selection.EXACT + 1)
    assert near == pytest.approx(exact, rel=0.02)
    assert selection.expected_maximum(20) == pytest.approx(1.8675, abs=1e-3)


def test_dev_beside_test():
    arm = Arm(way="a", kind="prompt", scores=np.ones((1, 4)), dev_scores=(0.8,), tried=20, crossings=1.0)
    found = selection.selection(arm, 0.7, 100)
    assert found.optimism == pytest.approx(0.1)
    assert 0.05 < found.expected < 0.08
    assert (found.tried, found.dev_rows, found.crossings) == (20, 100, 1.0)
    assert selection.selections([Arm(way="b", kind="prompt", scores=np.ones((1, 4)))], [1.0], 100) == ()
