"""The verdict from the run folder alone: plan, rows, candidates, status, records, ledger, curves, race.

`run` ends with it, and `whichway verdict RUN` calls it again with another margin or volume; the same folder gives the
same verdict, byte for byte. What it reads beside the files of `folder.py`:

- `ways/<way>/status.json`: status, reason, kind, random, seconds_fit, usd_fit;
- `curves.jsonl`, when learning curves were asked for: one line for each way, seed and size, `{"way", "seed", "n",
"score",
  "rows": [[example_id, score], ...]}`;
- `race.json`, when dev rows were raced: `{"rounds", "evaluations", "full_evaluations", "dropped": [...]}`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from whichway.contracts import Metric
from whichway.errors import OptionError, UserError, did_you_mean
from whichway.findings import Missing
from whichway.nouns import Candidate, Example, Record, Verdict, from_json, split_name
from whichway.runs.folder import data_rows, read_lines
from whichway.runs.run import CandidateEntry, Run, RunRow, as_run
from whichway.scoring import clusters, is_mean, label_codes
from whichway.verdict.breakeven import Terms
from whichway.verdict.compare import shipped_place
from whichway.verdict.curves import CurveRun
from whichway.verdict.decide import Arm, Extras, decide
from whichway.verdict.doubtful_labels import LabelVotes
from whichway.verdict.format_sensitivity import spread_over_forms
from whichway.verdict.hand_grades import graded_contest
from whichway.verdict.slices import RowFacts

FEW = 12  # values of an input column that is cut into slices unasked
SHORT = 60  # characters of such a value
MANY_LABELS = 100  # from more on no label has enough rows to be judged by votes

Checks = Callable[[Example, str], Mapping[str, float]]  # an answer's checks by name: 1 passed, 0 not
Answers = Mapping[tuple[str, str], Sequence[Record]]  # (candidate, example) -> test records by repeat
FinalistRecords = Sequence[Sequence[Sequence[Record]]]  # of each finalist, on each row, by repeat


@dataclass(frozen=True, slots=True)
class RunResults:
    """A run folder as the verdict sees it."""

    plan: Mapping[str, Any]
    arms: tuple[Arm, ...]
    extras: Extras
    notices: tuple[str, ...] = ()  # what services say of the future of models that they tuned

    @property
    def scored_arms(self) -> tuple[Arm, ...]:
        """The ways with the scores that decide: people's grades where there are any, else the metric's."""
        side = self.extras
        contest = graded_contest(side.grades, side.judged, self.arms, side.rows.ids, self.plan["confidence"])
        return self.arms if contest is None else contest.arms

    def verdict(
        self,
        margin: float | None = None,
        volume: float | None = None,
        confidence: float | None = None,
        terms: Terms | None = None,
    ) -> Verdict:
        """Decide, with the plan's numbers where none is given."""
        requests_per_day = self.plan["volume"] if volume is None else volume
        extras = self.extras if terms is None else replace(self.extras, terms=terms)
        return decide(
            self.arms,
            margin=self.plan["margin"] if margin is None else margin,
            confidence=self.plan["confidence"] if confidence is None else confidence,
            volume=requests_per_day,
            warnings=(*self.plan["warnings"], *self.notices),
            extras=extras,
        )


def run_results(
    run: Run | Path, metric: Metric, columns: Sequence[str] | None = None, checks: Checks | None = None
) -> RunResults:
    """What a verdict is decided on, from a run whose ways have all crossed the test split.

    Args:
        run: the run, or its folder.
        metric: of its plan; scores are taken from the records, the metric reads labels where it is no mean of them.
        columns: input columns to slice by; None: those with few values.
        checks: those of the plan, where it has any.

    Raises:
        UserError: the folder holds no run, or a file in it is damaged.
        OptionError: a column that the input does not have.
    """
    run = as_run(run)
    plan, test = run.plan_data, run.test
    calls, votes = run.test_calls, _Votes(test, plan, metric)
    arms = [arm for way in plan["ways"] if (arm := _arm(run, way, calls.get(way), metric, checks, votes)) is not None]
    side = Extras(
        rows=row_facts(test, plan, columns),
        dev_rows=sum(row.split == "dev" for row in run.rows),
        runs=tuple(map(_curve_run, run.curve_lines)),
        race=run.race,
        models=_models(plan),
        forgetting=run.forgetting,
        repeats=int(plan.get("repeats") or 1),
        formats=spread_over_forms(plan["ways"], run.candidates, run.record_file.of),
        judged=run.judgements,
        grades=run.grades,
        paired=str(plan.get("paired") or "t"),
        spread=str(plan.get("spread") or "bootstrap"),
        data_rows=_rows_to_fold(plan),
        missing=_missing(run, {arm.way for arm in arms}),
        votes=votes.all(),
    )
    return RunResults(plan, tuple(arms), side, tuple(_notices(run)))


