"""Confidence sequences: the formula by hand, the running form, clusters, and the promise itself in simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whichway.verdict import sequential, stats


def test_margin_is_the_formula_of_the_paper():
    alpha, n, v = 0.05, 200, 0.2
    rho = math.sqrt((-2 * math.log(alpha) + math.log(-2 * math.log(alpha)) + 1) / 100)
    assert sequential.rho(alpha) == pytest.approx(rho)
    assert rho == pytest.approx(0.29634, abs=1e-5)
    sigma_form = math.sqrt(v) * math.sqrt(
        2 * (n * v * rho**2 + 1) / (n**2 * v * rho**2) * math.log(math.sqrt(n * v * rho**2 + 1) / alpha)
    )
    assert sequential.margin(n, v, alpha) == pytest.approx(sigma_form)
    assert sequential.margin(n, v, alpha) == pytest.approx(0.098, abs=5e-4)


def test_it_is_wider_than_the_interval_of_one_look_and_shrinks():
    v = 0.21
    widths = [sequential.margin(n, v, 0.05) for n in (20, 50, 100, 500, 5000)]
    assert widths == sorted(widths, reverse=True)
    for n in (50, 100, 500, 5000):
        assert 1.3 < sequential.margin(n, v, 0.05) / (stats.z_value(0.95) * math.sqrt(v / n)) < 2.6


def test_no_spread_is_not_certainty():
    low, high = sequential.paired_sequence([0.0] * 30, 0.05)
    assert low < -0.05 < 0.05 < high


def test_fewer_than_two_rows_know_nothing():
    assert sequential.paired_sequence([], 0.05) == (-math.inf, math.inf)
    assert sequential.paired_sequence([1.0], 0.05) == (-math.inf, math.inf)
    assert sequential.paired_sequence([1.0, 0.0, 1.0], 0.05, ["a", "a", "a"]) == (-math.inf, math.inf)
    assert sequential.margin(0, 0.2, 0.05) == math.inf


@pytest.mark.parametrize("alpha", [0.0, -1.0, 0.7, 1.0])
def test_alpha_out_of_range_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha"):
        sequential.margin(10, 0.2, alpha)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.01, 0.05, 0.2]))
def test_the_running_form_is_the_single_one_at_each_row(seed, alpha):
    d = np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], size=40)
    low, high = sequential.paired_sequences(d, alpha)
    for n in (2, 3, 17, 40):
        assert (low[n - 1], high[n - 1]) == pytest.approx(sequential.paired_sequence(d[:n], alpha))


def test_rows_of_one_cluster_count_once():
    d = np.random.default_rng(1).choice([-1.0, 0.0, 1.0], size=60)
    repeated, groups = np.repeat(d, 4), [i // 4 for i in range(240)]
    assert sequential.paired_sequence(repeated, 0.05, groups) == pytest.approx(sequential.paired_sequence(d, 0.05))
    naive = sequential.paired_sequence(repeated, 0.05)
    assert naive[1] - naive[0] < 0.6 * np.diff(sequential.paired_sequence(repeated, 0.05, groups))[0]
    singletons = sequential.paired_sequence(d, 0.05, list(range(60)))
    assert singletons == pytest.approx(sequential.paired_sequence(d, 0.05))


@pytest.mark.parametrize(("discordant", "shift"), [(0.4, 0.0), (0.1, 0.0), (0.4, 0.05)])
def test_wrong_at_any_look_at_most_alpha(discordant, shift):
    rng = np.random.default_rng(3)
    up = (discordant + shift) / 2
    p = [discordant - up, 1 - discordant, up]
    ever = 0
    for _ in range(600):
        d = rng.choice([-1.0, 0.0, 1.0], size=1500, p=p)
        low, high = sequential.paired_sequences(d, 0.05)
        seen = slice(sequential.FIRST - 1, None)
        ever += bool(((low[seen] > shift) | (high[seen] < shift)).any())
    assert ever / 600 <= 0.05


def test_looking_often_at_the_usual_interval_is_wrong_far_more_often():
    rng = np.random.default_rng(4)
    n = np.arange(1, 1501)
    wrong = 0
    for _ in range(300):
        d = rng.choice([-1.0, 0.0, 1.0], size=1500, p=[0.2, 0.6, 0.2])
        mean = np.cumsum(d) / n
        half = 1.96 * np.sqrt(np.maximum(np.cumsum(d * d) / n - mean**2, 1e-12) / n)
        wrong += bool((np.abs(mean) > half)[19:].any())
    assert wrong / 300 > 0.2
