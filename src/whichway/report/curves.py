"""Learning curves as text and as a plot."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from whichway.errors import DiskError
from whichway.findings import Crossover, Curve, CurvePoint
from whichway.report.environment import environment
from whichway.report.formatting import SHARES, ScoreText
from whichway.report.plot import Tick, scale, score_ticks

if TYPE_CHECKING:
    from whichway.verdict.curves import Curves

WIDE, HIGH = 64, 16  # characters of the text plot
SIGNS = "ox+*#%@&"


# --- text


def lines(
    curves: Sequence[Curve],
    crossed: Sequence[Crossover],
    confidence: float,
    rows_known: bool = True,
    scores: ScoreText = SHARES,
) -> Iterator[str]:
    """Table, plot and findings for a terminal."""
    ends = [_ends(point, scores) for curve in curves for point in curve.points]
    wide, next_ends = max(14, *(len(text) + 2 for text in ends)), iter(ends)
    yield f"{'way':<18}{'rows':>7}  {'score':>6}  {f'{100 * confidence:g} %':<{wide}}seeds"
    for curve in curves:
        for point in curve.points:
            score = scores.value(point.score)
            yield f"{curve.way:<18}{point.n:>7,}  {score:>6}  {next(next_ends):<{wide}}{point.seeds}"
    if not rows_known and any(ends):
        yield "Intervals hold the noise of seeds, not that of test rows: the table does not have the rows' scores."
    yield ""
    yield from text_plot(curves, scores)
    yield ""
    for cross in crossed:
        yield cross.text
        if cross.next_n is not None:
            yield f"  To tell more, measure {cross.next_n:,} rows."
    for curve in curves:
        if curve.plateau and curve.gain is not None and len(curve.points) > 1:
            gain = f"{scores.signed(curve.gain)}{scores.format.unit}"
            yield f"{curve.way}: plateau; its last two doublings brought {gain}."


def _ends(point: CurvePoint, scores: ScoreText) -> str:
    return "" if point.low is None or point.high is None else scores.span(point.low, point.high)


def text_plot(curves: Sequence[Curve], scores: ScoreText) -> Iterator[str]:
    """Scores over rows (log scale) in characters; a way's sign stands at each size, dots between."""
    measured = [p for curve in curves for p in curve.points]
    grown = [max(p.n, 1) for p in measured]
    low, high = min(p.score for p in measured), max(p.score for p in measured)
    left, right = math.log(min(grown)), math.log(max(grown))
    cells = [[" "] * WIDE for _ in range(HIGH)]
    for sign, curve in zip(SIGNS * len(curves), curves, strict=False):
        where = [
            (_along(math.log(max(p.n, 1)), left, right, WIDE), _along(p.score, low, high, HIGH)) for p in curve.points
        ]
        for (x0, y0), (x1, y1) in pairwise(where):
            for x in range(x0 + 1, x1):
                y = round(y0 + (y1 - y0) * (x - x0) / (x1 - x0))
                cells[HIGH - 1 - y][x] = "·" if cells[HIGH - 1 - y][x] == " " else cells[HIGH - 1 - y][x]
        for x, y in where:
            cells[HIGH - 1 - y][x] = sign
    for k, row in enumerate(cells):
        label = f"{scores.value(high - (high - low) * k / (HIGH - 1)):>5}" if k % 5 == 0 else "     "
        yield f"{label} |{''.join(row).rstrip()}"
    yield f"      +{'-' * WIDE}"
    yield f"       {f'{min(grown):,} rows':<{WIDE - 12}}{f'{max(grown):,} rows':>12}"
    signs = zip(SIGNS * len(curves), curves, strict=False)
    yield "       " + "  ".join(f"{sign} {curve.way}" for sign, curve in signs)


def _along(value: float, low: float, high: float, cells: int) -> int:
    return 0 if high <= low else round((value - low) / (high - low) * (cells - 1))


# --- plot


@dataclass(frozen=True, slots=True)
class Track:
    """One curve in pixels: a line, a band, and where its name stands."""

    way: str
    path: str
    band: str
    dots: tuple[tuple[float, float, CurvePoint], ...]
    text_y: float


