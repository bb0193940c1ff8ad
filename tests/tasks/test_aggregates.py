"""Metrics that are no mean of rows: equal to scikit-learn's, with weights and without; unread answers; odd rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, matthews_corrcoef, roc_auc_score

from whichway.errors import OptionError, WayFailed
from whichway.nouns import Candidate, Decoding, Example, MetricSpec, Prompt, Record, Reply, Weights, from_json, to_json
from whichway.scoring import judge, label_codes, no_scores, refuse_written, row_values, row_variance, total
from whichway.tasks import metrics
from whichway.verdict import sample_size, stats

MACRO_F1, MCC, AUC = (metrics.load(MetricSpec(name)).aggregate for name in ("macro_f1", "mcc", "auc"))


def once(n):
    return np.ones((1, n))


def world(seed, labels, n=40):
    """Targets, answers (some unread), label scores with ties between whole rows, and four weightings."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, labels, n)
    answers = np.where(rng.random(n) < 0.5, targets, rng.integers(-1, labels, n))
    scores = (rng.normal(size=(n, labels)) + np.eye(labels)[targets])[rng.integers(0, n, n)]
    weights = np.vstack([once(n), rng.integers(0, 4, (2, n)), rng.random((1, n))])
    return targets, answers, scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)), weights


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6))
def test_mcc_is_scikit_learns(seed, labels):
    targets, answers, _, weights = world(seed, labels)
    for w, value in zip(weights, MCC(targets, answers, weights), strict=True):
        assert value == pytest.approx(matthews_corrcoef(targets, answers, sample_weight=w), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6), st.sampled_from([0, 64]))
def test_auc_is_scikit_learns(seed, labels, few):
    import importlib

    module = importlib.import_module("whichway.tasks.metrics.auc")
    before, module.FEW = module.FEW, few  # both ways of counting pairs
    try:
        targets, _, scores, weights = world(seed, labels)
        values = AUC(targets, scores, weights)
    finally:
        module.FEW = before
    for w, value in zip(weights, values, strict=True):
        if len(set(targets[w > 0])) < labels:
            continue
        given_ = np.exp(scores[:, 1]) if labels == 2 else np.exp(scores)
        wanted = roc_auc_score(targets, given_, multi_class="ovr", sample_weight=w)
        assert value == pytest.approx(wanted, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6))
def test_macro_f1_is_scikit_learns_on_read_answers(seed, labels):
    targets, answers, _, weights = world(seed, labels)
    for w, value in zip(weights, MACRO_F1(targets, answers, weights), strict=True):
        there = sorted({*targets[w > 0], *answers[(w > 0) & (answers >= 0)]})
        wanted = f1_score(targets, answers, labels=there, average="macro", sample_weight=w, zero_division=0)
        assert value == pytest.approx(wanted, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["macro_f1", "mcc", "auc"]))
def test_a_weighting_is_that_of_the_drawn_rows(seed, name):
    targets, answers, scores, _ = world(seed, 3, 25)
    metric = metrics.load(MetricSpec(name))
    read = scores if metric.needs_scores else answers
    weights = next(stats.row_weights(25, resamples=3, seed=seed))
    for w, value in zip(weights, metric.aggregate(targets, read, weights), strict=True):
        drawn = np.repeat(np.arange(25), w.astype(int))
        assert value == pytest.approx(metric.aggregate(targets[drawn], read[drawn], once(len(drawn)))[0], nan_ok=True)


def test_an_unread_answer_is_wrong_but_no_label():
    assert MACRO_F1(np.array([0, 0, 1, 1]), np.array([0, -1, 1, 1]), once(4))[0] == pytest.approx((2 / 3 + 1) / 2)
    assert MACRO_F1(np.array([0, 1]), np.array([-1, -1]), once(2))[0] == 0.0
    targets = np.array([0, 1, 0, 1])
    assert MCC(targets, np.array([0, 1, 0, -1]), once(4))[0] < 1.0
    assert MCC(targets, np.array([-1, -1, -1, -1]), once(4))[0] == 0.0
    assert MCC(targets, 1 - targets, once(4))[0] == pytest.approx(-1.0)


def test_a_row_without_scores_loses_every_comparison():
    targets, sure = np.array([0, 0, 1, 1]), np.log(np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8]]))
    assert AUC(targets, sure, once(4))[0] == 1.0
    for row in range(4):
        some = sure.copy()
        some[row] = np.nan
        assert AUC(targets, some, once(4))[0] == 0.5
    assert AUC(targets, np.full((4, 2), np.nan), once(4))[0] == 0.0


def test_rows_of_one_label_have_no_auc_and_show_nothing():
    rows, records = made(["a", "a"], ["a", "b"])
    metric = metrics.load(MetricSpec("auc", {"labels": ["a", "b"]}))
    codes = label_codes(rows, metric)
    assert np.isnan(metric.aggregate(codes.targets, codes.read(records), once(2))[0])
    assert total(metric, rows, records) == 0.5
    assert total(metrics.load(MetricSpec("mcc", {"labels": ["a", "b"]})), rows, records) == 0.0


def made(targets, answers):
    """Rows and the records of answers that are 0.9 sure; None: could not be read."""
    rows = [Example({"text": str(n)}, target) for n, target in enumerate(targets)]
    records = []
    for row, text in zip(rows, answers, strict=True):
        scores = {} if text is None else {label: np.log(0.9 if label == text else 0.1) for label in "ab"}
        outcome, point = ("unparsed", None) if text is None else ("ok", float(text == row.target))
        records.append(Record("c", row.id, "dev", 0, outcome, point, text or "", "", 1, 0, 1, 0.1, 0.0, scores=scores))
    return rows, records


