from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from whichway.nouns import from_json, to_json
from whichway.verdict.compare import Arm
from whichway.verdict.decide import Extras, decide
from whichway.verdict.doubtful_labels import LabelVotes, doubtful_rows
from whichway.verdict.slices import RowFacts

LABELS = ("a", "b", "c", "d")
SKILL = {"base_tfidf": ("baseline", 0.75), "prompt_shots": ("prompt", 0.8), "tune_head": ("fine-tune", 0.88)}


def contest(rows: int = 300, noise: float = 0.05, seed: int = 0):
    """Arms, their votes, and which rows have a wrong label."""
    rng = np.random.default_rng(seed)
    true = rng.integers(4, size=rows)
    wrong = rng.random(rows) < noise
    labels = np.where(wrong, (true + rng.integers(1, 4, size=rows)) % 4, true)
    answers, arms = {}, []
    for way, (kind, skill) in SKILL.items():
        right = rng.random((2, rows)) < skill
        answers[way] = np.where(right, true, (true + rng.integers(1, 4, size=(2, rows))) % 4)
        scores = (answers[way] == labels).astype(float)
        arms.append(Arm(way=way, kind=kind, scores=scores, candidates=("x", "y"), usd_per_1000=1.0))
    return arms, LabelVotes(LABELS, labels, answers), wrong


@pytest.mark.parametrize("seed", range(3))
def test_rows_with_a_wrong_label_are_doubted(seed):
    arms, votes, wrong = contest(seed=seed)
    rows = {row for row, _, _ in doubtful_rows(arms, votes)}
    right = {int(k) for k in np.flatnonzero(wrong)}
    assert len(rows & right) >= 0.5 * len(right)
    assert len(rows & right) >= 0.6 * len(rows)


def test_one_kind_of_way_alone_is_no_witness():
    arms, votes, _ = contest()
    prompts = [replace(arm, kind="prompt") for arm in arms]
    assert doubtful_rows(prompts, votes) == []
    assert doubtful_rows(arms[:1], votes) == []


def test_the_verdict_says_what_it_would_be_without_them():
    arms, votes, _ = contest()
    ids = tuple(f"row{k}" for k in range(300))
    verdict = decide(arms, extras=Extras(rows=RowFacts(ids=ids), votes=votes))
    doubtful = verdict.doubtful
    assert doubtful is not None
    assert doubtful.choice == "tune_head"
    shares = [row.share for row in doubtful.rows]
    assert shares == sorted(shares, reverse=True)
    for row in doubtful.rows:
        assert row.label == LABELS[votes.targets[ids.index(row.example)]] != row.believed
    kept = [k for k, name in enumerate(ids) if name not in {row.example for row in doubtful.rows}]
    for way, score, without in doubtful.scores:
        arm = next(arm for arm in arms if arm.way == way)
        assert score == pytest.approx(arm.scores.mean())
        assert without == pytest.approx(arm.scores[:, kept].mean())
        assert without > score
    assert from_json(type(verdict), to_json(verdict)) == verdict


def test_without_answers_or_with_sound_labels_nothing_is_doubted():
    arms, votes, _ = contest(noise=0.0)
    assert decide(arms).doubtful is None
    assert len(doubtful_rows(arms, votes)) <= 9
    few = LabelVotes(LABELS, votes.targets[:30], {way: a[:, :30] for way, a in votes.answers.items()})
    assert doubtful_rows(arms, few) == []
