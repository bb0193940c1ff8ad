"""The page in a real browser: needs the package playwright and a Chromium; left out where either is missing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import sample

from whichway.report import html
from whichway.report.rows import RowView, WayAnswer, answering, side_by_side
from whichway.runs.run import read

pytestmark = pytest.mark.slow

NASTY = ("<img src=x onerror=alert(1)>", "=cmd()|' /C calc'!A0", "مرحبا، أين طلبي رقم 12؟", "x" * 3000)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read(sample.make(tmp_path_factory.mktemp("run"), rows=300, texts=NASTY))


@pytest.fixture(scope="module")
def file(run) -> Path:
    return html.write(run)


@pytest.fixture
def opened(browser):
    """Opens a page that must not complain; closes what it opened."""
    contexts, complaints = [], []

    def open_page(file: Path, width: int = 1280, height: int = 800, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto(file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def wait(page, condition: str):
    """Until an expression is true. The page's policy lets no library evaluate one inside it; `evaluate` is outside."""
    for _ in range(200):
        if page.evaluate(condition):
            return page
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {condition}")


def ready(page):
    return wait(page, "document.documentElement.dataset.ready === 'rows'")


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_the_first_screen_has_the_answer_alone(file, opened, width, height):
    page = ready(opened(file, width, height))
    for selector in ("h1", ".figures", ".picture svg.scatter:visible", ".chosen"):
        box = page.locator(selector).first.bounding_box()
        assert box is not None
        assert 0 <= box["y"] < box["y"] + box["height"] <= height, selector
    assert page.locator("svg.scatter:visible").count() == 1
    assert page.locator("details.fold[open]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.click("#unfold")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_numbers_lead_to_their_rows_in_two_clicks(file, opened, run):
    page = ready(opened(file))
    page.click(".figures a.of")
    wrong = sum(line.wrong for line in side_by_side(run))
    assert page.inner_text("form.filters output") == f"{wrong} rows"
    assert page.locator("#rows").is_visible()
    page.click(".chip")
    assert page.inner_text("form.filters output") == "300 rows"
    page.click("nav a[href='#ways']")
    pair = next(p for p in run.verdict.pairs if {p.first, p.second} == {"tune_lora", "prompt_shots"})
    rows = pair.wins if pair.second == "tune_lora" else pair.losses
    page.evaluate("document.getElementById('pairs').closest('details').open = true")
    query = json.dumps({"better": ["tune_lora", "prompt_shots"]}, separators=(",", ":"))
    page.locator("a[data-rows]").evaluate_all(
        "(links, query) => links.find((a) => a.dataset.rows === query && a.checkVisibility()).click()", query
    )
    assert page.inner_text("form.filters output") == f"{rows} rows"
    again = ready(opened(Path(page.url.removeprefix("file://").partition("#")[0])))
    again.goto(page.url)
    again.reload()
    ready(again)
    assert again.inner_text("form.filters output") == f"{rows} rows"


def test_filters_search_and_order(file, opened, run):
    page, lines = ready(opened(file)), side_by_side(run)
    page.click("nav a[href='#rows']")
    for value, count in (
        ("differ", sum(line.differ for line in lines)),
        ("none", sum(line.all_wrong for line in lines)),
        ("flips", sum(line.flips for line in lines)),
    ):
        page.click(f"input[name=show][value={value}] + span")
        assert page.inner_text("form.filters output") == f"{count} row{'s' if count != 1 else ''}"
    page.click("[data-clear]")
    page.fill("input[name=find]", "أين طلبي")
    wait(page, "document.querySelector('form.filters output').textContent === '1 row'")
    page.click("[data-clear]")
    page.fill("input[name=least]", "2000")
    wait(page, "document.querySelector('form.filters output').textContent === '1 row'")
    assert "(1,000 more characters)" in page.inner_text(".row .text")
    page.click("[data-clear]")
    page.select_option("select[name=sort]", "shortest")
    shortest = min(lines, key=lambda line: line.length)
    assert page.locator(".row .text").first.inner_text().split() == shortest.text.split()


def test_script_and_plain_page_show_the_same_rows(file, opened):
    read_rows = """(rows) => rows.slice(0, 40).map((row) => [
        row.querySelector('.text').textContent,
        [...row.querySelectorAll(':scope > .sayings > li')].map((line) => [
            line.className, line.querySelector('.said').textContent,
            [...line.querySelectorAll('.way')].map((way) => way.textContent.trim())])])"""
    scripted, plain = ready(opened(file)), opened(file, java_script_enabled=False)
    cut = "x" * 100
    shown = [row for row in scripted.locator(".row").evaluate_all(read_rows) if cut not in row[0]]
    still = plain.locator(".row").evaluate_all(read_rows)
    assert len(still) == 40
    assert [row for row in still if cut not in row[0]] == shown
    assert plain.locator("form.filters").is_hidden()


def test_notes_stay_in_the_browser_and_come_out_as_a_table(file, opened, tmp_path):
    page = ready(opened(file, accept_downloads=True))
    page.click("nav a[href='#rows']")
    page.fill("input[name=find]", "=cmd")
    wait(page, "document.querySelector('form.filters output').textContent === '1 row'")
    page.click(".row .note-of summary")
    page.fill(".row textarea", "=1+1 look again")
    page.reload()
    ready(page)
    page.click("nav a[href='#rows']")
    page.click(".noted")
    assert page.inner_text("form.filters output") == "1 row"
    with page.expect_download() as download:
        page.click("[data-download]")
    download.value.save_as(tmp_path / "rows.csv")
    text = (tmp_path / "rows.csv").read_text(encoding="utf-8-sig")
    assert text.startswith('"row","origin","text","wanted"')
    assert "\"'=cmd()|' /C calc'!A0\"" in text
    assert "\"'=1+1 look again\"" in text


def test_text_from_outside_is_harmless_and_runs_its_own_way(file, opened):
    page = ready(opened(file))
    page.click("nav a[href='#rows']")
    page.fill("input[name=find]", "رقم")
    wait(page, "document.querySelector('form.filters output').textContent === '1 row'")
    style = "(e) => getComputedStyle(e).direction"
    assert page.locator(".row .text").first.evaluate(style) == "rtl"
    assert page.locator(".row .meta").first.evaluate(style) == "ltr"
    assert page.locator("img").count() == 0


def test_on_paper_everything_is_open(file, opened):
    page = ready(opened(file))
    page.emulate_media(media="print")
    visible = "(e) => e.getBoundingClientRect().height > 0 && e.checkVisibility({ contentVisibilityAuto: true })"
    for section in ("why", "ways", "cost", "pairs", "prompt", "data", "protocol", "reproduce", "rows"):
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator(f"#{section}").evaluate(visible), section
    assert page.pdf()[:4] == b"%PDF"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_for_axe(file, opened, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = ready(opened(file, color_scheme=scheme, bypass_csp=True))
    page.click("#unfold")
    violations = axe.Axe().run(page).response["violations"]
    serious = [v for v in violations if v["impact"] in ("serious", "critical")]
    assert {v["id"]: [node["target"] for node in v["nodes"]][:3] for v in serious} == {}


def test_a_million_answers_open_at_once(tmp_path, opened, monkeypatch):
    ways = [replace(sample.WAYS[1 + k % 5], name=f"{sample.WAYS[1 + k % 5].name}_{k}", seeds=1) for k in range(20)]
    run = read(sample.make(tmp_path, rows=40, ways=ways))
    names, labels = [s.way for s in answering(run)], sample.LABELS
    cells = {(w, a, g): WayAnswer(w, a, "right" if a == g else "wrong", float(a == g), "", float(a == g))
             for w in names for a in labels for g in labels}  # fmt: skip
    rng = sample.random.Random(0)
    words = " ".join(text for texts in sample.PHRASES.values() for text in texts).split()

    def line(number: int) -> RowView:
        gold = rng.choice(labels)
        answers = tuple(cells[w, gold if rng.random() < 0.7 else rng.choice(labels), gold] for w in names)
        text = " ".join(rng.choices(words, k=14))
        return RowView(number, f"t.csv:{number}", text, gold, answers[0].score < 1, True, answers, names[0], len(text))

    lines = [line(number) for number in range(1, 50_001)]
    monkeypatch.setattr(html, "side_by_side", lambda run: lines)
    monkeypatch.setattr(html, "failure_groups", lambda run: [])
    monkeypatch.setattr(html, "_columns", lambda run: {})
    file = html.write(run)
    assert file.stat().st_size < 5_000_000
    page = ready(opened(file))
    page.click("nav a[href='#rows']")
    wait(page, "document.querySelector('form.filters output').innerText === '50,000 rows'")
    page.evaluate("document.querySelector('div.rows').scrollTop = 2e6")
    wait(page, "document.querySelectorAll('div.rows .row').length > 40")
    assert page.locator("div.rows .row").count() <= 400
