"""A contest whose parts can be worked on in other processes: the fake model, built anew from this file."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from contest_kit import make_components, small_task

from whichway.contest import Components, Settings, run
from whichway.contest.cell import complete
from whichway.nouns import Task

WAYS: Mapping[str, Mapping[str, Any]] = {
    "prompt_plain": {}, "prompt_shots": {"counts": (4,)}, "tune_probe": {}, "tune_lora": {"factors": (0.5, 1.0)},
    "tune_full": {"factors": (0.5, 1.0)},
}  # fmt: skip  # none whose seconds are the clock's
BUILDER = "executor_kit:build"


def build(task: Task) -> Components:
    """What a cell's process makes of the task."""
    return replace(make_components(task, task.model or "fake"), builder=BUILDER)


def build_or_die(task: Task) -> Components:
    """As `build`, but so many processes as the file says are killed first."""
    left = Path(os.environ["WHICHWAY_TEST_KILLS"])
    count = int(left.read_text())
    if count > 0:
        left.write_text(str(count - 1))
        os.kill(os.getpid(), 9)
    return build(task)


def sleep(task: Task) -> Components:
    """Says its process's number, and waits until it is killed."""
    print("asleep", os.getpid(), flush=True)
    time.sleep(60)
    return build(task)


def in_folds(task: Task, count: int = 3) -> Task:
    rows = (*task.train, *task.dev, *task.test)
    return replace(task, folds=tuple(tuple(rows[k::count]) for k in range(count)))


def settings_of(place: Path, executor: str = "", ways: Mapping[str, Any] = WAYS, **options: Any) -> Settings:
    return Settings(ways, place / ".cache", executor=executor, **options)


def hold(place: Path, executor: str = "", task: Task | None = None, builder: str = BUILDER, **options: Any) -> Any:
    """A contest; returns its events, by name."""
    task, events = task or small_task(60, 30, 40), []
    components = replace(build(task), builder=builder)
    settings = settings_of(place, executor, **options)
    outcome = run(task, components, folder=place / "r", settings=settings, listener=events.append)
    return outcome, events


def left_by(place: Path) -> dict[str, Any]:
    """What must not depend on who did the work: records and candidates as sets of lines, and the verdict's bytes."""
    folder = place / "r"
    files = [folder / name for name in ("verdict.json", "plan.json", "race.json", "records.jsonl")]
    files += sorted(folder.glob("ways/*/*.json*"))
    return {str(f.relative_to(folder)): f.read_text() for f in files}


def ledger_of(place: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place / "r" / "ledger.jsonl").open()]


class InLine:
    """An executor that needs no processes: cells one after the other, in the given order or turned round."""

    SUMMARY, SHARES_DISK = "in this process", False

    def __init__(self, works: bool = True) -> None:
        self.works = works

    def execute(self, jobs: Any, capacity: Any, ended: Any) -> None:
        for job in reversed(jobs):
            if self.works:
                complete(job.file)
            ended(job)


TWO: Mapping[str, Mapping[str, Any]] = {"prompt_plain": {}, "prompt_shots": {"counts": (4,)}}


if __name__ == "__main__":  # a driver, to be killed
    hold(Path(sys.argv[1]), "local", replace(small_task(60, 30, 40), model="fake:delay=0.05"), ways=TWO, workers=2)
