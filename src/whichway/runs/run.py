"""One class reads a run folder: `Run`. Each file is read when it is first asked for, once, and kept."""

from __future__ import annotations

import copy
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

from whichway.errors import UserError
from whichway.findings import Forgetting, Race
from whichway.nouns import Candidate, Plan, Record, Standing, Verdict, from_json
from whichway.runs.folder import CLOCK, CLUSTERS, ESTIMATE, FORGETTING, PARTS, REFIT, SPEC
from whichway.runs.json_files import bytes_of, json_if_there, json_of, lines_in, lines_of, parsed
from whichway.runs.records import RecordFile


@dataclass(frozen=True, slots=True)
class RunRow:
    """One dev or test row."""

    id: str
    split: str
    text: str
    target: str
    group: str | None = None
    origin: str = ""
    input: Mapping[str, str] = field(default_factory=dict)
    fold: int | None = None  # the fold in which it was test, where the run was cross-fitted


@dataclass(frozen=True, slots=True)
class CandidateEntry:
    """A candidate as a way's candidates.jsonl holds it, with what is known of it (dev_score, finalist, ...)."""

    candidate: Candidate
    facts: Mapping[str, Any]

    @property
    def finalist(self) -> bool:
        """Whether it crossed, or was to cross, the test split."""
        return bool(self.facts["finalist"])


@dataclass(frozen=True, slots=True)
class Spend:
    """What one account spent on one activity, at list price."""

    account: str
    what: str
    calls: int
    seconds: float
    usd: float
    wall: float  # seconds by the clock, of cached things those of the first time


