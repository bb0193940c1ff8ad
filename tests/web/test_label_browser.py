"""Labelling in a real browser, by keys alone: needs the package playwright and a Chromium; left out without them."""

from __future__ import annotations

import csv
import os
import socket
import threading
import time

import pytest

from whichway.app.labelling.label_pool import PoolColumns, read_pool
from whichway.app.labelling.labelling_session import LabellingSession
from whichway.app.labelling.row_vectors import row_vectors
from whichway.web.label_pages import label_site

pytestmark = pytest.mark.slow

TOKEN = "a-token-for-tests"
TEAMS = ("billing", "delivery", "account")
NASTY = ("<img src=x onerror=alert(1)>", "=cmd()|' /C calc'!A0", "مرحبا، أين طلبي رقم 12؟", "x" * 3000)


class Place:
    """A labelling that is served."""

    def __init__(self, folder, labels, rows=80):
        import uvicorn

        path = folder / "tickets.csv"
        texts = [f"please look at my {TEAMS[k % 3]} question number {k * 7919 % 1009}" for k in range(rows)]
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["text"], *([text] for text in (*texts, *NASTY))])
        self.out = folder / "out.csv"
        pool = read_pool(path, PoolColumns())
        vectors = row_vectors([row.text for row in pool.rows], "words")
        self.session = LabellingSession(pool, vectors, self.out, labels, "ann")
        listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{listener.getsockname()[1]}/?token={TOKEN}"
        self.server = uvicorn.Server(uvicorn.Config(label_site(self.session, TOKEN), log_level="error"))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listener]}, daemon=True)
        self.thread.start()

    def close(self):
        self.server.should_exit = True
        self.thread.join(10)

    def lines(self):
        with self.out.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def serve(tmp_path):
    places = []

    def start(labels=TEAMS, **options):
        places.append(Place(tmp_path, labels, **options))
        return places[-1]

    yield start
    for place in places:
        place.close()


@pytest.fixture
def opened(browser):
    """Opens a page that must not complain; closes what it opened."""
    contexts, complaints = [], []

    def open_page(address, width=1280, height=800, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto(address)
        ready(page, "")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def ready(page, before):
    """Wait for another row than the one that was shown, and give its key."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        key = page.evaluate("document.documentElement.dataset.ready || ''")
        if key and key != before:
            return key
        page.wait_for_timeout(20)
    raise AssertionError("the next row never came")


def press(page, *keys):
    before = ready(page, "")
    for key in keys:
        page.keyboard.press(key)
    return ready(page, before)


def wanted(page):
    text = page.inner_text("#row dd")
    return next((n for n, team in enumerate(TEAMS) if team in text), 0)


def test_fifty_rows_by_keys_with_undo_later_and_not_sure(serve, opened):
    place = serve()
    page = opened(place.address)
    took = 0
    for n in range(50):
        team = TEAMS[wanted(page)]
        suggested = page.locator("#suggestion b")
        if suggested.is_visible() and suggested.inner_text() == team:
            press(page, "Enter")
            took += 1
        else:
            press(page, str(TEAMS.index(team) + 1))
        if n == 10:
            row = ready(page, "")
            press(page, "2")
            assert press(page, "Backspace") == row
        if n in (20, 30):
            press(page, "Space" if n == 20 else "?")
    assert "50 of 84 labelled" in page.inner_text("#progress")
    assert "1 for later" in page.inner_text("#progress")
    assert "1 not sure" in page.inner_text("#progress")
    lines = place.lines()
    assert len(lines) == 50
    assert took > 3
    for line in lines:
        team = next((team for team in TEAMS if team in line["text"]), "billing")
        assert line["label"] == team
    again = opened(place.address)
    assert ready(again, "") == ready(page, "")


def test_a_label_is_found_among_77_and_a_new_one_is_made(serve, opened):
    words = ["lost", "stolen", "late", "blocked", "new", "old", "x"] * 11
    place = serve([f"card {word} {n}" for n, word in enumerate(words)])
    page = opened(place.address)
    assert page.locator("#labels li").count() == 77
    page.keyboard.press("s")  # a letter looks for a label where there are too many for keys
    page.keyboard.type("tolen 22")
    assert page.locator("#labels li").count() == 1
    press(page, "Enter")
    assert "“card stolen 22”" in page.inner_text("#last")
    page.keyboard.press("/")
    page.keyboard.type("card la")
    page.keyboard.press("ArrowDown")
    press(page, "Enter")
    assert "“card late 9”" in page.inner_text("#last")
    page.keyboard.press("/")
    page.keyboard.type("refund <b>")
    assert "adds “refund <b>” as a new label" in page.inner_text("#find-help")
    press(page, "Enter")
    press(page, "3")
    assert [line["label"] for line in place.lines() if "refund" in line["label"]] == ["refund <b>"]
    page.keyboard.press("/")
    page.keyboard.type("zzz")
    page.keyboard.press("Escape")
    assert page.locator("#labels li").count() == 78


def test_text_from_outside_is_harmless_and_runs_its_own_way(serve, opened):
    place = serve(rows=20)
    page = opened(place.address, 390, 844)
    seen = set()
    while "done" not in (ready(page, ""),):
        text = page.inner_text("#row dd")
        seen |= {nasty for nasty in NASTY if nasty == text}
        if text == NASTY[2]:
            assert page.locator("#row dd").evaluate("(e) => getComputedStyle(e).direction") == "rtl"
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        press(page, "1")
    assert seen == set(NASTY)
    assert page.locator("img").count() == 0
    assert "Every row has been asked" in page.inner_text("#how")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_nothing_serious_for_axe(serve, opened, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    place = serve()
    page = opened(place.address, width, color_scheme=scheme, bypass_csp=True)
    for _ in range(30):
        press(page, str(wanted(page) + 1))
    while not page.locator("#suggestion").is_visible():
        press(page, str(wanted(page) + 1))
    violations = axe.Axe().run(page).response["violations"]
    serious = [v for v in violations if v["impact"] in ("serious", "critical")]
    assert {v["id"]: [node["target"] for node in v["nodes"]][:3] for v in serious} == {}
    if os.environ.get("PICTURES"):
        page.screenshot(path=f"{os.environ['PICTURES']}/label-{scheme}-{width}.png", full_page=True)
