"""What an exported thing did beside what was measured: equal prompts, equal answers, scores, ends, and that it is live.

**When it fails.** A prompt that is other tokens (rows that hold words of control tokens are noted, not counted). An
answer that differs where the measured scores were no near tie. Scores further off than the format's rounding. Scores
that lie nearer to the base's than to the trained ones' (`live`: the projection of exported minus base on trained minus
base, 1 where the training is wholly there). An end of an answer that the runtime does not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from whichway.nouns import MetricSpec, Record
from whichway.prompts.answer_extraction import extract
from whichway.scoring import paired
from whichway.ship.parity.parity_report import ParityReport, RowDifference
from whichway.ship.parity.reference import Reference, ReferenceRow, Scores
from whichway.ship.parity.runtimes import EXACT, Started, measured_messages
from whichway.tasks import metrics
from whichway.verdict.stats import wilson

ROUNDED_ENGINE = 0.5  # nats by which scores may differ where the engine computes with 16-bit weights
WRITTEN = 0.9  # share of written texts that must be equal: greedy texts part at near ties
_ROUNDED = 0.7  # the same where the weights are rounded
_LIVE = (0.7, 1.3)
_ROUNDED_LIVE = (0.4, 1.6)
_MOVED, _ROUNDED_MOVED = 0.02, 0.2  # nats by which training must move scores before rounding can be told from it


def compare(name: str, started: Started, reference: Reference) -> ParityReport:
    """The report on one part of a form.

    Args:
        name: the form's.
        started: what it did.
        reference: what was measured.
    """
    report = ParityReport(name, started.part, runtime=str((started.result or {}).get("runtime", "")))
    if started.result is None:
        return replace(report, status="not run", notes=(started.missing,))
    if "error" in started.result:
        runtime = report.runtime or "its runtime"
        return replace(
            report, runtime=runtime, status="failed", problems=(f"it cannot be started: {started.result['error']}",)
        )
    if started.result.get("scores") and reference.tuned and reference.coarse:  # what was measured is rounded itself
        started = replace(started, room=max(started.room, ROUNDED_ENGINE), rounded=True)
    for step in (_prompts, _messages, _answers, _scores, _ends):
        report = step(report, started, reference)
    return replace(report, status="failed" if report.problems else "ok")


def _with(report: ParityReport, problem: str = "", note: str = "", **more: Any) -> ParityReport:
    problems = (*report.problems, problem) if problem else report.problems
    return replace(report, problems=problems, notes=(*report.notes, note) if note else report.notes, **more)


def _prompts(report: ParityReport, started: Started, reference: Reference) -> ParityReport:
    assert started.result is not None
    prompts = started.result.get("prompts")
    if prompts is None or not reference.prompts:
        return report
    pairs = list(zip(reference.rows, reference.prompts, prompts, strict=True))
    other = [(row, mine, theirs) for row, mine, theirs in pairs if mine != theirs]
    marked = [row for row, _, _ in other if reference.marked(row)]
    wrong = [one for one in other if not reference.marked(one[0])]
    report = replace(report, rendered=len(pairs) - len(other))
    if marked:
        note = f"{len(marked)} rows hold words of control tokens, which this runtime does not read as text"
        report = _with(report, note=note)
    if not wrong:
        return report
    _, mine, theirs = wrong[0]
    problem = f"{len(wrong)} of {len(pairs)} prompts are rendered to other tokens"
    return _with(report, problem, token_difference=_token_difference(mine, theirs, reference))


def _token_difference(mine: list[int], theirs: list[int], reference: Reference) -> str:
    at = next((n for n, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), min(len(mine), len(theirs)))
    first, around = max(0, at - 2), at + 4
    measured, exported = (reference.token_text(ids[first:around]) or "the end" for ids in (mine, theirs))
    return f"at token {at} of {len(mine)} and {len(theirs)}: measured {measured}, exported {exported}"


def _messages(report: ParityReport, started: Started, reference: Reference) -> ParityReport:
    assert started.result is not None
    messages = started.result.get("messages")
    if messages is None:
        return report
    wanted = measured_messages(reference)
    other = [place for place, (a, b) in enumerate(zip(wanted, messages, strict=True)) if a != b]
    report = _with(report, note="a prompt alone: no model was asked", rendered=len(wanted) - len(other))
    if not other:
        return report
    row = reference.rows[other[0]]
    a, b = next(
        ((a, b) for a, b in zip(wanted[other[0]], messages[other[0]], strict=False) if a != b),
        ({"content": f"{len(wanted[other[0]])} messages"}, {"content": f"{len(messages[other[0]])} messages"}),
    )
    first = RowDifference(row.id, a["content"], b["content"])
    return _with(report, f"{len(other)} of {len(wanted)} rows are asked in other words", first=first)


def _answers(report: ParityReport, started: Started, reference: Reference) -> ParityReport:
    assert started.result is not None
    texts = started.result.get("answers")
    if texts is None:
        return report
    if not texts and reference.rows:
        return _with(report, note="answers are drawn at random, so they were not compared")
    rows = list(reference.rows)
    read = bool(started.result.get("read"))
    answers = [text.strip() if read else _read(text, reference) for text in texts]
    measured = [reference.answer_of(row) for row in rows]
    other = [place for place, (a, b) in enumerate(zip(measured, answers, strict=True)) if a != b]
    agree = len(rows) - len(other)
    low, high = wilson(agree, len(rows)) or (None, None)
    first = None
    if other:
        first = RowDifference(rows[other[0]].id, measured[other[0]], answers[other[0]])
    report = replace(report, rows=len(rows), agree=agree, low=low, high=high, first=report.first or first)
    report = _with_metric(report, rows, answers, reference)
    if any(row.record is None for row in rows):
        note = "the run holds no answers of it to these rows: compared with what it answers in whichway now"
        report = _with(report, note=note)
    return _judged(report, started, reference, other, answers)


def _judged(
    report: ParityReport, started: Started, reference: Reference, other: list[int], answers: Sequence[str]
) -> ParityReport:
    """Whether the answers that differ are too many, or differ where nothing was near."""
    share = report.agree / max(1, report.rows)
    if not reference.chooses and started.room > EXACT:
        return _judged_by_metric(report)
    if not reference.chooses or started.rounded:
        least = _ROUNDED if started.rounded else WRITTEN
        return (
            report if share >= least else _with(report, f"only {100 * share:.0f} % of the answers are those measured")
        )
    far = [place for place in other if not _near(place, answers[place], started, reference)]
    if share >= WRITTEN and not far:
        return report
    return _with(report, f"{len(other)} of {report.rows} rows get another label") if other else report


def _judged_by_metric(report: ParityReport) -> ParityReport:
    """Whether written texts are shown better or worse; rounded weights part from others at the first near tie."""
    if report.agree < report.rows:
        note = "texts that rounded weights write part at near ties: the metric and the label scores decide"
        report = _with(report, note=note)
    if report.gap_low is None or report.gap_high is None or report.gap_low <= 0 <= report.gap_high:
        return report
    return _with(report, "by the metric it writes other answers than those measured")


def _near(place: int, answer: str, started: Started, reference: Reference) -> bool:
    """Whether a label was as good as another, to rounding; rows whose scores are not known count as near."""
    if place >= len(reference.tuned):
        return True
    scores = reference.tuned[place]
    return max(scores.values()) - scores.get(answer, -np.inf) < 2 * started.room


def _read(text: str, reference: Reference) -> str:
    """The answer of a written text, as the contest read it."""
    mark = reference.candidate.decoding.answer_mark
    return (extract(text, mark, reference.candidate.prompt.labels) or "" if mark else text).strip()


def _with_metric(
    report: ParityReport, rows: Sequence[ReferenceRow], answers: Sequence[str], reference: Reference
) -> ParityReport:
    """The metric of the exported answers minus that of the measured ones, paired."""
    metric = metrics.load(MetricSpec(**reference.source.plan["metric"]))
    if metric.needs_scores or any(row.record is None or row.record.outcome == "error" for row in rows):
        return report
    records = [row.record for row in rows if row.record is not None]
    now = [_record(record, row, text, metric) for record, row, text in zip(records, rows, answers, strict=True)]
    before = [_record(record, row, record.text, metric) for record, row in zip(records, rows, strict=True)]
    try:
        _, difference = paired([row.example for row in rows], before, now, metric)
    except (ValueError, ZeroDivisionError):  # too few rows for the metric
        return report
    return replace(report, gap=difference.value, gap_low=difference.low, gap_high=difference.high)


def _record(record: Record, row: ReferenceRow, text: str, metric: Any) -> Record:
    score = metric(row.example, text)
    outcome: Any = "unparsed" if score.value is None else "ok"
    return replace(record, text=text, score=score.value, outcome=outcome, why=score.why)


def _scores(report: ParityReport, started: Started, reference: Reference) -> ParityReport:
    assert started.result is not None
    exported = started.result.get("scores")
    if not exported or not reference.tuned:
        return report
    gap = _largest_gap(reference.tuned, exported)
    report = replace(report, score_gap=gap)
    if gap > started.room:
        report = _with(report, f"label scores are off by up to {gap:.2g} nats; rounding explains {started.room:g}")
    return _liveness(report, started, reference, exported)


def _liveness(report: ParityReport, started: Started, reference: Reference, exported: Scores) -> ParityReport:
    """That the trained part is at work, and that the base beneath it is the base."""
    assert started.result is not None
    if not reference.base:
        return report
    moved = _vector(reference.tuned) - _vector(reference.base)
    if np.abs(moved).max() < (_ROUNDED_MOVED if started.rounded else _MOVED):
        return _with(report, note="training moved the scores too little to tell the trained part from the base")
    live = float((_vector(exported) - _vector(reference.base)) @ moved / (moved @ moved))
    low, high = _ROUNDED_LIVE if started.rounded else _LIVE
    report = replace(report, live=live)
    if not low <= live <= high:
        word = (
            "the base answers, not the trained part" if abs(live) < 0.1 else f"the trained part is at {live:.2f} of 1"
        )
        report = _with(report, f"{word}: scores did not move as training moved them")
    bare = started.result.get("base")
    if bare and _largest_gap(reference.base, bare) > started.room:
        report = _with(report, "without its adapter it does not answer as the base that was measured")
    return report


def _vector(scores: Scores) -> Any:
    return np.array([row[label] for row in scores for label in sorted(row)])


def _largest_gap(mine: Scores, theirs: Sequence[Mapping[str, float]]) -> float:
    gaps = [abs(a[label] - b.get(label, np.inf)) for a, b in zip(mine, theirs, strict=True) for label in a]
    return float(max(gaps, default=0.0))


def _ends(report: ParityReport, started: Started, reference: Reference) -> ParityReport:
    assert started.result is not None
    ends = started.result.get("ends")
    if ends is None or reference.turn_end in ends:
        return report
    token = reference.token_text([reference.turn_end])
    return _with(report, f"the runtime does not end an answer at {token}, as it was trained and measured")