@pytest.mark.parametrize("name", ["macro_f1", "mcc", "auc", "accuracy"])
def test_row_values_carry_the_metric_and_its_error(name):
    rng = np.random.default_rng(3)
    targets = rng.choice(["a", "b"], 120)
    right = rng.random(120) < 0.75
    answers = [t if ok else "ab".replace(t, "") for t, ok in zip(targets, right, strict=True)]
    rows, records = made(targets, answers)
    metric = metrics.load(MetricSpec(name, {"labels": ["a", "b"]}))
    values = row_values(metric, rows, records)
    assert values.mean() == pytest.approx(total(metric, rows, records), abs=0.01)
    if name == "accuracy":
        assert values.tolist() == [r.points for r in records]
        return
    codes = label_codes(rows, metric)
    weights = np.concatenate(list(stats.row_weights(120, resamples=2000)))
    drawn = metric.aggregate(codes.targets, codes.read(records), weights)
    assert values.std(ddof=1) / np.sqrt(120) == pytest.approx(drawn.std(), rel=0.1)


def test_what_a_plan_expects_depends_on_the_metric_and_the_labels():
    even, rare = (made(["a", "b"] * 100 if k else ["a"] * 180 + ["b"] * 20, ["a"] * 200)[0] for k in (1, 0))
    accuracy, mcc, auc = (metrics.load(MetricSpec(name)) for name in ("accuracy", "mcc", "auc"))
    assert row_variance(accuracy, even) == row_variance(accuracy, rare) == sample_size.OMEGA2
    of_two_labels = 4 * sample_size.OMEGA2  # where they are even, MCC is 2 accuracy - 1
    assert row_variance(mcc, even) == pytest.approx(of_two_labels, rel=0.25)
    assert row_variance(auc, rare) > 1.5 * row_variance(auc, even)
    assert row_variance(mcc, even) == row_variance(mcc, even)


def test_answers_without_scores_are_refused_by_a_metric_that_reads_them():
    auc, mcc = (metrics.load(MetricSpec(name, {"labels": ["a", "b"]})) for name in ("auc", "mcc"))
    row = Example({"text": "x"}, "a")
    with pytest.raises(WayFailed, match="auc is computed from each label's score"):
        judge(auc, "c", row, "dev", 0, Reply("a"), 0.0, False)
    assert judge(auc, "c", row, "dev", 0, Reply("", finish="error", error="too long"), 0.0, False).outcome == "error"
    written = Candidate(Prompt(), Weights("fake", "fake"), Decoding("generate"))
    with pytest.raises(WayFailed, match="written"):
        refuse_written(auc, written)
    refuse_written(mcc, written)
    assert "accuracy" in no_scores(auc)


def test_scores_stand_in_a_record_only_where_the_metric_reads_them():
    auc, mcc = (metrics.load(MetricSpec(name, {"labels": ["a", "b"]})) for name in ("auc", "mcc"))
    row, reply = Example({"text": "x"}, "a"), Reply("a", scores={"a": -0.1, "b": -2.4})
    kept, plain = (judge(metric, "c", row, "dev", 0, reply, 0.0, False) for metric in (auc, mcc))
    assert to_json(kept)["scores"] == {"a": -0.1, "b": -2.4}
    assert "scores" not in to_json(plain)
    for record in (kept, plain):
        assert from_json(Record, to_json(record)) == record


def test_free_text_has_neither():
    for name in ("mcc", "auc"):
        assert metrics.load(MetricSpec(name)).closed
        with pytest.raises(OptionError, match="Did you mean"):
            metrics.load(MetricSpec(name + "x"))


def test_the_sanity_gate_and_the_winners_curse_work_below_zero():
    from whichway.verdict import Arm, sanity
    from whichway.verdict.selection import selection

    assert sanity(-0.29, -0.2, 100, 0.01, lowest=-1.0) == ""  # the error of a range of two is twice that of one
    assert "below zero-shot" in sanity(-0.6, -0.2, 100, 0.01, lowest=-1.0)
    accuracy, correlation = (
        selection(
            Arm(way="w", kind="prompt", scores=np.ones((1, 9)), dev_scores=(dev,), tried=8, lowest=lowest), None, 50
        )
        for dev, lowest in ((0.35, 0.0), (-0.3, -1.0))
    )
    assert correlation.expected == pytest.approx(2 * accuracy.expected)  # the same share of right rows of two labels


def test_intervals_stay_in_the_range_of_the_metric_and_hold_the_score():
    for lowest in (-1.0, 0.0):
        for value in (lowest, lowest + 0.01, 0.5, 0.99, 1.0):
            low, high = stats.ranged_interval(value, 0.05, 30, 60, 0.95, lowest)
            assert lowest <= low <= value <= high <= 1
            assert high - low > 0.03
    low, high = stats.ranged_interval(0.0, 0.01, 1e9, 50, 0.95, -1.0)
    assert (low, high) == pytest.approx((-0.0196, 0.0196), abs=1e-4)
    low, high = stats.ranged_interval(1 - 1e-12, 1e-17, 49, 50, 0.95, -1.0)  # no mistake on 50 rows
    assert (1 + low) / 2 == pytest.approx(stats.wilson(50, 50)[0])
