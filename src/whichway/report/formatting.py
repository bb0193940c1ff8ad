"""Numbers and names in words: one spelling for the page and the terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath

from markupsafe import Markup, escape

from whichway.nouns import Budget, Plan, Verdict

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


def plain_scores(plan: Plan, verdict: Verdict) -> bool:
    """Whether scores are plain numbers, not shares of the best."""
    return plan.metric_plain and verdict.grading is None


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


def points(value: float | None) -> str:
    """A score as points of 100: 0.8667 -> "86.7"."""
    return NOTHING if value is None else _minus(f"{round(100 * value, 1) + 0.0:.1f}")


def plain(value: float | None) -> str:
    """A score of a metric that is no share: 0.7523 -> "0.752"."""
    return NOTHING if value is None else _minus(f"{round(value, 3) + 0.0:.3f}")


def plain_span(low: float, high: float) -> str:
    """The ends of an interval of such scores: "0.448–0.579", "−0.051 to 0.123"."""
    return f"{plain(low)}{'–' if low >= 0 else ' to '}{plain(high)}"


def span(low: float, high: float) -> str:
    """The ends of an interval of scores: "44.8–57.9", "−5.1 to 12.3"."""
    return f"{points(low)}{'–' if low >= 0 else ' to '}{points(high)}"


def signed(value: float | None) -> str:
    """A difference of scores as signed points: -0.02 -> "−2.0"."""
    if value is None:
        return NOTHING
    text = f"{100 * value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else _minus(text)


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


def budget(purse: Budget) -> str:
    """The budget of a way as text."""
    parts = [
        "" if purse.usd is None else usd(purse.usd),
        "" if purse.seconds is None else seconds(purse.seconds),
        "" if purse.calls is None else f"{purse.calls:,} calls",
    ]
    return " or ".join(part for part in parts if part) or "no limit"


def _figures(value: float) -> str:
    """At least two significant figures in plain notation: 0.00312 -> "0.0031", 7.21 -> "7.2", 412.3 -> "412"."""
    digits = max(0, 1 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:.{digits}f}"


def _minus(text: str) -> str:
    return text.replace("-", "−")
