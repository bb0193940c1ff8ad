"""The row noise of a metric that is no mean: the jackknife by hand, in groups, and the bootstrap of older runs."""

import numpy as np
import pytest

from whichway.tasks.metrics.macro_f1 import Metric
from whichway.verdict import resampling, stats
from whichway.verdict.compare import Arm, Table

N = 60


def mean_of_right(targets, answers, weights):
    """Accuracy, as if it were no mean."""
    return (weights * (targets == answers)).sum(axis=1) / weights.sum(axis=1)


def arm(rng, right=0.8, aggregate=Metric.aggregate, labels=4, groups=None, targets=None):
    targets = np.arange(N) % labels if targets is None else targets
    answers = np.where(rng.random(N) < right, targets, (targets + 1) % labels)
    return Arm(
        way="way", kind="prompt", scores=(answers == targets)[None].astype(float), targets=targets,
        answers=answers[None], aggregate=aggregate, groups=groups,
    )  # fmt: skip


@pytest.mark.parametrize("size", [1, 3])
def test_of_a_mean_it_is_the_standard_error_of_the_mean(size):
    rng = np.random.default_rng(1)
    groups = tuple(str(i // size) for i in range(N)) if size > 1 else None
    pair = [arm(rng, right, mean_of_right, groups=groups) for right in (0.8, 0.6)]
    table = Table(pair, 0.95)
    scores = [one.scores[0] for one in pair]
    for k in (0, 1):
        assert table.row_variance(table.draws[k]) == pytest.approx(stats.clustered_se(scores[k], groups) ** 2)
    gap = stats.clustered_se(scores[1] - scores[0], groups) ** 2
    assert table.row_variance(table.draws[1] - table.draws[0]) == pytest.approx(gap)
    assert np.cov(np.stack(table.draws))[0, 1] == pytest.approx(
        (stats.clustered_se(scores[0], groups) ** 2 + stats.clustered_se(scores[1], groups) ** 2 - gap) / 2
    )


def test_by_hand():
    one = arm(np.random.default_rng(2))
    left = np.array([
        Metric.aggregate(np.delete(one.targets, i), np.delete(one.answers[0], i), np.ones((1, N - 1)))[0]
        for i in range(N)
    ])  # fmt: skip
    wanted = (N - 1) / N * ((left - left.mean()) ** 2).sum()
    table = Table([one], 0.95)
    assert table.row_variance(table.draws[0]) == pytest.approx(wanted)


def test_from_many_rows_on_and_in_older_runs_it_is_the_bootstrap(monkeypatch):
    one = arm(np.random.default_rng(3))
    older = Table([one], 0.95, spread="bootstrap")
    assert len(older.draws[0]) == resampling.MANY
    assert len(Table([one], 0.95).draws[0]) == N
    monkeypatch.setattr("whichway.verdict.compare.MANY", N - 1)
    assert Table([one], 0.95).draws[0] == pytest.approx(older.draws[0])


def test_with_many_labels_it_is_wider_than_a_bootstrap_that_misses_labels():
    ratios = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        one = arm(rng, 0.9, labels=12, targets=rng.integers(12, size=N))
        (low, high), (start, end) = (Table([one], 0.95, spread=s).interval(0) for s in ("jackknife", "bootstrap"))
        ratios.append((high - low) / (end - start))
    assert 1.0 < np.mean(ratios) < 1.6


@pytest.mark.slow
def test_a_score_and_a_difference_with_twelve_labels_are_held():
    rng = np.random.default_rng(5)
    chances = np.array([0.5] + [0.5 / 11] * 11)

    def sample(n):
        targets = rng.choice(12, n, p=chances)
        others = (targets + rng.integers(1, 12, n)) % 12
        return targets, [np.where(rng.random(n) < right, targets, others) for right in (0.8, 0.7)]

    targets, answers = sample(300_000)
    truth = [float(Metric.aggregate(targets, a, np.ones((1, len(targets))))[0]) for a in answers]
    held = np.zeros(2)
    for _ in range(150):
        targets, answers = sample(50)
        ways = [
            Arm(way=str(k), kind="prompt", scores=(a == targets)[None].astype(float), targets=targets, answers=a[None],
                aggregate=Metric.aggregate)
            for k, a in enumerate(answers)
        ]  # fmt: skip
        table = Table(ways, 0.95)
        low, high = table.interval(0)
        gap = table.compare(0, 1)
        held += (low <= truth[0] <= high, gap.low <= truth[1] - truth[0] <= gap.high)
    assert (held / 150 >= 0.87).all()  # the bootstrap's spread: 0.83 of scores
