"""Geometry of the plots: axes, whiskers, and labels that do not overlap. The template draws what is placed here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from whichway.findings import Variety
from whichway.nouns import Standing
from whichway.report.formatting import SHARES, ScoreText

Box = tuple[float, float, float, float]  # left, top, right, bottom

LETTER = 7.3  # width of a letter at 12.5 px, on the wide side
LINE = 15.0  # height of a label


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values to 0..100 percent of a row's width; shared by all rows of a table."""

    low: float
    high: float

    def __call__(self, value: float) -> float:
        """Percent from the left edge."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    def ticks(self, scores: ScoreText = SHARES) -> list[Tick]:
        """Round values inside the scale."""
        return [Tick(self(value), scores.tick(value)) for value in steps(self.low, self.high, 4)]


@dataclass(frozen=True, slots=True)
class Point:
    """A way in the plot, in pixels."""

    standing: Standing
    x: float
    y: float
    top: float
    bottom: float
    text_x: float
    text_y: float
    anchor: str
    leader: bool  # the label stands apart and wants a line
    near: float = 0.0  # ends of the whisker along the axis of variety; equal: none
    far: float = 0.0


@dataclass(frozen=True, slots=True)
class Plot:
    """Quality against something, in pixels."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    points: list[Point]
    what: str = "cost"  # on the axis from left to right: "cost", "time", "variety"


def scale(values: Iterable[float | None], *, around: Sequence[float] = (), room: float = 0.06) -> Scale:
    """The scale that shows all values, and the values of `around`."""
    known = [v for v in values if v is not None] + list(around)
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    spare = max((high - low) * room, 0.005)
    return Scale(low - spare, high + spare)


def score_scale(standings: Sequence[Standing]) -> Scale:
    """The scale of scores: with little room above 1, and below 0 only where there are negative ones."""
    values = [v for s in standings for v in (s.score, s.low, s.high) if v is not None]
    full = scale(values)
    return Scale(max(full.low, -0.02) if min(values) >= 0 else full.low, min(full.high, 1.02))


def score_ticks(quality: Scale, to_y: Callable[[float], float], scores: ScoreText) -> list[Tick]:
    """Marks on an axis of scores, none beyond 1, nor in the room below 0 where no score is negative."""
    least = -1.0 if quality.low < -0.05 else 0.0
    marks = [v for v in steps(quality.low, quality.high, 6) if least <= v <= 1]
    return [Tick(to_y(v), scores.tick(v)) for v in marks]


def steps(low: float, high: float, most: int) -> list[float]:
    """At most `most` + 1 round values in an interval."""
    raw = (high - low) / most
    unit: float = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 10) + 0.0 for k in range(first, last + 1)]


def quality_against_cost(
    standings: Sequence[Standing], width: float, height: float, scores: ScoreText = SHARES
) -> Plot | None:
    """Place every way that has a score: score with whiskers over the cost of 30 days. None: no scores."""
    return _quality_against("cost", standings, width, height, scores)


def quality_against_time(
    standings: Sequence[Standing], width: float, height: float, scores: ScoreText = SHARES
) -> Plot | None:
    """The same over the seconds that one answer takes."""
    return _quality_against("time", standings, width, height, scores)


def _quality_against(
    what: Literal["cost", "time"], standings: Sequence[Standing], width: float, height: float, scores: ScoreText
) -> Plot | None:
    amount, tick = (_usd_total, _price) if what == "cost" else (_seconds_per_row, _duration)
    shown = [s for s in standings if s.score is not None]
    if not shown:
        return None
    left, right, top, bottom = 44.0, width - 16.0, 26.0, height - 46.0
    names = min(LETTER * max(len(s.way) for s in shown), width / 9)  # room for names right of the dearest ways
    to_x, x_ticks = _log_axis([amount(s) for s in shown], left, right - names, tick)
    quality = score_scale(shown)

    def to_y(value: float) -> float:
        return round(bottom - (bottom - top) * quality(value) / 100, 1)

    y_ticks = score_ticks(quality, to_y, scores)
    places = [_place(s, to_x(amount(s)), to_y) for s in shown]
    points = _label(places, (left, top, right, bottom))
    return Plot(width, height, left, right, top, bottom, x_ticks, y_ticks, points, what)


def quality_against_variety(
    varieties: Sequence[Variety],
    standings: Sequence[Standing],
    width: float,
    height: float,
    scores: ScoreText = SHARES,
) -> Plot | None:
    """Place every way whose variety was measured: score over 1 − similarity, whiskers along both. None: no such way."""
    lines = {s.way: s for s in standings if s.score is not None}
    shown = [(v, lines[v.way]) for v in varieties if v.way in lines]
    if not shown:
        return None
    left, right, top, bottom = 44.0, width - 16.0, 26.0, height - 46.0
    quality = score_scale([s for _, s in shown])
    wide = scale([1 - x for v, _ in shown for x in _ends(v)], around=(0.0,))
    wide = Scale(max(wide.low, -0.04), min(wide.high, 1.02))

    def to_x(value: float) -> float:
        return round(left + (right - left) * wide(value) / 100, 1)

    def to_y(value: float) -> float:
        return round(bottom - (bottom - top) * quality(value) / 100, 1)

    x_ticks = [Tick(to_x(v), SHARES.tick(v)) for v in steps(wide.low, wide.high, 6) if 0 <= v <= 1]
    y_ticks = score_ticks(quality, to_y, scores)
    places = [
        replace(
            _place(s, to_x(1 - v.similarity.value), to_y),
            near=to_x(1 - max(_ends(v))),
            far=to_x(1 - min(_ends(v))),
        )
        for v, s in shown
    ]
    points = _label(places, (left, top, right, bottom))
    return Plot(width, height, left, right, top, bottom, x_ticks, y_ticks, points, "variety")


