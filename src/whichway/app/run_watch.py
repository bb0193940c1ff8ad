"""A folder of runs, and one run while it is held: state, standings, spend, time left, from files alone."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from whichway.app.event_log import read_events
from whichway.app.run_jobs import PLACE, RunJob, RunJobs
from whichway.errors import UserError, WhichwayError
from whichway.nouns import Record, Standing, Verdict

if TYPE_CHECKING:
    from whichway.contracts import Metric
    from whichway.report.formatting import ScoreText
    from whichway.runs.run import Run, RunRow

State = Literal["running", "finished", "ended by its clock", "stopped", "failed", "damaged"]
RECENT = 60.0  # seconds: files that changed since then are written by somebody


@dataclass(frozen=True, slots=True)
class RunOverview:
    """A run in a list."""

    name: str
    state: State
    task: str
    title: str  # of its verdict; "" where there is none
    headline: str
    changed_at: float
    ways: int
    usd: float
    seconds: float
    own: bool  # started from this page, or one before it
    error: str = ""


@dataclass(frozen=True, slots=True)
class LiveWay:
    """One way of a run that is held."""

    name: str
    kind: str
    state: str  # waiting, at work, done, left out
    why: str  # it was left out
    score: float | None  # of its best candidate on the dev rows so far
    low: float | None
    high: float | None
    rows: int
    candidates: int
    seconds: float
    usd: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class RunProgress:
    """Where a run stands."""

    overview: RunOverview
    ways: tuple[LiveWay, ...]  # the best first, then those without a score
    dropped: tuple[Mapping[str, Any], ...]  # of race.json
    dev_rows: int
    seconds_left: float | None
    plain: bool  # scores are plain numbers, not read in percent
    metric: str
    verdict: Verdict | None

    @property
    def scores(self) -> ScoreText:
        """How its scores are written."""
        from whichway.report.formatting import ScoreText
        from whichway.verdict.explain.number_format import score_format

        return ScoreText(score_format(self.plain))


def overviews(jobs: RunJobs) -> list[RunOverview]:
    """Every run of a folder, the latest first."""
    names = {path.parent.name for path in jobs.runs.glob("*/plan.json") if not path.parent.name.startswith(".")}
    runs_here = [overview(jobs, name) for name in names | set(jobs.names())]
    return sorted(runs_here, key=lambda one: (-one.changed_at, one.name))


def overview(jobs: RunJobs, name: str) -> RunOverview:
    """One run of the folder.

    Raises:
        UserError: there is no such run.
    """
    from whichway.report import formatting
    from whichway.runs.run import Run

    job, run = jobs.find(name), Run(jobs.runs / name)
    begun = not name.startswith(".") and (run.path / "plan.json").is_file()
    if not begun and job is None:
        raise UserError(f"there is no run '{name}' in {jobs.runs}.")
    changed = _changed(run.path) or (job.started_at if job else 0.0)
    verdict, plan, error, seconds, usd = None, {}, "", 0.0, 0.0
    try:
        plan = run.plan_data if begun else {}
        verdict = run.verdict if (run.path / "verdict.json").is_file() else None
        seconds, usd = sum(line["seconds"] for line in run.ledger), sum(line["usd"] for line in run.ledger)
        state = _state(jobs, job, run, verdict)
    except (WhichwayError, KeyError, TypeError, ValueError) as problem:
        state, error = "damaged", str(problem)
    if state in ("failed", "stopped"):
        error = _last_error(jobs.output(name)) if job else ""
        state = "failed" if error else state
    title = formatting.title(verdict) if verdict else ""
    headline = formatting.headline(verdict) if verdict else ""
    task = str(plan.get("task", name))
    ways = len(plan.get("ways", ()))
    return RunOverview(name, state, task, title, headline, changed, ways, usd, seconds, job is not None, error)


def _state(jobs: RunJobs, job: RunJob | None, run: Run, verdict: Verdict | None) -> State:
    if job is not None and jobs.running(job):
        return "running"
    if verdict is not None:
        return "ended by its clock" if run.clock.get("missing") else "finished"
    recent = job is None and time.time() - (_changed(run.path) or 0.0) < RECENT
    return "running" if recent else "stopped"


def _changed(folder: Path) -> float | None:
    """When a run folder's files last changed."""
    names = ("plan.json", "records.jsonl", "ledger.jsonl", "clock.json", "verdict.json")
    times = [path.stat().st_mtime for name in names if (path := folder / name).is_file()]
    return max(times, default=None)


