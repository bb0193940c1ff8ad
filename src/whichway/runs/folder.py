"""The run folder is the truth: what is written where, and how it is read back.

Files appear by write-then-rename, or grow by whole lines; a line that a kill cut short is dropped on the next start.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from whichway.errors import DiskError, PlanMismatch, UserError
from whichway.nouns import Candidate, Example, Plan, Record, Task, Verdict, digest, from_json, to_json

FORGETTING = "forgetting.json"  # of a way, beside its candidates
REFIT = "refit.json"  # of a way measured in folds: the candidate that was made of all rows
ESTIMATE = "estimate.json"  # what was said before the start
SPEC = "spec.json"  # what the user said about the task, so that the same rows can be read again
PARTS = "parts"  # what the ledger says of other ways' candidates that a way is made of
CLUSTERS = "clusters.json"  # test rows that are alike by a sentence encoder, where one was at hand
CLOCK = "clock.json"  # of a run against the clock, or one in folds that goes on: what stands, what is missing
TAIL = 1 << 16  # bytes read at a time from a file's end
# parts of a plan that follow from the others: a newer version may differ
FOLLOWS = ("smallest_gap", "metric_title", "metric_plain", "foldable", "paired", "spread", "pricing")


def write_text(path: Path, text: str) -> None:
    """Write, sync, rename: readers see the old file or the new one, never half of it."""
    temporary = path.with_name(path.name + ".tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.replace(temporary, path)


def write_json(path: Path, value: Any) -> None:
    """`write_text` of a noun or JSON value."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """A noun or JSON value as the files hold it: sorted keys, two spaces."""
    return json.dumps(to_json(value), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


@contextmanager
def alone(cache: Path, folder: Path) -> Iterator[None]:
    """One run at a time in a folder; the lock lies in the cache and ends with its process, however that ends.

    Raises:
        UserError: another process is at work there.
    """
    from filelock import FileLock, Timeout

    place = cache / "locks"
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskError(f"the cache {cache} cannot be made: {error}. Give another place with --cache.") from error
    try:
        with FileLock(place / f"{digest(str(folder.resolve()))}.lock", timeout=0):
            yield
    except Timeout:
        raise UserError(f"another whichway is at work in {folder}. Wait for it, or give another folder.") from None


def run_id(folder: Path) -> str:
    """The run's random id, by which the cache remembers which run paid."""
    path = folder / "run_id"
    if not path.exists():
        write_text(path, uuid.uuid4().hex + "\n")
    return path.read_text(encoding="utf-8").strip()


