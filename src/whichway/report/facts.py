"""What the report says, as plain data: `whichway report RUN --json` prints it, `--md` writes it out.

The page shows the same findings from the same functions.
"""

from __future__ import annotations

from typing import Any

from whichway.nouns import to_json
from whichway.report import estimates, formatting, sections
from whichway.report.contrasts import contrasts
from whichway.report.data_card import data_card
from whichway.report.failures import failure_groups
from whichway.report.prompt import sent
from whichway.report.prompt_differences import prompt_differences
from whichway.report.reproduce import reproduction
from whichway.report.shown_rows import shown
from whichway.runs.run import Run

FORMAT = 1  # raised when a key changes its meaning or goes


def facts(run: Run) -> dict[str, Any]:
    """The report of a finished run as JSON; docs/report.md lists the keys. Scores are on the metric's own scale.

    Raises:
        UserError: the folder holds no finished run.
    """
    verdict, plan = run.verdict, run.plan
    shipped = run.candidates.get(verdict.candidate or "")
    return {
        "format": FORMAT,
        "task": plan.task,
        "ask": plan.ask,
        "title": formatting.title(verdict),
        "headline": formatting.headline(verdict),
        "answer": verdict.answer,
        "choice": verdict.choice,
        "sureness": verdict.sureness,
        "near_best": next((o.near_best for o in verdict.odds if o.way == verdict.choice), None),
        "margin": verdict.margin,
        "confidence": verdict.confidence,
        "requests_a_day": verdict.volume,
        "metric": formatting.score(plan, verdict),
        "gain": _gain(run),
        "reasons": list(verdict.reasons),
        "caveats": list(verdict.dissent),
        "would_decide": list(verdict.would_decide),
        "warnings": list(dict.fromkeys((*plan.warnings, *verdict.warnings))),
        "ways": [to_json(standing) for standing in verdict.standings],
        "differences": [to_json(pair) for pair in verdict.pairs],
        "break_even": to_json(verdict.break_even),
        "spreads": [to_json(spread) for spread in verdict.spreads],
        "slices": [to_json(part) for part in verdict.slices],
        "curves": [to_json(curve) for curve in verdict.curves],
        "crossovers": [to_json(cross) for cross in verdict.crossovers],
        "error_groups": [_group(group) for group in failure_groups(shown(run))],
        "doubtful_labels": to_json(verdict.doubtful),
        "prompt": to_json(sent(shipped.prompt, shipped.decoding.channel).messages) if shipped else None,
        "prompt_differences": [to_json(difference) for difference in prompt_differences(run)],
        "estimate": _estimate(run),
        "data": to_json(data_card(run)),
        "reproduce": to_json(reproduction(run)),
    }


def _gain(run: Run) -> dict[str, Any] | None:
    gain = sections.gain_over(run.verdict, contrasts(run.verdict.pairs, run.verdict.choice)[0])
    return {**to_json(gain[0]), "over": gain[0].second, "what": gain[1]} if gain else None


def _group(group: Any) -> dict[str, Any]:
    numbers = {k: v for k, v in to_json(group.group).items() if k != "members"}
    return {"title": group.title, "advice": group.advice, **numbers, "row_numbers": list(group.numbers)}


def _estimate(run: Run) -> list[dict[str, Any]]:
    """Estimate beside actual, seconds by the clock; empty where nothing was estimated."""
    if not run.estimate:
        return []
    return [to_json(row) for row in estimates.lines_of(run.estimate, run.wall_seconds, run.peaks)]
