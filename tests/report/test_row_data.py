from __future__ import annotations

import base64
import json
import random
import zlib

import pytest
import sample

from whichway.report import row_data as data
from whichway.report.html import write
from whichway.report.row_data import CUTS, RowContext, layout, row_data
from whichway.report.rows import STATES, answering, binary, side_by_side
from whichway.runs.run import read


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    texts = ("=cmd()|' /C calc'!A0", "مرحبا، أين طلبي؟")
    return read(sample.make(tmp_path_factory.mktemp("run"), rows=120, texts=texts))


def context(run, **more):
    return RowContext(answering(run), run.verdict.choice, run.plan.labels, binary(run), **more)


def unpack(rows):
    return json.loads(zlib.decompress(base64.b64decode(rows.text), -15) if rows.packed else rows.text)


def test_every_answer_comes_back_from_the_layout(run):
    lines = side_by_side(run)
    d = layout(lines, context(run))
    for row, line in enumerate(lines):
        assert (d["numbers"][row], d["texts"][row], d["origins"][row]) == (line.number, line.text, line.origin)
        assert d["strings"][d["golds"][row]] == line.gold
        for column, answer in zip(d["answers"], line.answers, strict=True):
            text, state, score, mean, mark, flips, others = d["cells"][column[row]]
            assert (d["strings"][text], STATES[state], score) == (answer.text, answer.state, answer.score)
            assert mean == pytest.approx(answer.mean, abs=1e-3)
            assert (d["strings"][mark], bool(flips)) == (answer.mark, answer.flips)
            assert [d["strings"][k] for k in others[::3]] == [other.text for other in answer.others]
    flags = {name: sum(f >> k & 1 for f in d["flags"]) for k, name in enumerate(data.FLAGS)}
    assert flags["wrong"] == sum(line.wrong for line in lines) > 0
    assert flags["flips"] == sum(line.flips for line in lines) > 0


def test_few_rows_are_plain_and_many_are_packed(run):
    lines = side_by_side(run)
    few, many = row_data(lines, context(run)), row_data(lines * 40, context(run))
    assert not few.packed
    assert many.packed
    assert "<" not in many.text
    assert unpack(many)["texts"] == unpack(few)["texts"] * 40
    assert len(many.text) < 60_000
    assert row_data(lines * 40, context(run)) == many


def test_what_is_too_large_is_cut_and_then_left_out(run, monkeypatch):
    rng = random.Random(0)
    lines = side_by_side(run)
    long = [
        data.RowView(**{**{f: getattr(line, f) for f in line.__slots__}, "text": rng.randbytes(1500).hex()})
        for line in lines
    ]
    whole = row_data(long, context(run))
    assert whole.longest == CUTS[0]
    monkeypatch.setattr(data, "LARGEST", len(whole.text) // 3)
    cut = row_data(long, context(run))
    assert cut.longest < CUTS[0]
    assert cut.rows == cut.all_rows == len(lines)
    assert all("more characters)" in text for text in unpack(cut)["texts"])
    monkeypatch.setattr(data, "LARGEST", 12_000)
    some = row_data(long, context(run))
    assert len(some.text) <= 12_000
    assert 0 < some.rows < some.all_rows == len(lines)
    assert unpack(some)["numbers"] == [line.number for line in lines[: some.rows]]


def test_an_answer_of_a_megabyte_stays_small_on_the_page(tmp_path):
    folder = sample.make(tmp_path, rows=10, ways=sample.WAYS[:3])
    lines = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    for line in lines:
        if line["split"] == "test" and line["example"] == lines[-1]["example"]:
            line["text"] = "x" * 1_000_000
    (folder / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = write(folder)
    assert page.stat().st_size < 1_000_000
    assert "998,000 more characters" in page.read_text(encoding="utf-8")


def test_columns_and_groups_travel_with_the_rows(run):
    lines = side_by_side(run)
    shops = ["Leipzig" if k % 3 else "Bonn" for k in range(120)]
    d = layout(lines, context(run, columns={"shop": shops}, groups=[("long", (3, 1))]))
    name, values, places = d["columns"][0]
    assert (name, values) == ("shop", ["Bonn", "Leipzig"])
    assert [values[k] for k in places] == [shops[line.number - 1] for line in lines]
    assert d["groups"] == [["long", [3, 1]]]