class Lines:
    """An append-only JSON-lines file. One line is one write; the broken tail of a killed writer is cut off."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._mend()
        self._out = path.open("ab")

    def _mend(self) -> None:
        if not self.path.exists():
            return
        with self.path.open("r+b") as file:
            size = end = file.seek(0, os.SEEK_END)
            while end:
                start = max(0, end - TAIL)
                file.seek(start)
                newline = file.read(end - start).rfind(b"\n")
                if newline >= 0:
                    end = start + newline + 1
                    break
                end = start
            if end < size:
                file.truncate(end)

    def append(self, values: list[Any]) -> list[int]:
        """Add lines and hand them to the operating system at once; returns their lengths in bytes."""
        lines = [
            f"{json.dumps(to_json(v), sort_keys=True, ensure_ascii=False, allow_nan=False)}\n".encode() for v in values
        ]
        self._out.write(b"".join(lines))
        self._out.flush()
        return [len(line) for line in lines]

    def read(self) -> Iterator[dict[str, Any]]:
        """All lines written so far."""
        yield from read_lines(self.path)

    def close(self) -> None:
        """Close the file."""
        self._out.close()


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Lines of a JSON-lines file; none when it does not exist."""
    if path.exists():
        with path.open(encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    yield json.loads(line)


def refuse(folder: Path) -> None:
    """Refuse what can be no run folder, before anything is written anywhere.

    Raises:
        UserError: there are other things in it.
        DiskError: it is a file.
    """
    if folder.is_file():
        raise DiskError(f"{folder} cannot be a run folder: it is a file.")
    if folder.is_dir() and not (folder / "plan.json").exists() and any(p.suffix != ".tmp" for p in folder.iterdir()):
        raise UserError(f"{folder} is not empty and is no run folder; give another one with --out.")


def plan_of(folder: Path) -> dict[str, Any]:
    """The plan that a folder was begun with, as JSON; {} where none was."""
    path = folder / "plan.json"
    return read_plan(folder) if path.is_file() else {}


def data_rows(plan: Mapping[str, Any]) -> int:
    """All rows of a plan; in folds every row is test, and the others count what a mean fold sees."""
    rows: Mapping[str, int] = plan["rows"]
    return rows["test"] if plan.get("folds", 1) > 1 else sum(rows.values())


def prepare(folder: Path, plan: Plan, task: Task, before: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Write plan and rows first; refuse a folder that another plan made.

    Args:
        folder: of the run.
        plan: of this start.
        task: whose dev and test rows are kept.
        before: way -> option -> what a plan means that does not name the option, because it is older.

    Raises:
        PlanMismatch: with the difference, line by line.
        DiskError: the folder cannot be made or written.
    """
    written = {"format": 1, **to_json(plan)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "plan.json").exists():
            begun = _read_json(folder / "plan.json")
            for name, options in begun.get("ways", {}).items():
                begun["ways"][name] = {**(before or {}).get(name, {}), **options}
            lines = list(differences(begun, written | {name: begun.get(name) for name in FOLLOWS}))
            if lines:
                raise PlanMismatch(
                    f"{folder} was made by another plan; nothing was changed there.\n" + "\n".join(lines) + "\n"
                    "Give another folder with --out, or the old options again."
                )
        else:
            write_json(folder / "plan.json", written)
        if not (folder / "rows.jsonl").exists():
            rows = [_row(e, split) for split in ("dev", "test") for e in getattr(task, split)]
            if task.folds:
                rows = [{**_row(e, "test"), "fold": k} for k, fold in enumerate(task.folds) for e in fold]
            write_text(folder / "rows.jsonl", "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))
    except NotADirectoryError as error:
        raise DiskError(f"{folder} cannot be a run folder: a part of the path is a file.") from error


def _row(example: Example, split: str) -> dict[str, Any]:
    fields = {"id": example.id, "split": split, "input": dict(example.input), "text": example.text}
    facts = {"target": example.target, "group": example.group, "origin": example.origin}
    more = {} if example.rejected is None else {"rejected": example.rejected}
    return {**fields, **facts, **more, **({"turns": to_json(example.turns)} if example.turns else {})}


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing: {path.parent} is no finished run folder. Run `whichway run` first."
        ) from None
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: line {error.lineno}: {error.msg}. The run folder is damaged; run it again."
        ) from error


def read_plan(folder: Path) -> dict[str, Any]:
    """The plan as JSON.

    Raises:
        UserError: the folder holds no run.
    """
    plan: dict[str, Any] = _read_json(folder / "plan.json")
    return plan


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """Dev and test rows: id, split, input, text, target, group, origin; turns where the input is a conversation."""
    return list(read_lines(folder / "rows.jsonl"))


def read_records(folder: Path) -> list[Record]:
    """All records, in the order in which they were made."""
    return [Record(**line) for line in read_lines(folder / "records.jsonl")]


def read_candidates(folder: Path, way: str = "*") -> dict[str, tuple[Candidate, dict[str, Any]]]:
    """Candidate id -> (candidate, facts: dev_score, finalist, seconds_fit, usd_fit); of one way, or of all.

    Two ways may end at one candidate, with one id; among all it is the first way's.
    """
    candidates: dict[str, tuple[Candidate, dict[str, Any]]] = {}
    for path in sorted(folder.glob(f"ways/{way}/candidates.jsonl")):
        for line in read_lines(path):
            candidates.setdefault(line["id"], (from_json(Candidate, line.pop("candidate")), line))
    return candidates


def read_status(folder: Path, way: str) -> dict[str, Any] | None:
    """How a way ended: status, reason, kind, and what it spent; None when it has not ended."""
    path = folder / "ways" / way / "status.json"
    status: dict[str, Any] | None = _read_json(path) if path.exists() else None
    return status


def read_race(folder: Path) -> dict[str, Any] | None:
    """What the race over dev rows saved; None without a race."""
    path = folder / "race.json"
    facts: dict[str, Any] | None = _read_json(path) if path.exists() else None
    return facts


def read_estimate(folder: Path) -> dict[str, Any]:
    """What was said before the start of how long it takes; {} where nothing was."""
    path = folder / ESTIMATE
    facts: dict[str, Any] = _read_json(path) if path.exists() else {}
    return facts


def read_clock(folder: Path) -> dict[str, Any]:
    """What a run against the clock has bought, what is missing, and the seconds it took; {} where there is no clock."""
    path = folder / CLOCK
    facts: dict[str, Any] = _read_json(path) if path.exists() else {}
    return facts


def write_clock(folder: Path, facts: Mapping[str, Any]) -> None:
    """Keep what `read_clock` gives."""
    write_json(folder / CLOCK, facts)


def read_verdict(folder: Path) -> Verdict:
    """The verdict of a finished run.

    Raises:
        UserError: the run is not finished.
    """
    return from_json(Verdict, _read_json(folder / "verdict.json"))


def adapter_folder(folder: Path, way: str, digest: str) -> Path:
    """Where the run keeps the trained part of a candidate."""
    return folder / "ways" / way / "adapters" / digest


def keep_adapter(folder: Path, way: str, digest: str, source: Path) -> None:
    """Copy a finalist's trained part into the run folder, whole or not at all."""
    goal = adapter_folder(folder, way, digest)
    if goal.exists():
        return
    temporary = goal.with_name(goal.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(source, temporary)
    os.replace(temporary, goal)


def differences(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """Lines "where: old -> new" for each leaf that differs between two JSON values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from differences(old.get(key), new.get(key), f"{where}.{key}" if where else key)
    elif old != new:
        yield f"  {where}: {_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    text = "(absent)" if value is None else str(value)
    return text if len(text) <= 80 else text[:77] + "..."
