"""The race across folds: who stops, and what it costs in simulated contests."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from whichway.contest.selection.fold_race import FoldedScore, outraced

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import simulate_folds as sim


def race(ways: list[FoldedScore], right: dict[str, float], rows: int = 200, groups: int | None = None):
    rng = np.random.default_rng(1)
    scores = {w.name: (rng.random(rows) < right[w.name]).astype(float) for w in ways}
    labels = None if groups is None else tuple(str(k // groups) for k in range(rows))
    return outraced(ways, lambda a, b: (scores[a] - scores[b], labels), 0.05, 0.01)


def way(name: str, kind: str, cost: float, dev: float, **more) -> FoldedScore:
    return FoldedScore(name, kind, cost, dev, **more)


def test_a_way_stops_where_one_of_its_kind_or_a_cheaper_one_is_shown_better():
    ways = [way("cheap", "prompt", 1, 0.9), way("poor", "prompt", 2, 0.5), way("dear", "fine-tune", 9, 0.5)]
    lost = race(ways, {"cheap": 0.9, "poor": 0.5, "dear": 0.5})
    assert set(lost) == {"poor", "dear"}
    assert {d.rival for d in lost.values()} == {"cheap"}
    assert all(d.low <= d.gap <= d.high < -0.01 and d.rows == 200 for d in lost.values())


def test_a_cheaper_way_of_another_kind_goes_on_and_so_does_who_stays():
    right = {"prompt": 0.5, "tuned": 0.9, "base": 0.2}
    ways = [
        way("base", "baseline", 0, 0.2, stays=True), way("prompt", "prompt", 1, 0.5), way("tuned", "fine-tune", 9, 0.9)
    ]  # fmt: skip
    assert race(ways, right) == {}
    dearer = [ways[0], way("prompt", "prompt", 99, 0.5), ways[2]]
    assert set(race(dearer, right)) == {"prompt"}


def test_rows_of_one_group_count_as_one():
    ways = [way("cheap", "prompt", 1, 0.8), way("dear", "fine-tune", 2, 0.6)]
    right = {"cheap": 0.8, "dear": 0.5}
    assert set(race(ways, right)) == {"dear"}
    assert race(ways, right, groups=40) == {}


@pytest.mark.parametrize("prior", ["house", "close"])
def test_the_best_way_is_seldom_stopped(prior: str):
    rng = np.random.default_rng(3)
    found = [sim.raced(rng, prior, 300) for _ in range(40)]
    assert np.mean([one.dropped_best for one in found]) <= 0.05
    assert all(0 <= one.saved <= 0.6 for one in found)
    assert np.mean([one.lost for one in found]) <= np.mean([one.lost_whole for one in found]) + 0.1
