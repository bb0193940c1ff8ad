"""What was said before the start beside what it took: rows for the page and the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whichway.report.formatting import NOTHING, seconds, size, usd

TITLES = ("Way", "Time", "Range", "At most", "Money", "Memory", "Disk")


@dataclass(frozen=True, slots=True)
class EstimateRow:
    """One contestant; what is not known is None."""

    way: str
    seconds: float
    low: float
    high: float
    ceiling: float  # without racing
    usd: float
    memory_bytes: int | None
    disk_bytes: int
    reason: str
    opening: float = 0.0  # seconds by the clock that no ledger holds
    actual: float | None = None
    peak_bytes: int | None = None  # of the training process

    @property
    def ratio(self) -> float | None:
        """Estimated divided by actual; None where either is next to nothing."""
        return self.seconds / self.actual if self.actual and max(self.seconds, self.actual) >= 0.05 else None


def lines_of(
    estimate: Mapping[str, Any], actual: Mapping[str, float] | None = None, peaks: Mapping[str, int] | None = None
) -> list[EstimateRow]:
    """The rows of an estimate, the longest first.

    Args:
        estimate: what estimate.json holds.
        actual: contestant -> seconds by the clock; None before the run.
        peaks: contestant -> peak memory of its training.
    """
    within = float(estimate["within"])
    rows = [
        EstimateRow(
            way=way,
            seconds=amount["seconds"],
            low=amount["seconds"] / within,
            high=amount["seconds"] * within,
            ceiling=amount["ceiling_seconds"],
            usd=amount["usd"],
            memory_bytes=amount["memory_bytes"],
            disk_bytes=amount["disk_bytes"],
            reason=amount["reason"],
            opening=amount.get("opening_seconds", 0.0),
            actual=None if actual is None else actual.get(way, 0.0),
            peak_bytes=(peaks or {}).get(way),
        )
        for way, amount in estimate["ways"].items()
    ]
    return sorted(rows, key=lambda row: (-row.seconds, row.way))


def before(rows: Sequence[EstimateRow], within: float) -> Iterator[str]:
    """The estimate for a terminal, before the start."""
    cells = [TITLES, *(_cells(row) for row in rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(TITLES))]
    for row in cells:
        yield "  " + "  ".join(
            text.ljust(width) if not k else text.rjust(width)
            for k, (text, width) in enumerate(zip(row, widths, strict=True))
        )
    total, most = sum(r.seconds for r in rows), sum(r.ceiling for r in rows)
    clock = total + sum(r.opening for r in rows)
    yield (
        f"  In all {seconds(total)} of answering and training, at most {seconds(most)} where racing drops nobody, "
        f"{usd(sum(r.usd for r in rows))}; about {seconds(clock)} by the clock. The range is a factor of {within:g} "
        "either way."
    )
    yield from (f"  {row.way} will fail: {row.reason}" for row in rows if row.reason)


def _cells(row: EstimateRow) -> tuple[str, ...]:
    span = f"{seconds(row.low)}–{seconds(row.high)}"
    memory = NOTHING if row.memory_bytes is None else size(row.memory_bytes)
    return row.way, seconds(row.seconds), span, seconds(row.ceiling), usd(row.usd), memory, size(row.disk_bytes)


def after(rows: Sequence[EstimateRow], whole: bool = True) -> str:
    """Estimate beside actual in one line for a terminal.

    Args:
        rows: with what was taken.
        whole: all that was estimated was done; else a clock ended it, and the two cannot be compared.
    """
    total, took = sum(r.seconds for r in rows), sum(r.actual or 0.0 for r in rows)
    if not whole:
        return f"Estimated {seconds(total)} for the whole contest; what was done of it takes {seconds(took)}."
    far = [r for r in rows if r.ratio is not None and not 1 / 1.5 <= r.ratio <= 1.5]
    off = ", ".join(f"{r.way} {seconds(r.seconds)} for {seconds(r.actual)}" for r in far)
    return f"Estimated {seconds(total)}, took {seconds(took)}" + (f"; furthest off: {off}." if off else ".")
