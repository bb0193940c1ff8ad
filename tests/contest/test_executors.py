"""A contest whose parts are worked on by other processes ends as one without, and nothing is paid twice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from contest_kit import small_task
from executor_kit import TWO, InLine, hold, in_folds, ledger_of, left_by

from whichway.contest import run_cells
from whichway.contest.cell import Cell, keep_task, write_cell
from whichway.contest.cell import main as cell_main
from whichway.contest.claims import Claims
from whichway.contest.executors import CellJob, _fork_server, environment, local, names
from whichway.errors import OptionError
from whichway.events import CellEnded, WarningGiven

HERE = Path(__file__).parent
COMPARED = ("key", "what", "who", "calls", "seconds", "usd", "paid_seconds", "paid_usd")


def money(place: Path) -> list[tuple]:
    return [tuple(line.get(name) for name in COMPARED) for line in ledger_of(place) if line["what"] != "unused"]


def bought(place: Path) -> list[str]:
    """The answers that cells of a contest paid for, each as often as it was."""
    lines = [line for file in place.glob(".cache/cells/*/purchases.jsonl") for line in file.open()]
    return [json.loads(line)["key"] for line in lines]


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("plain")
    hold(place, ways=TWO)
    return place


@pytest.fixture
def in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_cells, "executor_of", lambda name: InLine())


def test_cells_leave_what_one_process_leaves(in_line, tmp_path: Path):
    hold(tmp_path / "one")
    outcome, events = hold(tmp_path / "many", "local")
    tmp_path, plain = tmp_path / "many", tmp_path / "one"
    assert left_by(tmp_path) == left_by(plain)
    assert money(tmp_path) == money(plain)
    assert [event.done for event in events if isinstance(event, CellEnded)] == [True] * 5
    assert len(set(bought(tmp_path))) == len(bought(tmp_path)), "no answer is paid for twice"
    assert outcome.paid_seconds == pytest.approx(sum(line["paid_seconds"] for line in ledger_of(tmp_path)))
    answers = sqlite3.connect(tmp_path / ".cache" / "replies.sqlite").execute("SELECT key FROM replies").fetchall()
    assert {key for (key,) in answers} <= set(bought(tmp_path)), "the contest itself answered nothing"

    cell = next(tmp_path.glob(".cache/cells/*/cell.json"))
    before = {file: file.stat().st_mtime_ns for file in cell.parent.rglob("*") if file.name not in ("lock",)}
    assert cell_main([str(cell)]) == 0
    assert before == {file: file.stat().st_mtime_ns for file in before}
    again, events = hold(tmp_path, "local")
    assert again.paid_seconds == 0
    assert not any(isinstance(event, CellEnded) for event in events)


def test_folds_have_cells_of_their_own(in_line, tmp_path: Path):
    task = in_folds(small_task(50, 20, 20))
    ways = {"prompt_plain": {}, "prompt_shots": {"counts": (4,)}, "tune_probe": {}}
    for place, executor in (("one", ""), ("many", "local")):
        hold(tmp_path / place, executor, task, ways=ways, seeds=(0, 1, 2))
    assert left_by(tmp_path / "many") == left_by(tmp_path / "one")
    assert money(tmp_path / "many") == money(tmp_path / "one")
    cells = [json.loads(file.read_text()) for file in (tmp_path / "many").glob(".cache/cells/*/cell.json")]
    assert sorted((cell["way"], cell["folds"]) for cell in cells) == sorted(
        (way, [fold]) for way in ways for fold in range(3)
    )
    keys = bought(tmp_path / "many")
    assert len(set(keys)) == len(keys)


def test_points_of_curves_have_cells(in_line, tmp_path: Path):
    ways = {"prompt_plain": {}, "prompt_shots": {"counts": (4,)}}
    for place, executor in (("one", ""), ("many", "local")):
        hold(tmp_path / place, executor, ways=ways, seeds=(0, 1), curve=(10, 20))
    curves = [(tmp_path / place / "r" / "curves.jsonl").read_bytes() for place in ("one", "many")]
    assert curves[0] == curves[1]
    assert left_by(tmp_path / "many") == left_by(tmp_path / "one")
    assert len(list((tmp_path / "many").glob(".cache/cells/*/cell.json"))) == 2 + 2 * 2 * 2


def test_cells_are_processes_and_a_killed_one_is_tried_again(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "kills").write_text("1")
    monkeypatch.setenv("WHICHWAY_TEST_KILLS", str(tmp_path / "kills"))
    _, events = hold(tmp_path, "local", ways=TWO, workers=1, builder="executor_kit:build_or_die")
    assert left_by(tmp_path) == left_by(plain)
    assert money(tmp_path) == money(plain)
    assert [event.done for event in events if isinstance(event, CellEnded)] == [False, True, True]
    assert not any(isinstance(event, WarningGiven) for event in events)


def forked(place: Path) -> tuple[_fork_server.ForkServer, CellJob]:
    """A server that was given a cell which sleeps: its builder waits for a minute."""
    cell = Cell("prompt_plain", keep_task(small_task(6, 3, 4), place), {}, "run", "executor_kit:sleep")
    server = _fork_server.ForkServer(environment(1), place / "server.log")
    job = CellJob(write_cell(cell, place), cell.title)
    server.start(job)
    deadline = time.monotonic() + 60
    while "asleep" not in (job.log.read_text() if job.log.exists() else "") and time.monotonic() < deadline:
        assert server.ended() == []
    return server, job


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
def test_a_fork_server_ends_its_cells_when_it_is_stopped(tmp_path: Path):
    server, job = forked(tmp_path)
    number = int(job.log.read_text().split()[-1])
    server.close()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
def test_cells_of_a_lost_fork_server_count_as_ended(tmp_path: Path):
    server, job = forked(tmp_path)
    server._process.kill()
    deadline, gone = time.monotonic() + 60, []
    while not gone and time.monotonic() < deadline:
        gone = server.ended()
    assert gone == [job]
    server.close()
    os.kill(int(job.log.read_text().split()[-1]), signal.SIGKILL)  # its cell works on, and would be found


def test_processes_that_are_not_forked_leave_the_same(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(local, "FORKS", False)
    hold(tmp_path, "local", ways=TWO)
    assert left_by(tmp_path) == left_by(plain)
    assert money(tmp_path) == money(plain)


def test_what_cells_leave_undone_the_contest_does_itself(plain: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(run_cells, "executor_of", lambda name: InLine(works=False))
    _, events = hold(tmp_path, "local", ways=TWO)
    assert left_by(tmp_path) == left_by(plain)
    assert money(tmp_path) == money(plain)
    assert [event.done for event in events if isinstance(event, CellEnded)] == [False] * 4
    assert sum(isinstance(event, WarningGiven) and "failed twice" in event.message for event in events) == 1


@pytest.mark.slow
def test_a_killed_driver_goes_on_where_its_cells_are(plain: Path, tmp_path: Path):
    driver = subprocess.Popen([sys.executable, str(HERE / "executor_kit.py"), str(tmp_path)])
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".cache/cells/*/result.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert not (tmp_path / "r" / "verdict.json").exists()
    task = replace(small_task(60, 30, 40), model="fake:delay=0.05")
    hold(tmp_path, "local", task, ways=TWO, workers=2)
    hold(tmp_path / "one", "", task, ways=TWO)
    assert left_by(tmp_path) == left_by(tmp_path / "one")
    assert money(tmp_path) == money(tmp_path / "one")


def test_a_training_that_failed_in_a_cell_is_not_tried_again(in_line, tmp_path: Path):
    ways = {"prompt_plain": {}, "tune_lora": {"rate": 2.0}}  # above 1 it diverges
    for place, executor in (("one", ""), ("many", "local")):
        hold(tmp_path / place, executor, ways=ways)
    assert left_by(tmp_path / "many") == left_by(tmp_path / "one")
    assert money(tmp_path / "many") == money(tmp_path / "one")


def test_what_the_race_would_have_saved_is_booked_as_unused(in_line, tmp_path: Path):
    task = small_task(60, 100, 30)
    ways = {"prompt_plain": {}, "prompt_shots": {"counts": (2, 4, 8)}, "tune_probe": {}}
    outcomes = []
    for place, executor in (("one", ""), ("many", "local")):
        outcomes.append(hold(tmp_path / place, executor, task, ways=ways)[0])
    assert left_by(tmp_path / "many") == left_by(tmp_path / "one")
    paid = [sum(line["paid_seconds"] for line in ledger_of(tmp_path / place)) for place in ("one", "many")]
    assert paid == pytest.approx([outcome.paid_seconds for outcome in outcomes]), "cells' and the contest's own"
    unused = sum(line["paid_seconds"] for line in ledger_of(tmp_path / "many") if line["what"] == "unused")
    assert paid[1] - unused == pytest.approx(paid[0]), "what it needed costs what it costs without cells"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"executor": "locl"}, "Did you mean 'local'"),
        ({"executor": "local", "minutes": 5.0}, "does not go with --minutes"),
        ({"executor": "local", "builder": ""}, "put together in Python"),
    ],
)
def test_what_cannot_be_spread_is_refused(tmp_path: Path, options, reason: str):
    with pytest.raises(OptionError, match=reason):
        hold(tmp_path, **options)


def test_a_file_that_is_no_cell_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "cell.json").write_text("{")
    assert cell_main([str(tmp_path / "cell.json")]) == 2
    assert "is no cell" in capsys.readouterr().err
    assert cell_main([]) == 2


def test_claims_are_all_or_nothing_and_end_with_their_owner(tmp_path: Path):
    one, two = Claims(tmp_path), Claims(tmp_path)
    with one.held(lambda: ["a", "b"]):
        assert not two._take(["b", "c"])
        assert two._take(["c"])
    assert two._take(["b"])
    code = (
        "import os, sys; from pathlib import Path; from whichway.contest.claims import Claims\n"
        "c = Claims(Path(sys.argv[1])); c._take(['d']); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -signal.SIGKILL
    assert one._take(["d"])
    one.close()
    two.close()
    assert list(tmp_path.glob("claims/*.lock")) == []


def test_every_executor_says_what_it_is():
    from whichway.contest.executors import executor_of

    assert names() == ["local", "ray", "slurm"]
    for name in names():
        assert executor_of(name).SUMMARY


SBATCH = """#!{python}
import os, re, subprocess, sys
from pathlib import Path
place, script = Path(__file__).parent, sys.argv[-1]
text = Path(script).read_text()
count = int(re.search(r"--array=0-(\\d+)", text).group(1)) + 1
number = len(list(place.glob("submitted-*"))) + 1
(place / f"submitted-{{number}}").write_text(str(count))
for k in range(count):
    if number == 1 and k == 1:  # a node that was lost: Slurm starts the task again, as --requeue asks
        kill = subprocess.Popen(["bash", script], env=dict(os.environ, SLURM_ARRAY_TASK_ID=str(k)))
        kill.kill()
        kill.wait()
    if number == 1 and k == 0:
        continue  # lost for good: it leaves the queue and has no result
    subprocess.run(["bash", script], env=dict(os.environ, SLURM_ARRAY_TASK_ID=str(k)), check=True)
