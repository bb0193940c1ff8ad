"""A shipped cascade as a whole: that the right stage answers each row, and answers as measured.

Each stage is checked by itself beforehand. What is left is who is asked: the thresholds, the calibration, how a row
reaches each stage. A row may go to another stage only where the first stage's confidence lies at the threshold, to
rounding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from whichway.nouns import Candidate, Deferral, Reply
from whichway.prompts.deferral import in_stages, log_odds
from whichway.ship.parity.compare_results import ROUNDED_ENGINE, WRITTEN
from whichway.ship.parity.parity_report import ParityReport, RowDifference
from whichway.ship.parity.reference import Reference, ReferenceRow
from whichway.ship.parity.run_program import run_program
from whichway.ship.parity.runtimes import job_of
from whichway.verdict.stats import wilson

PROGRAM = "use.py"
NEAR = 0.005  # nats by which float32 may move the first stage's log-odds (SmolLM2: 0.00002)


def check_joint(form: str, folder: Path, reference: Reference) -> ParityReport:
    """The report on the `use.py` of a shipped cascade.

    Args:
        form: the form's name.
        folder: with the stages in folders of their own.
        reference: the cascade as it was measured.
    """
    result = run_program("in_cascade", job_of(folder, reference))
    report = ParityReport(form, PROGRAM, runtime=str(result.get("runtime", PROGRAM)))
    if "error" in result:
        return replace(report, status="failed", problems=(f"it cannot be started: {result['error']}",))
    measured, notes = _measured(reference)
    exported = list(zip((str(text).strip() for text in result["answers"]), result["stages"], strict=True))
    places = range(len(measured))
    moved = [place for place in places if measured[place][1] != exported[place][1]]
    deferral, room = reference.candidate.deferral, ROUNDED_ENGINE if reference.tuned and reference.coarse else NEAR
    assert deferral is not None
    far = [place for place in moved if not _at_threshold(result["scores"][place], deferral, room)]
    other = [place for place in places if measured[place][0] != exported[place][0]]
    changed = [place for place in other if place not in moved]
    problems = []
    if far:
        problems.append(f"{len(far)} of {len(measured)} rows are answered by another stage than was measured")
    if len(changed) > (1 - WRITTEN) * len(measured):
        problems.append(f"{len(changed)} of {len(measured)} rows get another answer from the same stage")
    agree = len(measured) - len(other)
    low, high = wilson(agree, len(measured)) or (None, None)
    first = next(iter(far or other), None)
    difference = None
    if first is not None:
        texts = [f"{text} (stage {stage})" for text, stage in (measured[first], exported[first])]
        difference = RowDifference(reference.rows[first].id, *texts)
    deferred = sum(stage > 1 for _, stage in exported)
    notes = (*notes, f"{deferred} of {len(exported)} rows went to a later stage")
    return replace(
        report, status="failed" if problems else "ok", problems=tuple(problems), notes=notes, rows=len(measured),
        agree=agree, low=low, high=high, first=difference,
    )  # fmt: skip


def _measured(reference: Reference) -> tuple[list[tuple[str, int]], tuple[str, ...]]:
    """Answer and stage (from 1) of each row, and a note where they are not the recorded ones."""
    rows = reference.rows
    recorded = [(row.record.text.strip(), row.record.stage + 1) for row in rows if row.record is not None]
    if len(recorded) == len(rows):
        return recorded, ()
    own = {stage.candidate.id: Reference(replace(reference.export, source=stage), reference.options)
           for stage in reference.source.stages}  # fmt: skip

    def answer(candidate: Candidate, chosen: Sequence[ReferenceRow]) -> list[Reply]:
        stage = own[candidate.id]
        by_row = {row.id: row for row in stage.rows}
        replies = stage.answered_now([by_row[row.id] for row in chosen])
        return [replies[row.id] for row in chosen]

    replies = in_stages(reference.candidate, rows, answer)
    note = "the run holds no answers of it to these rows: compared with what it answers in whichway now"
    return [(reply.text.strip(), reply.stage + 1) for reply in replies], (note,)


def _at_threshold(scores: Mapping[str, float], deferral: Deferral, room: float) -> bool:
    """Whether rounding explains that a row went to another stage: its confidence lies at the threshold."""
    odds = log_odds(scores)
    if odds is None or not 0 < deferral.least < 1:
        return False
    gap = deferral.slope * odds + deferral.intercept - math.log(deferral.least / (1 - deferral.least))
    return abs(gap) <= 2 * room * abs(deferral.slope) + 1e-6
