"""Calibration and threshold of a cascade, on drawn answers whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from whichway.nouns import Candidate, Decoding, Deferral, Prompt, Reply, Weights
from whichway.prompts import deferral as rule
from whichway.ways import _confidence

MARGIN = 0.01


def drawn(seed: int, rows: int, slope: float = 1.2, intercept: float = -0.3, dear: float = 1.0):
    """Answers of a cheap way that is right as its confidence says, and of a dear one that is right more often."""
    rng = np.random.default_rng(seed)
    odds = rng.gamma(1.5, 1.5, rows)
    luck = rng.random(rows)
    cheap = luck < 1 / (1 + np.exp(-(slope * odds + intercept)))
    other = 0.5 * luck + 0.5 * rng.random(rows) < 1 / (1 + np.exp(-(dear + 0.6 * odds)))
    return _confidence.DevAnswers(odds, cheap * 1.0, other * 1.0, 0.05, 1.0, np.arange(rows))


TRUTH = drawn(99, 40_000)


def change(fitted) -> float:
    """What a rule does to the dear way's score, in truth."""
    sure = _confidence.confidence(TRUTH.log_odds, fitted.slope, fitted.intercept)
    return float(((TRUTH.cheap - TRUTH.dear) * (sure >= fitted.least)).mean())


def test_many_rows_find_slope_and_intercept():
    slope, intercept = drawn(1, 20_000).calibration
    assert slope == pytest.approx(1.2, abs=0.08)
    assert intercept == pytest.approx(-0.3, abs=0.1)


@pytest.mark.parametrize("rows", [40, 200])
def test_a_threshold_saves_and_stays_about_within_the_margin(rows):
    fitted = [_confidence.fit(drawn(seed, rows), MARGIN, 1.0) for seed in range(20)]
    changes = np.array([change(one) for one in fitted])
    assert (changes < -MARGIN).mean() <= 0.45
    assert changes.mean() > -1.1 * MARGIN
    assert np.mean([one.deferred for one in fitted]) < 0.8
    assert all(one.usd == pytest.approx(0.05 + one.deferred) for one in fitted)


def test_more_care_defers_more_and_loses_less():
    several = [drawn(seed, 100) for seed in range(10)]
    rules = [[_confidence.fit(one, MARGIN, care) for one in several] for care in (0.0, 1.0, 3.0)]
    shares = [np.mean([one.deferred for one in some]) for some in rules]
    assert shares[0] < shares[1] < shares[2]
    worse = [np.mean([change(one) < -MARGIN for one in some]) for some in rules]
    assert worse[0] > worse[2]
    assert worse[2] <= 0.1


def test_training_rows_make_the_calibration_better():
    alone, helped = [], []
    for seed in range(12):
        few, more = drawn(seed, 40), drawn(1000 + seed, 160)
        with_more = _confidence.replace(few, more_log_odds=more.log_odds, more_cheap=more.cheap)
        for errors, answers in ((alone, few), (helped, with_more)):
            sure = _confidence.confidence(TRUTH.log_odds, *answers.calibration)
            errors.append(_confidence.calibration_error(sure, TRUTH.cheap))
    assert np.mean(helped) < 0.75 * np.mean(alone)
    assert np.mean(helped) < 0.05


def test_a_confidence_that_tells_nothing_defers_all_or_nothing():
    rng = np.random.default_rng(5)
    flat = np.full(100, 2.0)
    worse = _confidence.DevAnswers(flat, (rng.random(100) < 0.5) * 1.0, np.ones(100), 0.1, 1.0, np.arange(100))
    assert (_confidence.fit(worse, MARGIN, 1.0).deferred, _confidence.fit(worse, MARGIN, 1.0).least) == (1.0, 1.0)
    better = _confidence.DevAnswers(flat, np.ones(100), np.zeros(100), 0.1, 1.0, np.arange(100))
    assert (_confidence.fit(better, MARGIN, 1.0).deferred, _confidence.fit(better, MARGIN, 1.0).least) == (0.0, 0.0)


def test_a_slope_is_never_negative():
    odds = np.linspace(-3, 3, 60)
    slope, intercept = _confidence.DevAnswers(
        odds, (odds < 0) * 1.0, np.ones(60), 0.1, 1.0, np.arange(60)
    ).calibration
    assert slope == 0
    assert intercept == pytest.approx(0.0, abs=0.05)


def test_groups_stay_in_one_part():
    groups = np.repeat(np.arange(12), 5)
    part = _confidence.parts_of(groups, 5)
    assert all(len(set(part[groups == group])) == 1 for group in range(12))
    assert set(part) == set(range(5))


def test_the_calibration_error_of_truth_is_small():
    truth = 1 / (1 + np.exp(-(1.2 * TRUTH.log_odds - 0.3)))
    assert _confidence.calibration_error(truth, TRUTH.cheap) < 0.01
    assert _confidence.calibration_error(np.full(len(truth), 0.5), TRUTH.cheap) == pytest.approx(
        abs(TRUTH.cheap.mean() - 0.5), abs=1e-9
    )


def test_answers_at_hand_are_as_sure_as_those_that_were_fitted():
    scores = {"a": math.log(0.7), "b": math.log(0.2), "c": math.log(0.1)}
    odds = rule.log_odds(scores)
    assert odds == pytest.approx(math.log(0.7 / 0.3))
    assert rule.log_odds({name: value + 5 for name, value in scores.items()}) == pytest.approx(odds)
    assert rule.log_odds({"a": 0.0}) == rule.LIMIT
    assert rule.log_odds({}) is None
    candidate = Candidate(Prompt(), Weights("fake", "fake"), Decoding())
    one = Deferral(candidate, 0.5, 1.5, -0.2)
    sure = _confidence.confidence(np.array([odds]), one.slope, one.intercept)[0]
    assert rule.confidence(Reply("a", scores=scores), one) == pytest.approx(sure)
    assert rule.confidence(Reply("", unread="nothing", scores=scores), one) == 0
    every, none = Deferral(candidate, 1.0, 9.0, 30.0), Deferral(candidate, 0.0)
    replies = [Reply("a", scores={"a": 0.0, "b": -900.0}), Reply("x")]
    assert rule.deferred(every, replies) == [0, 1]
    assert rule.deferred(none, replies) == []
