"""Files of annotation tools, vendors and spreadsheets: read right, or refused by name with the way out."""

from __future__ import annotations

import json

import pytest
from files_kit import ROWS, TEAMS, examine, examples, jsonl, lines, pairs, told

from whichway import tasks
from whichway.errors import UserError

READ = sorted(ROWS)
CHOSEN = [{"data": {"text": t}, "annotations": [{"result": [{"type": "choices", "from_name": "team",
           "value": {"choices": [y]}}]}]} for t, y in ROWS]  # fmt: skip


def argilla(t, y):
    return {"id": t[:5], "fields": {"text": t}, "responses": {"label": [{"value": y, "status": "submitted"}]}}


def prodigy(t, y, answer="accept"):
    return {"text": t, "options": [{"id": x} for x in TEAMS], "accept": [y], "answer": answer, "_task_hash": len(t)}


def chat(*turns):
    return [{"role": "user" if n % 2 == 0 else "assistant", "content": text} for n, text in enumerate(turns)]


def viewed():
    kinds = [{"name": "text", "type": {}}, {"name": "label", "type": {"names": list(TEAMS), "_type": "ClassLabel"}}]
    rows = [{"row_idx": n, "row": {"text": t, "label": TEAMS.index(y)}} for n, (t, y) in enumerate(ROWS)]
    return json.dumps({"features": kinds, "rows": rows})


READABLE = {
    "Label Studio": ("d.json", json.dumps(CHOSEN), "export of Label Studio"),
    "Argilla": ("d.jsonl", jsonl([argilla(*r) for r in ROWS]), "export of Argilla"),
    "Prodigy": ("d.jsonl", jsonl([*(prodigy(*r) for r in ROWS), prodigy("no", "sales", "ignore")]), "1 row without"),
    "columns that are empty": (
        "d.jsonl", jsonl([{"text": t, "inputs": None, "annotation": y, "prediction": None} for t, y in ROWS]), ""),
    "Gemini": ("d.jsonl", jsonl([{"contents": [{"role": "user", "parts": [{"text": t}]},
               {"role": "model", "parts": [{"text": y}]}]} for t, y in ROWS]), ""),
    "a log of calls": ("d.jsonl", jsonl([{"request": {"model": "m", "messages": chat(t)}, "response": {
                       "choices": [{"message": {"role": "assistant", "content": y}}]}} for t, y in ROWS]), ""),
    "messages under another name": ("d.jsonl", jsonl([{"items": chat(t, y)} for t, y in ROWS]), ""),
    "the viewer's label names": ("d.json", viewed(), "label names are those of the features"),
    "a title above the names": ("d.csv", f"Tickets,,\nof May,,\n,,\n{lines('1,{},{}', header='no,text,label')}",
                                "left out: Tickets; of May."),
    "merged headings": ("d.csv", f"Ticket,,Answer\n{lines('1,{},{}', header='no,text,label')}",
                        "left out: Ticket Answer"),
    "comments": ("d.csv", f"# from a tool, today\n# v1\n{lines('{},{}', header='text,label')}", "2 comment lines"),
    "a column called #": ("d.csv", lines("1,{},{}", header="# no,text,label"), ""),
    "formulas": ("d.csv", lines('"=""{}""",{}', header="text,label"), 'cells written as ="..."'),
    "fastText": ("d.txt", "".join(f"__label__{y} {t}\n" for t, y in ROWS), "fastText"),
    "paths": ("d.jsonl", jsonl([{"text": t, "meta": {"id": 1, "label": y}} for t, y in ROWS]), ""),
}  # fmt: skip


@pytest.mark.parametrize("name", READABLE)
def test_read_right(name, tmp_path):
    file, content, note = READABLE[name]
    found = examine(tmp_path, file, content, **({"target": "meta.label"} if name == "paths" else {}))
    assert pairs(found) == READ
    assert set(found.task.labels) == set(TEAMS)
    assert note in told(found)


def test_a_history_of_earlier_turns_is_a_conversation(tmp_path):
    rows = [{"instruction": t, "input": "", "output": y, "history": [["hi", f"hello {t[:9]}"]]} for t, y in ROWS]
    found = examples(examine(tmp_path, "d.jsonl", jsonl(rows)))[0]
    assert [turn.content for turn in found.turns] == ["hi", f"hello {ROWS[0][0][:9]}", ROWS[0][0]]
    assert found.target == ROWS[0][1]


def test_preferences_with_headed_turns(tmp_path):
    rows = [{"chosen": f"\n\nHuman: {t}\n\nAssistant: {y}", "rejected": f"\n\nHuman: {t}\n\nAssistant: no"}
            for t, y in ROWS]  # fmt: skip
    found = examples(examine(tmp_path, "d.jsonl", jsonl(rows)))[0]
    assert (found.text, found.target, found.rejected) == (*ROWS[0], "no")


def units(form):
    return lines("{},{}", [(t, form.format(n)) for n, (t, _) in enumerate(ROWS)], header="text,price")


def json_rows(**columns):
    return jsonl([{"text": t, "label": y, **columns} for t, y in ROWS])


