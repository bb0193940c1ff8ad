"""A run on a hosted model is killed by SIGKILL; run again, it pays for what is missing, and no job starts twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from endpoint_kit import KEY, serving
from hosted_kit import schedule
from test_tune_hosted import contest, shelf, standing
from tuning_kit import TuningEndpoint

HERE = Path(__file__).parent
AT_ONCE = 4  # requests under way, which is what a kill can cost
PROGRAM = "import sys, pathlib, test_tune_hosted; test_tune_hosted.contest(pathlib.Path(sys.argv[1])).hold()"


class Killer:
    """Ends a process at a call that it makes."""

    def __init__(self, call: int) -> None:
        self.call, self.pid = call, 0

    def __call__(self, number: int) -> None:
        """Kill at this call, before it is answered."""
        if number == self.call and self.pid:
            os.kill(self.pid, signal.SIGKILL)


def killed_and_resumed(service: TuningEndpoint, folder: Path, killer: Killer) -> None:
    """A contest in a process of its own that is killed, then the same in this one."""
    with serving(service) as address:
        shelf(folder, address, concurrency=AT_ONCE, timeout_seconds=2.0)
        paths = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder)], cwd=folder, env={**os.environ, "PYTHONPATH": paths}
        ) as process:
            killer.pid = process.pid
            code = process.wait(120)
            killer.pid = 0
        assert code == -signal.SIGKILL, "it ended before it was killed"
        held = contest(folder)
        held.hold()
        assert standing(folder)["score"] == 1.0
        assert len(service.jobs) == 1, "a job is paid: it never starts twice"
        keys = [line["key"] for line in held.ledger]
        assert len(set(keys)) == len(keys), "nothing is booked twice"
        twice = sum(count - 1 for count in Counter(map(str, service.bodies)).values())
        assert twice <= AT_ONCE + service_failures(service), "only what was under way is asked again"
        booked = sum(line["paid_usd"] for line in held.ledger)
        spent = service.training_usd + service.bill_usd
        dearest = max(line["usd"] for line in held.ledger if line["what"] != "train")
        assert booked >= spent - AT_ONCE * dearest, "a kill loses the lines of calls under way, no others"
        calls = service.calls
        assert held.hold().paid_usd == 0
        assert service.calls == calls


def service_failures(service: TuningEndpoint) -> int:
    """Calls that the server spoilt, which are sent again."""
    return service.calls - len(service.delivered)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAKE_KEY", KEY)
    return tmp_path


def test_killed_among_its_answers(place: Path) -> None:
    killer = Killer(17)
    killed_and_resumed(TuningEndpoint(fault=lambda number: killer(number)), place, killer)


@pytest.mark.parametrize("call", [1, 2])
def test_killed_while_it_asks_for_a_job(place: Path, call: int) -> None:
    """Before the file is there, and when the job was heard of and its answer was not."""
    killer, path = Killer(1), ("/files", "/fine_tuning/jobs")[call - 1]
    service = TuningEndpoint(job_fault=lambda method, at, number: killer(1) if (method, at) == ("POST", path) else None)
    killed_and_resumed(service, place, killer)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_killed_anywhere_under_faults(place: Path, seed: int) -> None:
    rng = random.Random(seed)
    faults, killer = schedule(seed, 0.1), Killer(rng.randint(2, 40))

    def fault(number: int) -> str | None:
        killer(number)
        kind = faults(number)
        return None if kind in ("hang", "drip", "usage-huge", "usage-low", "usage-none") else kind

    killed_and_resumed(TuningEndpoint(fault=fault, polls=rng.randint(1, 5)), place, killer)