print(number)
"""


def test_slurm_runs_the_script_and_lost_tasks_are_submitted_again(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "sbatch").write_text(SBATCH.format(python=sys.executable))
    (programs / "squeue").write_text("#!/bin/sh\nexit 1\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    hold(tmp_path, "slurm", ways=TWO)
    assert left_by(tmp_path) == left_by(plain)
    assert money(tmp_path) == money(plain)
    assert [(programs / f"submitted-{k}").read_text() for k in (1, 2)] == ["2", "1"]
    mode = sqlite3.connect(tmp_path / ".cache" / "replies.sqlite").execute("PRAGMA journal_mode").fetchone()
    assert mode == ("delete",), "a write-ahead log cannot cross machines"


def test_without_slurm_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OptionError, match="no `sbatch`"):
        hold(tmp_path, "slurm")


@pytest.mark.slow
def test_a_ray_node_that_is_lost_changes_nothing(plain: Path, tmp_path: Path):
    """A local cluster of two nodes; the one that does not hold the driver is killed in the middle."""
    ray = pytest.importorskip("ray")
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        killer = threading.Timer(4.0, lambda: cluster.remove_node(second, allow_graceful=False))
        killer.start()
        hold(tmp_path, "ray", ways=TWO)
        killer.join()
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert left_by(tmp_path) == left_by(plain)
    assert money(tmp_path) == money(plain)
    assert len(set(bought(tmp_path))) == len(bought(tmp_path))
