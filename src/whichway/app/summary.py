"""The one JSON object of `run --json`: the verdict, and each finalist with its own numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from whichway.contracts import Metric
from whichway.nouns import Record, Standing, to_json
from whichway.runs.run import Run, RunRow
from whichway.scoring import measured

Rows = Mapping[str, RunRow]  # example id -> the row, in the order of the test split


def summary(run: Run, metric: Metric) -> dict[str, Any]:
    """What `run --json` prints about a finished run."""
    rows, verdict = {row.id: row for row in run.test}, run.verdict
    facts = {key: {"seed": entry.candidate.seed, **entry.facts} for key, entry in run.known.items()}
    return {
        "verdict": verdict.answer,
        "choice": verdict.choice,
        "reasons": list(verdict.reasons),
        "margin": verdict.margin,
        "run": str(run.path),
        **({"folds": verdict.folds, "ships": verdict.candidate} if verdict.folds > 1 else {}),
        **({"grading": to_json(verdict.grading)} if verdict.grading else {}),
        "candidates": [
            line
            for standing in verdict.standings
            for line in _lines(standing, facts, rows, _first_answers(run, standing), metric, verdict.confidence)
        ],
    }


def _first_answers(run: Run, standing: Standing) -> dict[str, dict[str, Record]]:
    """Candidate -> test row -> its first answer, of one way: those of all may be too many to hold."""
    records: dict[str, dict[str, Record]] = defaultdict(dict)
    for record in run.record_file.of(standing.candidates):
        if record.split == "test" and record.repeat == 0:
            records[record.candidate][record.example] = record
    return records


def _lines(
    standing: Standing,
    facts: Mapping[str, Mapping[str, Any]],
    rows: Rows,
    records: Mapping[str, Mapping[str, Record]],
    metric: Metric,
    confidence: float,
) -> Iterator[dict[str, Any]]:
    """A line for each finalist of a way; one without numbers for a way that failed."""
    model = {"model": standing.model} if standing.model else {}
    about = {**model, "way": standing.way, "kind": standing.kind, "status": standing.status, "reason": standing.reason}
    for fold, key in enumerate(standing.candidates):
        own = [e for e, row in rows.items() if standing.folds == 1 or row.fold == fold]
        known, own_records = facts[key], [records[key][e] for e in own if e in records.get(key, {})]
        answered = [rows[r.example] for r in own_records]
        score, low, high = measured(answered, own_records, metric, confidence) if own_records else (None, None, None)
        yield {
            **about,
            "id": key,
            "seed": known["seed"] if standing.folds == 1 else fold,
            "score": score,
            "low": low,
            "high": high,
            "dev_score": known["dev_score"],
            "rows": len(own_records),
            "unparsed": mean([float(r.outcome != "ok") for r in own_records]),
            "seconds_fit": known["seconds_fit"],
            "seconds_per_row": mean([r.seconds for r in own_records]),
            "tokens_in": mean([r.tokens_in for r in own_records]),
            "tokens_out": mean([r.tokens_out for r in own_records]),
            "usd": known["usd_fit"] + sum(r.usd for r in own_records),
        }
    if not standing.candidates:
        numbers = ("score", "low", "high", "dev_score", "unparsed", "seconds_per_row", "tokens_in", "tokens_out")
        empty = {"id": None, "seed": None, "rows": 0, **dict.fromkeys(numbers)}
        yield {**about, **empty, "seconds_fit": standing.seconds_fit, "usd": standing.usd_fit}


def mean(values: Sequence[float]) -> float | None:
    """The mean; None of nothing."""
    return sum(values) / len(values) if values else None
