"""Every fault in the user's files gives one clear error with file and line, never a traceback of ours."""

import json
from pathlib import Path

import pytest

from whichway import tasks
from whichway.errors import UserError

_NAMES = """
apple bridge cloud desert engine forest garden harbour island jungle kettle ladder mirror needle
orange pepper quartz river shadow tunnel umbrella violin window yellow zebra anchor basket candle dragon eagle
"""
WORDS = _NAMES.split()
GOOD = [(f"message number {n} about {w} and {w[::-1]}", ("billing", "technical")[n % 2]) for n, w in enumerate(WORDS)]


def csv(rows=GOOD, header="text,team"):
    return "\n".join([header, *(f"{text},{team}" for text, team in rows)]) + "\n"


def jsonl(rows=None):
    return [json.dumps({"text": t, "label": y}) for t, y in (rows or GOOD * 3)]


def with_line(lines, number, line):
    return "\n".join([*lines[: number - 1], line, *lines[number:]])


def with_ids(*ids):
    return "id,text,label\n" + "\n".join(f"{i},{t},{y}" for i, (t, y) in zip(ids, GOOD, strict=False))


QUOTED = 'text,team\n"two\nlines, quoted",billing\n"three\n\nlines",technical\n'
FLAGS = {"input": "text", "target": "team"}
CASES = {
    # what: (files, flags, words the message must hold)
    "missing file": ({"ticket.csv": csv()}, {"data": "tickets.csv"}, ["tickets.csv", "no such file", "'ticket.csv'"]),
    "wrong column": ({"d.csv": csv()}, {"target": "tema"}, ["d.csv", "'tema'", "Did you mean 'team'?", "text, team"]),
    "empty target": ({"d.csv": csv([*GOOD[:5], ("hello", ""), *GOOD[5:]])}, FLAGS, ["d.csv:7", "'team'", "empty"]),
    "empty input": ({"d.csv": csv([*GOOD[:5], ("", "billing"), *GOOD[5:]])}, FLAGS, ["d.csv:7", "text", "empty"]),
    "one class": ({"d.csv": csv([(t, "billing") for t, _ in GOOD])}, FLAGS, ["d.csv", "one class only", "billing"]),
    "three rows": ({"d.csv": csv(GOOD[:3])}, FLAGS, ["d.csv", "3 rows", "12"]),
    "three after duplicates": ({"d.csv": csv(GOOD[:3] * 9)}, FLAGS, ["d.csv", "3 rows", "duplicates"]),
    "broken JSON": (
        {"d.jsonl": with_line(jsonl(), 57, '{"text": "a b", "label" "x"}')},
        {},
        ["d.jsonl:57", "column 25", "Expecting ':'", '{"text": "a b"'],
    ),
    "JSON row no object": ({"d.jsonl": with_line(jsonl(), 3, "[1, 2]")}, {}, ["d.jsonl:3", "object", "[1, 2]"]),
    "broken JSON array": ({"d.json": '[\n{"text": "a"},\n{"text" 1}\n]'}, {}, ["d.json:3", "broken JSON"]),
    "JSON without rows": ({"d.json": '{"version": 1, "title": "x"}'}, {}, ["d.json", "one row"]),
    "not UTF-8": (
        {"d.csv": csv().encode() + "café,billing\n".encode("latin-1")},
        FLAGS,
        ["d.csv:32", "0xe9", "UTF-8", "--encoding NAME", "cp1252 reads 'café"],
    ),
    "UTF-16 cut in two": ({"d.csv": csv().encode("utf-16")[:-1]}, FLAGS, ["d.csv", "utf-16"]),
    "zero byte": ({"d.csv": csv().replace("cloud", "clo\0ud")}, FLAGS, ["d.csv:4", "zero byte"]),
    "huge field": (
        {"d.csv": csv([*GOOD[:9], ("x" * 10_000_000, "billing"), *GOOD[9:]])},
        FLAGS,
        ["d.csv:11", "'text'", "10.0 million", "limit"],
    ),
    "huge field in JSON": (
        {"d.jsonl": with_line(jsonl(), 5, json.dumps({"text": "x" * 10_000_000, "label": "a"}))},
        {},
        ["d.jsonl:5", "'text'", "10.0 million"],
    ),
    "duplicate ids": (
        {"d.csv": with_ids(*range(10), 4, *range(20, 30))},
        {},
        ["d.csv:12", "'4'", "line 6", "group: id"],
    ),
    "ragged row": (
        {"d.csv": csv([*GOOD[:5], ("hello, world", "billing")])},
        FLAGS,
        ["d.csv:7", "3 fields", "2", "quotes"],
    ),
    "ragged row after embedded newlines": ({"d.csv": QUOTED + "a,b,c\n"}, FLAGS, ["d.csv:7", "3 fields"]),
    "open quote": ({"d.csv": QUOTED + 'x,"never closed\nmore'}, FLAGS, ["d.csv:7", "never closed"]),
    "text after quote": ({"d.csv": QUOTED + '"a"b,c\n'}, FLAGS, ["d.csv:7", "closing quote"]),
    "header only": ({"d.csv": "text,team\n"}, FLAGS, ["d.csv", "no rows"]),
    "empty file": ({"d.csv": ""}, FLAGS, ["d.csv", "empty"]),
    "blank file": ({"d.jsonl": "\n\n"}, {}, ["d.jsonl", "empty"]),
    "no header": ({"d.csv": csv(GOOD[1:], header="{},{}".format(*GOOD[0]))}, {}, ["d.csv:1", "header"]),
    "double column": ({"d.csv": csv(header="text,text")}, {}, ["d.csv:1", "'text'", "twice"]),
    "unclear columns": (
        {"d.csv": "title,body,kind,date\n" + "a,b,c,d\n" * 20},
        {},
        ["d.csv", "not clear", "title, body"],
    ),
    "unknown extension": ({"d.xlsx": b"PK"}, {}, ["d.xlsx", "'.xlsx'", ".csv"]),
    "broken parquet": ({"d.parquet": b"PAR1 nothing"}, {}, ["d.parquet", "not a readable parquet"]),
    "folder without data": ({"d/readme.md": "hello"}, {"data": "d"}, ["d:", "no data files", "train.csv"]),
    "folder without train": ({"d/test.csv": csv()}, {"data": "d", **FLAGS}, ["train"]),
    "no data": ({}, {"data": None}, ["No data", "--data"]),
    "unknown split word": (
        {
            "d.csv": "text,team,part\n"
            + "".join(f"{t},{y},{'train' if n else 'tain'}\n" for n, (t, y) in enumerate(GOOD))
        },
        {**FLAGS, "split": "part"},
        ["d.csv:2", "'tain'", "train, dev or test"],
    ),
    "answer is no label": (
        {"d.csv": csv([*GOOD, ("x", "biling")])},
        {**FLAGS, "labels": ["billing", "technical"]},
        ["d.csv:32", "'biling'", "Did you mean 'billing'?"],
    ),
    "twin labels": ({"d.csv": csv()}, {**FLAGS, "labels": ["billing", "Billing."]}, ["'billing'", "'Billing.'"]),
    "unknown metric": ({"d.csv": csv()}, {"metric": "acuracy"}, ["--metric", "'acuracy'", "Did you mean 'accuracy'?"]),
    "unknown metric option": (
        {"d.csv": csv()},
        {**FLAGS, "metric": {"name": "numeric", "tolerence": 1}},
        ["numeric", "'tolerence'", "Did you mean 'tolerance'?"],
    ),
    "metric option of wrong type": (
        {"d.csv": csv()},
        {**FLAGS, "metric": {"name": "numeric", "tolerance": "wide"}},
        ["numeric", "'tolerance'", "number"],
    ),
    "closed metric, free text": (
        {"d.csv": csv([(t, f"{t} indeed") for t, _ in GOOD])},
        {**FLAGS, "metric": "accuracy", "labels": []},
        ["accuracy", "closed", "token_f1"],
    ),
    "metric file missing": ({"d.csv": csv()}, {**FLAGS, "metric": "no.py:f"}, ["no.py", "no file"]),
    "metric function missing": (
        {"d.csv": csv(), "m.py": "def score(a, b): return 1"},
        {**FLAGS, "metric": "m.py:scores"},
        ["m.py", "Did you mean 'score'?"],
    ),
    "metric file broken": (
        {"d.csv": csv(), "m.py": "x = 1\ny = 1 / 0\n"},
        {**FLAGS, "metric": "m.py:f"},
        ["m.py:2", "ZeroDiv"],
    ),
    "metric signature": (
        {"d.csv": csv(), "m.py": "def f(a): return 1"},
        {**FLAGS, "metric": "m.py:f"},
        ["(a)", "Accepted"],
    ),
    "chat without answer": (
        {"d.jsonl": '{"messages": [{"role": "user", "content": "hi"}]}'},
        {},
        ["d.jsonl:1", "'messages'", "assistant"],
    ),
    "chat of unknown role": (
        {"d.jsonl": '{"messages": [{"role": "wizard", "content": "hi"}]}'},
        {},
        ["d.jsonl:1", "'messages'", "role"],
    ),
    "unknown flag": ({"d.csv": csv()}, {"tagret": "team"}, ["'tagret'", "Did you mean 'target'?"]),
    "margin": ({"d.csv": csv()}, {"margin": 5}, ["--margin", "0.5"]),
    "shares": ({"d.csv": csv()}, {"split": {"train": 0.9, "test": 0.3}}, ["--split", "sum to 1"]),
    "shares and files": ({"d.csv": csv()}, {"split": {"train": 0.9, "test": "x.csv"}}, ["--split", "share"]),
    "split word": ({"d.csv": csv()}, {"split": {"train": 0.5, "tets": 0.5}}, ["--split", "'tets'", "'test'"]),
    "tiny split": (
        {"d.csv": csv()},
        {**FLAGS, "split": {"train": 0.96, "dev": 0.02, "test": 0.02}},
        ["split has", "at least"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_data(case, tmp_path, monkeypatch):
    files, flags, words = CASES[case]
    monkeypatch.chdir(tmp_path)
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    named = next(iter(files), None)
    with pytest.raises(UserError) as caught:
        tasks.load(tasks.from_flags(**{"data": named and Path(named), **flags}))
    for word in words:
        assert word in str(caught.value)
    assert len(str(caught.value)) < 600
    assert caught.value.__cause__ is None


TASK_FILES = {
    "unknown key": ("data: d.csv\ninput: text\ntaget: team\n", ["task.yaml:3", "'taget'", "Did you mean 'target'?"]),
    "unknown key in budget": (
        "data: d.csv\nbudget:\n  calls: 10\n  usdd: 3\n",
        ["task.yaml:4", "'usdd'", "budget", "'usd'"],
    ),
    "unknown metric": ("data: d.csv\nmetric:\n  name: rouge\n", ["task.yaml:2", "'rouge'", "'rouge_l'"]),
    "wrong type": ("data: d.csv\n\nvolume: many\n", ["task.yaml:3", "volume", "'many'"]),
    "bad label": ("data: d.csv\nlabels:\n- a\n- [b]\n", ["task.yaml:4", "labels"]),
    "twice": ("data: d.csv\ntarget: a\ntarget: b\n", ["task.yaml:3", "'target'", "twice"]),
    "not YAML": ("data: d.csv\nask: [a, b\nname: x\n", ["task.yaml:3", "not valid YAML"]),
    "tab": ("data: d.csv\nbudget:\n\tusd: 3\n", ["task.yaml:3", "not valid YAML"]),
    "a list": ("- data\n", ["task.yaml:1", "keys and values"]),
    "empty": ("# nothing\n", ["task.yaml", "empty"]),
    "no data": ("ask: x\n", ["No data", "data: FILE"]),
    "missing data": ("data: e.csv\n", ["e.csv", "no such file", "'d.csv'"]),
    "python tag": ("data: !!python/object/apply:os.system ['true']\n", ["task.yaml:1", "not valid YAML"]),
}


@pytest.mark.parametrize("case", TASK_FILES)
def test_bad_task_file(case, tmp_path):
    text, words = TASK_FILES[case]
    (tmp_path / "d.csv").write_text(csv())
    (tmp_path / "task.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        tasks.load(tasks.read_spec(tmp_path))
    for word in words:
        assert word in str(caught.value)


def test_task_file_missing(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        tasks.read_spec(tmp_path / "task.yaml")