def _ends(measured: Variety) -> tuple[float, ...]:
    """Similarity and the ends of its interval, where it has one."""
    ends = (measured.similarity.value, measured.similarity.low, measured.similarity.high)
    return tuple(x for x in ends if x is not None)


def _usd_total(standing: Standing) -> float:
    return standing.usd_total


def _seconds_per_row(standing: Standing) -> float:
    return standing.seconds_per_row


def _place(standing: Standing, x: float, to_y: Callable[[float], float]) -> Point:
    score = standing.score or 0.0
    high, low = (score if v is None else v for v in (standing.high, standing.low))
    return Point(standing, x, to_y(score), to_y(high), to_y(low), 0.0, 0.0, "start", False)


def _log_axis(
    costs: Sequence[float], left: float, right: float, name: Callable[[float], str]
) -> tuple[Callable[[float], float], list[Tick]]:
    """Logarithmic; what costs nothing, or takes no time, stands at the left edge, under its own tick."""
    paid = [c for c in costs if c > 0]
    low, high = (math.log10(min(paid)), math.log10(max(paid))) if paid else (0.0, 0.0)
    spare = max(0.12 * (high - low), 0.2)
    low, high = low - spare, high + spare
    start = left + 60 if len(paid) < len(costs) else left

    def to_x(cost: float) -> float:
        if cost <= 0:
            return left + 24
        return round(start + (right - start) * (math.log10(cost) - low) / (high - low), 1)

    ticks = [Tick(to_x(v), name(v)) for v in _decades(low, high, (right - start) / 80)] if paid else []
    return to_x, ([Tick(left + 24, name(0.0))] if start > left else []) + ticks


def _price(value: float) -> str:
    """A round price without needless zeros."""
    if value == 0:
        return "$0"
    return f"${value:,.0f}" if value >= 1 else f"${value:.12f}".rstrip("0")


def _duration(value: float) -> str:
    """A round time in the unit that reads best."""
    for unit, name in ((60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= unit * 0.999:
            return f"{value / unit:.6g} {name}"
    return f"{value:g} s"


def _decades(low: float, high: float, most: float) -> list[float]:
    """Round values between two powers of ten, no more than `most`."""
    for parts in ((1, 2, 5), (1, 3), (1,)):
        values = [p * 10.0**e for e in range(math.floor(low), math.ceil(high) + 1) for p in parts]
        values = [v for v in values if low <= math.log10(v) <= high]
        if len(values) <= most:
            return values
    return values[:: math.ceil(len(values) / most)]


def _label(points: Sequence[Point], frame: Box) -> list[Point]:
    """Put each name where it covers no mark, no whisker and no other name."""
    taken = [(p.x - 8, p.y - 8, p.x + 8, p.y + 8) for p in points]
    taken += [(p.x - 5, p.top - 2, p.x + 5, p.bottom + 2) for p in points]
    taken += [(p.near - 2, p.y - 5, p.far + 2, p.y + 5) for p in points if p.far > p.near]
    placed = []
    for point in sorted(points, key=lambda p: (p.x, p.y)):
        best = min(_positions(point), key=lambda p: _badness(_box(p), taken, frame))
        taken.append(_box(best))
        placed.append(best)
    return placed


def _positions(point: Point) -> list[Point]:
    """Where a name can stand, best first; the far ones need a line to the mark."""
    places = []
    for far in (0, 18, 36, 56, 80):
        for up in (0.0, -14.0 - far, 14.0 + far) if far == 0 else (-14.0 - far, 14.0 + far):
            for side, anchor in ((12.0, "start"), (-12.0, "end")):
                places.append(_named(point, point.x + side, point.y + 4 + up, anchor, far > 0))
    return places


def _named(p: Point, x: float, y: float, anchor: str, leader: bool) -> Point:
    return replace(p, text_x=round(x, 1), text_y=round(y, 1), anchor=anchor, leader=leader)


def _box(point: Point) -> Box:
    wide = LETTER * len(point.standing.way)
    left = point.text_x if point.anchor == "start" else point.text_x - wide
    return (left - 2, point.text_y - LINE + 3, left + wide + 2, point.text_y + 4)


def _badness(box: Box, taken: Sequence[Box], frame: Box) -> float:
    """Covered area, and much more for leaving the frame."""
    covered = sum(_overlap(box, other) for other in taken)
    area = (box[2] - box[0]) * (box[3] - box[1])
    return covered + 10 * (area - _overlap(box, frame))


def _overlap(a: Box, b: Box) -> float:
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, wide) * max(0.0, high)