REFUSED = {
    "spans of doccano": ("d.jsonl", jsonl([{"text": t, "label": [[n % 4, 9, "X"]]} for n, (t, _) in enumerate(ROWS)]),
                         "marks parts of the text"),
    "boxes of Label Studio": ("d.json", json.dumps([{"data": {"text": t}, "annotations": [{"result": [
        {"type": "labels", "value": {"start": 0, "end": 3, "labels": ["X"]}}]}]} for t, _ in ROWS]),
        "d.json:1: .*'labels'"),
    "binary answers of Prodigy": ("d.jsonl", jsonl([{"text": t, "label": "A", "answer": ("accept", "reject")[n % 2],
                                  "_task_hash": n} for n, (t, _) in enumerate(ROWS)]), "d.jsonl:2: .*was rejected"),
    "tags of tokens": ("d.jsonl", jsonl([{"tokens": t.split(), "ner_tags": [0]} for t, _ in ROWS]),
                       "a tag for each token"),
    "answers that are marked bad": ("d.jsonl", jsonl([{"prompt": t, "completion": y, "label": n % 2 == 0}
                                    for n, (t, y) in enumerate(ROWS)]), "which completions are good"),
    "zeros and ones": ("d.csv", lines("{0},1,0", header="text,rude,sad"), "rude, sad hold zeros and ones"),
    "objects": ("d.jsonl", jsonl([{"data": {"body": t}, "more": {"x": y}} for t, y in ROWS]), "such as data.body"),
    "a rest that is no answer": ("d.jsonl", jsonl([{"text": t, "meta": {"label": y}} for t, y in ROWS]),
                                 "which column is the target.*meta.label"),
    "no target": ("d.csv", lines("{0}", header="text"), "which column is the target.*--input text"),
    "another separator": ("d.csv", lines("{}~{}", header="text~label"), "--delimiter"),
    "JSON lines named .csv": ("d.csv", json_rows(), "name the file .jsonl"),
    "a table named .json": ("d.json", lines("{},{}", header="text,label"), "name the file .csv"),
    "commas between lines": ("d.jsonl", json_rows().replace("}\n", "},\n"), "end without a comma"),
    "a comma at the end": ("d.json", "[" + json_rows().replace("}\n", "},\n") + ",\n]", "before the closing bracket"),
    "objects on one line": ("d.json", json_rows().replace("\n", ""), "write one a line"),
    "a pointer": ("d.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
    "no extension": ("data", lines("{},{}", header="text,label"), "no extension says"),
    "dollars": ("d.csv", units("${}.50"), r"numbers with a unit \(\$0.50\).*--target-type number"),
    "percent": ("d.csv", units("{} %"), "numbers with a unit"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name, tmp_path):
    file, content, message = REFUSED[name]
    with pytest.raises(UserError, match=message):
        examine(tmp_path, file, content)


def test_units_are_left_out_of_numbers(tmp_path):
    found = examine(tmp_path, "d.csv", units('"{},50 €"'), target_type="number")
    assert examples(found)[1].target == "1.50"
    assert "the unit of the numbers is left out: 0,50 € is 0.50" in told(found)


def test_points_that_may_divide_thousands_are_told(tmp_path):
    assert "1.000 are read with a decimal point" in told(examine(tmp_path, "d.csv", units("1.0{:02d}"), target="price"))


def labelled(*labels):
    return lines("{},{}", [(t, labels[n % len(labels)]) for n, (t, _) in enumerate(ROWS)], header="text,label")


@pytest.mark.parametrize(
    ("one", "other", "sign"),
    [("café", "cafe\u0301", "U+0301"), ("new york", "new\u00a0york", "U+00A0"), ("paid", "paid\u200b", "U+200B")],
)
def test_labels_that_look_alike_are_one(one, other, sign, tmp_path):
    found = examine(tmp_path, "d.csv", labelled(one, other, "late"))
    assert found.task.labels == tuple(sorted([one, "late"]))
    assert sign in told(found)


@pytest.mark.parametrize("word", ["null", "N/A", "-", "?"])
def test_words_for_nothing_are_told_however_frequent(word, tmp_path):
    assert f"'{word}' is read as a label (30 rows)" in told(examine(tmp_path, "d.csv", labelled("late", word)))


def test_entities_are_told(tmp_path):
    found = examine(tmp_path, "d.csv", lines("{} &#39;x&#39; &amp; more,{}", header="text,label"))
    assert "60 texts hold HTML entities (&#39;; first: d.csv:2)" in told(found)


def test_several_choices_in_a_table_of_label_studio(tmp_path):
    some = [(t, ('"{""choices"":[""a"",""b""]}"', "a", "c")[n % 3]) for n, (t, _) in enumerate(ROWS)]
    found = examine(tmp_path, "d.csv", lines("{},{}", some, header="text,topic"))
    assert [e.target for e in examples(found)[:3]] == ["a, b", "a", "c"]


def test_a_folder_for_each_label(tmp_path):
    for n, (text, label) in enumerate(ROWS):
        for side in ("train", "test"):
            (tmp_path / side / label).mkdir(parents=True, exist_ok=True)
            (tmp_path / side / label / f"{n}.txt").write_text(f"{side} {text}")
    found = tasks.examine(tasks.from_flags(data=tmp_path))
    assert len(found.task.test) == 60
    assert {(e.text, e.target) for e in found.task.test} == {(f"test {t}", y) for t, y in ROWS}
    alone = tasks.examine(tasks.from_flags(data=tmp_path / "train"))
    assert pairs(alone) == sorted((f"train {t}", y) for t, y in ROWS)


def test_a_folder_of_one_file_and_a_link_to_nowhere(tmp_path):
    (tmp_path / "d.csv").write_text(lines("{},{}", header="text,label"))
    (tmp_path / "notes.txt").write_text("by hand")
    assert pairs(tasks.examine(tasks.from_flags(data=tmp_path))) == READ
    (tmp_path / "e.csv").symlink_to("f.csv")
    with pytest.raises(UserError, match=r"a link to f.csv, which is not there"):
        tasks.examine(tasks.from_flags(data=tmp_path / "e.csv"))
