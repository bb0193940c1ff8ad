"""What would decide: the prediction agrees with the rule where nothing is added, and each offer has its case."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from whichway.verdict import Arm, decide
from whichway.verdict.compare import Table
from whichway.verdict.curves import CurveRun
from whichway.verdict.decide import Extras
from whichway.verdict.predictive import MOST, Predictive
from whichway.verdict.rule import rule

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import simulate_advice as advice
import simulate_more_rows as more_rows


def table_of(seed, rows=200, prior="house", gap=0.0):
    rng = np.random.default_rng(seed)
    true = advice.truths(rng, prior)
    true[3:] += gap
    return more_rows.table_of(more_rows.world(rng, true.clip(0.05, 0.97), rows), rows)


def arm(way, kind, scores, usd, **facts):
    return Arm(way=way, kind=kind, scores=np.atleast_2d(np.asarray(scores, dtype=float)), usd_total=usd, **facts)


def two_ways(n, wins, losses, right=0.5):
    """A prompt and a dearer fine-tune that alone is right on `wins` of n rows, and alone wrong on `losses`."""
    prompt = np.arange(n) < right * n
    tuned = prompt.copy()
    tuned[:losses] = False
    tuned[n - wins :] = True
    return [arm("prompt_shots", "prompt", prompt, 1.0), arm("tune_lora", "fine-tune", tuned, 2.0)]


@pytest.mark.parametrize("seed", range(12))
def test_without_anything_more_the_prediction_is_what_the_rule_says(seed):
    table = table_of(seed, gap=0.1 * (seed % 2))
    predictive = Predictive(table, 0.01)
    assert predictive.chance() == float(rule(table, 0.01).decided)
    future = predictive.future(1.0, 1)
    assert np.allclose(future.values, table.values)  # what was seen is split into truth and luck without a rest
    ahead = table.compare(0, 4)
    assert future.rows[0, 4] == pytest.approx(ahead.row_variance)


def test_folds_are_predicted_as_the_folds_rule_measures_them():
    rng = np.random.default_rng(5)
    folds = np.arange(300) % 5
    shift = rng.normal(0, 0.08, (3, 5))[:, folds]
    arms = [
        arm(f"w{k}", kind, (rng.random(300) < 0.6 + 0.05 * k + shift[k]).astype(float), k + 1.0, folds=folds)
        for k, kind in enumerate(("prompt", "fine-tune", "both"))
    ]
    table = Table(arms, 0.95)
    future = Predictive(table, 0.01).future(1.0, 1)
    for place in (0, 17):
        pair = [np.array([k]) for k in (place, 0, 1)]
        (scatter,), ((se,), (df,)) = future.folded(*pair), future.errors(*pair)
        wanted = table.fold_noise.error(future.rows[0, 1], scatter, future.rows_df, 0, 1)
        assert (se, df) == pytest.approx(wanted)
        assert (se, df) == pytest.approx([x[0] for x in future.errors(pair[0], pair[2], pair[1])])


def test_more_rows_and_more_seeds_draw_nearer_to_the_truth():
    predictive = Predictive(table_of(3, rows=100), 0.01)
    far = [np.abs(predictive.future(rows, 4).values - predictive.true).mean() for rows in (1.0, 4.0, 16.0, 64.0)]
    assert far == sorted(far, reverse=True)
    few, many = (np.abs(predictive.future(1e6, s).values - predictive.true)[:, 3].mean() for s in (1, 4))
    assert many < 0.75 * few  # what is left of a trained way with endless rows is the luck of its seeds


def test_rows_are_named_where_the_gap_is_plain_and_nearly_shown():
    verdict = decide(two_ways(200, wins=21, losses=10), margin=0.01)
    assert verdict.answer == "undecided"
    line = next(s for s in verdict.sentences if "more test rows would decide" in s.text)
    assert 100 <= line.values["rows"] <= MOST * 200
    assert 0.86 <= line.values["chance"] <= 0.95


def test_a_number_that_is_not_sure_enough_is_not_named():
    (line,) = decide(two_ways(60, wins=14, losses=6)).would_decide
    assert line.startswith("No number of test rows is sure enough to be named: 600 more decide between")


def test_close_ways_are_said_to_be_close():
    table = table_of(5, rows=75, prior="close")
    verdict = decide(table.arms)
    line = next(s for s in verdict.sentences if s.part == "would_decide")
    assert line.text.startswith("More test rows are unlikely to decide between")
    assert line.values["most"] == MOST * 75
    assert 0.01 < line.values["apart"] < 0.08
    assert line.values["chance"] < 0.5
    cheapest = min(verdict.standings, key=lambda s: s.usd_total).way
    assert (verdict.choice == cheapest) == line.text.endswith(f"the cheapest of them: take {cheapest}.")


def test_folds_are_offered_where_rows_of_the_data_did_not_test():
    arms = two_ways(75, wins=10, losses=3)
    offered = decide(arms, extras=Extras(data_rows=300)).would_decide
    assert offered[0].startswith("No new labels: with --folds 5 each of the 300 rows of the data tests once")
    for rows in (0, 75, 5000):
        assert not any("--folds" in line for line in decide(arms, extras=Extras(data_rows=rows)).would_decide)


def test_labels_are_offered_where_a_fine_tune_still_rises():
    rng = np.random.default_rng(0)
    arms = two_ways(75, wins=10, losses=3)
    runs = tuple(
        CurveRun("tune_lora", seed, n, level + 0.005 * rng.normal())
        for seed in range(4)
        for n, level in zip((25, 50, 100, 200), (0.4, 0.5, 0.6, 0.7), strict=True)
    )
    lines = decide(arms, extras=Extras(runs=runs)).would_decide
    assert any("tune_lora still rises at 200 training rows" in line for line in lines)
    level = tuple(replace(run, score=0.6 + 0.005 * rng.normal()) for run in runs)
    assert not any("still rises" in line for line in decide(arms, extras=Extras(runs=level)).would_decide)


def test_a_decided_verdict_asks_for_nothing():
    assert decide(two_ways(400, wins=120, losses=4)).would_decide == ()


def test_groups_of_rows_count_as_groups():
    plain = two_ways(60, wins=10, losses=3)
    grouped = [replace(a, groups=tuple(f"g{i // 5}" for i in range(60))) for a in plain]
    chances = [Predictive(Table(arms, 0.95), 0.01).chance(4.0) for arms in (plain, grouped)]
    assert chances[1] < chances[0]


@pytest.mark.slow
def test_named_rows_decide_in_four_of_five_contests():
    found = more_rows.Found()
    for k, prior in enumerate(advice.PRIORS):
        rng = np.random.default_rng(k)
        for _ in range(150):
            more_rows.look(found, rng, advice.truths(rng, prior), 150)
    hits = [*found.named, *found.seeds, *found.both]
    assert len(hits) > 30
    assert np.mean(hits) > 0.75
    assert np.mean(found.within) > 0.75
