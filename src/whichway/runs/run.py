"""Read a finished run folder: plan, rows, records, candidates, ledger, verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whichway.errors import UserError
from whichway.nouns import Candidate, Plan, Record, Standing, Verdict, from_json


@dataclass(frozen=True, slots=True)
class Row:
    """One dev or test row."""

    id: str
    split: str
    text: str
    target: str
    group: str | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Spend:
    """What one who spent on one thing, at list price."""

    who: str
    what: str
    calls: int
    seconds: float
    usd: float


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run folder in memory."""

    plan: Plan
    verdict: Verdict
    test: tuple[Row, ...]
    records: Mapping[tuple[str, str], tuple[Record, ...]]  # (candidate, example) -> test records by repeat
    candidates: Mapping[str, Candidate]
    dev_scores: Mapping[str, float | None]
    spends: tuple[Spend, ...]
    estimate: Mapping[str, Any] | None = None  # what was said before the start
    peaks: Mapping[str, int] = field(default_factory=dict)  # way -> peak memory of its training, bytes

    @property
    def choice(self) -> Standing | None:
        """The way the verdict takes."""
        return next((s for s in self.verdict.standings if s.way == self.verdict.choice), None)

    def answers(self, way: Standing, example: str) -> list[Record]:
        """All answers of a way's finalists to one test row, by seed, then repeat."""
        return [record for candidate in way.candidates for record in self.records.get((candidate, example), ())]


def read(folder: Path) -> Run:
    """Read a finished run folder.

    Raises:
        UserError: the folder holds no finished run, or a file in it is damaged.
    """
    plan, verdict = from_json(Plan, _json(folder / "plan.json")), from_json(Verdict, _json(folder / "verdict.json"))
    rows = [from_json(Row, line) for line in _lines(folder / "rows.jsonl")]
    found = _candidates(folder)
    return Run(
        plan=plan,
        verdict=verdict,
        test=tuple(row for row in rows if row.split == "test"),
        records=_records(folder),
        candidates={key: candidate for key, (candidate, _) in found.items()},
        dev_scores={key: dev_score for key, (_, dev_score) in found.items()},
        spends=_spends(folder, [s.way for s in verdict.standings]),
        estimate=_json(folder / "estimate.json") if (folder / "estimate.json").exists() else None,
        peaks=_peaks(folder),
    )


def took(run: Run) -> dict[str, float]:
    """Contestant -> list seconds of its answers and trainings, learning curves included."""
    found: dict[str, float] = {}
    for spend in run.spends:
        if spend.what != "forgetting":
            who = spend.who.removeprefix("curve/")
            found[who] = found.get(who, 0.0) + spend.seconds
    return found


def _peaks(folder: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for path in sorted(folder.glob("ways/*/candidates.jsonl")):
        peaks = [line["peak_bytes"] for line in _lines(path) if line.get("peak_bytes")]
        if peaks:
            found[path.parent.name] = max(peaks)
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path} is missing: {path.parent} is no finished run. Run `whichway run` first.") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}). Run the same `whichway run` command again.") from error
    return value


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith("\n"):  # a killed writer's last line
                return
            try:
                yield json.loads(line)
            except ValueError as error:
                hint = "Run the same `whichway run` command in a new folder."
                raise UserError(f"{path}:{number} is damaged ({error}). {hint}") from error


def _records(folder: Path) -> dict[tuple[str, str], tuple[Record, ...]]:
    # A dictionary by key and a sort: the page must not depend on the order in which a resumed run wrote its lines.
    unique: dict[tuple[str, str, int], Record] = {}
    for line in _lines(folder / "records.jsonl"):
        if line["split"] == "test":
            record = Record(**line)  # flat, and many: no `from_json`
            unique.setdefault((record.candidate, record.example, record.repeat), record)
    grouped: dict[tuple[str, str], tuple[Record, ...]] = {}
    for candidate, example, repeat in sorted(unique):
        grouped[candidate, example] = (*grouped.get((candidate, example), ()), unique[candidate, example, repeat])
    return grouped


def _candidates(folder: Path) -> dict[str, tuple[Candidate, float | None]]:
    found: dict[str, tuple[Candidate, float | None]] = {}
    for path in sorted(folder.glob("ways/*/candidates.jsonl")):
        for line in _lines(path):
            found.setdefault(line["id"], (from_json(Candidate, line["candidate"]), line.get("dev_score")))
    return found


def _spends(folder: Path, ways: list[str]) -> tuple[Spend, ...]:
    """The ledger, summed by who and what at list price.

    What was paid is left out: a warm cache must not change the page. A line that a resumed run wrote again counts once.
    """
    totals: dict[tuple[str, str], list[list[float]]] = {}
    seen: set[tuple[str, str, str]] = set()
    for line in _lines(folder / "ledger.jsonl"):
        key = (line["who"], line["what"], line["key"])
        if key not in seen:
            seen.add(key)
            totals.setdefault(key[:2], []).append([line["calls"], line["seconds"], line["usd"]])
    place = {way: number for number, way in enumerate(ways)}
    order = sorted(totals, key=lambda pair: (place.get(pair[0], len(ways)), pair))
    return tuple(_total(*pair, totals[pair]) for pair in order)


def _total(who: str, what: str, lines: list[list[float]]) -> Spend:
    # Sorted before adding: floating-point sums depend on order.
    calls, seconds, usd = (sum(sorted(column)) for column in zip(*lines, strict=True))
    return Spend(who, what, int(calls), seconds, usd)


def paid(folder: Path) -> tuple[float, float]:
    """Dollars and seconds that were really spent, cache hits left out."""
    lines = list(_lines(folder / "ledger.jsonl"))
    return sum(line["paid_usd"] for line in lines), sum(line["paid_seconds"] for line in lines)
