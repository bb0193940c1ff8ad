"""Records that stay in their file: by candidate, and by what each is the only one of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from whichway.errors import UserError
from whichway.nouns import Record, to_json
from whichway.runs import records
from whichway.runs.folder import Lines
from whichway.runs.records import RecordFile, WrittenRecords
from whichway.verdict import stats


def record(candidate: str, example: str, text: str = "x") -> Record:
    return Record(candidate, example, "test", 0, "ok", 1.0, text, "", 1, 0, 1, 0.1, 0.0)


TRICKY = '"candidate": "b" \\"candidate\\": \u2028 é'
SOME = [record("a", "1"), record("b", "1", TRICKY), record("a", "2", TRICKY), record("c", "1"), record("a", "3")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    lines = Lines(tmp_path / "records.jsonl")
    sizes = lines.append(SOME)
    lines.close()
    assert sum(sizes) == lines.path.stat().st_size
    return lines.path


def test_records_are_read_by_candidate_in_their_order(path: Path):
    file = RecordFile(path)
    assert list(file.of(["c", "a", "nobody"])) == [one for one in SOME if one.candidate != "b"]
    assert list(file.of([])) == []
    assert list(file.all()) == SOME
    assert list(RecordFile(path.with_name("none")).of(["a"])) == []


def test_lines_of_other_writers_and_broken_ends_are_read(path: Path):
    data = json.loads(path.read_text().splitlines()[0])
    with path.open("a") as out:
        out.write(json.dumps(data | {"example": "9"}, separators=(",", ":")) + "\n" + '{"candidate": "a"')
    assert [one.example for one in RecordFile(path).of(["a"])] == ["1", "2", "3", "9"]


def test_a_damaged_line_is_named(path: Path):
    lines = path.read_text().split("\n")
    path.write_text("\n".join([*lines[:3], '{"candidate": "a", oh', *lines[3:]]))
    assert len(list(RecordFile(path).of(["b", "c"]))) == 2
    with pytest.raises(UserError, match=r"records\.jsonl:4 is damaged"):
        list(RecordFile(path).of(["a"]))


@pytest.mark.parametrize("part", [2, 4096])
def test_what_was_written_before_counts(path: Path, monkeypatch: pytest.MonkeyPatch, part: int):
    monkeypatch.setattr(records, "PART", part)
    with path.open("a") as out:  # another start that knew nothing of the first
        out.write(json.dumps(to_json(replace(SOME[1], text="later"))) + "\n")
    written = WrittenRecords(Lines(path))
    again, new = [replace(one, text="another answer") for one in SOME], record("d", "1")
    assert written.add([*again, new, replace(new, text="y")]) == [*SOME, new, new]
    assert written.add([replace(new, text="z"), record("d", "2")]) == [new, record("d", "2")]
    written.close()
    assert list(RecordFile(path).all()) == [*SOME, replace(SOME[1], text="later"), new, record("d", "2")]


def test_a_broken_end_is_cut_off_wherever_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("whichway.runs.folder.TAIL", 4)
    for content, whole in ((b"", b""), (b"abcdefghij", b""), (b"a\nbcdefghij", b"a\n"), (b"abcdefg\n", b"abcdefg\n")):
        (tmp_path / "lines").write_bytes(content)
        Lines(tmp_path / "lines").close()
        assert (tmp_path / "lines").read_bytes() == whole


def test_resamples_do_not_depend_on_the_size_of_a_block(monkeypatch: pytest.MonkeyPatch):
    groups = [str(k // 3) for k in range(40)]
    before = np.concatenate(list(stats.row_weights(40, groups, resamples=90)))
    monkeypatch.setattr(stats, "LARGEST", 40 * 7)
    blocks = list(stats.row_weights(40, groups, resamples=90))
    assert [len(block) for block in blocks] == [7] * 12 + [6]
    assert np.array_equal(np.concatenate(blocks), before)