def _notices(run: Run) -> Iterator[str]:
    """What services say of the tuned models that would ship, each sentence once."""
    for way, entries in run.entries.items():
        notices = {str(entry.facts["notice"]) for entry in entries if entry.finalist and entry.facts.get("notice")}
        yield from (f"The model that {way} had tuned {notice}." for notice in sorted(notices))


def _missing(run: Run, tried: set[str]) -> tuple[Missing, ...]:
    """What the clock left out, but for ways that were written since it was noted."""
    pieces = [from_json(Missing, piece) for piece in run.clock.get("missing", ())]
    return tuple(piece for piece in pieces if piece.what != "way" or piece.way not in tried)


def _rows_to_fold(plan: Mapping[str, Any]) -> int:
    """All rows of a run whose test rows are a part of them, where cross-fitting would let each test once; else 0."""
    return data_rows(plan) if plan.get("foldable") and not plan.get("folds") else 0


def _models(plan: Mapping[str, Any]) -> tuple[str, ...]:
    """Short names of several models, the one that was named first in front; the file sorts them."""
    models = plan.get("models", {})
    return tuple(sorted(models, key=lambda name: (models[name]["model"] != plan["model"], name)))


def _answers(records: Iterable[Record]) -> dict[tuple[str, str], list[Record]]:
    by_example: dict[tuple[str, str], list[Record]] = defaultdict(list)
    seen = set()
    for record in sorted((r for r in records if r.split == "test"), key=lambda r: r.repeat):
        key = (record.candidate, record.example, record.repeat)
        if key not in seen:
            seen.add(key)
            by_example[record.candidate, record.example].append(record)
    return by_example


def _arm(
    run: Run, way: str, calls: float | None, metric: Metric, checks: Checks | None, votes: _Votes
) -> Arm | None:
    """One way, whose records are held only while it is made; None when it was not tried yet."""
    status = run.statuses.get(way)
    if status is None:
        return None
    plan, test, entries = run.plan_data, run.test, run.entries.get(way, [])
    lines = [entry.facts for entry in entries if "how" not in entry.facts]
    finalists = _finalists(run, way)
    dev_scores = [entry.facts["dev_score"] for entry in finalists]
    devs = () if None in dev_scores else tuple(map(float, dev_scores))  # no dev rows: nothing was selected on
    tested = [] if status["status"] == "failed" else finalists
    folds = _folds(test)
    runs = _answers_of(tested, test, folds, _answers(run.record_file.of({entry.facts["id"] for entry in tested})))
    _refuse_unfinished(run, way, runs)
    shape = (len(runs), len(test))
    gold, codes = (None, None) if is_mean(metric) else _codes(test, runs, metric)
    flat = [record for answered in runs for records in answered for record in records]
    repeats, every = _points(runs, shape)
    if status["status"] == "ok":
        votes.take(way, runs)
    writes = bool(tested) and all(entry.candidate.decoding.mode == "generate" for entry in tested)
    return Arm(
        way=way,
        model=split_name(way)[1],
        kind=status["kind"],
        random=bool(status.get("random", len({entry.candidate.seed for entry in entries}) > 1)),
        scores=every.mean(axis=2),
        targets=gold,
        answers=codes,
        groups=clusters(test),
        aggregate=metric.aggregate,
        lowest=metric.lowest,
        plain=metric.plain,
        candidates=tuple(entry.facts["id"] for entry in finalists),
        dev_scores=devs,
        dev_rows=next((entry.facts.get("dev_rows") for entry in finalists), None),
        note=run.known[finalists[shipped_place(dev_scores)].facts["id"]].candidate.note if finalists else "",
        unparsed=_mean([float(r.outcome != "ok") for r in flat]),
        **_costs(status, lines, flat),
        repeats=every if repeats > 1 else None,
        row_usd=_by_row(runs, shape, lambda records: _mean([r.usd for r in records])),
        row_tokens=_by_row(runs, (*shape, 3), _tokens),
        labels_used=_labels_used(status["kind"], plan, [entry.candidate for entry in finalists]),
        tried=max(Counter(entry.candidate.seed for entry in entries).values(), default=0),
        crossings=None if calls is None or not test else calls / (len(test) * repeats),
        status=status["status"],
        reason=status["reason"],
        texts=_texts(runs) if writes else (),
        draws=writes and any(entry.candidate.decoding.samples for entry in tested),
        checks=_checks(checks, test, runs) if checks else (),
        folds=folds,
        refit=run.refits[way]["id"] if way in run.refits else None,
    )


