"""What a run makes of labelled rows, and when the page advises to stop."""

from __future__ import annotations

import csv

import pytest
from labelling_kit import TEAMS, WORDS, data, label, session, texts

from whichway.app.folds import folded
from whichway.app.labelling import stop_advice
from whichway.app.labelling.cheap_ways import LabelledRow, cheap_verdict
from whichway.app.labelling.row_vectors import row_vectors
from whichway.app.labelling.stop_advice import LabelLook, advise_stop
from whichway.errors import DataError
from whichway.tasks.load import examine, load
from whichway.tasks.spec import from_flags

# What a run makes of it


def labelled_file(tmp_path, rows=240, labels=150):
    out = tmp_path / "out.csv"
    label(session(data(tmp_path / "a.csv", rows), out, share=0.5), labels)
    return out


def test_a_run_tests_on_rows_drawn_at_random_alone(tmp_path):
    out = labelled_file(tmp_path)
    examined = examine(from_flags(data=out, target="label"))
    task = examined.task
    with out.open(encoding="utf-8-sig", newline="") as file:
        kinds = {line["text"]: line["selection"] for line in csv.DictReader(file)}
    assert {kinds[e.text] for e in (*task.dev, *task.test)} == {"random"}
    assert {kinds[e.text] for e in task.extra_train} == {"active"}
    assert {e.id for e in task.extra_train} <= {e.id for e in task.train}
    in_folds = folded(task, tmp_path / "run")
    tested = [e for fold in in_folds.folds for e in fold]
    assert len(in_folds.folds) == 5
    assert {kinds[e.text] for e in tested} == {"random"}
    assert len(tested) == sum(kind == "random" for kind in kinds.values())
    assert len(task.train) + len(task.dev) + len(task.test) == 150


def test_rows_beside_a_row_that_may_test_are_set_aside(tmp_path):
    path = tmp_path / "a.csv"
    lines = [f'"{text}",{answer},any' for text, answer in texts(70)]
    lines += [f'"{text}!",{answer},train' for text, answer in list(texts(70))[:8]]
    lines += [f'"quite another thing {word} {k}",{TEAMS[k % 3]},train' for k, word in enumerate(WORDS)]
    path.write_text("text,label,split\n" + "\n".join(lines) + "\n", encoding="utf-8")
    examined = examine(from_flags(data=path))
    assert len(examined.task.extra_train) == len(WORDS)
    assert any("8 rows marked train set aside" in warning for warning in examined.findings.warnings)
    path.write_text(path.read_text().replace(",train\n", ",test\n", 3), encoding="utf-8")
    with pytest.raises(DataError, match='"any"'):
        load(from_flags(data=path))


# When to stop


def looks(*pairs, **facts):
    base = {"tested": 80, "score": 0.8, "low": 0.7, "high": 0.87, "decided": True, "chance": None, "gain": 0.0,
            "gain_error": 0.01}  # fmt: skip
    return [LabelLook(labels=n, choice=choice, **(base | facts)) for n, choice in pairs]


def test_nobody_is_told_to_stop_early():
    steady = ((180, "base_encoder"), (200, "base_encoder"), (220, "base_encoder"))
    assert advise_stop(looks(*steady), 80).stop
    assert advise_stop(looks(*steady, decided=False, chance=0.05), 80).stop
    for facts in ({"decided": False, "chance": 0.5}, {"gain": 0.03}, {"tested": 40}):
        assert not advise_stop(looks(*steady, **facts), 80).stop
    assert not advise_stop(looks(*steady[:2]), 80).stop
    assert not advise_stop(looks((180, "base_tfidf"), *steady[1:]), 80).stop
    assert "20 labels" in advise_stop([], 7).lines[0]
    assert "cheap ways" in advise_stop(looks(*steady), 80).lines[-1]


def test_a_look_scores_on_rows_drawn_at_random_alone():
    rows = list(texts(120))
    vectors = row_vectors([text for text, _ in rows], "words")
    labelled = [LabelledRow(k, answer if k % 2 else "wrong", bool(k % 2)) for k, (_, answer) in enumerate(rows)]
    verdict = cheap_verdict(vectors, labelled, 0.01)
    assert verdict.table.n == 60
    assert [arm.way for arm in verdict.table.arms] == ["base_majority", "base_tfidf"]
    assert cheap_verdict(vectors, labelled[:30], 0.01) is None
    good = [LabelledRow(k, answer, bool(k % 2)) for k, (_, answer) in enumerate(rows)]
    one = stop_advice.look(vectors, good, 100)
    assert one.choice == "base_tfidf"
    assert one.decided
    assert one.chance is None
    assert one.score > 0.9
