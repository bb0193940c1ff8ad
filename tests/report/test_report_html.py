from __future__ import annotations

import base64
import json
import random
import re
import shutil
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import sample

import whichway as ww
from whichway.errors import DiskError, UserError
from whichway.nouns import Prompt, Shot
from whichway.prompts import template
from whichway.report import formatting, prompt
from whichway.report.html import STATIC, render, write
from whichway.report.rows import side_by_side
from whichway.report.shown_rows import shown
from whichway.runs.run import read

NASTY = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(2)>",
    "<!-- {{ 997*991 }} {% raw %} & \u2028 'quoted' \"twice\"",
    "]]></style><b>bold</b>",
)
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """The page as a strict reader sees it: tags, text, scripts; complains about tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)

    @property
    def data(self):
        element = next(attributes for _, attributes in self.tags if attributes.get("id") == "row-data")
        return unpacked(self.scripts[0], "data-packed" in element)

    @property
    def answers(self):
        """(text, state, ways' marks) of each row: [{way: (answer, state, mark)}]."""
        d = self.data
        return [
            {
                way[0]: (d["strings"][cell[0]], cell[1], d["strings"][cell[4]])
                for way, column in zip(d["ways"], d["answers"], strict=True)
                for cell in [d["cells"][column[row]]]
            }
            for row in range(len(d["numbers"]))
        ]


def unpacked(text: str, packed: bool):
    return json.loads(zlib.decompress(base64.b64decode(text), -15) if packed else text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return sample.make(tmp_path_factory.mktemp("run"), texts=NASTY)


@pytest.fixture(scope="module")
def page(folder) -> Page:
    return Page(write(folder).read_text(encoding="utf-8"))


def test_rebuilt_byte_for_byte(folder, tmp_path):
    first = write(folder).read_bytes()
    assert write(folder).read_bytes() == first
    elsewhere = tmp_path / "another name"
    shutil.copytree(folder, elsewhere)
    (elsewhere / "report.html").unlink()
    assert write(elsewhere).read_bytes() == first
    assert not list(elsewhere.glob("*.tmp"))


def test_order_of_lines_and_what_was_paid_do_not_show(folder, tmp_path):
    first = write(folder).read_bytes()
    other = tmp_path / "run"
    shutil.copytree(folder, other)
    lines = [json.loads(line) for line in (other / "records.jsonl").read_text().splitlines()]
    random.Random(0).shuffle(lines)
    text = "".join(json.dumps({**line, "cached": True}) + "\n" for line in lines)
    (other / "records.jsonl").write_text(text + '{"cut off by a ki')
    spends = [json.loads(line) for line in (other / "ledger.jsonl").read_text().splitlines()]
    again = [{**line, "paid_usd": 0.0, "paid_seconds": 0.0} for line in spends[::-1] * 2]
    (other / "ledger.jsonl").write_text("".join(json.dumps(line) + "\n" for line in again))
    assert write(other).read_bytes() == first


def test_row_text_stays_text(folder, page):
    source = (folder / "report.html").read_text(encoding="utf-8")
    for text in ("alert(1)</script>", "<img", "<b>bold", "]]></style>"):
        assert text not in source
    assert "988027" not in [word.strip() for word in page.words]
    assert len(page.scripts) == 3  # the rows, and our own two
    shown = set(page.data["texts"])
    assert set(NASTY) <= shown
    for text in NASTY:
        assert text in page.text
    assert {tag for tag, _ in page.tags if tag in ("script", "img", "iframe", "object", "link")} == {"script"}


def test_nothing_from_outside(folder, page):
    source = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|url\(|@import", source)
    assert not any("src" in attributes for _, attributes in page.tags)
    assert all(a["href"].startswith("#") for _, a in page.tags if "href" in a)
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    assert "/home/somebody" not in source
    assert str(folder) not in source


def test_every_row_and_every_way(folder, page):
    run = read(folder)
    assert sorted(page.data["numbers"]) == list(range(1, 151))
    tried = {s.way for s in run.verdict.standings if s.candidates}
    assert all(set(row) == tried for row in page.answers)
    for s in run.verdict.standings:
        assert s.way in page.text
        assert formatting.points(s.score) in page.text
    assert "diverged at step 40" in page.text
    assert run.verdict.headline.split(": ", 1)[1][1:] in page.text


def test_sentences_are_all_there(folder, page):
    flat = " ".join("".join(page.words).split())
    verdict = read(folder).verdict
    for sentence in (*verdict.reasons, *verdict.dissent, *verdict.would_decide):
        assert sentence in flat


def test_errors_come_first(folder):
    run = read(folder)
    lines = side_by_side(run)
    ranks = [(not line.wrong, not line.differ) for line in lines]
    assert ranks == sorted(ranks)
    assert 0 < sum(line.wrong for line in lines) < len(lines)
    chosen = run.choice
    assert chosen is not None
    for line in lines:
        said = next(s for s in line.groups if chosen.way in [v.way for v in s.answers])
        assert line.wrong == (said.state != "right")
        assert (said.state == "right") == (said.text == line.gold)


def test_majority_of_seeds_is_shown_and_counted(folder):
    run = read(folder)
    ids = {number: row.id for number, row in enumerate(run.test, start=1)}
    lora = next(s for s in run.verdict.standings if s.way == "tune_lora")
    split = [v for line in side_by_side(run) for s in line.groups for v in s.answers if v.mark == "2 of 3 seeds"]
    assert split
    for line in side_by_side(run):
        answers = [r.text for r in run.answers(lora, ids[line.number])]
        voice = next(v for s in line.groups for v in s.answers if v.way == "tune_lora")
        if len(set(answers)) < 3:
            assert answers.count(voice.text) >= 2


def test_many_rows_are_drawn_by_the_script(tmp_path):
    path = write(sample.make(tmp_path, rows=1000, ways=sample.WAYS[:3]))
    page = Page(path.read_text(encoding="utf-8"))
    assert sum(attributes.get("class") == "row" for _, attributes in page.tags) == STATIC
    assert sorted(page.data["numbers"]) == list(range(1, 1001))
    assert path.stat().st_size < 2_000_000


def test_undecided(tmp_path):
    folder = sample.make(tmp_path, rows=40, ways=sample.weaker())
    verdict = read(folder).verdict
    assert verdict.answer == "undecided"
    text = Page(write(folder).read_text(encoding="utf-8")).text
    assert f"Toss-up: use {verdict.choice}." in text or f"Leaning: use {verdict.choice}." in text
    assert "What would decide it" in text
    assert verdict.would_decide[0] in " ".join(text.split())


def test_all_failed(tmp_path):
    page = Page(write(sample.make(tmp_path, rows=10, ways=sample.hopeless())).read_text(encoding="utf-8"))
    assert page.text.count("the model answers with an empty text on every row") >= 7
    assert "No way has a score." in page.text
    assert "nothing to compare" in page.text


def test_failed_with_a_score_keeps_its_score_and_says_why(tmp_path):
    ways = [replace(w, failed="below zero-shot on dev") if w.name == "tune_probe" else w for w in sample.WAYS]
    folder = sample.make(tmp_path, rows=100, ways=ways)
    page = Page(write(folder).read_text(encoding="utf-8"))
    probe = next(s for s in read(folder).verdict.standings if s.way == "tune_probe")
    assert probe.score is not None
    assert formatting.points(probe.score) in page.words
    assert "below zero-shot on dev" in page.words


def test_a_way_that_never_crossed_the_test_split_has_no_place_in_the_rows(tmp_path):
    def gated(verdict):
        failed = {"status": "failed", "reason": "below zero-shot", "score": None, "low": None, "high": None}
        return replace(
            verdict, standings=tuple(replace(s, **failed) if s.way == "tune_probe" else s for s in verdict.standings)
        )

    folder = sample.make(tmp_path, rows=20, edit=gated)
    probe = next(s for s in read(folder).verdict.standings if s.way == "tune_probe")
    lines = (folder / "records.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["candidate"] not in probe.candidates]
    (folder / "records.jsonl").write_text("".join(kept))
    page = Page(write(folder).read_text(encoding="utf-8"))
    assert "below zero-shot" in page.text
    assert "tune_probe" not in {way[0] for way in page.data["ways"]}


def test_free_text(tmp_path):
    page = Page(write(sample.make(tmp_path, rows=60, free=True)).read_text(encoding="utf-8"))
    assert "What is confused" not in page.text
    assert "ROUGE-L" in page.text
    assert "Of several seeds the first is shown." in page.text
    marks = {mark for row in page.answers for _, _, mark in row.values()}
    assert any(re.fullmatch(r"seed 0, \d+\.\d", mark) for mark in marks)


def test_undecided_by_too_few_rows_says_not_enough_data(tmp_path):
    def blind(verdict):
        standings = tuple(replace(s, low=None, high=None) for s in verdict.standings)
        pairs = tuple(replace(p, low=None, high=None, p=None, p_holm=None) for p in verdict.pairs)
        return replace(verdict, standings=standings, pairs=pairs)

    page = Page(write(sample.make(tmp_path, rows=1, edit=blind)).read_text(encoding="utf-8"))
    assert "not enough data" in page.text


def test_the_prompt_is_rendered_as_the_model_gets_it():
    shots = (Shot("a", "x"), Shot("b", "y"))
    full = Prompt("ask", "role", "context", ("do", "not"), ("x", "y"), "one word", shots, "now")
    prompts = [Prompt(), full, replace(full, layout="user"), Prompt(shots=shots), Prompt("ask", layout="user")]
    for each in prompts:
        mark = template.placeholder(each)
        assert prompt.sent(each).messages == template.messages(each, mark)
        assert mark in prompt.sent(each).messages[-1].content
    assert prompt.sent(Prompt()).bare


def test_the_winning_prompt_is_on_the_page(tmp_path):
    ways = [replace(w, skill=0.95) if w.name == "prompt_shots" else w for w in sample.WAYS[:5]]
    folder = sample.make(tmp_path, rows=100, ways=ways)
    run = read(folder)
    assert run.verdict.answer == "prompt"
    page = Page(write(folder).read_text(encoding="utf-8"))
    for turn in template.messages(run.candidates[run.verdict.candidate].prompt, "{{input}}"):
        assert turn.content in page.words


def test_unfinished_and_damaged_runs_are_refused(tmp_path):
    with pytest.raises(UserError, match="no finished run"):
        write(tmp_path)
    folder = sample.make(tmp_path / "run", rows=5)
    lines = (folder / "records.jsonl").read_text().splitlines(keepends=True)
    (folder / "records.jsonl").write_text("".join([*lines[:2], "{broken\n", *lines[2:]]))
    with pytest.raises(UserError, match=r"records\.jsonl:3 is damaged"):
        write(folder)


def test_a_page_that_cannot_be_written(tmp_path):
    folder = sample.make(tmp_path / "run", rows=5)
    (folder / "report.html").mkdir()
    with pytest.raises(DiskError, match=r"report\.html cannot be written"):
        write(folder)


def test_render_needs_no_folder(folder):
    assert render(read(folder)) == (folder / "report.html").read_text(encoding="utf-8")


def test_open_answers_can_be_read_and_nothing_is_said_to_be_wanted(tmp_path):
    (tmp_path / "task.yaml").write_text(
        "name: open\nask: Write.\nchecks: {words: {min: 7}}\ninputs: [one two three four five six seven eight,"
        " red green blue white black brown grey pink, cat dog cow pig hen fox owl bat]\n"
    )
    run = tmp_path / "run"
    ww.run(tmp_path / "task.yaml", model="fake", out=run)
    page = (run / "report.html").read_text(encoding="utf-8")
    assert '<div class="rows free open"' in page
    assert "Answers to read: 3 inputs" in page
    assert "different of 5" in page
    assert "failed: words ≥ 7" in page
    assert page.count("<svg") == page.count("</svg>")
    whiskers = re.findall(r'class="whisker" d="M([\d.]+) [\d.]+H([\d.]+)', page)
    assert whiskers
    assert all(float(left) < float(right) for left, right in whiskers)


def test_of_very_many_rows_a_part_is_looked_at_one_by_one(tmp_path, monkeypatch):
    folder = sample.make(tmp_path, rows=200)
    everything = Page(write(folder).read_text(encoding="utf-8"))
    ways = len(read(folder).plan_data["ways"])
    monkeypatch.setattr("whichway.report.shown_rows.SHOWN", 50 * ways)
    run = read(folder)
    part = shown(run)
    assert len(part.test) == 50
    assert len(run.test) == 200
    assert {example for _, example in part.test_records} == {row.id for row in part.test}
    doubtful = run.verdict.doubtful.rows if run.verdict.doubtful else ()
    named = {row for spread in run.verdict.spreads for row in spread.flips} | {row.example for row in doubtful}
    assert len(named & {row.id for row in part.test}) == min(50, len(named))
    assert shown(run).test == part.test
    page = Page(write(folder).read_text(encoding="utf-8"))
    assert len(page.data["texts"]) == 50
    assert len(everything.data["texts"]) == 200
    assert "The contest has 200 test rows. 50 of them, drawn by their content" in " ".join(page.text.split())
    assert "The contest has 200" not in everything.text
