from __future__ import annotations

import random

import pytest
from sample import WAYS

from whichway.nouns import Standing
from whichway.report import formatting, plot


def standing(way: str, usd: float, score: float | None, half: float = 0.05) -> Standing:
    known = score is not None
    return Standing(
        way=way, kind="prompt", status="ok", reason="", candidates=(), note="", seeds=1, rows=100, score=score,
        low=score - half if known else None, high=score + half if known else None, seed_sd=None, dev_score=score,
        unparsed=0.0, seconds_fit=1.0, seconds_per_row=0.1, tokens_in=1, tokens_cached=0, tokens_out=1,
        usd_fit=0.0, usd_per_1000=usd, usd_total=usd, gap=None, gap_low=None, gap_high=None, not_worse=False,
    )  # fmt: skip


def crowd(seed: int) -> list[Standing]:
    rng = random.Random(seed)
    return [standing(w.name, 10 ** rng.uniform(-2, 1), rng.uniform(0.5, 0.9)) for w in WAYS]


@pytest.mark.parametrize("seed", range(20))
def test_names_overlap_no_name_and_stay_inside(seed):
    drawn = plot.quality_against_cost(crowd(seed), 1060, 460)
    boxes = [plot._box(point) for point in drawn.points]
    for i, box in enumerate(boxes):
        assert box[0] >= drawn.left - 1
        assert box[2] <= drawn.right + 1
        for other in boxes[:i]:
            assert plot._overlap(box, other) == 0


def test_cheaper_is_left_better_is_up_and_free_has_a_place():
    ways = [standing("a", 0.0, 0.3), standing("b", 0.1, 0.5), standing("c", 10, 0.8)]
    drawn = plot.quality_against_cost(ways, 400, 400)
    a, b, c = (next(p for p in drawn.points if p.standing.way == way) for way in "abc")
    assert drawn.left < a.x < b.x < c.x < drawn.right
    assert drawn.bottom > a.y > b.y > c.y > drawn.top
    assert drawn.x_ticks[0].text == "$0"


def test_nothing_to_draw():
    assert plot.quality_against_cost([standing("a", 1.0, None)], 400, 400) is None


def test_one_way_that_costs_nothing():
    drawn = plot.quality_against_cost([standing("a", 0.0, 1.0, 0.0)], 400, 400)
    assert [tick.text for tick in drawn.x_ticks] == ["$0"]


def test_steps_are_round():
    assert plot.steps(0.0, 1.0, 5) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert plot.steps(-0.013, 0.021, 4) == [-0.01, 0.0, 0.01, 0.02]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "$0"), (0.00001, "<$0.0001"), (0.00056, "$0.00056"), (0.045, "$0.045"), (0.5, "$0.50"), (12.4, "$12.40"),
     (1234.5, "$1,234"), (None, "–")],
)  # fmt: skip
def test_usd(value, text):
    assert formatting.usd(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0 s"), (0.00021, "0.21 ms"), (0.058, "58 ms"), (9.1, "9.1 s"), (412, "6.9 min"), (7300, "2.0 h")],
)
def test_seconds(value, text):
    assert formatting.seconds(value) == text


def test_signed_has_no_negative_zero():
    assert formatting.signed(-0.0001) == "0.0"
    assert formatting.signed(-0.021) == "−2.1"


def test_a_path_shows_its_last_part_only():
    assert formatting.model("/home/me/models/small") == "small"
    assert formatting.model("C:\\models\\small") == "small"
    assert formatting.model("org/small") == "org/small"
