"""SIGKILL of the live page and of the runs that it shows: does a follower get every event once, and how soon?

A page is started, a run begun from its form, and a follower reads the stream of events of the run as browsers do: after
a break it asks for what came after the last id that it has. Page or run is killed at random moments and started again.
At the end what the follower got is compared with the lines of the event file, and what the run recorded with a run
that nobody killed.

    python benchmarks/page_kills.py --kills 200
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx

from whichway.app.event_log import read_events
from whichway.app.run_jobs import RunJobs

HERE = Path(__file__).parent
TEAMS = ("billing", "delivery", "account")
WORDS = ("amber", "birch", "cedar", "dahlia", "elm", "fig", "ginger", "hazel", "iris", "jasmine", "kale", "lilac")
WAYS = ("base_majority", "prompt_plain", "tune_lora", "tune_bias")
MOST = 12  # kills of one run, so that it ends
PATIENCE = 300.0  # seconds until a run that nobody kills any more must have ended
HEAD = """# The live page and its runs, killed

`python benchmarks/page_kills.py`: `whichway web` and the runs that it started, killed by SIGKILL at random moments
and started again, a follower reading the stream of events throughout. The model is the test double, so most of a run's
time is the start of Python; a run is killed {most} times at most before it may end. The machine had other work to do.

| what | number |
|---|---|
{lines}

A delay is from the moment at which the run wrote an event to that at which the follower had it, for events that were
written while the follower was connected.
"""


def tickets(path: Path, rows: int = 120) -> Path:
    """Rows that the test double learns."""
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["text", "team"])
        for k in range(rows):
            words = " ".join(WORDS[(k * step + k // 12 + step) % 12] for step in (1, 5, 7, 11))
            writer.writerow([f"{words} {TEAMS[k % 3]} number {k * 7919 % 1009}", TEAMS[k % 3]])
    return path


def until(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What a condition gives, once that is something."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(condition)
        time.sleep(0.05)
    return value


class Page:
    """`whichway web` in a process; killed and started again.

    Args:
        runs: the folder of runs.
    """

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self.start()

    def start(self) -> None:
        """Start it, and come in with its token."""
        command = [sys.executable, "-m", "whichway", "web", str(self._runs)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        address = self._process.stdout.readline().strip()
        base = address.split("/?")[0]
        client = httpx.Client(base_url=base, headers={"origin": base}, follow_redirects=True, timeout=60)
        client.get(address).raise_for_status()
        self.client = client

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()


@dataclass
class Follower:
    """Reads a run's events through whatever page there is, as a browser does."""

    page: Page
    run: str
    lines: list[dict[str, Any]] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    streams: int = 0
    last: str = "0"
    over: bool = False

    def follow(self) -> None:
        """Until it is over; a stream that ends is taken up where it was left."""
        while not self.over:
            try:
                self._read()
            except httpx.HTTPError:
                time.sleep(0.1)

    def _read(self) -> None:
        connected, kind, place = time.time(), "", self.last
        headers = {"last-event-id": self.last}
        with self.page.client.stream("GET", f"/runs/{self.run}/events", headers=headers) as answer:
            answer.raise_for_status()
            self.streams += 1
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                kind, place = (value if name == "event" else kind), (value if name == "id" else place)
                if name == "data" and kind == "log":
                    self._take(json.loads(value), connected)
                    self.last = place
                if self.over:
                    return

    def _take(self, lines: list[dict[str, Any]], connected: float) -> None:
        now = time.time()
        self.lines += lines
        self.delays += [now - line["at"] for line in lines if line.get("at") and line["at"] > connected]


@dataclass
class Tally:
    """What all runs came to."""

    kills: dict[str, int] = field(default_factory=lambda: {"page": 0, "run": 0})
    runs: int = 0
    events: int = 0
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    equal: int = 0
    errors: int = 0  # starts that ended with an error
    survived: int = 0  # kills of the page under which the run lived on
    delays: list[float] = field(default_factory=list)
    streams: int = 0

    def lines(self) -> list[str]:
        """The table."""
        delays = sorted(self.delays)
        late = sum(delay > 1 for delay in delays)
        most = [
            ("kills of the page", self.kills["page"]),
            ("of them, the run lived on", self.survived),
            ("kills of a run", self.kills["run"]),
            ("runs, each begun from the form and ended with a verdict", self.runs),
            ("starts that ended with an error", self.errors),
            ("runs with records equal to those of a run that nobody killed", self.equal),
            ("events written", f"{self.events:,}"),
            ("events that the follower did not get", self.lost),
            ("events that it got twice", self.doubled),
            ("runs whose events came in another order", self.disordered),
            ("streams that the follower opened, each from where the last one ended", self.streams),
            ("delay of an event, median", f"{statistics.median(delays):.2f} s"),
            ("delay, 95 of 100", f"{delays[int(0.95 * len(delays))]:.2f} s"),
            ("delay above 1 s", f"{late} of {len(delays):,} events, at most {delays[-1]:.2f} s"),
        ]
        return [f"| {name} | {value} |" for name, value in most]


