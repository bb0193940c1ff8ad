"""Every file form gives the same task; origins name the right line."""

import json

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from whichway import tasks
from whichway.tasks import read

_NAMES = """
apple bridge cloud desert engine forest garden harbour island jungle kettle ladder mirror needle
orange pepper quartz river shadow tunnel umbrella violin window yellow zebra anchor basket candle dragon eagle
"""
SUBJECTS = _NAMES.split()
PAIRS = [(f"{w} {w[::-1]} {n * 7919}", ("billing", "technical", "sales")[n % 3]) for n, w in enumerate(SUBJECTS * 2)]


def lines(rows):
    return "\n".join(json.dumps(row) for row in rows)


def load(path, **flags):
    return tasks.load(tasks.from_flags(data=path, **flags))


def pairs(task):
    return sorted((e.text, e.target) for e in (*task.train, *task.dev, *task.test))


def chat(user, assistant, names=("role", "content", "user", "assistant")):
    role, content, asks, answers = names
    return [{role: asks, content: user}, {role: answers, content: assistant}]


SHAREGPT = ("from", "value", "human", "gpt")
FORMS = {
    "d.csv": "text,label\n" + "\n".join(f"{t},{y}" for t, y in PAIRS),
    "bom.csv": "\ufefftext,label\n" + "\n".join(f"{t},{y}" for t, y in PAIRS),
    "windows.csv": "text,label\r\n" + "\r\n".join(f'"{t}",{y}' for t, y in PAIRS) + "\r\n",
    "semicolon.csv": "text;label\n" + "\n".join(f"{t};{y}" for t, y in PAIRS),
    "d.tsv": "question\tanswer\n" + "\n".join(f"{t}\t{y}" for t, y in PAIRS),
    "d.jsonl": lines({"input": t, "target": y} for t, y in PAIRS),
    "d.ndjson": lines({"prompt": t, "completion": y} for t, y in PAIRS) + "\n\n",
    "array.json": json.dumps([{"text": t, "label": y} for t, y in PAIRS], indent=1),
    "under.json": json.dumps({"version": "[1]", "data": [{"text": t, "label": y} for t, y in PAIRS]}),
    "lines.json": lines({"text": t, "label": y} for t, y in PAIRS),
    "array.jsonl": json.dumps([{"text": t, "label": y} for t, y in PAIRS]),
    "chat.jsonl": lines({"messages": chat(t, y)} for t, y in PAIRS),
    "parts.jsonl": lines({"messages": chat([{"type": "text", "text": t}], y)} for t, y in PAIRS),
    "trl.jsonl": lines({"prompt": chat(t, y)[:1], "completion": chat(t, y)[1:]} for t, y in PAIRS),
    "sharegpt.json": json.dumps([{"conversations": chat(t, y, SHAREGPT)} for t, y in PAIRS]),
    "alpaca.json": json.dumps([{"instruction": "Sort.", "input": t, "output": y} for t, y in PAIRS]),
    "system.jsonl": lines({"messages": [{"role": "system", "content": "Sort."}, *chat(t, y)]} for t, y in PAIRS),
}


@pytest.mark.parametrize("name", FORMS)
def test_form(name, tmp_path):
    path = tmp_path / name
    path.write_text(FORMS[name], newline="")
    task = load(path)
    assert pairs(task) == sorted(PAIRS)
    assert task.labels == ("billing", "sales", "technical")
    if name in ("alpaca.json", "system.jsonl"):
        assert task.ask == "Sort."


def test_parquet_and_arrow(tmp_path):
    table = arrow.table({"text": [t for t, _ in PAIRS], "label": [y for _, y in PAIRS]})
    parquet.write_table(table, tmp_path / "d.parquet")
    with arrow.ipc.new_stream(str(tmp_path / "d.arrow"), table.schema) as sink:
        sink.write_table(table)
    assert pairs(load(tmp_path / "d.parquet")) == pairs(load(tmp_path / "d.arrow")) == sorted(PAIRS)


def test_label_names_from_hugging_face_metadata(tmp_path):
    names = ["billing", "technical", "sales"]
    features = {"label": {"names": names, "_type": "ClassLabel"}, "text": {"dtype": "string", "_type": "Value"}}
    table = arrow.table({"text": [t for t, _ in PAIRS], "label": [names.index(y) for _, y in PAIRS]})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, tmp_path / "d.parquet")
    assert pairs(load(tmp_path / "d.parquet")) == sorted(PAIRS)


