"""Where one learning curve overtakes another, as an interval, and how many rows the first way is worth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from whichway.findings import Crossover, CrossState
from whichway.verdict.curves import REACH, Curves
from whichway.verdict.explain.number_format import clean, percent, whole
from whichway.verdict.stats import FloatArray

GRID = 240  # sizes at which the curves are compared
FEWEST = 8  # training rows; nobody asks about fewer
WIDE = 1.5  # an interval with ends further apart than this factor is worth another size


@dataclass(frozen=True, slots=True)
class Ends:
    """The last size at which the second way is shown worse, and the size from which on it is shown better; or None."""

    low: float | None
    high: float | None
    ahead_first: bool  # shown ahead at the smallest size
    behind_last: bool  # shown behind at the largest
    behind_all: bool  # shown behind at every size
    ahead_any: bool  # shown ahead at some size
    ahead_before: bool  # shown ahead at a size below `low`


def crossover(
    curves: Curves, first: str, second: str, baseline: float | None = None, window: tuple[float, float] | None = None,
    score: Callable[[float], str] = percent,
) -> Crossover:  # fmt: skip
    """From how many rows on `second` is ahead of `first`.

    Args:
        curves: of both.
        first: such as a prompt.
        second: such as a fine-tune.
        baseline: score of doing nothing, to tell a plateau near it.
        window: levels of score for the data advantage; default all that both reach.
        score: how a score is written.
    """
    sizes = shared(curves, first, second)
    ends = crossing(curves, first, second, sizes)
    state = state_of(ends)
    worth = advantage(curves, first, second, window)
    flat, why = curves.curve(second).plateau, curves.no_interval(first, second)
    return Crossover(
        first=first,
        second=second,
        state=state,
        low=clean(ends.low),
        high=clean(ends.high),
        advantage=clean(worth.mean) if worth else None,
        advantage_low=clean(worth.low) if worth else None,
        advantage_high=clean(worth.high) if worth else None,
        largest=clean(float(sizes[-1])) if len(sizes) else None,
        window_low=clean(worth.window[0]) if worth else None,
        window_high=clean(worth.window[1]) if worth else None,
        next_n=None if curves.blind(first, second) else next_size(ends, state, sizes),
        text=" ".join(
            (
                crossover_text(
                    first, second, ends, state, sizes, plateau_text(curves, second, baseline) if flat else None, why
                ),
                advantage_text(first, second, worth, window, score),
            )
            if len(sizes)
            else (f"{second} and {first} were measured at no common size: their curves cannot be compared.",)
        ),
    )


def shared(curves: Curves, first: str, second: str) -> FloatArray:
    """Sizes at which both can be read, log-spaced; a flat way can be read anywhere."""
    grown = [f.sizes for f in (curves.families[first], curves.families[second]) if not f.flat]
    if not grown:
        return np.zeros(0)
    low, high = max(s[0] for s in grown), min(s[-1] for s in grown)
    if low > high:
        return np.zeros(0)
    low, high = max(low, 0.5), max(high, 0.5)
    measured = [s[(s >= low) & (s <= high)] for s in grown]
    return np.unique(np.concatenate([np.clip(np.geomspace(low, high, GRID), low, high), *measured]))


def crossing(curves: Curves, first: str, second: str, sizes: FloatArray) -> Ends:
    """The ends of the sizes at which neither is shown ahead."""
    if len(sizes) == 0:
        return Ends(None, None, False, False, False, False, False)
    gap = curves.drawn_at(second, sizes) - curves.drawn_at(first, sizes)
    low, high = np.quantile(gap, curves.ends, axis=0)
    ahead, behind = low > 0, high < 0  # False where the noise is not known
    last_behind = int(np.flatnonzero(behind)[-1]) if behind.any() else None
    first_ahead = len(sizes) - int(np.argmin(ahead[::-1])) if not ahead.all() else 0  # from here on it stays ahead
    return Ends(
        low=None if last_behind is None else float(sizes[last_behind]),
        high=None if first_ahead == len(sizes) else float(sizes[first_ahead]),
        ahead_first=bool(ahead[0]),
        behind_last=bool(behind[-1]),
        behind_all=bool(behind.all()),
        ahead_any=bool(ahead.any()),
        ahead_before=bool(ahead[:last_behind].any()) if last_behind is not None else False,
    )


def state_of(ends: Ends) -> CrossState:
    """The state that the ends of the interval imply."""
    if ends.low is not None and ends.high is not None:
        return "between"
    if ends.high is not None:
        return "before"
    return "not reached" if ends.behind_last else "cannot say"


def next_size(ends: Ends, state: CrossState, sizes: FloatArray) -> int | None:
    """The size that would tell more: the middle of a wide interval, half of the smallest, or twice the largest."""
    if len(sizes) == 0:
        return None
    if state == "between" and ends.low and ends.high:
        return round(math.sqrt(ends.low * ends.high)) if ends.high / ends.low > WIDE else None
    if state == "before":
        return math.floor(sizes[0] / 2) if sizes[0] >= 2 * FEWEST and ends.ahead_first else None
    return round(REACH * float(sizes[-1]))


# --- data advantage


@dataclass(frozen=True, slots=True)
class RowsWorth:
    """Rows that the first way is worth, with its interval (None where there is none, and why) and its window."""

    mean: float
    low: float | None
    high: float | None
    window: tuple[float, float]
    why: str = ""


def advantage(curves: Curves, first: str, second: str, window: tuple[float, float] | None = None) -> RowsWorth | None:
    """Mean over levels y of n_second(y) − n_first(y) on the window that both curves reach; None: not comparable.

    A resample whose window is empty does not enter the interval; where more than a tenth are, there is no interval.

    Args:
        curves: of both.
        first: the way whose worth is told.
        second: the way that the rows are counted in.
        window: levels of score that matter; the part of it that both curves reach is taken.
    """
    one, two = curves.families[first], curves.families[second]
    if one.flat and two.flat:
        return None
    reached = window_of(curves.centre(first), curves.centre(second), window)
    mean = mean_distance(one.sizes, curves.centre(first), two.sizes, curves.centre(second), window)
    if reached is None or mean is None:
        return None
    why = curves.no_interval(first, second)
    if why is not None:
        return RowsWorth(mean, None, None, reached, why)
    pairs = zip(curves.replicates[first], curves.replicates[second], strict=True)
    drawn = [d for d in (mean_distance(one.sizes, a, two.sizes, b, window) for a, b in pairs) if d is not None]
    if len(drawn) < 0.9 * curves.resamples:
        return RowsWorth(mean, None, None, reached, "more than a tenth of the resamples share no score")
    low, high = np.quantile(drawn, curves.ends)
    return RowsWorth(mean, float(min(low, mean)), float(max(high, mean)), reached)


def window_of(
    first: FloatArray, second: FloatArray, requested: tuple[float, float] | None = None
) -> tuple[float, float] | None:
    """Levels of score that both curves reach within what was measured (and asked for); None when there are none."""
    low, high = max(first[0], second[0]), min(first.max(), second.max())
    if requested is not None:
        low, high = max(low, requested[0]), min(high, requested[1])
    return (float(low), float(high)) if low <= high else None


def mean_distance(
    n_first: FloatArray,
    first: FloatArray,
    n_second: FloatArray,
    second: FloatArray,
    requested: tuple[float, float] | None = None,
) -> float | None:
    """Mean over levels of the rows that the second way needs more than the first: the exact area over the height.

    Both inverse curves are straight between the levels of their points, so that the middle of each piece is its mean.
    """
    window = window_of(first, second, requested)
    if window is None:
        return None
    corners = np.unique(np.clip(np.concatenate([window, first, second]), *window))
    heights = np.diff(corners)
    levels = (corners[:-1] + corners[1:]) / 2 if len(heights) else corners
    distance = rows_to_reach(n_second, second, levels) - rows_to_reach(n_first, first, levels)
    return float(np.average(distance, weights=heights if len(heights) else None))


def rows_to_reach(sizes: FloatArray, curve: FloatArray, levels: FloatArray) -> FloatArray:
    """The smallest size at which a curve reaches each level, interpolated in n."""
    top = np.maximum.accumulate(curve)
    right = np.minimum(np.searchsorted(top, levels, side="left"), len(top) - 1)
    left = np.maximum(right - 1, 0)
    rise = top[right] - top[left]
    share = np.divide(levels - top[left], rise, out=np.ones_like(levels), where=rise > 0)
    reached: FloatArray = sizes[left] + np.clip(share, 0, 1) * (sizes[right] - sizes[left])
    return reached


# --- words


def crossover_text(
    first: str, second: str, ends: Ends, state: CrossState, sizes: FloatArray, stuck: str | None, why: str | None
) -> str:
    """The crossover in words."""
    low, high = (None if end is None else whole(round(end)) for end in (ends.low, ends.high))
    largest = whole(round(float(sizes[-1])))
    if state == "between":
        text = f"{second} overtakes {first} between {low} and {high} training rows"
    elif state == "before":
        text = f"{second} is ahead of {first} from {high} training rows on, or earlier"
    elif state == "not reached" and ends.behind_all:
        text = f"{second} is behind {first} up to {largest} training rows, the largest size measured"
    elif state == "not reached":
        more = "it is shown ahead at smaller sizes" if ends.ahead_before else "this is not shown at all smaller sizes"
        text = f"{second} is behind {first} at {largest} training rows, the largest size measured; {more}"
    elif ends.low is not None and ends.ahead_before:
        text = f"{second} is ahead of {first} at few training rows and behind at {low}; what holds at {largest} is open"
    elif ends.low is not None:
        text = f"{second} does not overtake {first} before {low} training rows; whether it has by {largest} is open"
    elif ends.ahead_any:
        open_at = f"whether it is at {largest} training rows, the largest size measured, is open"
        text = f"{second} is shown ahead of {first} at smaller sizes; {open_at}"
    else:
        text = f"Whether and where {second} overtakes {first} cannot be said from these runs"
        text += f" (no interval: {why})" if why else ""
    held = stuck is not None and state in ("not reached", "cannot say") and not ends.ahead_any
    return f"{text}; {stuck}." if held else f"{text}."


def advantage_text(
    first: str,
    second: str,
    worth: RowsWorth | None,
    requested: tuple[float, float] | None = None,
    score: Callable[[float], str] = percent,
) -> str:
    """The data advantage in words."""
    if worth is None:
        where = f" between {score(requested[0])} and {score(requested[1])}" if requested else ""
        return f"Data advantage: not comparable, {first} and {second} reach no common score{where}."
    named, rows, other = (first, worth.mean, second) if worth.mean >= 0 else (second, -worth.mean, first)
    bottom, top = (score(end) for end in worth.window)
    over = f"at a score of {bottom}" if bottom == top else f"over scores from {bottom} to {top}"
    if worth.low is None or worth.high is None:
        return f"{named} is worth {rounded(rows)} training rows against {other}, {over} (no interval: {worth.why})."
    low, high = sorted((worth.low, worth.high) if worth.mean >= 0 else (-worth.low, -worth.high))
    span = f"{rounded(low)} to {rounded(high)}"
    if low <= 0 <= high:
        saving = f"{named} is worth {rounded(rows)} of them ({span}) against {other}, {over}"
        return f"Neither is shown to save training rows: {saving}."
    return f"{named} is worth {rounded(rows)} training rows ({span}) against {other}, {over}."


def rounded(rows: float) -> str:
    """A number of rows: "1,200", "−35"."""
    return whole(round(rows)).replace("-", "−")


def plateau_text(curves: Curves, way: str, baseline: float | None) -> str:
    """A plateau in words; near the baseline, that it cannot be said when, or whether, the curve will rise."""
    last = curves.curve(way).points[-1]
    if baseline is not None and last.low is not None and last.low <= baseline:
        return f"{way} is on a plateau near the baseline, and it cannot be said when, or whether, it will rise"
    return f"{way} is on a plateau: its last two doublings are not shown to help"
