"""The live page in a real browser: needs the package playwright and a Chromium; left out where either is missing."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]
TEAMS = ("billing", "delivery", "account")
PATIENCE = 40_000  # ms


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The address that `whichway web` prints, and the folder of its runs."""
    runs = tmp_path_factory.mktemp("runs")
    server = subprocess.Popen(
        [sys.executable, "-m", "whichway", "web", str(runs)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert server.stdout is not None
    yield server.stdout.readline().strip(), runs
    server.terminate()
    server.wait(20)


@pytest.fixture
def page(browser, served):
    """A page that must not complain."""
    complaints = []
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.goto(served[0])
    yield page
    context.close()
    assert complaints == []


def tickets(path: Path) -> Path:
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["text", "team"])
        for k in range(90):
            writer.writerow([f"<b>{TEAMS[k % 3]}</b> ticket {k * 7919 % 1009} رقم {k * 31 % 97}", TEAMS[k % 3]])
    return path


def fits(page) -> None:
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if folder := os.environ.get("PICTURES"):
            name = page.url.split("/", 3)[3].split("?")[0].replace("/", "-") or "list"
            page.screenshot(path=f"{folder}/{name}-{width}.png", full_page=True)


def test_a_run_is_started_watched_stopped_and_resumed(page, served, tmp_path):
    fits(page)
    page.click("text=Start a run from a file")
    fits(page)
    page.set_input_files("input[name=file]", tickets(tmp_path / "tickets.csv"))
    page.click("button:has-text('Read the file')")
    page.fill("input[name=model]", "fake:delay=0.4")
    page.fill("input[name=name]", "watched")
    page.click("text=Ways to try")
    page.check("input[value=base_majority]")
    page.check("input[value=prompt_plain]")
    page.click("text=More choices")
    page.fill("input[name=folds]", "1")
    fits(page)
    page.click("button:has-text('Start the run')")
    page.wait_for_selector("#log li:has-text('dev rows')")
    page.wait_for_selector("table.standings tr.w-at-work")
    log = served[1] / ".web" / "watched" / "events.jsonl"
    before, end = log.read_bytes().count(b"\n"), time.monotonic() + 60
    while log.read_bytes().count(b"\n") == before and time.monotonic() < end:
        time.sleep(0.02)
    lines = [line for line in log.read_text(encoding="utf-8").splitlines() if '"text": ""' not in line]
    page.wait_for_function("(n) => document.querySelectorAll('#log li').length >= n", arg=len(lines), timeout=1000)
    fits(page)
    page.click("button:has-text('Stop')")
    page.click("button:has-text('Resume')")
    page.wait_for_selector(".s-running")
    page.wait_for_selector(".s-finished")
    page.wait_for_selector("text=Open the report")
    assert "the verdict:" in page.inner_text("#log")
    fits(page)
    page.click("text=Open the report")
    page.wait_for_function("document.documentElement.dataset.ready === 'rows'")
    assert page.locator("div.rows .row, .row").count() > 0


@pytest.mark.parametrize("path", ["/", "/new", "/runs/watched", "/runs/watched/clone"])
def test_nothing_serious_for_axe(page, path):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page.goto(page.url.rstrip("/") + path)
    context = page.context.browser.new_context(bypass_csp=True, storage_state=page.context.storage_state())
    checked = context.new_page()
    checked.goto(page.url)
    violations = axe.Axe().run(checked).response["violations"]
    context.close()
    serious = [v for v in violations if v["impact"] in ("serious", "critical")]
    assert {v["id"]: [node["target"] for node in v["nodes"]][:3] for v in serious} == {}
