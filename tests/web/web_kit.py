"""A folder of runs behind the live page, for tests."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import time
from pathlib import Path

from starlette.testclient import TestClient

from whichway.app.request import RunRequest
from whichway.app.run import prepare, run_contest
from whichway.contracts import follow_nothing
from whichway.tasks import from_flags
from whichway.web.site import site

TOKEN = "a-token-for-tests"
BASE = "http://127.0.0.1:8123"
NASTY = "<script>alert(1)</script>"
TEAMS = ("billing", "delivery", "account")
WORDS = ("amber", "birch", "cedar", "dahlia", "elm", "fig", "ginger", "hazel", "iris", "jasmine", "kale", "lilac")


def data(path: Path, rows: int = 90, nasty: str = "") -> Path:
    """Rows whose text names the team."""
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["text", "team"])
        for k in range(rows):
            words = " ".join(WORDS[(k * step + k // 12 + step) % 12] for step in (1, 5, 7, 11))
            writer.writerow([f"{nasty}{words} {TEAMS[k % 3]} number {k * 7919 % 1009}", TEAMS[k % 3]])
    return path


def command(source: Path, folder: Path, ways: str, *more: str | Path) -> list[str]:
    """The command of a run on the test double."""
    words = ["run", "--data", source, "--input", "text", "--target", "team", "--ask", f"Which? {NASTY}"]
    words += ["--model", "fake", "--ways", ways, "--folds", "1", "--no-progress", "--no-probe", "--out", folder, *more]
    return [sys.executable, "-m", "whichway", *map(str, words)]


def hold(source: Path, folder: Path, ways: str, *more: str | Path) -> Path:
    """A finished run."""
    subprocess.run(command(source, folder, ways, *more), check=True, capture_output=True)
    return folder


def hold_here(source: Path, folder: Path, ways: tuple[str, ...], **keys) -> Path:
    """The same inside this process, which is quicker: imports are done."""
    said = {"input": ("text",), "target": "team", "ask": f"Which? {NASTY}", "model": "fake", "folds": 1, "seeds": 1}
    spec = from_flags(data=source, **{**said, **keys})
    ready = prepare(spec, RunRequest(ways=ways, out=folder, probe=False))
    run_contest(ready, follow_nothing)
    return folder


def client(runs: Path) -> TestClient:
    """A browser that has the page's cookie."""
    page = TestClient(site(runs, TOKEN), base_url=BASE, headers={"origin": BASE})
    page.get("/", params={"token": TOKEN})
    return page


def wait(condition, seconds: float = 60):
    """What a condition gives, once that is something."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return value


def fields_of(page: str) -> dict[str, str]:
    """The hidden fields of a page's form."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="(\w+)">', page))