def _costs(status: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], flat: Sequence[Record]) -> dict[str, Any]:
    """What the way spent before test, and what an answer to a test row took in the mean: fields of its arm."""
    seconds, usd = _fit(status, lines)
    return {
        "seconds_fit": seconds,
        "usd_fit": usd,
        "seconds_per_row": _mean([r.seconds for r in flat]),
        "wall_fit": status.get("wall_fit"),
        "wall_per_row": _wall(flat),
        "usd_per_1000": 1000 * _mean([r.usd for r in flat]),
        "tokens_in": _mean([r.tokens_in for r in flat]),
        "tokens_cached": _mean([r.tokens_cached for r in flat]),
        "tokens_out": _mean([r.tokens_out for r in flat]),
    }


def _answers_of(
    entries: Sequence[CandidateEntry], test: Sequence[RunRow], folds: Any, answers: Answers
) -> FinalistRecords:
    """The records of each finalist on each row by repeat; of folds, each row's by the finalist of its fold."""
    if folds is None or not entries:
        return [[answers.get((entry.facts["id"], row.id), ()) for row in test] for entry in entries]
    by_fold = {entry.candidate.seed: entry.facts["id"] for entry in entries}
    return [[answers.get((by_fold.get(k, ""), row.id), ()) for row, k in zip(test, folds.tolist(), strict=True)]]


def _by_row(runs: FinalistRecords, shape: tuple[int, ...], value: Callable[[Sequence[Record]], Any]) -> Any:
    """A value of each row's records, as an array of `shape`: (seeds, rows, ...)."""
    return np.array([[value(records) for records in answered] for answered in runs]).reshape(shape)


def _folds(test: Sequence[RunRow]) -> Any:
    """(n,) the fold of each row; None where there are none."""
    folds = [row.fold for row in test if row.fold is not None]
    return np.array(folds, dtype=np.int64) if len(set(folds)) > 1 else None  # one fold alone is a split


def _refuse_unfinished(run: Run, way: str, runs: FinalistRecords) -> None:
    if any(not records for answered in runs for records in answered):
        raise UserError(
            f"{run.path}: {way} has not answered every test row yet. Run the same `whichway run` command "
            "again to finish."
        )


def _wall(records: Sequence[Record]) -> float | None:
    """Mean seconds by the clock; None where the records' seconds are those of the clock."""
    if all(record.wall is None for record in records):
        return None
    return _mean([record.seconds if record.wall is None else record.wall for record in records])


def _points(runs: FinalistRecords, shape: tuple[int, int]) -> tuple[int, Any]:
    """How many repeats every row has, and the points of all: shape (seeds, rows, repeats)."""
    repeats = min((len(records) for answered in runs for records in answered), default=1)
    every = [[[r.points for r in records[:repeats]] for records in answered] for answered in runs]
    return repeats, np.array(every, dtype=float).reshape(*shape, repeats)


def _texts(runs: FinalistRecords) -> tuple[tuple[tuple[str, ...], ...], ...]:
    return tuple(tuple(tuple(r.text for r in records) for records in run) for run in runs)


def _checks(checks: Checks, test: Sequence[RunRow], runs: FinalistRecords) -> tuple[tuple[str, float], ...]:
    """Share of answers that pass each check."""
    shares: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        for row, records in zip(test, run, strict=True):
            example = Example(row.input, row.target)
            for record in records:
                for name, passed in checks(example, record.text).items():
                    shares[name].append(passed)
    return tuple((name, _mean(passed)) for name, passed in shares.items())


