"""The live page in a real browser: needs the package playwright and a Chromium; left out where either is missing."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from web_kit import NASTY, data, hold_here, wait

from whichway.ship.feedback.feedback_log import read_feedback

pytestmark = pytest.mark.slow
PATIENCE = 90_000  # ms
PAGES = (
    *("/", "/new", "/runs/one", "/runs/one/rows", "/runs/one/playground", "/runs/one/chat?left=tune_lora"),
    *("/compare?first=one&second=two", "/runs/none"),
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with two finished runs."""
    folder = tmp_path_factory.mktemp("runs")
    rows = data(folder.parent / "tickets.csv", 150, f"{NASTY} رقم ")
    hold_here(rows, folder / "one", ("base_majority", "prompt_plain", "prompt_shots", "tune_lora"))
    hold_here(rows, folder / "two", ("base_majority", "prompt_plain"))
    return folder


@pytest.fixture(scope="module")
def address(runs):
    """What `whichway web` prints."""
    server = subprocess.Popen(
        [sys.executable, "-m", "whichway", "web", str(runs)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert server.stdout is not None
    yield server.stdout.readline().strip()
    server.terminate()
    server.wait(30)


@pytest.fixture
def page(browser, address):
    """A page that must not complain."""
    complaints = []
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.goto(address)
    yield page
    context.close()
    assert complaints == []


def at(page, path: str):
    """Go to a path of the same page."""
    page.goto("/".join(page.url.split("/")[:3]) + path)
    return page


def until(page, condition: str):
    """Until an expression is true. The page's policy lets no library evaluate one inside it; `evaluate` is outside."""
    wait(lambda: page.evaluate(condition), PATIENCE / 1000)
    return page


def settled(page):
    """A page that has got what it asks for by itself: a score, the proofs of both panes."""
    if "/playground" in page.url:
        page.wait_for_selector("#result .score")
    if "/chat" in page.url:
        page.wait_for_selector("[data-model='tune_lora'] .proved")
    return page


def fits(page, state: str = "") -> None:
    """No page is wider than its window; with PICTURES set, a picture of it lies there."""
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if folder := os.environ.get("PICTURES"):
            name = page.url.split("/", 3)[3].split("?")[0].replace("/", "-") or "list"
            page.screenshot(path=f"{folder}/{name}{state}-{width}.png", full_page=True)


def test_a_run_is_started_watched_stopped_and_resumed(page, runs, tmp_path):
    page.click("text=Start a run from a file")
    fits(page)
    page.set_input_files("input[name=file]", data(tmp_path / "tickets.csv", 150, NASTY))
    page.click("button:has-text('Read the file')")
    page.fill("input[name=model]", "fake:delay=0.5")
    page.fill("input[name=name]", "watched")
    page.click("summary:has-text('Ways to try')")
    page.check("input[value=base_majority]")
    page.check("input[value=prompt_plain]")
    page.click("summary:has-text('More choices')")
    page.fill("input[name=folds]", "1")
    fits(page)
    page.click("button:has-text('Start the run')")
    page.wait_for_selector("#log li:has-text('dev rows')")
    log = runs / ".web" / "watched" / "events.jsonl"
    before = told(log)
    wait(lambda: told(log) > before)
    now, written = time.monotonic(), told(log)
    until(page, f"document.querySelectorAll('#log li').length >= {written}")
    assert time.monotonic() - now < 1.5  # a second, and what looking takes
    fits(page, "-live")
    page.click("button:has-text('Stop')")
    page.click("button:has-text('Resume')")
    page.wait_for_selector(".s-running")
    page.wait_for_selector(".s-finished")
    page.wait_for_selector("a:has-text('Open the report')")
    assert "the verdict:" in page.inner_text("#log")
    assert page.locator("#log li").count() == told(log)
    fits(page)
    page.click("a:has-text('Clone with changes')")
    assert page.input_value("input[name=model]") == "fake:delay=0.5"
    fits(page)


def told(log) -> int:
    """How many events a page shows: those with a sentence."""
    whole = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return sum('"text": ""' not in line for line in whole)


def test_the_report_of_a_run_sorts_filters_and_opens_a_row(page):
    at(page, "/runs/one")
    page.click("text=Open the report")
    until(page, "document.documentElement.dataset.ready === 'rows'")
    page.click("nav a[href='#rows']")
    count = page.inner_text("form.filters output")
    page.fill("input[name=find]", "delivery")
    until(page, f"document.querySelector('form.filters output').textContent !== {count!r}")
    page.select_option("select[name=sort]", "shortest")
    page.click(".row .note-of summary")
    assert page.locator(".row textarea").first.is_visible()


def test_a_prompt_is_edited_linted_and_scored(page):
    settled(at(page, "/runs/one/playground"))
    first = page.inner_text("#result .score")
    page.fill("textarea[name=instructions]", "IMPORTANT!!! You MUST ALWAYS answer.")
    page.wait_for_selector("#lint .finding")
    page.fill("textarea[name=objective]", "Name the plant of the text.")
    page.check("input[name=whole]")
    page.click("button:has-text('Score this prompt')")
    page.wait_for_selector("#result p:has-text('against the kept prompt')")
    assert page.inner_text("#result .score") != "" != first
    fits(page, "-edited")
    page.click("button:has-text('Compare with this one')")
    page.fill("textarea[name=objective]", "Name the team of the text.")
    page.press("textarea[name=objective]", "Control+Enter")
    until(page, "document.querySelectorAll('#tried li').length === 3")
    with page.expect_download() as download:
        page.click("a:has-text('Save as a file')")
    assert "Name the team of the text." in download.value.path().read_text(encoding="utf-8")
    page.click("#tried li:nth-child(2) a")
    page.wait_for_selector("#result .score")
    assert page.input_value("textarea[name=objective]") == "Name the plant of the text."


def test_two_candidates_answer_side_by_side_and_are_corrected(page, runs):
    settled(at(page, "/runs/one/chat?left=tune_lora&right=base"))
    assert "trained part at work" in page.inner_text("[data-model='tune_lora'] .proof")
    row = "where is my parcel, the delivery is late"
    page.fill("#ask textarea", row)
    page.click("button:has-text('Ask both')")
    until(page, "document.querySelectorAll('.dialogue .answer').length === 2")
    assert page.locator(".pane .problem").count() == 0
    tuned = page.locator("[data-model='tune_lora']")
    assert tuned.get_attribute("data-candidate") in tuned.locator(".answer").inner_text()
    tuned.locator("button:has-text('Wrong')").click()
    tuned.locator(".feedback select").select_option("account")
    tuned.locator("button:has-text('Save it')").click()
    page.wait_for_selector("[data-model='tune_lora'] [data-given='corrected']")
    line = read_feedback(runs / "one" / "serve" / "feedback.jsonl")[-1]
    assert (dict(line.input), line.target, line.corrected) == ({"text": row}, "account", True)
    fits(page, "-asked")
    page.click("button:has-text('Begin anew')")
    assert page.locator(".dialogue li").count() == 0


def test_rows_are_filtered_and_an_answer_gets_a_thumb(page, runs):
    at(page, "/runs/one/rows")
    page.fill("input[name=find]", "delivery")
    page.click("button:has-text('Filter')")
    page.locator(".feedback button:has-text('Right')").first.click()
    page.wait_for_selector("[data-given='up']")
    assert read_feedback(runs / "one" / "serve" / "feedback.jsonl")[-1].thumbs == "up"
    fits(page, "-found")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_nothing_serious_for_axe_and_nothing_too_wide(browser, address, path, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    context = browser.new_context(bypass_csp=True, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    settled(at(page, path))
    if scheme == "light":
        fits(page)
    violations = axe.Axe().run(page).response["violations"]
    context.close()
    serious = [v for v in violations if v["impact"] in ("serious", "critical")]
    assert {v["id"]: [node["target"] for node in v["nodes"]][:3] for v in serious} == {}