def test_split_does_not_depend_on_the_form(tmp_path):
    for name in ("d.csv", "d.tsv", "under.json"):
        (tmp_path / name).write_text(FORMS[name])
    first, second, third = ({e.text for e in load(tmp_path / name).test} for name in ("d.csv", "d.tsv", "under.json"))
    assert first == second == third


def test_line_numbers_with_embedded_newlines(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text('text,label\n"one\ntwo",a\n\nplain,b\n"x ""quoted"", y",c\n')
    table = read.read(path)
    assert [(row.origin, row.fields["text"]) for row in table.rows] == [
        ("d.csv:2", "one\ntwo"),
        ("d.csv:5", "plain"),
        ("d.csv:6", 'x "quoted", y'),
    ]


def test_line_numbers_in_a_json_array(tmp_path):
    path = tmp_path / "d.json"
    path.write_text(
        '{"meta": {"a": [1]},\n "data": [\n  {"text": "a",\n   "label": "b"},\n\n  {"text": "[{", "label": "c"}]}'
    )
    assert [(row.line, row.fields["text"]) for row in read.read(path).rows] == [(3, "a"), (6, "[{")]


def test_a_long_field_is_read(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text(f"text,label\n{'x' * 500_000},a\n")
    assert len(read.read(path).rows[0].fields["text"]) == 500_000


def test_tsv_with_plain_quotes(tmp_path):
    path = tmp_path / "d.tsv"
    path.write_text('text\tlabel\n"Hello" she said\ta\n"unbalanced\tb\n')
    assert [row.fields["text"] for row in read.read(path).rows] == ['"Hello" she said', '"unbalanced']


def test_values_become_text(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text('{"a": 1, "b": 2.0, "c": null, "d": true, "e": {"x": "é"}, "f": NaN, "g": 0.5}')
    assert list(read.read(path).rows[0].fields.values()) == ["1", "2", "", "true", '{"x": "é"}', "", "0.5"]


def test_several_turns(tmp_path):
    path = tmp_path / "d.jsonl"
    turns = [*chat("Hello", "Hi!"), *chat("Bye", "See you.")]
    path.write_text(json.dumps({"messages": turns, "id": 7}))
    assert dict(read.read(path).rows[0].fields) == {
        "input": "user: Hello\nassistant: Hi!\nuser: Bye",
        "target": "See you.",
        "id": "7",
        "messages": "user: Hello\nassistant: Hi!\nuser: Bye\nassistant: See you.",
    }


def test_system_messages_that_differ_are_input(tmp_path):
    rows = [{"messages": [{"role": "system", "content": f"Tone {n}"}, *chat(t, y)]} for n, (t, y) in enumerate(PAIRS)]
    (tmp_path / "d.jsonl").write_text(lines(rows))
    assert set(load(tmp_path / "d.jsonl").train[0].input) == {"system", "input"}


@pytest.mark.parametrize(
    ("header", "given", "inputs", "target"),
    [
        ("text,label", {}, ("text",), "label"),
        ("Text,Label", {}, ("Text",), "Label"),
        ("text,label,label_text", {}, ("text",), "label_text"),
        ("premise,hypothesis,label", {}, ("premise", "hypothesis"), "label"),
        ("context,question,answer", {}, ("context", "question"), "answer"),
        ("instruction,input,output", {}, ("instruction", "input"), "output"),
        ("subject,body,team", {"input": ("subject", "body")}, ("subject", "body"), "team"),
        ("mail,folder", {"target": "folder"}, ("mail",), "folder"),
        ("mail,folder", {"input": "mail"}, ("mail",), "folder"),
        ("text,team", {}, ("text",), "team"),
        ("text,folder", {}, ("text",), "folder"),
    ],
)
def test_columns_are_found(header, given, inputs, target, tmp_path):
    names = header.split(",")
    rows = [[*(t, f"other {n % 5}")[: len(names) - 1], y] for n, (t, y) in enumerate(PAIRS)]
    (tmp_path / "d.csv").write_text("\n".join([header, *(",".join(row) for row in rows)]))
    task = load(tmp_path / "d.csv", **given)
    assert tuple(task.train[0].input) == inputs
    assert task.labels == ("billing", "sales", "technical")


def test_inputs_of_new_rows(tmp_path):
    (tmp_path / "new.csv").write_text("text,date\nhello,1\n,2\n")
    (tmp_path / "new.txt").write_text("hello\n\nworld\n")
    rows = tasks.read_inputs(tmp_path / "new.csv", ["text"])
    assert [(e.text, e.target, e.origin) for e in rows] == [("hello", "", "new.csv:2"), ("", "", "new.csv:3")]
    assert [e.text for e in tasks.read_inputs(tmp_path / "new.txt", ["text"])] == ["hello", "world"]
