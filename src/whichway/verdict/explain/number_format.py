"""Numbers as text, and sentences that keep the numbers they say."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from whichway.findings import Sentence


def rounded(x: float, digits: int) -> float:
    """Rounded, halves away from zero: two means of the same rows may differ in their last bits, and must read alike."""
    return round(x + math.copysign(1e-7, x), digits) + 0.0


def percent(x: float) -> str:
    """A share: "71.5 %"."""
    return f"{bare(x)} %"


def chance(x: float) -> str:
    """A probability in whole percent, never 0 or 100: "86 %", "over 99 %"."""
    if x > 0.99:
        return "over 99 %"
    return "under 1 %" if x < 0.01 else f"{100 * x:.0f} %"


def points(x: float) -> str:
    """A size of a difference: "4.2 points"."""
    return f"{rounded(100 * abs(x), 1):.1f} points"


def points_up(x: float) -> str:
    """A difference rounded up, for bounds that must hold."""
    return f"{math.ceil(1000 * x - 1e-9) / 10:.1f} points"


def signed(x: float) -> str:
    """A difference with its sign, bare: "+4.2" or "−1.0"."""
    return f"{rounded(100 * x, 1):+.1f}".replace("-", "−")


def nats(x: float) -> str:
    """A loss or a difference of losses: "5.21"."""
    return f"{abs(x) + 0.0:.2f}"


def bare(x: float) -> str:
    """A score in points, bare: "71.5"."""
    return f"{rounded(100 * x, 1):.1f}".replace("-", "−")


def whole(x: float) -> str:
    """A whole number: "1,200"."""
    return f"{x:,.0f}"


def usd(x: float) -> str:
    """Money to two significant digits below a dollar: "$12.40", "$0.0034"."""
    if x == 0 or abs(x) >= 1:
        return f"${x:,.2f}" if x else "$0"
    digits = 1 - math.floor(math.log10(abs(x)))
    return f"${x:.{digits}f}"


def seconds(x: float) -> str:
    """A time: "0.4 s", "3,120 s"."""
    return f"{x:,.0f} s" if x >= 10 else f"{x:.1f} s"


def count(x: float) -> str:
    """A count to two significant digits, rounded up: "1,200"."""
    if x < 1:
        return f"{x:.2g}"
    step = 10 ** max(0, math.floor(math.log10(x)) - 1)
    return f"{math.ceil(x / step - 1e-9) * step:,}"


def listed(names: list[str]) -> str:
    """Names in a row: "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def plain(x: float) -> str:
    """A score of a metric that is no share, to three decimals: "0.752"."""
    return f"{rounded(x, 3):.3f}".replace("-", "−")


def plain_size(x: float) -> str:
    """The size of a difference of such scores: "0.042"."""
    return plain(abs(x))


def plain_size_up(x: float) -> str:
    """Such a size rounded up, for bounds that must hold."""
    return plain(math.ceil(1000 * x - 1e-9) / 1000)


def plain_signed(x: float) -> str:
    """A difference of such scores with its sign: "+0.042" or "−0.010"."""
    return f"{rounded(x, 3):+.3f}".replace("-", "−")


@dataclass(frozen=True, slots=True)
class ScoreFormat:
    """How scores of one metric are written: in percent and points, or as plain numbers (a correlation, AUC)."""

    score: Callable[[float], str]
    bare: Callable[[float], str]  # a score without a unit, inside an interval
    size: Callable[[float], str]  # of a difference, with its unit
    size_up: Callable[[float], str]  # rounded up
    signed: Callable[[float], str]  # a difference without a unit
    unit: str  # after a signed difference


SHARE = ScoreFormat(percent, bare, points, points_up, signed, " points")
PLAIN = ScoreFormat(plain, plain, plain_size, plain_size_up, plain_signed, "")


def score_format(plain_numbers: bool) -> ScoreFormat:
    """How a metric's scores are written.

    Args:
        plain_numbers: `Metric.plain`, which a plan keeps as `metric_plain`.
    """
    return PLAIN if plain_numbers else SHARE


# all spellings of a number
SHOWN = (
    percent, chance, points, points_up, signed, bare, nats, whole, usd, seconds, count,
    plain, plain_size, plain_size_up, plain_signed,
)  # fmt: skip


def clean(x: float | None) -> float | None:
    """A float for JSON, without the last bits that differ between machines."""
    if x is None or not math.isfinite(x):
        return None
    return round(float(x), 10) + 0.0


class CitedSentence:
    """The numbers of one sentence, noted while it is written."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def __call__(self, name: str, value: float, shown: Callable[[float], str]) -> str:
        """Note a number under a name and give its text."""
        rounded = clean(value)
        if rounded is not None:
            self.values[name] = rounded
        return shown(value)

    def sentence(self, text: str) -> Sentence:
        """The sentence with all that was noted."""
        return Sentence(text, dict(self.values))
