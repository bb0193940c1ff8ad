"""Numbers and names in words: one spelling for the page and the terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath

from markupsafe import Markup, escape

from whichway.nouns import Budget, Plan, Verdict
from whichway.verdict.explain.number_format import SHARE, ScoreFormat, score_format

NOTHING = "–"

ANSWERS: Mapping[str, str] = {
    "prompt": "Engineer the prompt.",
    "fine-tune": "Fine-tune the weights.",
    "both": "Do both: a prompt, and fine-tuned weights.",
    "baseline is enough": "A baseline is enough.",
    "equivalent, take the cheaper": "Equivalent: take the cheaper.",
    "undecided": "Undecided.",
}

METRICS: Mapping[str, str] = {  # for plans that do not hold the metric's own title yet
    "accuracy": "Accuracy",
    "macro_f1": "Macro-F1",
    "exact_match": "Exact match",
    "token_f1": "Token F1",
    "rouge_l": "ROUGE-L",
    "chrf": "chrF",
    "json_fields": "JSON fields",
    "checks": "Checks passed",
}


def metric(plan: Plan) -> str:
    """The metric's name as people write it, at the start of a line."""
    return plan.metric_title or METRICS.get(plan.metric.name, plan.metric.name)


def score(plan: Plan, verdict: Verdict) -> str:
    """What the ways' scores are: people's grades where there are any, else the metric."""
    return metric(plan) if verdict.grading is None else "Grade"


def soften(sentence: str) -> Markup:
    """A sentence as HTML in which the numbers in parentheses stand back."""
    return Markup(re.sub(r"\([^()]*\d[^()]*\)", r'<span class="soft">\g<0></span>', str(escape(sentence))))


def title(verdict: Verdict) -> str:
    """The verdict's answer in a few words, with how sure it is."""
    if verdict.answer != "undecided" or verdict.sureness is None:
        return ANSWERS[verdict.answer]
    return f"{'Leaning' if verdict.sureness == 'leaning' else 'Toss-up'}: use {verdict.choice}."


def headline(verdict: Verdict) -> str:
    """The verdict's headline without the answer in front of it, for places where the answer stands above."""
    start, colon, rest = verdict.headline.partition(": ")
    if colon and start.casefold() == verdict.answer:
        return rest[:1].upper() + rest[1:]
    return verdict.headline


def diversity_advice(verdict: Verdict) -> tuple[str, ...]:
    """What to take for variety, and for sameness."""
    return tuple(s.text for s in verdict.sentences if s.part == "variety")


@dataclass(frozen=True, slots=True)
class ScoreText:
    """Scores of one metric in tables and plots: 86.7 for a share, 0.752 for a correlation or an AUC."""

    format: ScoreFormat

    @property
    def points(self) -> bool:
        """Whether numbers are points of 100."""
        return self.format is SHARE

    def value(self, score: float | None) -> str:
        """A score, bare: "86.7" or "0.867"."""
        return NOTHING if score is None else self.format.bare(score)

    def span(self, low: float, high: float) -> str:
        """The ends of an interval: "44.8–57.9", "−0.051 to 0.123"."""
        return f"{self.format.bare(low)}{'–' if low >= 0 else ' to '}{self.format.bare(high)}"

    def signed(self, difference: float | None) -> str:
        """A difference with its sign, bare: "−2.0"; a zero has none."""
        if difference is None:
            return NOTHING
        text = self.format.signed(difference)
        return text if text.strip("+−0.") else text[1:]

    def size(self, difference: float | None) -> str:
        """The size of a difference with its unit: "2.0 points" or "0.020"."""
        return NOTHING if difference is None else self.format.size(difference)

    def tick(self, score: float) -> str:
        """A round score on an axis: "80" or "0.8"."""
        return _minus(f"{100 * score if self.points else score:g}")


SHARES = ScoreText(SHARE)
points, span, signed = SHARES.value, SHARES.span, SHARES.signed  # of shares, which are not the task's metric


def scores(plan: Plan, verdict: Verdict) -> ScoreText:
    """How the ways' scores are written: by the metric, or as shares of the best where people graded them."""
    return ScoreText(score_format(plan.metric_plain and verdict.grading is None))


def share(value: float | None) -> str:
    """A share as percent: 0.013 -> "1.3 %"; an exact zero is "0"."""
    if value is None:
        return NOTHING
    return "0" if value == 0 else f"{100 * value:.1f} %"


def seconds(value: float | None) -> str:
    """A duration in the unit that reads best."""
    if value is None:
        return NOTHING
    for limit, unit, name in ((1.0, 0.001, "ms"), (60.0, 1.0, "s"), (3600.0, 60.0, "min")):
        if value < limit:
            return "0 s" if value == 0 else f"{_figures(value / unit)} {name}"
    return f"{_figures(value / 3600)} h"


def usd(value: float | None) -> str:
    """A price: cents from a dollar on, two figures below."""
    if value is None:
        return NOTHING
    if value == 0:
        return "$0"
    if value >= 1:
        return f"${value:,.0f}" if value >= 1000 else f"${value:.2f}"
    return "<$0.0001" if value < 0.0001 else f"${_figures(value)}"


def probability(value: float | None) -> str:
    """A p-value."""
    if value is None:
        return NOTHING
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def count(value: float | None) -> str:
    """A count or a mean count: whole from ten on."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def size(value: float | None) -> str:
    """Bytes in the unit that reads best: 34_600_000 -> "35 MB"."""
    if value is None:
        return NOTHING
    for limit, unit, name in ((1e3, 1.0, "B"), (1e6, 1e3, "kB"), (1e9, 1e6, "MB")):
        if value < limit:
            return "0 B" if value == 0 else f"{_figures(value / unit)} {name}"
    return f"{_figures(value / 1e9)} GB"


def model(name: str) -> str:
    """A model's name; of a path only the last part, so that a page does not tell where it was made."""
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute():
        return PureWindowsPath(name).name or name
    return name


def budget(limits: Budget) -> str:
    """The budget of a way as text."""
    parts = [
        "" if limits.usd is None else usd(limits.usd),
        "" if limits.seconds is None else seconds(limits.seconds),
        "" if limits.calls is None else f"{limits.calls:,} calls",
    ]
    return " or ".join(part for part in parts if part) or "no limit"


def _figures(value: float) -> str:
    """At least two significant figures in plain notation: 0.00312 -> "0.0031", 7.21 -> "7.2", 412.3 -> "412"."""
    digits = max(0, 1 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:.{digits}f}"


def _minus(text: str) -> str:
    return text.replace("-", "−")
