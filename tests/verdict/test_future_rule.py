"""The rule in worlds to come: what is left out changes no answer, and little is worked out with a hundred ways."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from whichway.nouns import Kind
from whichway.verdict import Arm, future_rule
from whichway.verdict.compare import Table
from whichway.verdict.future_rule import Future, candidates, decided, kinds_differ, shown_worse
from whichway.verdict.future_rule import step_down as quick_step_down
from whichway.verdict.predictive import Predictive, Prospect

KINDS: tuple[Kind, ...] = ("baseline", "prompt", "fine-tune", "both")


def every(future: Future) -> tuple:
    """Indices of all worlds and differences, and the shape that they are to have."""
    worlds, count = future.values.shape
    shape = (worlds, count, count)
    return [index.ravel() for index in np.indices(shape)], shape


def step_down(better, p, alpha):
    """Every step looks at every difference again."""
    worlds, count = better.shape[0], better.shape[1]
    standing, levels = np.ones((worlds, count), dtype=bool), np.full((worlds, count), alpha)
    active = np.ones(worlds, dtype=bool)
    for _ in range(count - 1):
        level = alpha / np.maximum(standing.sum(axis=1) - 1, 1)
        levels = np.where(standing & active[:, None], level[:, None], levels)
        shown = better & (p <= level[:, None, None]) & standing[:, :, None] & standing[:, None, :]
        clearest = np.where(shown, p, np.inf).min(axis=1)
        active = active & np.isfinite(clearest.min(axis=1))
        worst = count - 1 - clearest[:, ::-1].argmin(axis=1)
        standing[np.flatnonzero(active), worst[active]] = False
    return standing, levels


def by_all_differences(future: Future, differ, margin: float, alpha: float):
    """The rule with every difference worked out."""
    indices, shape = every(future)
    se, df = (x.reshape(shape) for x in future.errors(*indices))
    ahead = future.values[:, :, None] - future.values[:, None, :]
    p = 2 * special.stdtr(df, -np.abs(ahead) / se)
    held = special.stdtr(df, -(ahead + margin) / se) < alpha / 2
    standing, levels = step_down(ahead > 0, p, alpha)
    count = ahead.shape[1]
    fine = np.where(np.triu(np.ones((count, count), dtype=bool), 1), held, (ahead > 0) & (p <= levels[:, None, :]))
    same = np.eye(count, dtype=bool)
    settled = (fine | ~differ | same).all(axis=2) & (standing | (held | same).all(axis=2))
    return settled.any(axis=1), standing, levels


def contest(number: int, ways: int, seeds: int = 1, folds: bool = False, kinds: int = 4, rows: int = 250) -> Table:
    """Simulated ways, some of which have several seeds, on rows that are as hard for all."""
    rng = np.random.default_rng(number)
    hard, spread = rng.normal(size=rows), rng.choice([0.02, 0.1, 0.3])
    of = np.arange(rows) % 5 if folds else None
    arms = []
    for k in range(ways):
        count = 1 if folds or k % 2 else seeds
        level = 0.6 + spread * rng.normal() + 0.05 * rng.normal(size=(count, 1))
        if folds and k % 2:
            level = level + 0.1 * rng.normal(size=5)[of]
        scores = (0.7 * hard + 0.7 * rng.normal(size=(count, rows)) < level).astype(float)
        names = tuple(f"{k}.{j}" for j in range(5 if folds else count))
        arms.append(
            Arm(way=f"w{k:03}", kind=KINDS[int(rng.integers(kinds))], scores=scores, usd_total=k + 1.0,
                random=k % 2 == 0, folds=of, candidates=names)
        )  # fmt: skip
    return Table(arms, 0.95)


CONTESTS = [
    *({"number": n, "ways": 6, "seeds": 3} for n in range(8)),
    *({"number": n, "ways": 2 + n} for n in range(4)),
    *({"number": n, "ways": 9, "kinds": 1, "seeds": 2} for n in range(3)),
    *({"number": n, "ways": 7, "folds": True} for n in range(4)),
    {"number": 3, "ways": 25, "seeds": 2},
    {"number": 4, "ways": 20, "folds": True},
]


@pytest.mark.parametrize("facts", CONTESTS, ids=str)
def test_no_answer_differs_from_that_of_all_differences(facts: dict):
    predictive = Predictive(contest(**facts), 0.01)
    differ = kinds_differ([arm.kind for arm in predictive.table.arms])
    shares = []
    for rows, seeds in ((1.0, 1), (3.0, 1), (11.0, 4)):
        future = predictive.future(rows, seeds)
        wanted, standing, levels = by_all_differences(future, differ, 0.01, 0.05)
        assert np.array_equal(decided(future, differ, 0.01, 0.05), wanted)
        quick = quick_step_down(shown_worse(future, np.arange(len(wanted)), 0.05), 0.05)
        assert np.array_equal(quick[0], standing)
        assert np.array_equal(quick[1], levels)
        shares.append(wanted.mean())
    if not facts.get("folds"):
        assert shares[0] in (0.0, 1.0), "without anything more every world is the one that was seen"


def test_the_random_contests_have_worlds_of_all_sorts():
    several = [Predictive(contest(**facts), 0.01) for facts in CONTESTS[:12]]
    chances = [predictive.chance(11.0) for predictive in several]
    assert sum(0.05 < chance < 0.95 for chance in chances) >= 4


@pytest.mark.parametrize("folds", [False, True])
def test_a_hundred_ways_need_a_small_part_of_the_differences(folds: bool, monkeypatch: pytest.MonkeyPatch):
    predictive = Predictive(contest(2, 100, seeds=3, folds=folds), 0.01)
    worked: list[int] = []
    errors, tail = Future.errors, special.stdtr

    def counted(self, world, first, second):
        worked.append(len(world))
        return errors(self, world, first, second)

    monkeypatch.setattr(Future, "errors", counted)
    monkeypatch.setattr(future_rule.special, "stdtr", lambda df, t: worked.append(len(t)) or tail(df, t))
    predictive.chance(11.0)
    everything = len(predictive.true) * 100 * 100
    assert 0 < sum(worked) < 0.25 * everything


def test_arms_that_may_settle_the_question_are_few_and_hold_all_that_do():
    predictive = Predictive(contest(1, 30, seeds=2), 0.01)
    future = predictive.future(4.0, 1)
    differ = kinds_differ([arm.kind for arm in predictive.table.arms])
    arms = candidates(future, differ, 0.01, 0.05)
    assert len(arms.world) < 0.25 * future.values.size
    assert set(np.flatnonzero(decided(future, differ, 0.01, 0.05))) <= set(arms.world.tolist())


def test_a_prospect_asks_for_each_chance_once(monkeypatch: pytest.MonkeyPatch):
    predictive = Predictive(contest(5, 6, seeds=3), 0.01)
    asked: list[tuple[float, int]] = []
    future = predictive.future
    monkeypatch.setattr(predictive, "future", lambda rows, seeds: asked.append((rows, seeds)) or future(rows, seeds))
    assert isinstance(predictive.prospect(), Prospect)
    assert len(asked) == len(set(asked)) == len(predictive.chances)
