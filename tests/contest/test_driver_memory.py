"""What a driver holds does not grow with the records: those of past folds, and their benches, are let go."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

import pytest
from contest_kit import make_components, settings_for, small_task
from executor_kit import in_folds

from whichway.contest import run
from whichway.contest.bench import RunBench
from whichway.contest.run_cells import _paid
from whichway.events import VerdictMade, WayBegan, WayTested
from whichway.nouns import Record

WAYS: dict[str, dict[str, Any]] = {"base_majority": {}, "prompt_plain": {}, "prompt_shots": {"counts": (4,)}}


def alive(kind: type) -> int:
    gc.collect()
    return sum(type(thing) is kind for thing in gc.get_objects())


@pytest.mark.parametrize("again", [False, True])
def test_past_folds_leave_neither_records_nor_benches(tmp_path, again: bool):
    task = in_folds(small_task(60, 30, 30), 4)
    seen: list[tuple[int, int]] = []
    before = alive(Record), alive(RunBench)

    def listen(event: Any) -> None:
        if isinstance(event, WayBegan) and event.way == "prompt_plain":  # the first of each fold
            seen.append((alive(Record) - before[0], alive(RunBench) - before[1]))

    settings, components = settings_for(tmp_path, WAYS), make_components(task)
    run(task, components, folder=tmp_path / "r", settings=settings)
    gc.collect()
    if not again:
        (tmp_path / "r" / "records.jsonl").unlink()
    run(task, components, folder=tmp_path / "r", settings=settings, listener=listen)
    assert len(seen) == 4
    records, benches = zip(*seen, strict=True)
    assert max(records[2:]) <= records[1] <= 3 * 2 * 30, "at most those of the fold before"
    assert max(benches) <= 2 * len(WAYS)


def test_a_single_split_leaves_no_records_when_its_ways_have_crossed(tmp_path):
    task, seen = small_task(60, 30, 40), []
    before = alive(Record)

    def listen(event: Any) -> None:
        if isinstance(event, WayTested):
            seen.append(alive(Record) - before)

    run(task, make_components(task), folder=tmp_path / "r", settings=settings_for(tmp_path, WAYS), listener=listen)
    assert len(seen) == 3
    assert seen[-1] <= 3 * 40, "the answers of the last way's seeds alone"


def test_curves_have_the_answers_that_they_need(tmp_path):
    task, events = small_task(60, 30, 40), []
    settings = replace(settings_for(tmp_path, WAYS), curve=(20, 40), seeds=(0,))
    run(task, make_components(task), folder=tmp_path / "r", settings=settings, listener=events.append)
    assert isinstance(events[-1], VerdictMade)
    lines = (tmp_path / "r" / "curves.jsonl").read_text().splitlines()
    assert sum('"n":60' in line for line in lines) == len(WAYS), "the whole contest's answers are points as well"


def test_what_cells_paid_leaves_failed_trainings_to_the_contest(tmp_path):
    lines = ['{"key": "a", "seconds": 1.0, "usd": 2.0}', '{"key": "t/failed", "seconds": 3.0, "usd": 4.0}']
    (tmp_path / "purchases.jsonl").write_text("\n".join(lines) + "\n")
    assert _paid(tmp_path / "cell.json") == {"a": (1.0, 2.0)}