def _last_error(output: str) -> str:
    """What the last start of a job failed at; "" where it did not."""
    lines = output.rstrip().splitlines()
    starts = [place for place, line in enumerate(lines) if line.startswith(("error: ", "internal error: "))]
    if not starts or (lines and lines[-1].startswith("interrupted")):
        return ""
    return "\n".join(lines[starts[-1] :])


def progress(jobs: RunJobs, name: str) -> RunProgress:
    """Where a run stands now.

    Raises:
        UserError: there is no such run, or its files are damaged.
    """
    from whichway.nouns import MetricSpec, from_json
    from whichway.runs.run import Run
    from whichway.tasks import metrics

    seen, run = overview(jobs, name), Run(jobs.runs / name)
    if not (run.path / "plan.json").is_file():
        return RunProgress(seen, (), (), 0, None, False, "", None)
    plan = run.plan_data
    metric = metrics.load(from_json(MetricSpec, plan["metric"]))
    verdict = run.verdict if (run.path / "verdict.json").is_file() else None
    events = read_events(jobs.folder(name) / "events.jsonl").lines
    live = LiveStandings(run, metric, events, seen.state == "running")
    dropped = (run.race_facts or {}).get("dropped", ())
    left = _left(run, jobs.find(name), live.spends) if seen.state == "running" else None
    dev = len({row.id for row in run.rows if row.split == "dev" or row.fold is not None})
    title = plan.get("metric_title") or plan["metric"]["name"]
    return RunProgress(
        seen, live.ways(verdict), tuple(dropped), dev, left, bool(plan.get("metric_plain")), title, verdict
    )


def _left(run: Run, job: RunJob | None, spends: Mapping[str, tuple[float, float]]) -> float | None:
    """Seconds that a run still takes, by its clock, or by its estimate less what each way has spent."""
    minutes = job.choices.get("minutes") if job else None
    if job is not None and minutes:
        return max(0.0, job.started_at + 60 * float(minutes) - time.time())
    estimate = (run.estimate or {}).get("ways", {})
    if not estimate:
        return None
    done = run.statuses
    left: list[float] = [max(0.0, facts["seconds"] - spends.get(way, (0.0, 0.0))[0]) for way, facts in estimate.items()
            if done.get(way, {}).get("status") != "failed"]  # fmt: skip
    return sum(left)


