"""Labelling by hand: which rows come, what is kept, what the labelled file holds, and how a run uses it."""

from __future__ import annotations

import csv
import json
import time

import numpy as np
import pytest
from labelling_kit import NASTY, TEAMS, WORDS, data, label, oracle, session, texts

import whichway as ww
from whichway.app.labelling import label_journal
from whichway.app.labelling.label_journal import LabelEntry, LabelJournal, alone, journal_of
from whichway.app.labelling.label_pool import PoolColumns, read_pool
from whichway.app.labelling.labelling_session import LabelSuggestion, mixed
from whichway.app.labelling.next_rows import doubted_rows, doubts, typical_rows
from whichway.app.labelling.quick_head import fit_head
from whichway.app.labelling.row_vectors import row_vectors
from whichway.app.labelling.start_labelling import LabellingRequest, start_labelling
from whichway.errors import DataError, UserError

# Rows that come next


def test_typical_rows_are_of_different_clusters_and_leave_out_what_is_labelled():
    rng = np.random.default_rng(0)
    centres = np.eye(4)
    vectors = np.repeat(centres, 25, axis=0) + rng.normal(0, 0.02, (100, 4))
    chosen = typical_rows(vectors, range(100), 4)
    assert sorted(row // 25 for row in chosen) == [0, 1, 2, 3]
    more = typical_rows(vectors, [n for n in range(100) if n not in chosen[:3]], 1, chosen[:3])
    assert more[0] // 25 == chosen[3] // 25
    assert typical_rows(vectors, [3, 9], 5) == [3, 9]
    same = np.repeat(np.eye(30)[:8], 4, axis=0)
    same = same[:30]
    assert len(set(typical_rows(same, range(30), 9))) == 9


def test_doubted_rows_have_small_margins_and_differ():
    vectors = np.repeat(np.eye(3), 20, axis=0)
    probabilities = np.tile([0.9, 0.05, 0.05], (60, 1))
    probabilities[[0, 1, 2, 25, 45]] = [0.4, 0.35, 0.25]
    assert sorted(doubted_rows(vectors, probabilities, range(60), 3)) != [0, 1, 2]
    assert {row // 20 for row in doubted_rows(vectors, probabilities, range(60), 3)} == {0, 1, 2}
    assert doubts(np.array([[0.5, 0.5], [1.0, 0.0]])).tolist() == [1.0, 0.0]
    assert doubts(np.ones((2, 1))).tolist() == [1.0, 1.0]


def test_a_quick_head_is_the_same_on_words_as_on_their_row_space():
    rows = list(texts(60))
    vectors = row_vectors([text for text, _ in rows], "words")
    answers = [answer for _, answer in rows]
    sparse, dense = fit_head(vectors.words[:40], answers[:40]), fit_head(vectors.words[:40].toarray(), answers[:40])
    assert np.abs(sparse.probabilities(vectors.words) - dense.probabilities(vectors.words.toarray())).max() < 0.02
    assert fit_head(vectors.dense[:2], ["a", "a"]) is None
    assert fit_head(vectors.dense[:4], ["a", "a", "b", "b"]).probabilities(vectors.dense).shape == (60, 2)


def test_two_lists_are_mixed_evenly():
    assert mixed([1, 2], [10, 11, 12, 13]) == [10, 1, 11, 12, 2, 13]
    assert mixed([], [4]) == [4]


# The part that is drawn at random


def test_the_random_part_is_a_share_that_new_rows_do_not_move(tmp_path):
    few = read_pool(data(tmp_path / "a.csv", 400), PoolColumns())
    many = read_pool(data(tmp_path / "b.csv", 600), PoolColumns())
    share = sum(row.drawn for row in many.rows) / len(many.rows)
    assert 0.25 < share < 0.42
    sides = {row.key: row.drawn for row in many.rows}
    assert all(sides[row.key] == row.drawn for row in few.rows)


def test_copies_are_one_row_and_near_copies_are_on_one_side(tmp_path):
    path = tmp_path / "a.csv"
    base = [text for text, _ in texts(30)]
    lines = [*base, base[0], *(f"{text}!" for text in base), *(text.upper() for text in base)]
    path.write_text("text\n" + "\n".join(lines) + "\n", encoding="utf-8")
    pool = read_pool(path, PoolColumns())
    assert len(pool.rows) == 90
    assert pool.rows[0].places == (0, 30)
    sides = {row.text: row.drawn for row in pool.rows}
    assert all(sides[text] == sides[f"{text}!"] == sides[text.upper()] for text in base)


def test_a_third_of_the_labels_is_drawn_and_the_others_are_not_of_that_part(tmp_path):
    one = session(data(tmp_path / "a.csv", 240), tmp_path / "out.csv")
    state = label(one, 90)
    assert 27 <= state.counts["drawn"] <= 33
    ranks = [row.rank for row in one.pool.rows if row.drawn]
    done = [e.row for e in one._journal.entries if e.drawn]
    asked = sorted(row.rank for row in one.pool.rows if row.key in done)
    assert asked == sorted(ranks)[: len(asked)]  # the first of the random order, whatever was chosen beside them


# What is kept


def test_labels_are_kept_with_how_they_came_about(tmp_path):
    out = tmp_path / "out.csv"
    one = session(data(tmp_path / "a.csv", 60, NASTY), out, labels=("billing",))
    label(one, 65)
    assert one.state().row is None
    with out.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == ["id", "text", "label", "split", "selection", "annotator", "annotated_at", "suggestion",
                              "suggestion_probability"]  # fmt: skip
    assert [line["id"] for line in lines] == [str(k) for k in range(65)]
    assert [line["text"] for line in lines[60:]] == [f"'{NASTY[0]}", *NASTY[1:4], f"'{NASTY[4]}"]
    assert {line["annotator"] for line in lines} == {"ann"}
    random = [line for line in lines if line["selection"] == "random"]
    active = [line for line in lines if line["selection"] == "active"]
    assert len(random) + len(active) == 65
    assert {line["split"] for line in random} == {"any"}
    assert {line["split"] for line in active} == {"train"}
    assert all(line["suggestion"] == "" for line in random)  # nothing was suggested where the label must be unbiased
    assert sum(line["suggestion"] == line["label"] for line in active) > 5
    assert all(0 < float(line["suggestion_probability"]) <= 1 for line in active if line["suggestion"])


def test_json_lines_keep_every_value_as_it_was(tmp_path):
    path, out = tmp_path / "a.jsonl", tmp_path / "out.jsonl"
    values = {"tags": ["x", 1], "price": 1.5, "none": None}
    rows = [{"text": text, "n": k, **values} for k, (text, _) in enumerate(texts(25))]
    rows += [{"text": text, "n": 99, **values} for text in NASTY]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    one = session(path, out)
    label(one, 30)
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [{name: line[name] for name in rows[0]} for line in lines] == rows


def test_undo_skip_and_unsure(tmp_path):
    one = session(data(tmp_path / "a.csv", 24), tmp_path / "out.csv")
    first = one.state().row.key
    with pytest.raises(UserError, match="nothing to take back"):
        one.act("undo")
    second = one.act("label", first, "  billing   now ").row.key
    with pytest.raises(UserError, match="Another row"):
        one.act("label", first, "delivery")
    state = one.act("undo")
    assert state.row.key == first
    assert state.counts["labelled"] == 0
    assert state.labels == (("billing now", 0),)
    for wrong in ("", "  ", "x" * 300):
        with pytest.raises(UserError, match="characters"):
            one.act("label", first, wrong)
    one.act("skip", first)
    one.act("unsure", second)
    label(one, 22)
    state = one.state()
    assert state.row.key == first  # what was skipped comes again when all others were asked
    assert state.counts["unsure"] == 1
    state = one.act("label", first, "billing")
    assert state.row is None
    assert state.counts["labelled"] == 23


def test_it_goes_on_where_it_stopped_and_a_kill_loses_nothing(tmp_path):
    path, out = data(tmp_path / "a.csv", 60), tmp_path / "out.csv"
    label(session(path, out), 25)
    before = out.read_bytes()
    journal = journal_of(out)
    with journal.open("ab") as file:
        file.write(b'{"action": "label", "row": "cut o')
    out.unlink()  # as if the kill came between the journal and the file
    again = session(path, out)
    assert out.read_bytes() == before
    assert again.state().counts["labelled"] == 25
    label(again, 3)
    assert session(path, out).state().counts["labelled"] == 28
    assert len(journal.read_bytes().splitlines()) == 29


def test_rows_may_be_added_to_the_data(tmp_path):
    label(session(data(tmp_path / "a.csv", 60), tmp_path / "out.csv"), 12)
    more = session(data(tmp_path / "a.csv", 90), tmp_path / "out.csv")
    assert more.state().counts["labelled"] == 12
    assert more.state().counts["rows"] == 90


def test_a_label_is_on_the_disk_before_it_is_answered(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(label_journal.os, "fsync", lambda number: order.append("fsync"))
    journal = LabelJournal(tmp_path / "j", {"target": "label"}, ["a"])
    journal.add(LabelEntry("label", "a", "x"))
    assert order == ["fsync"]
    assert journal.entries[0].label == "x"


def test_suggestions_of_a_run_come_first_but_not_beside_rows_drawn_at_random(tmp_path):
    one = session(data(tmp_path / "a.csv", 60), tmp_path / "out.csv")
    one.suggest({row.key: LabelSuggestion("parcels", 0.7, "tune_head") for row in one.pool.rows})
    state = one.state()
    seen = set()
    while len(seen) < 2:
        seen.add(state.row.drawn)
        assert (state.suggestion is None) == state.row.drawn
        assert state.suggestion is None or state.suggestion.label == "parcels"
        state = one.act("label", state.row.key, "billing")
    assert "parcels" in dict(state.labels)


def test_the_winner_of_a_run_suggests(tmp_path):
    first = tmp_path / "first.csv"
    data(first, 90, labelled=90)
    ways = {"base_majority": {}, "base_tfidf": {}}
    options = {"ways": ways, "folds": 1, "probe": False, "model": "fake", "out": tmp_path / "run"}
    done = ww.run(first, input="text", target="label", **options)
    assert done.verdict.choice == "base_tfidf"
    path = data(tmp_path / "a.csv", 60)
    request = LabellingRequest(path, run=tmp_path / "run", encoder="words", cache=None)
    heard = []
    one = start_labelling(request, heard.append)
    end = time.monotonic() + 60
    while len(one._suggested) < sum(not row.drawn for row in one.pool.rows):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert {label.source for label in one._suggested.values()} == {"base_tfidf"}
    texts_of = {row.key: row.text for row in one.pool.rows}
    right = [label.label == oracle(texts_of[key]) for key, label in one._suggested.items()]
    assert np.mean(right) > 0.8
    assert all(1 / 3 <= label.probability <= 1 for label in one._suggested.values())
    assert sorted(name for name, _ in one.state().labels) == sorted(TEAMS)
    with pytest.raises(DataError, match="its rows have text"):
        start_labelling(LabellingRequest(path, PoolColumns(("id", "text")), run=tmp_path / "run"), heard.append)


def test_two_pages_do_not_write_one_file(tmp_path):
    with alone(tmp_path / "out.csv"), pytest.raises(UserError, match="another"), alone(tmp_path / "out.csv"):
        pass


# Labels that the file has


def test_labels_of_the_file_teach_and_never_test(tmp_path):
    one = session(data(tmp_path / "a.csv", 90, labelled=30), tmp_path / "out.csv")
    state = one.state()
    assert state.counts["given"] == 30
    assert [name for name, _ in state.labels] == list(TEAMS)
    assert one._fitted.head is not None
    label(one, 60)
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 90
    assert {line["split"] for line in lines if line["selection"] == "given"} == {"train"}


def test_one_label_has_one_spelling(tmp_path):
    path = data(tmp_path / "a.csv", 90, labelled=30)
    path.write_text(path.read_text(encoding="utf-8").replace(",billing", ",Billing ", 2), encoding="utf-8")
    one = session(path, tmp_path / "out.csv")
    assert sorted(name for name, _ in one.state().labels) == sorted(TEAMS)
    one.act("label", one.state().row.key, "BILLING")
    assert one.state().last.label == "billing"


@pytest.mark.parametrize(("text", "message"), [
    ("", "empty"),
    ("text,label\n", "no rows"),
    ("a,b\n" + "x,y\n" * 30, "not clear which column is the text"),
    ("text\n" + "\n".join(f"row {k} here" for k in range(9)), "9 different rows"),
    ("text,label\n" + "\n".join(f"row {k} here,answer number {k}" for k in range(40)), "no labels"),
    ("text,label\n" + "\n".join(f'row {k} here,"{"long " * 30}"' for k in range(40)), "no labels"),
    ("text,split\n" + "\n".join(f"row {k} here,train" for k in range(40)), "column 'split'"),
    ("text\n" + "\n".join(str(k) for k in range(40)), "no text"),
])  # fmt: skip
def test_data_that_do_not_fit_are_refused(tmp_path, text, message):
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_pool(path, PoolColumns())


def test_columns_that_are_not_there_are_refused(tmp_path):
    path = data(tmp_path / "a.csv", 30)
    with pytest.raises(DataError, match="Did you mean 'text'"):
        read_pool(path, PoolColumns(("txet",)))
    with pytest.raises(DataError, match="is the column of labels"):
        read_pool(path, PoolColumns(("text",), "text"))


def test_a_labelled_file_of_other_data_is_refused(tmp_path):
    path, out = data(tmp_path / "a.csv", 30), tmp_path / "out.csv"
    label(session(path, out), 3)
    other = tmp_path / "b.csv"
    lines = (f"another text {word} {k}" for k, word in enumerate(WORDS * 3))
    other.write_text("text\n" + "\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError, match="other data"):
        session(other, out)
    with pytest.raises(DataError, match="random_share"):
        session(path, out, share=0.5)
    (tmp_path / "taken.csv").write_text("text\nmine\n", encoding="utf-8")
    with pytest.raises(DataError, match="no journal"):
        session(path, tmp_path / "taken.csv")
