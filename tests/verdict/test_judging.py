"""A judge's noise and its liking for a place are found as they were put in; an empty judge is called one."""

import numpy as np
import pytest
from test_sentences import unbacked

from whichway.verdict import Arm, decide
from whichway.verdict.decide import Extras
from whichway.verdict.judging import consistent, judgement, noise, pairwise, same_again

N = 200
ROWS = tuple(f"r{i}" for i in range(N))


def arms(*names):
    return [Arm(way=name, kind="prompt", scores=np.ones((1, N))) for name in names]


def levels(rng, truth, flips, repeats=3, of=5):
    """Judgements: the true level, or with chance `flips` any level."""
    for way, scores in truth.items():
        for row, level in zip(ROWS, scores, strict=True):
            for again in range(repeats):
                given = rng.integers(of) if rng.random() < flips else level
                yield {"what": "level", "way": way, "example": row, "repeat": 0, "again": again,
                       "text": f"{way}{row}", "score": float(given) / (of - 1)}  # fmt: skip


def pairs(rng, better, tilt, one="way_a", two="way_b"):
    """Comparisons: with chance `tilt` the first place, else the better answer."""
    for row in ROWS:
        best = one if rng.random() < better else two
        for order in (0, 1):
            left = one if order == 0 else two
            chosen = left if rng.random() < tilt else best
            yield {"what": "pair", "first": one, "second": two, "example": row, "again": 0, "order": order,
                   "asked": True, "place": "first" if chosen == left else "second", "better": chosen}  # fmt: skip


def judged(lines, *names):
    return judgement(list(lines), arms(*names), ROWS, 0.95)


@pytest.mark.parametrize("flips", [0.0, 0.2, 0.6])
def test_planted_noise_is_recovered(flips):
    rng = np.random.default_rng(4)
    truth = {"way_a": rng.integers(5, size=N), "way_b": rng.integers(5, size=N)}
    found = judged(levels(rng, truth, flips), "way_a", "way_b")
    same = (1 - flips) ** 2 + (1 - (1 - flips) ** 2) / 5
    keep = 1 - flips
    assert found.same_again == pytest.approx(same, abs=0.05)
    assert found.reliability == pytest.approx(keep**2, abs=0.07)  # both levels and noise are uniform
    assert found.noise_sd == pytest.approx(np.sqrt(0.125 * (1 - keep**2)), abs=0.02)
    assert found.useful == (keep**2 > 0.5)
    assert (found.answers, found.repeats) == (2 * N, 3)


@pytest.mark.parametrize("tilt", [0.0, 0.4, 1.0])
def test_a_planted_liking_for_the_first_place_is_recovered(tilt):
    rng = np.random.default_rng(6)
    truth = {"way_a": rng.integers(5, size=N), "way_b": rng.integers(5, size=N)}
    found = judged([*levels(rng, truth, 0.1), *pairs(rng, 0.5, tilt)], "way_a", "way_b")
    assert found.first_place == pytest.approx(0.5 + tilt / 2, abs=0.04)
    assert found.first_low <= found.first_place <= found.first_high
    assert found.consistent == pytest.approx((1 - tilt) ** 2 + tilt * (1 - tilt), abs=0.08)
    assert found.comparisons == 2 * N
    assert found.useful == (tilt < 0.5)


def test_a_liking_for_a_place_favours_no_way():
    rng = np.random.default_rng(7)
    (duel,) = pairwise(list(pairs(rng, 0.5, 1.0)), 0.95)
    assert (duel.wins, duel.losses, duel.ties, duel.p) == (0, 0, N, 1.0)
    (duel,) = pairwise(list(pairs(rng, 0.8, 0.3)), 0.95)
    assert duel.wins > 2 * duel.losses
    assert duel.p < 0.001