class Run:
    """A run folder in memory.

    Args:
        path: the run folder.
    """

    _part: frozenset[str] | None = None  # the test rows whose records are held; None: all of them

    def __init__(self, path: Path) -> None:
        self.path = path

    # The files, each read in one place

    @cached_property
    def _plan_bytes(self) -> bytes:
        return bytes_of(self.path / "plan.json")

    @cached_property
    def plan_data(self) -> dict[str, Any]:
        """The plan as JSON; a folder of an older version lacks the younger keys.

        Raises:
            UserError: the folder holds no run, or the file is damaged.
        """
        return parsed(self._plan_bytes, self.path / "plan.json")

    @property
    def plan_sha256(self) -> str:
        """Digest of the plan's bytes."""
        return hashlib.sha256(self._plan_bytes).hexdigest()

    @cached_property
    def plan(self) -> Plan:
        """Everything that was fixed before the first call."""
        return from_json(Plan, self.plan_data)

    @cached_property
    def verdict(self) -> Verdict:
        """The verdict of a finished run.

        Raises:
            UserError: the run is not finished.
        """
        return from_json(Verdict, json_of(self.path / "verdict.json"))

    @cached_property
    def _row_bytes(self) -> bytes:
        path = self.path / "rows.jsonl"
        return bytes_of(path) if path.exists() else b""

    @cached_property
    def row_lines(self) -> list[dict[str, Any]]:
        """Dev and test rows as JSON: id, split, input, text, target, group, origin."""
        return list(lines_in(BytesIO(self._row_bytes), self.path / "rows.jsonl"))

    @cached_property
    def rows(self) -> tuple[RunRow, ...]:
        """Dev and test rows. Their JSON takes several times as much memory as their text, and is not held for them."""
        lines = lines_in(BytesIO(self._row_bytes), self.path / "rows.jsonl")
        return tuple(from_json(RunRow, line) for line in lines)

    @cached_property
    def all_records(self) -> list[Record]:
        """Every record, in the order in which they were made."""
        return list(self.record_file.all())

    @cached_property
    def record_file(self) -> RecordFile:
        """Every record, by candidate, where there may be too many to hold."""
        return RecordFile(self.path / "records.jsonl")

    @cached_property
    def entries(self) -> dict[str, list[CandidateEntry]]:
        """Way -> its candidates with their facts, in the order in which they came."""
        by_way: dict[str, list[CandidateEntry]] = {}
        for path in sorted(self.path.glob("ways/*/candidates.jsonl")):
            by_way[path.parent.name] = [
                CandidateEntry(from_json(Candidate, line.pop("candidate")), line) for line in lines_of(path)
            ]
        for way, facts in self.refits.items():
            if all(entry.facts["id"] != facts["id"] for entry in by_way.get(way, ())):
                line = dict(facts)
                by_way.setdefault(way, []).append(CandidateEntry(from_json(Candidate, line.pop("candidate")), line))
        return by_way

    @cached_property
    def refits(self) -> dict[str, dict[str, Any]]:
        """Way -> the candidate that was made of all rows after a cross-fit: id, candidate, how, rows, what it took."""
        return {path.parent.name: json_of(path) for path in sorted(self.path.glob(f"ways/*/{REFIT}"))}

    @cached_property
    def statuses(self) -> dict[str, dict[str, Any]]:
        """Way -> how it ended: status, reason, kind, and what it spent; a way that has not ended is not there."""
        return {path.parent.name: json_of(path) for path in sorted(self.path.glob("ways/*/status.json"))}

    @cached_property
    def forgetting(self) -> tuple[Forgetting, ...]:
        """What each fine-tuned way forgot of plain text, where it was measured."""
        paths = sorted(self.path.glob(f"ways/*/{FORGETTING}"))
        return tuple(from_json(Forgetting, json_of(path)) for path in paths)

    @cached_property
    def ledger(self) -> list[dict[str, Any]]:
        """The lines of the ledger."""
        return list(lines_of(self.path / "ledger.jsonl"))

    @cached_property
    def curve_lines(self) -> list[dict[str, Any]]:
        """The points of learning curves; none where none were asked for."""
        return list(lines_of(self.path / "curves.jsonl"))

    @cached_property
    def judgements(self) -> tuple[dict[str, Any], ...]:
        """What a judge said, where there is one."""
        return tuple(lines_of(self.path / "judgements.jsonl"))

    @cached_property
    def grades(self) -> tuple[dict[str, Any], ...]:
        """What people graded by hand, where they did."""
        return tuple(lines_of(self.path / "grades.jsonl"))

    @cached_property
    def race_facts(self) -> dict[str, Any] | None:
        """What the race over dev rows saved; None without a race."""
        return json_if_there(self.path / "race.json")

    @cached_property
    def estimate(self) -> dict[str, Any] | None:
        """What was said before the start; None where nothing was."""
        return json_if_there(self.path / ESTIMATE)

    @cached_property
    def spec_data(self) -> dict[str, Any] | None:
        """What was said about the task, as JSON; None for rows out of memory, and for runs of older versions."""
        return json_if_there(self.path / SPEC)

    @cached_property
    def clusters(self) -> dict[str, Any] | None:
        """Test rows that are alike by an encoder: its name, and codes of the rows at several sizes; None: not made."""
        return json_if_there(self.path / CLUSTERS)

    @cached_property
    def clock(self) -> dict[str, Any]:
        """What a run against the clock has bought and what is missing; {} where there is no clock."""
        return json_if_there(self.path / CLOCK) or {}

    # What follows from them

    @property
    def test(self) -> tuple[RunRow, ...]:
        """The test rows; of a run in folds that a clock ended, those of the folds that are whole."""
        return tuple(r for r in self.rows if r.split == "test" and (r.fold is None or self.counts(r.fold)))

    def counts(self, fold: int) -> bool:
        """Whether a fold counts; where a clock counts them, those that were whole, and the first."""
        return "folds" not in self.clock or fold < max(1, int(self.clock["folds"]))

    @cached_property
    def test_records(self) -> dict[tuple[str, str], tuple[Record, ...]]:
        """(candidate, example) -> test records by repeat. The order in which a resumed run wrote its lines is lost."""
        unique: dict[tuple[str, str, int], Record] = {}
        for record in self.record_file.all():
            if record.split == "test" and (self._part is None or record.example in self._part):
                unique.setdefault((record.candidate, record.example, record.repeat), record)
        grouped: dict[tuple[str, str], tuple[Record, ...]] = {}
        for candidate, example, repeat in sorted(unique):
            grouped[candidate, example] = (*grouped.get((candidate, example), ()), unique[candidate, example, repeat])
        return grouped

    @cached_property
    def known(self) -> dict[str, CandidateEntry]:
        """Candidate id -> candidate and facts. Two ways may end at one candidate, with one id: the first way's."""
        by_id: dict[str, CandidateEntry] = {}
        for entries in self.entries.values():
            for entry in entries:
                by_id.setdefault(entry.facts["id"], entry)
        return by_id

    @cached_property
    def candidates(self) -> dict[str, Candidate]:
        """Candidate id -> candidate."""
        return {key: entry.candidate for key, entry in self.known.items()}

    @property
    def dev_scores(self) -> dict[str, float | None]:
        """Candidate id -> its score on dev; None without dev rows."""
        return {key: entry.facts.get("dev_score") for key, entry in self.known.items()}

    @property
    def choice(self) -> Standing | None:
        """The way the verdict takes."""
        return next((s for s in self.verdict.standings if s.way == self.verdict.choice), None)

    def with_verdict(self, verdict: Verdict) -> Run:
        """The same run under another verdict than the one its folder holds."""
        other = copy.copy(self)
        other.__dict__.pop("spends", None)  # its order is the verdict's
        other.verdict = verdict
        return other

    def with_grades(self, lines: Sequence[dict[str, Any]]) -> Run:
        """The same run with other grades than its folder holds."""
        other = copy.copy(self)
        other.grades = tuple(lines)
        return other

    def with_test_rows(self, part: frozenset[str]) -> Run:
        """The same run with some of its test rows and their records only."""
        other = copy.copy(self)
        for name in ("test_records", "all_records"):
            other.__dict__.pop(name, None)
        other._part = part
        other.rows = tuple(row for row in self.rows if row.split == "dev" or row.id in part)
        return other

    @property
    def best(self) -> Candidate | None:
        """The candidate that the verdict ships; None where every way failed."""
        return self.candidates.get(self.verdict.candidate or "")

    def finalists(self, way: str) -> list[Candidate]:
        """A way's candidates that crossed the test split, by seed.

        Raises:
            UserError: the run has no such way.
        """
        from whichway.errors import did_you_mean

        if way not in self.plan_data["ways"]:
            raise UserError(f"there is no way '{way}' in this run.{did_you_mean(way, self.plan_data['ways'])}")
        chosen = [entry.candidate for entry in self.entries.get(way, ()) if entry.finalist]
        return sorted(chosen, key=lambda candidate: candidate.seed)

    def answers(self, way: Standing, example: str) -> list[Record]:
        """All answers of a way's finalists to one test row, by seed, then repeat."""
        keys = way.candidates if way.folds == 1 else dict.fromkeys(way.candidates)  # folds may have found the same
        return [record for key in keys for record in self.test_records.get((key, example), ())]

    @property
    def race(self) -> Race | None:
        """The race over dev rows in numbers."""
        facts = self.race_facts
        if facts is None:
            return None
        rounds, done, full = (int(facts[name]) for name in ("rounds", "evaluations", "full_evaluations"))
        return Race(rounds, done, full, len(facts["dropped"]))

    @property
    def peaks(self) -> dict[str, int]:
        """Way -> peak memory of its training, bytes, where it is known."""
        by_way = {}
        for way, entries in self.entries.items():
            sizes = [entry.facts["peak_bytes"] for entry in entries if entry.facts.get("peak_bytes")]
            if sizes:
                by_way[way] = max(sizes)
        return by_way

    @cached_property
    def _charges(self) -> list[Any]:
        """Lines of the ledger; one that a resumed run wrote again counts once. Older ones are priced by the clock."""
        last = {(line["who"], line["what"], line["key"]): line for line in reversed(self.ledger)}
        return [{"wall_seconds": line["seconds"], **line} for line in reversed(last.values())]

    @cached_property
    def spends(self) -> tuple[Spend, ...]:
        """The ledger, summed by account and activity at list price, in the order of the verdict.

        What was paid is left out: a warm cache must not change the page.
        """
        totals: dict[tuple[str, str], list[list[float]]] = {}
        for line in self._charges:
            numbers = [line["calls"], line["seconds"], line["usd"], line["wall_seconds"]]
            totals.setdefault((line["who"], line["what"]), []).append(numbers)
        place = {standing.way: number for number, standing in enumerate(self.verdict.standings)}
        order = sorted(totals, key=lambda pair: (place.get(pair[0], len(place)), pair))
        return tuple(_total(*pair, totals[pair]) for pair in order)

    @property
    def seconds(self) -> dict[str, float]:
        """Contestant -> list seconds of its answers and trainings, learning curves included."""
        return self._spent_by_way("seconds")

    @property
    def wall_seconds(self) -> dict[str, float]:
        """Contestant -> seconds by the clock of the same, of cached things those of the first time."""
        return self._spent_by_way("wall_seconds")

    @property
    def usd(self) -> dict[str, float]:
        """Contestant -> list price of its answers and trainings, learning curves included."""
        return self._spent_by_way("usd")

    def _spent_by_way(self, column: str) -> dict[str, float]:
        by_way: dict[str, float] = {}
        for line in self._charges:
            if line["what"] not in ("forgetting", PARTS):  # the parts are what their own ways spent
                way = line["who"].removeprefix("curve/")
                by_way[way] = by_way.get(way, 0.0) + line[column]
        return by_way

    @property
    def paid(self) -> tuple[float, float]:
        """Dollars and seconds that were really spent, cache hits left out."""
        return sum(line["paid_usd"] for line in self.ledger), sum(line["paid_seconds"] for line in self.ledger)

    @property
    def test_calls(self) -> dict[str, float]:
        """Way -> answers to test rows, from the ledger."""
        calls: Counter[str] = Counter()
        for line in self.ledger:
            if line["what"] == "test":
                calls[line["who"]] += line["calls"]
        return {account: float(count) for account, count in calls.items()}


def as_run(run: Run | Path) -> Run:
    """A run, or the one that lies in a folder."""
    return run if isinstance(run, Run) else Run(run)


def read(folder: Path) -> Run:
    """A finished run.

    Raises:
        UserError: the folder holds no finished run, or a file in it is damaged.
    """
    run = Run(folder)
    _ = run.plan, run.verdict
    return run


def _total(account: str, what: str, lines: Sequence[Sequence[float]]) -> Spend:
    # Sorted before adding: floating-point sums depend on order.
    calls, seconds, usd, wall = (sum(sorted(column)) for column in zip(*lines, strict=True))
    return Spend(account, what, int(calls), seconds, usd, wall)
