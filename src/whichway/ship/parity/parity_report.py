"""What a check found: of one exported thing in one runtime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

FILE = "parity.json"
Status = Literal["ok", "failed", "not run"]


@dataclass(frozen=True, slots=True)
class RowDifference:
    """The first row that was answered otherwise."""

    row: str  # id of the example
    measured: str
    exported: str


@dataclass(frozen=True, slots=True)
class ParityReport:
    """What was measured beside what the exported thing does."""

    form: str
    part: str = ""  # a file, where a form has several
    runtime: str = ""  # what started it, with its version
    status: Status = "ok"
    problems: tuple[str, ...] = ()  # why it failed
    notes: tuple[str, ...] = ()  # what was not compared, and why
    rows: int = 0  # answered
    agree: int = 0  # answered as recorded
    low: float | None = None  # interval of the share that agrees
    high: float | None = None
    gap: float | None = None  # the metric: exported minus measured, on the same rows
    gap_low: float | None = None
    gap_high: float | None = None
    first: RowDifference | None = None
    rendered: int | None = None  # rows whose prompt was rendered to the same tokens or messages; None: not compared
    token_difference: str = ""  # where the first other prompt parts from the measured one
    score_gap: float | None = None  # largest difference of a label's log-probability on a few rows
    live: float | None = None  # how far the exported scores went from the base's to the trained ones': 1 is all the way

    @property
    def name(self) -> str:
        """The form, and the file where there are several."""
        return f"{self.form} ({self.part})" if self.part else self.form

    @property
    def stored(self) -> dict[str, Any]:
        """The report as JSON, without texts of rows: what is shipped should not quote the data."""
        return {
            "form": self.form,
            **({"part": self.part} if self.part else {}),
            "runtime": self.runtime,
            "status": self.status,
            "problems": list(self.problems),
            "notes": list(self.notes),
            "rows": self.rows,
            "agree": self.agree,
            "interval": [self.low, self.high],
            "metric_gap": [self.gap, self.gap_low, self.gap_high],
            "first_difference": self.first.row if self.first else None,
            "prompts_equal": self.rendered,
            "score_gap": self.score_gap,
            "live": self.live,
        }

    @property
    def lines(self) -> list[str]:
        """The report for a person."""
        if self.status == "not run":
            return [f"{self.name}: NOT CHECKED: {'; '.join(self.notes)}"]
        word = "as measured" if self.status == "ok" else "NOT AS MEASURED"
        parts = []
        if self.rows:
            ends = "" if self.low is None or self.high is None else f" ({100 * self.low:.0f}–{100 * self.high:.0f} %)"
            parts.append(f"{self.agree} of {self.rows} answers equal{ends}")
        if self.gap is not None:
            ends = "" if self.gap_low is None else f" ({self.gap_low:+.3f} to {self.gap_high:+.3f})"
            parts.append(f"metric {self.gap:+.3f}{ends}")
        if self.rendered is not None:
            parts.append(f"{self.rendered} prompts equal")
        if self.score_gap is not None:
            parts.append(f"label scores within {self.score_gap:.2g}")
        lines = [f"{self.name}: {word} in {self.runtime}: {', '.join(parts)}"]
        lines += [f"  {problem}" for problem in self.problems]
        if self.token_difference:
            lines.append(f"  first prompt that differs: {self.token_difference}")
        if self.first is not None:
            lines.append(
                f"  first row: {self.first.row}: measured {self.first.measured!r}, now {self.first.exported!r}"
            )
        return [*lines, *(f"  {note}" for note in self.notes)]