def _fit(status: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """What the way spent before test; a folder of an older version has it only up to its last candidate."""
    seconds = status.get("seconds_fit", max((line["seconds_fit"] for line in lines), default=0.0))
    usd = status.get("usd_fit", max((line["usd_fit"] for line in lines), default=0.0))
    return float(seconds), float(usd)


def _labels_used(kind: str, plan: Mapping[str, Any], finalists: Sequence[Candidate]) -> int:
    """Labelled rows a way needs: all of train where it trains, its shots and their pool where it prompts."""
    if kind != "prompt":
        return int(plan["rows"].get("train", 0))
    return max((len(c.prompt.shots) + len(c.prompt.pool) for c in finalists), default=0)


def _tokens(records: Sequence[Record]) -> list[float]:
    return [_mean([getattr(r, name) for r in records]) for name in ("tokens_in", "tokens_cached", "tokens_out")]


def _codes(test: Sequence[RunRow], runs: FinalistRecords, metric: Metric) -> Any:
    """Targets as codes (n,), and what the metric reads of the first answers: codes (S, n) or label scores (S, n, L)."""
    codes = label_codes(test, metric)
    first = [codes.read([records[0] for records in run]) for run in runs]
    return codes.targets, np.stack(first) if first else np.zeros((0, len(test)), dtype=int)


class _Votes:
    """What the ways answered as label codes; nothing where rows have no single label."""

    def __init__(self, test: Sequence[RunRow], plan: Mapping[str, Any], metric: Metric) -> None:
        self._codes, self._by_way = label_codes(test, metric), dict[str, Any]()
        self._votable = bool(plan["labels"]) and 2 <= len(self._codes.places) <= MANY_LABELS

    def take(self, way: str, runs: FinalistRecords) -> None:
        """Keep what a way's finalists answered first."""
        if self._votable and runs:
            self._by_way[way] = np.stack([self._codes.answers([r[0] for r in answered]) for answered in runs])

    def all(self) -> LabelVotes:
        """Those of all ways."""
        if not self._votable:
            return LabelVotes()
        return LabelVotes(tuple(self._codes.places), self._codes.targets, self._by_way)


def _finalists(run: Run, way: str) -> list[CandidateEntry]:
    """A way's finalists by seed, or of the folds that count; several folds may have ended at one candidate."""
    folded = any(row.fold is not None for row in run.rows)  # then a finalist's seed is its fold
    entries = [entry for entry in run.entries.get(way, ()) if entry.finalist]
    counted = [entry for entry in entries if not folded or run.counts(entry.candidate.seed)]
    return sorted(counted, key=lambda entry: entry.candidate.seed)


def row_facts(test: Sequence[RunRow], plan: Mapping[str, Any], columns: Sequence[str] | None) -> RowFacts:
    """What is known of test rows beside their scores.

    Args:
        test: the rows.
        plan: of their run, as JSON.
        columns: input columns to cut by; None: those with few values.

    Raises:
        OptionError: a column that the input does not have.
    """
    names = sorted({name for row in test for name in row.input})
    for name in columns or ():
        if name not in names:
            raise OptionError(f"the input has no column '{name}' to slice by.{did_you_mean(name, names)}")
    cells = {name: tuple(row.input.get(name, "") for row in test) for name in names}
    few = [name for name in names if 2 <= len(set(cells[name])) <= FEW and max(map(len, cells[name])) <= SHORT]
    return RowFacts(
        ids=tuple(row.id for row in test),
        targets=tuple(row.target for row in test) if plan["labels"] else (),
        lengths=tuple(len(row.text) for row in test),
        columns={name: cells[name] for name in (few if columns is None else columns)},
    )


def curve_runs(path: Path) -> list[CurveRun]:
    """The points of a curves.jsonl; none when it does not exist."""
    return [_curve_run(line) for line in read_lines(path)]


def _curve_run(line: Mapping[str, Any]) -> CurveRun:
    rows = tuple((str(example), float(score)) for example, score in line.get("rows", ()))
    return CurveRun(line["way"], int(line["seed"]), int(line["n"]), float(line["score"]), rows)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
