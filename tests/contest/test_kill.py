"""SIGKILL at random moments, run again: same records, same verdict, nothing paid twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from contest_kit import make_components, settings_for, small_task
from whichway.contest import run
task = small_task(90, 100, 70)  # enough dev rows for a race
ways = {"prompt_plain": {}, "prompt_shots": {"counts": (4,)}, "tune_probe": {}, "tune_lora": {"factors": (0.5, 1.0)}}
place = Path(sys.argv[1])
print("ready", flush=True)
run(task, make_components(task, "fake:delay=0.02"), folder=place / "r", settings=settings_for(place, ways))
"""


def start(place: Path) -> subprocess.Popen[str]:
    here = str(Path(__file__).parent)
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(place), here], stdout=subprocess.PIPE, text=True)


def left_by(place: Path) -> tuple[list[dict], list[dict], bytes]:
    read = lambda name: [json.loads(line) for line in (place / "r" / name).open()]  # noqa: E731
    return read("records.jsonl"), read("ledger.jsonl"), (place / "r" / "verdict.json").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[tuple[list[dict], list[dict], bytes], float]:
    place = tmp_path_factory.mktemp("whole")
    process = start(place)
    assert process.stdout.readline() == "ready\n"
    began = time.monotonic()
    assert process.wait() == 0
    return left_by(place), time.monotonic() - began


def test_killed_three_times_and_run_again_ends_equal(whole, tmp_path):
    (records, ledger, verdict), seconds = whole
    rng = random.Random(os.getpid())
    for _ in range(3):
        process = start(tmp_path)
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.02, 0.5) * seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start(tmp_path).wait() == 0
    got_records, got_ledger, got_verdict = left_by(tmp_path)
    assert got_records == records
    assert got_verdict == verdict
    assert len({line["key"] for line in got_ledger}) == len(got_ledger)
    assert [line["key"] for line in got_ledger] == [line["key"] for line in ledger]
    assert [line["paid_seconds"] for line in got_ledger] == [line["paid_seconds"] for line in ledger]
