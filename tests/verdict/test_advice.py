"""The prior opinion: which way each fact moves it, its bounds, and its calibration on finished verdicts."""

from dataclasses import replace

import numpy as np
import pytest

from whichway.verdict import Arm, decide, sample_size
from whichway.verdict.advice import Situation, advise, calibrate, considerations

BASE = Situation(kind="classification", rows=300, labels=5, volume=1000.0)


def p(**changes):
    return advise(replace(BASE, **changes)).p_tune


def test_each_fact_moves_the_opinion_as_its_source_says():
    assert p(rows=30) < p(rows=150) < p(rows=300) < p(rows=900) < p(rows=5000)
    assert p(kind="reasoning") < p(kind="generation") < p(kind="classification")
    assert p(parameters=3e6) > p() > p(hardware="hosted")
    assert p(changes="weekly") < p(changes="monthly") < p() < p(changes="never")
    assert p(volume=50.0) < p() < p(volume=50_000.0)
    assert p(latency_ms=50.0) > p(latency_ms=1000.0) == p()
    assert p(maintainer="nobody") < p(maintainer="ml engineer")


def test_no_prior_claims_more_than_nine_to_one_and_nothing_known_is_a_coin():
    sure = advise(
        Situation("classification", 100_000, 20_000, 5, 1e6, 10.0, "cpu", 3e6, "local", "ml engineer", "never")
    )
    assert sure.p_tune == pytest.approx(0.9)
    assert advise(Situation()).p_tune == 0.5
    assert advise(Situation()).leans == "either"


def test_every_consideration_names_a_source():
    about = Situation("reasoning", 50, 10, None, 10.0, 20.0, "hosted", None, "local", "nobody", "weekly")
    found = list(considerations(about))
    assert len(found) >= 7
    assert all(c.source and c.text.endswith(".") and c.weight for c in found)


def test_what_the_rows_can_show():
    advice = advise(replace(BASE, test_rows=200))
    assert advice.smallest_gap == pytest.approx(sample_size.smallest_gap(200))
    assert advice.detectable > advice.smallest_gap
    assert advise(BASE).smallest_gap == pytest.approx(sample_size.smallest_gap(300))
    assert advise(Situation()).smallest_gap is None


def test_what_to_run_first_starts_with_what_costs_nothing():
    assert advise(BASE).first[:2] == ("base_tfidf", "prompt_plain")
    assert advise(Situation("generation", 40)).first == ("prompt_plain", "prompt_shots", "tune_lora")


def verdict(prompt, tuned, n=300):
    def arm(way, kind, right, usd):
        scores = np.zeros((1, n))
        scores[0, :right] = 1
        return Arm(way=way, kind=kind, scores=scores, usd_fit=usd, usd_per_1000=0.01)

    return decide([arm("prompt_plain", "prompt", prompt, 0.0), arm("tune_lora", "fine-tune", tuned, 1.0)])


def test_calibration_counts_agreement_and_leaves_out_what_is_open():
    tuned, prompt, open_ = verdict(120, 240), verdict(240, 120), verdict(200, 201)
    found = calibrate([("a", BASE, tuned), ("b", BASE, prompt), ("c", BASE, open_)])
    assert [c.came for c in found.runs] == ["fine-tune", "prompt", None]
    assert (found.settled, found.agreed) == (2, 1)
    q = advise(BASE).p_tune
    assert found.brier == pytest.approx(((q - 1) ** 2 + q**2) / 2)
    assert calibrate([("c", BASE, open_)]).brier is None


def test_rows_that_nobody_labelled_and_a_subjective_task_are_told_and_move_nothing():
    about = replace(BASE, unlabelled=500, subjective="sentiment")
    advice = advise(about)
    assert advice.p_tune == p()
    assert advice.first[-1] == "both_distill"
    notes = " ".join(advice.notes)
    assert "500 rows without an answer: a teacher" in notes
    assert "subjective ('sentiment')" in notes
    assert "arXiv 2310.07849" in notes
    assert "--unlabelled" in " ".join(advise(replace(BASE, rows=80)).notes)
    assert "teacher" not in " ".join(advise(BASE).notes)