@dataclass(frozen=True, slots=True)
class Chart:
    """The learning curves placed in pixels."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    tracks: list[Track]


def chart(curves: Sequence[Curve], width: float, height: float, scores: ScoreText = SHARES) -> Chart | None:
    """Place curves: score over rows, log scale. None: nothing was measured at two sizes."""
    if not any(len(curve.points) > 1 for curve in curves):
        return None
    names = 7.3 * max(len(curve.way) for curve in curves) + 12
    left, right, top, bottom = 44.0, width - min(names, width / 4), 26.0, height - 46.0
    sizes = sorted({p.n for curve in curves for p in curve.points if p.n > 0})
    low, high = math.log(sizes[0]), math.log(sizes[-1])
    quality = scale([v for curve in curves for p in curve.points for v in (p.score, p.low, p.high)])

    def to_x(n: float) -> float:
        share = (math.log(max(n, sizes[0])) - low) / (high - low) if high > low else 0.5
        return round(left + 12 + (right - left - 24) * share, 1)

    def to_y(value: float) -> float:
        return round(bottom - (bottom - top) * quality(value) / 100, 1)

    ends = (to_x(sizes[0]), to_x(sizes[-1]))
    tracks = [_track(curve, to_x, to_y, ends) for curve in curves]
    x_ticks = [Tick(to_x(n), f"{n:,}") for n in _spaced(sizes, to_x, 34.0)]
    y_ticks = score_ticks(quality, to_y, scores)
    return Chart(width, height, left, right, top, bottom, x_ticks, y_ticks, _spread(tracks))


def _spaced(sizes: Sequence[int], to_x: Callable[[float], float], least: float) -> list[int]:
    """Sizes whose ticks do not run into each other."""
    chosen: list[int] = []
    for n in sizes:
        if not chosen or to_x(n) - to_x(chosen[-1]) >= least:
            chosen.append(n)
    return chosen


def _track(
    curve: Curve, to_x: Callable[[float], float], to_y: Callable[[float], float], ends: tuple[float, float]
) -> Track:
    dots = tuple((to_x(p.n), to_y(p.score), p) for p in curve.points)
    line = [(x, y) for x, y, _ in dots]
    upper = [(x, to_y(p.score if p.high is None else p.high)) for x, _, p in dots]
    lower = [(x, to_y(p.score if p.low is None else p.low)) for x, _, p in dots]
    if len(dots) == 1:  # a way that takes no rows: level all along
        line, upper, lower = ([(x, points[0][1]) for x in ends] for points in (line, upper, lower))
    return Track(curve.way, _joined(line), _joined(upper + lower[::-1]) + "Z", dots, line[-1][1])


def _joined(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in points)


def _spread(tracks: Sequence[Track]) -> list[Track]:
    """Names moved apart so that none covers another."""
    placed: list[Track] = []
    below = -math.inf
    for track in sorted(tracks, key=lambda t: t.text_y):
        below = max(track.text_y, below + 15)
        placed.append(replace(track, text_y=below))
    return placed


def write(
    path: Path,
    title: str,
    curves: Sequence[Curve],
    crossed: Sequence[Crossover],
    drawn: Curves,
    scores: ScoreText = SHARES,
) -> None:
    """Write a self-contained page with the plot, the findings and the table.

    Raises:
        DiskError: it cannot be written.
    """
    from markupsafe import Markup

    style = files("whichway.report").joinpath("page.css").read_text("utf-8")
    page = (
        environment()
        .get_template("curves.html.j2")
        .render(
            title=title,
            style=Markup(style),
            chart=chart(curves, 1060, 460, scores),
            curves=curves,
            crossed=crossed,
            confidence=drawn.confidence,
            aggregate=drawn.aggregate,
            rows_known=drawn.rows_known,
            kinds={},
            scores=scores,
        )
    )
    try:
        path.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        raise DiskError(f"{path} cannot be written ({error.strerror}). Give another place with --html.") from error