def test_scores_are_means_over_inputs_and_a_better_way_stands_alone():
    rng = np.random.default_rng(8)
    found = judged(levels(rng, {"way_a": np.full(N, 3), "way_b": rng.integers(2, size=N)}, 0.1), "way_a", "way_b")
    a, b = found.scores
    assert a.score == pytest.approx(0.9 * 0.75 + 0.1 * 0.5, abs=0.02)
    assert a.low < a.score < a.high
    assert (a.standing, b.standing) == (True, False)


def test_a_judge_that_says_one_thing_is_not_useful_and_is_called_so():
    lines = list(levels(np.random.default_rng(1), {"way_a": np.full(N, 2), "way_b": np.full(N, 2)}, 0.0))
    found = judged(lines, "way_a", "way_b")
    assert (found.reliability, found.commonest, found.same_again, found.useful) == (None, 1.0, 1.0, False)
    verdict = decide(arms("way_a", "way_b"), extras=Extras(judged=tuple(lines), rows=_facts()))
    assert any("it does not tell answers apart" in r for r in verdict.reasons)
    assert unbacked(verdict) == []


def test_every_sentence_about_the_judge_is_backed():
    for flips, tilt in ((0.0, 0.0), (0.9, 1.0), (0.2, 0.3)):
        rng = np.random.default_rng(9)
        truth = {"way_a": rng.integers(5, size=N), "way_b": rng.integers(5, size=N)}
        lines = (*levels(rng, truth, flips), *pairs(rng, 0.6, tilt))
        verdict = decide(arms("way_a", "way_b"), extras=Extras(judged=lines, rows=_facts()))
        told = " ".join(verdict.reasons)
        assert "It decides nothing by itself" in told
        assert ("mostly noise" in told) == (flips == 0.9)
        assert ("follows the position" in told) == (tilt == 1.0)
        assert unbacked(verdict) == []


def test_judged_once_says_that_noise_is_not_known():
    lines = tuple(levels(np.random.default_rng(2), {"way_a": np.arange(N) % 5}, 0.0, repeats=1))
    found = judged(lines, "way_a")
    assert found.same_again is found.noise_sd is found.reliability is None
    assert not found.useful
    verdict = decide(arms("way_a"), extras=Extras(judged=lines, rows=_facts()))
    assert any("how noisy the judge is was not measured" in r for r in verdict.reasons)


def test_texts_that_stand_twice_count_once_and_unread_words_are_counted():
    lines = [
        {"what": "level", "way": way, "example": row, "repeat": 0, "again": k, "text": "same", "score": k / 2}
        for way in ("way_a", "way_b") for row in ROWS for k in range(3)
    ]  # fmt: skip
    assert judged(lines, "way_a", "way_b").answers == N
    lines[0]["score"] = None
    assert judged(lines, "way_a", "way_b").unread == pytest.approx(1 / len(lines))


def test_a_way_that_was_not_judged_to_the_end_has_no_score():
    lines = list(levels(np.random.default_rng(3), {"way_a": np.arange(N) % 5, "way_b": np.arange(N) % 5}, 0.0))
    found = judgement(lines[:-3], arms("way_a", "way_b"), ROWS, 0.95)
    assert [s.way for s in found.scores] == ["way_a"]
    assert judgement([], arms("way_a"), ROWS, 0.95) is None


def test_by_hand():
    assert same_again([[0.0, 0.0, 1.0], [1.0, 1.0, 1.0]]) == pytest.approx((1 / 3 + 1) / 2)
    within, between, share = noise([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    assert within == pytest.approx(np.sqrt(0.5 / 3))
    assert between == pytest.approx(np.sqrt(0.25 - 0.5 / 6))
    assert share == pytest.approx((0.25 - 0.5 / 6) / (0.25 - 0.5 / 6 + 0.5 / 3))
    assert consistent([]) is None


def _facts():
    from whichway.verdict.slices import RowFacts

    return RowFacts(ids=ROWS, targets=(), lengths=tuple(range(N)))