class LiveStandings:
    """The ways of a run as its records have them so far.

    Args:
        run: the run.
        metric: its metric.
        events: the lines of its event file, which say which candidate is whose before a way has ended.
        running: whether it is held just now.
    """

    def __init__(self, run: Run, metric: Metric, events: Sequence[Mapping[str, Any]], running: bool) -> None:
        self._run, self._metric, self._running = run, metric, running
        self._at_work = next((e["way"] for e in reversed(events) if e.get("way")), "")
        self._notes = {e["way"]: e["text"] for e in events if e.get("way") and e.get("text")}
        self._way_of = {str(e["candidate"]): str(e["way"]) for e in events if e.get("candidate")}
        self._way_of |= {key: entry.candidate.way for key, entry in run.known.items()}
        self.spends = self._spent()
        self._rows = {row.id: row for row in run.rows}
        self._records: dict[str, dict[str, dict[str, Record]]] = defaultdict(lambda: defaultdict(dict))
        for record in run.record_file.all():
            way = self._way_of.get(record.candidate)
            if way is not None and record.split == "dev" and record.repeat == 0 and record.example in self._rows:
                self._records[way][record.candidate].setdefault(record.example, record)

    def ways(self, verdict: Verdict | None) -> tuple[LiveWay, ...]:
        """Each way, the best first; a verdict's numbers where there is one."""
        standings = {s.way: s for s in verdict.standings} if verdict else {}
        ways = [self._way(name, standings.get(name)) for name in self._run.plan_data["ways"]]
        return tuple(sorted(ways, key=lambda w: (w.score is None, -(w.score or 0.0), w.name)))

    def _spent(self) -> dict[str, tuple[float, float]]:
        totals: dict[str, tuple[float, float]] = {}
        for line in self._run.ledger:
            seconds, usd = totals.get(line["who"], (0.0, 0.0))
            totals[line["who"]] = seconds + line["seconds"], usd + line["usd"]
        return totals

    def _way(self, name: str, standing: Standing | None) -> LiveWay:
        status = self._run.statuses.get(name, {})
        seconds, usd = self.spends.get(name, (0.0, 0.0))
        score, low, high, rows = self._dev(name)
        if standing is not None and standing.score is not None:
            score, low, high, rows = standing.score, standing.low, standing.high, standing.rows
        kind = status.get("kind") or (standing.kind if standing else _kind_of(name))
        why = str(status.get("reason", ""))
        note = self._notes.get(name, "") if self._running and name == self._at_work else ""
        count = len(self._records.get(name, {}))
        return LiveWay(name, kind, self._state(name, status), why, score, low, high, rows, count, seconds, usd, note)

    def _state(self, name: str, status: Mapping[str, Any]) -> str:
        if status.get("status") == "failed":
            return "left out"
        if self._running and name == self._at_work:
            return "at work"
        if status.get("status") == "ok":
            return "done"
        return "begun" if name in self.spends else "waiting"

    def _dev(self, name: str) -> tuple[float | None, float | None, float | None, int]:
        """Score and interval of the way's best candidate among those with the most dev rows."""
        by_candidate = self._records.get(name, {})
        most = max((len(records) for records in by_candidate.values()), default=0)
        best: tuple[float | None, float | None, float | None, int] = (None, None, None, 0)
        for records in by_candidate.values():
            if len(records) == most:
                value = self._measured([self._rows[example] for example in records], list(records.values()))
                if best[0] is None or (value[0] is not None and value[0] > best[0]):
                    best = (*value, most)
        return best

    def _measured(
        self, rows: Sequence[RunRow], records: Sequence[Record]
    ) -> tuple[float | None, float | None, float | None]:
        from whichway.scoring import measured

        try:
            value, low, high = measured(rows, records, self._metric, float(self._run.plan_data["confidence"]))
        except (ValueError, ArithmeticError, IndexError):  # too few rows for this metric
            return None, None, None
        return (value, low, high) if value == value else (None, None, None)


def _kind_of(name: str) -> str:
    kinds = {"base": "baseline", "prompt": "prompt", "tune": "fine-tune", "both": "both"}
    return kinds.get(name.partition("_")[0], "both")


def report_page(folder: Path) -> str:
    """The report of a finished run, made from its files.

    Raises:
        UserError: the run is not finished.
    """
    from whichway.report import html
    from whichway.runs.run import read

    return html.render(read(folder))


def log_path(jobs: RunJobs, name: str) -> Path:
    """Where the events of a run lie that this page started; for others its ledger."""
    own = jobs.runs / PLACE / name / "events.jsonl"
    return own if jobs.find(name) is not None else jobs.runs / name / "ledger.jsonl"


def log_lines(jobs: RunJobs, name: str, offset: int) -> tuple[list[dict[str, Any]], int]:
    """What happened in a run after so many bytes of its log: at (seconds since 1970, or None), way, text."""
    events = read_events(log_path(jobs, name), offset)
    lines = []
    for line in events.lines:
        if "who" in line:
            text = f"{line['what']}: {line['calls']} answers" if line["calls"] else str(line["what"])
            lines.append({"at": None, "way": line["who"], "text": text})
        elif line.get("text"):
            lines.append({"at": line.get("at"), "way": line.get("way", ""), "text": line["text"]})
    return lines, events.offset