def begin(page: Page, data: Path, name: str) -> None:
    """Start a run from the form."""
    with data.open("rb") as file:
        form = page.client.post("/new", files={"file": (data.name, file)})
    form.raise_for_status()
    values = {"input": ["text"], "target": "team", "ask": "Which team?", "name": name, "race": "on", "folds": "1",
              "seeds": "1", "model": "fake:delay=0.1", "ways": list(WAYS)}  # fmt: skip
    page.client.post(form.url.path, data=values).raise_for_status()


def recorded(folder: Path) -> set[tuple[Any, ...]]:
    """What a run recorded, without its clocks."""
    names = ("candidate", "example", "split", "repeat", "outcome", "score", "text")
    lines = (json.loads(line) for line in (folder / "records.jsonl").read_text(encoding="utf-8").splitlines())
    return {tuple(line[name] for name in names) for line in lines}


def hold(page: Page, jobs: RunJobs, data: Path, name: str, kills: int, tally: Tally, rng: random.Random) -> None:
    """One run, killed so many times, or until it has ended."""
    begin(page, data, name)
    follower = Follower(page, name)
    thread = threading.Thread(target=follower.follow, daemon=True)
    thread.start()
    while kills and not (jobs.runs / name / "verdict.json").exists():
        time.sleep(rng.uniform(0.2, 3.0))
        job = jobs.find(name)
        assert job is not None
        if not jobs.running(job):
            break
        kills -= 1
        if rng.random() < 0.5:
            page.kill()
            tally.kills["page"] += 1
            tally.survived += jobs.running(job) or (jobs.runs / name / "verdict.json").exists()
            page.start()
        else:
            os.kill(job.pid, signal.SIGKILL)
            tally.kills["run"] += 1
            until(lambda job=job: not jobs.running(job))
            page.client.post(f"/runs/{name}/resume").raise_for_status()
    while not (jobs.runs / name / "verdict.json").exists():
        until(lambda: not jobs.running(jobs.find(name)))
        if not (jobs.runs / name / "verdict.json").exists():
            tally.errors += 1
            print(jobs.output(name), flush=True)
            page.client.post(f"/runs/{name}/resume").raise_for_status()
    until(lambda: not jobs.running(jobs.find(name)))
    count(jobs, name, follower, tally)
    follower.over = True
    thread.join(10)


def count(jobs: RunJobs, name: str, follower: Follower, tally: Tally) -> None:
    """Compare what the follower got with the event file."""
    written = [line for line in read_events(jobs.folder(name) / "events.jsonl").lines if line.get("text")]
    wanted = [(line["at"], line["way"], line["text"]) for line in written]
    end = time.monotonic() + 10
    while len(follower.lines) < len(wanted) and time.monotonic() < end:
        time.sleep(0.05)
    received = [(line["at"], line["way"], line["text"]) for line in follower.lines]
    tally.runs += 1
    tally.events += len(wanted)
    tally.lost += len([line for line in wanted if line not in received])
    tally.doubled += len(received) - len(set(received)) - (len(wanted) - len(set(wanted)))
    tally.disordered += received != wanted
    tally.delays += follower.delays
    tally.streams += follower.streams


def main() -> None:
    """Kill, follow, count, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=30.0, help="stop after the run at which so long has passed")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "page_kills.md")
    args = parser.parse_args()
    rng, tally, end = random.Random(0), Tally(), time.monotonic() + 60 * args.minutes
    with tempfile.TemporaryDirectory() as place:
        jobs, data = RunJobs(Path(place) / "runs"), tickets(Path(place) / "tickets.csv")
        page = Page(jobs.runs)
        hold(page, jobs, data, "whole", 0, Tally(), rng)
        whole = recorded(jobs.runs / "whole")
        while sum(tally.kills.values()) < args.kills and time.monotonic() < end:
            name = f"run-{tally.runs + 1}"
            hold(page, jobs, data, name, min(MOST, args.kills - sum(tally.kills.values())), tally, rng)
            tally.equal += recorded(jobs.runs / name) == whole
            print(name, tally.kills, tally.lost, tally.doubled, tally.equal, flush=True)
        page.kill()
    text = HEAD.format(most=MOST, lines="\n".join(tally.lines()))
    args.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
