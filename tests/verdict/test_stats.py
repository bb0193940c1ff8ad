"""Formulas against the literature, against scipy and scikit-learn, and against each other."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from whichway.verdict import sample_size, stats

counts = st.integers(0, 60)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_values_of_newcombe_1998(successes, n, low, high):
    assert stats.wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@settings(max_examples=50, deadline=None)
@given(counts, st.integers(1, 60))
def test_wilson_agrees_with_scipy(k, more):
    found = binomtest(k, k + more).proportion_ci(method="wilson")
    assert stats.wilson(k, k + more) == pytest.approx((found.low, found.high), abs=1e-9)


@pytest.mark.parametrize(
    ("a", "m", "b", "n", "low", "high"),
    [
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (5, 56, 0, 29, -0.0381, 0.1926),
        (10, 10, 0, 10, 0.6075, 1.0),
    ],
)
def test_newcombe_gives_the_values_of_method_10(a, m, b, n, low, high):
    assert stats.newcombe(b, n, a, m) == pytest.approx((low, high), abs=1e-4)


@settings(max_examples=50, deadline=None)
@given(counts, counts)
def test_mcnemar_is_the_exact_binomial_test(wins, losses):
    exact = binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert stats.mcnemar(wins, losses) == pytest.approx(exact, abs=1e-9)
    assert stats.mcnemar(wins, losses, mid=True) <= stats.mcnemar(wins, losses) + 1e-12


def test_mid_p_takes_half_of_the_observed_outcome():
    assert stats.mcnemar(8, 1, mid=True) == pytest.approx(2 * (0.5**9 + 0.5 * 9 * 0.5**9))
    assert stats.mcnemar(5, 5, mid=True) == 1.0
    assert stats.mcnemar(0, 0, mid=True) == 1.0


def test_rows_needed_gives_the_number_of_the_paper():
    assert sample_size.rows_needed(0.03, omega2=1 / 9) == 969
    assert sample_size.smallest_gap(969, omega2=1 / 9) == pytest.approx(0.03, abs=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.integers(10, 5000), st.floats(0.01, 0.3), st.floats(0, 1e-5))
def test_smallest_gap_inverts_rows_needed(n, omega2, seed_part):
    gap = sample_size.smallest_gap(n, omega2, seed_part=seed_part)
    assert abs(sample_size.rows_needed(gap, omega2, seed_part=seed_part) - n) <= 1


def test_rows_do_not_shrink_seed_noise():
    assert sample_size.rows_needed(0.03, seed_part=0.02**2) is None
    assert sample_size.smallest_gap(10**9, seed_part=0.01**2) == pytest.approx(0.028, abs=1e-3)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=40))
def test_clustered_equals_plain_when_every_row_is_its_own_group(values):
    x = np.array(values)
    plain = math.sqrt(((x - x.mean()) ** 2).sum() / (len(x) * (len(x) - 1)))
    assert stats.clustered_se(x, list(range(len(x)))) == pytest.approx(plain, abs=1e-12)
    assert stats.clustered_se(x) == pytest.approx(plain, abs=1e-12)


def test_copies_of_a_row_add_no_certainty():
    x = np.random.default_rng(0).normal(size=30)
    groups = [f"g{i // 4}" for i in range(120)]
    assert stats.clustered_se(np.repeat(x, 4), groups) == pytest.approx(stats.clustered_se(x))
    assert stats.clustered_se(np.repeat(x, 4)) < 0.6 * stats.clustered_se(x)


def test_paired_difference_is_the_paired_t_interval():
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 40))
    found, reference = stats.paired_difference(a, b), ttest_rel(b, a).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high))
    assert stats.t_test(found.value, found.se, found.df) == pytest.approx(ttest_rel(b, a).pvalue)


def test_holm_gives_the_textbook_values_and_keeps_the_order():
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([]) == []


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_raw_and_bonferroni(p):
    for raw, adjusted in zip(p, stats.holm(p), strict=True):
        assert raw <= adjusted <= min(1.0, len(p) * raw)


def test_too_little_data_is_none_and_never_zero():
    assert stats.wilson(0, 0) is None
    assert stats.newcombe(0, 0, 1, 2) is None
    assert stats.paired_difference([1.0], [0.0]) is None
    assert stats.clustered_se([0.0, 1.0, 1.0], ["a", "a", "a"]) is None
    assert stats.clustered_se([]) is None
    assert stats.seed_variance(np.ones((1, 50))) is None
    assert stats.seed_variance(np.ones((3, 1))) is None
    assert sample_size.smallest_gap(1) is None
    assert sample_size.rows_needed(0.0) is None
    assert stats.bootstrap(np.mean, [1.0]) is None
    assert stats.hierarchical_bootstrap([[1.0]]) is None


def test_groups_of_another_length_are_refused():
    with pytest.raises(ValueError, match="2 groups for 3 rows"):
        stats.clustered_se([0.0, 1.0, 1.0], ["a", "b"])


def test_seed_variance_finds_tau_and_ignores_row_noise():
    rng = np.random.default_rng(2)
    rows = rng.normal(0.5, 0.3, size=2000)
    noise = rng.normal(0, 0.3, size=(40, 2000))
    tau = rng.normal(0, 0.05, size=(40, 1))
    assert stats.seed_variance(rows + noise + tau) == pytest.approx(0.05**2, rel=0.5)
    assert stats.seed_variance(rows + noise) < 0.01**2


def test_satterthwaite_with_one_part_is_that_part():
    assert stats.satterthwaite([(0.04, 9.0)]) == pytest.approx((0.2, 9.0))
    assert stats.satterthwaite([(0.04, 9.0), (0.04, 9.0)])[1] == pytest.approx(18.0)
    assert stats.satterthwaite([(0.0, 5.0)]) == (0.0, 5.0)


def test_bootstrap_is_deterministic_paired_and_near_t_for_a_mean():
    rng = np.random.default_rng(3)
    a = rng.normal(size=200)
    b = a + rng.normal(0.2, 0.1, size=200)

    def gap(x, y, axis=-1):
        return np.mean(y, axis=axis) - np.mean(x, axis=axis)

    found = stats.bootstrap(gap, a, b, resamples=2000)
    assert found == stats.bootstrap(gap, a, b, resamples=2000)
    reference = stats.paired_difference(a, b)
    assert found == pytest.approx((reference.low, reference.high), abs=0.004)


def test_bootstrap_without_spread_gives_the_point():
    assert stats.bootstrap(np.mean, [0.5] * 20, resamples=200) == (0.5, 0.5)


def test_hierarchical_bootstrap_holds_row_and_seed_noise():
    rng = np.random.default_rng(4)
    x = (rng.random((4, 300)) < 0.7 + np.array([[-0.1], [-0.05], [0.05], [0.1]])).astype(float)
    draws = stats.hierarchical_bootstrap(x)
    assert draws.shape == (10_000,)
    expected = math.sqrt(x.mean(axis=1).var() / 4 + stats.clustered_se(x.mean(axis=0)) ** 2)
    assert draws.std() == pytest.approx(expected, rel=0.1)
    assert np.array_equal(draws, stats.hierarchical_bootstrap(x))


def test_hierarchical_bootstrap_pairs_rows():
    x = (np.random.default_rng(5).random((1, 200)) < 0.6).astype(float)
    assert np.allclose(stats.hierarchical_bootstrap(x, x, resamples=700), 0)


def test_hierarchical_bootstrap_over_clusters_matches_the_clustered_error():
    rng = np.random.default_rng(6)
    x = np.repeat(rng.random(60), 5)
    groups = [i // 5 for i in range(300)]
    plain = stats.hierarchical_bootstrap(x, groups=groups, within=False, resamples=4000).std()
    assert plain == pytest.approx(stats.clustered_se(x, groups), rel=0.06)
    assert stats.hierarchical_bootstrap(x, groups=groups, resamples=4000).std() == pytest.approx(plain, rel=0.06)


# --- agreement with scipy


@settings(max_examples=50, deadline=None)
@given(counts, counts)
def test_exact_mcnemar_is_the_binomial_test(wins, losses):
    if wins + losses:
        assert stats.mcnemar(wins, losses) == pytest.approx(binomtest(wins, wins + losses).pvalue, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(counts, counts)
def test_mid_p_is_the_exact_p_less_the_probability_of_what_was_seen(wins, losses):
    from scipy.stats import binom

    if wins != losses:
        own = binom.pmf(wins, wins + losses, 0.5)
        assert stats.mcnemar(wins, losses, mid=True) == pytest.approx(stats.mcnemar(wins, losses) - own, abs=1e-9)


def test_paired_t_is_scipys():
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(8)
    a, b = rng.random(40), rng.random(40) + 0.1
    found, reference = stats.paired_difference(a, b), ttest_rel(b, a)
    ends = reference.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))
    assert stats.t_test(found.value, found.se, found.df) == pytest.approx(reference.pvalue)


def test_newcombe_and_wilson_agree_on_a_sample_against_nothing():
    low, high = stats.newcombe(0, 10**9, 30, 100)
    assert (low, high) == pytest.approx(stats.wilson(30, 100), abs=1e-4)


def test_bca_is_scipys():
    from scipy.stats import bootstrap

    x = np.random.default_rng(9).exponential(size=60)
    found = bootstrap((x,), np.median, n_resamples=2000, method="BCa", rng=np.random.default_rng(0))
    ends = found.confidence_interval
    assert stats.bootstrap(np.median, x, resamples=2000) == pytest.approx((ends.low, ends.high))


# --- power


def test_the_check_number_of_the_power_formula():
    assert sample_size.rows_needed(0.03, omega2=1 / 9) == 969
    assert sample_size.smallest_gap(969, omega2=1 / 9) == pytest.approx(0.03, abs=1e-4)


def test_the_detectable_gap_grows_with_arms_and_seed_noise_and_shrinks_with_rows_and_seeds():
    base = sample_size.detectable_gap(300, 3, 3, 0.02)
    assert sample_size.detectable_gap(300, 6, 3, 0.02) > base
    assert sample_size.detectable_gap(300, 3, 3, 0.04) > base
    assert sample_size.detectable_gap(1200, 3, 3, 0.02) < base
    assert sample_size.detectable_gap(300, 3, 8, 0.02) < base
    assert sample_size.detectable_gap(1, 3) is None


def test_the_detectable_gap_of_two_arms_is_near_the_formula():
    formula = sample_size.smallest_gap(2000, power=0.9)
    assert sample_size.detectable_gap(2000, 2, power=0.9) == pytest.approx(formula, rel=0.02)


def test_rows_do_not_shrink_what_seeds_blur():
    assert sample_size.detectable_gap(10**7, 2, 3, 0.02) > 2 * 0.02 / math.sqrt(3)


def test_a_mean_square_that_both_parts_hold_is_taken_off_once():
    se, df = stats.satterthwaite([(4.0, 99.0), (2.0, 2.0), (-1.0, 198.0)])
    assert se == pytest.approx(math.sqrt(5))
    assert df == pytest.approx(25 / (16 / 99 + 4 / 2 + 1 / 198))
    assert stats.satterthwaite([(4.0, 99.0), (0.5, 2.0), (-1.0, 198.0)])[0] == pytest.approx(2.0)
    assert stats.satterthwaite([(0.1, 99.0), (5.0, 2.0), (-1.0, 198.0)])[1] >= 2.0


# --- Tango's interval


@pytest.mark.parametrize(("wins", "losses", "n"), [(14, 5, 101), (0, 4, 44), (7, 7, 30), (1, 0, 20)])
def test_the_score_test_just_rejects_at_the_ends_of_tangos_interval(wins, losses, n):
    """With the chance of a loss found on a grid, as the likeliest under the difference, instead of by its formula."""
    low, high = stats.tango(wins, losses, n)
    for delta in (low, high):
        q = np.linspace(max(0.0, -delta), (1 - delta) / 2, 200_001)[1:-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            cells = ((wins, q + delta), (losses, q), (n - wins - losses, 1 - 2 * q - delta))
            likelihood = sum(k * np.log(x) for k, x in cells if k)
        best = q[np.nanargmax(likelihood)]
        z = (wins - losses - n * delta) / np.sqrt(n * (2 * best + delta * (1 - delta)))
        assert abs(z) == pytest.approx(stats.z_value(0.95), abs=0.01)
    turned = stats.tango(losses, wins, n)
    assert turned == pytest.approx((-high, -low), abs=1e-9)


def test_tango_is_plus_minus_z2_over_n_plus_z2_without_discordant_rows():
    z2 = stats.z_value(0.95) ** 2
    for n in (5, 20, 200):
        assert stats.tango(0, 0, n)[1] == pytest.approx(z2 / (n + z2), abs=1e-9)


@pytest.mark.parametrize("n", [20, 75])
@pytest.mark.parametrize(("p", "q"), [(0.03, 0.0), (0.02, 0.02), (0.2, 0.1)])
def test_tango_covers_where_rows_are_few(n, p, q):
    rng = np.random.default_rng(n)
    counts = rng.multinomial(n, [p, q, 1 - p - q], size=1500)
    ends = {tuple(c): stats.tango(int(c[0]), int(c[1]), n) for c in np.unique(counts, axis=0)}
    hits = [ends[tuple(c)][0] <= p - q <= ends[tuple(c)][1] for c in counts]
    assert np.mean(hits) > 0.925
