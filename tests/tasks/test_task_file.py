"""A task file and flags end in the same task; what is inferred is right and said."""

import json

import pytest

from whichway import tasks
from whichway.nouns import Budget, to_json

_NAMES = """
apple bridge cloud desert engine forest garden harbour island jungle kettle ladder mirror needle
orange pepper quartz river shadow tunnel umbrella violin window yellow zebra anchor basket candle dragon eagle
"""
SUBJECTS = _NAMES.split()
TEXTS = [f"{w} {w[::-1]} {n * 7919}" for n, w in enumerate(SUBJECTS * 4)]


def write(path, targets, texts=TEXTS, **more):
    rows = [
        {"text": t, "team": y, **{k: v[n] for k, v in more.items()}}
        for n, (t, y) in enumerate(zip(texts, targets, strict=True))
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def cycle(*values):
    return [values[n % len(values)] for n in range(len(TEXTS))]


def examine(path, **flags):
    return tasks.examine(tasks.from_flags(data=path, **flags))


FULL = """
name: support
ask: Which team?
data: rows/tickets.jsonl
input: text
target: team
labels: [yes, no, 12:30]
metric: {name: macro_f1}
model: ./base
split: {train: 0.5, dev: 0.2, test: 0.3}
group: customer
volume: 1e4
margin: 0.02
budget: {usd: 2, seconds: 600}
ways:
  prompt_plain:
  tune_lora: {rate: 1e-3, epochs: 2}
"""


def test_every_key(tmp_path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "base").mkdir()
    write(tmp_path / "rows/tickets.jsonl", cycle("yes", "no", "12:30"), customer=cycle(*range(40)))
    (tmp_path / "task.yaml").write_text(FULL)
    task = tasks.load(tasks.read_spec(tmp_path / "task.yaml"))
    assert (task.name, task.ask, task.volume, task.margin) == ("support", "Which team?", 10_000, 0.02)
    assert task.labels == ("yes", "no", "12:30")
    assert task.metric.name == "macro_f1"
    assert task.model == str(tmp_path / "base")
    assert task.budget == Budget(usd=2, seconds=600)
    assert task.ways == {"prompt_plain": {}, "tune_lora": {"rate": 0.001, "epochs": 2}}
    groups = [{e.group for e in split} for split in (task.train, task.dev, task.test)]
    assert sum(len(found) for found in groups) == len(set.union(*groups))


def test_flags_give_the_same_task(tmp_path, monkeypatch):
    write(tmp_path / "d.jsonl", cycle("a", "b"))
    (tmp_path / "task.yaml").write_text("data: d.jsonl\nask: Which?\nvolume: 5\n")
    monkeypatch.chdir(tmp_path)
    by_file = tasks.load(tasks.read_spec(tmp_path))
    by_flags = tasks.load(tasks.from_flags(data="d.jsonl", ask="Which?", volume=5, margin=None))
    assert by_file == by_flags


def test_flags_go_before_the_file(tmp_path):
    write(tmp_path / "d.jsonl", cycle("a", "b"))
    (tmp_path / "task.yaml").write_text("data: d.jsonl\nask: Which?\nvolume: 5\n")
    task = tasks.load(tasks.from_flags(tmp_path, volume=9, ways=["base_majority"]))
    assert (task.ask, task.volume, task.ways) == ("Which?", 9, {"base_majority": {}})


@pytest.mark.parametrize(
    ("targets", "metric", "labels"),
    [
        (cycle("a", "b", "c"), "accuracy", ("a", "b", "c")),
        (cycle("1", "2", "3", "4", "5"), "accuracy", ("1", "2", "3", "4", "5")),
        ([str(n) for n in cycle(*range(40))], "accuracy", None),
        ([str(n * 1.5) for n in range(len(TEXTS))], "numeric", ()),
        ([json.dumps({"n": n % 3}) for n in range(len(TEXTS))], "json_fields", ()),
        ([f"a reply about {t}" for t in TEXTS], "token_f1", ()),
        (["x" * 80 + str(n % 2) for n in range(len(TEXTS))], "accuracy", ("x" * 80 + "0", "x" * 80 + "1")),
        (["x" * 80 + str(n // 2) for n in range(len(TEXTS))], "token_f1", ()),
    ],
)
def test_metric_and_labels_are_inferred(targets, metric, labels, tmp_path):
    task = examine(write(tmp_path / "d.jsonl", targets)).task
    assert task.metric.name == metric
    assert task.labels == (tuple(sorted(set(targets))) if labels is None else labels)


def test_an_open_metric_makes_the_task_open(tmp_path):
    path = write(tmp_path / "d.jsonl", cycle("a", "b"))
    assert examine(path, metric="exact_match").task.labels == ()
    assert examine(path, metric="exact_match", labels=["a", "b"]).task.labels == ("a", "b")
    assert examine(path, labels=[]).task.metric.name == "token_f1"


def test_spellings_of_a_label_are_one(tmp_path):
    found = examine(write(tmp_path / "d.jsonl", cycle("Billing", "Billing", "billing ", "sales", "sales.", "sales")))
    assert found.task.labels == ("Billing", "sales")
    assert {e.target for e in found.task.train} == {"Billing", "sales"}
    assert any("'sales' is also spelled sales." in w for w in found.findings.warnings)


def test_findings(tmp_path):
    targets = ["a"] * 105 + ["b"] * 10 + ["c"] * 5
    texts = [*TEXTS[:-2], TEXTS[0], "x" * 5000]
    targets[-2] = "b"
    found = examine(write(tmp_path / "d.jsonl", targets, texts, customer_id=cycle(1, 2, 3), extra=cycle("z"))).findings
    text = "\n".join(found.warnings)
    assert "1 inputs occur with different targets, first: " in text
    assert "d.jsonl:1 (a)" in text
    assert "labels have fewer than 5 train rows" in text
    assert "of rows have the label 'a'" in text
    assert "1 inputs are longer than 4000" in text
    assert "group: customer_id" in text
    assert "only large differences" in text
    assert "Columns not used: customer_id, extra." in found.notes
    assert sum(found.rows.values()) == 120
    assert {label: sum(counts.values()) for label, counts in found.labels.items()} == {"a": 105, "b": 11, "c": 4}
    assert found.lengths["input"].characters_max == 5000
    assert found.lengths["input"].longest == "d.jsonl:120"
    json.dumps(to_json(found))


def test_exact_duplicates_are_dropped(tmp_path):
    found = examine(write(tmp_path / "d.jsonl", cycle("a", "b"), [*TEXTS[:-2], *TEXTS[:2]]))
    assert sum(found.findings.rows.values()) == len(TEXTS) - 2
    assert any(
        "2 exact duplicates dropped, first: d.jsonl:119 repeats d.jsonl:1." in w for w in found.findings.warnings
    )


def test_a_leak_is_seen(tmp_path):
    targets = cycle("red", "blue")
    found = examine(write(tmp_path / "d.jsonl", targets, [f"{t} {y}" for t, y in zip(TEXTS, targets, strict=True)]))
    assert any("it is a leak" in w for w in found.findings.warnings)


def test_folder_with_splits(tmp_path):
    write(tmp_path / "train.jsonl", cycle("a", "b")[:60], TEXTS[:60])
    write(tmp_path / "valid.jsonl", cycle("a", "b")[:20], TEXTS[60:80])
    write(tmp_path / "test.jsonl", cycle("a", "b")[:40], TEXTS[80:])
    task = tasks.load(tasks.from_flags(data=tmp_path))
    assert [len(s) for s in (task.train, task.dev, task.test)] == [60, 20, 40]
    assert task.test[0].origin == "test.jsonl:1"
    (tmp_path / "valid.jsonl").unlink()
    carved = examine(tmp_path)
    assert len(carved.task.test) == 40
    assert len(carved.task.train) + len(carved.task.dev) == 60
    assert len(carved.task.dev) >= 10
    assert any("no dev split; carved from train" in w for w in carved.findings.warnings)


def test_split_files_in_the_task_file(tmp_path):
    write(tmp_path / "one.jsonl", cycle("a", "b")[:80], TEXTS[:80])
    write(tmp_path / "two.jsonl", cycle("a", "b")[:41], [*TEXTS[80:], TEXTS[0]])
    (tmp_path / "task.yaml").write_text("split: {train: one.jsonl, test: two.jsonl}\nname: x\n")
    task = tasks.load(tasks.read_spec(tmp_path))
    assert {e.origin.split(":")[0] for e in task.test} == {"two.jsonl"}
    assert len(task.test) == 41
    assert len(task.train) + len(task.dev) == 79


def test_a_row_in_two_given_splits_stays_in_test(tmp_path):
    write(tmp_path / "train.jsonl", cycle("a", "b")[:80], TEXTS[:80])
    write(tmp_path / "test.jsonl", cycle("a", "b")[:40], TEXTS[70:110])
    found = examine(tmp_path)
    assert len(found.task.test) == 40
    assert not {e.id for e in found.task.train} & {e.id for e in found.task.test}
    assert any("10 exact duplicates dropped" in w for w in found.findings.warnings)


def test_split_column(tmp_path):
    words = ["train"] * 70 + ["validation"] * 20 + ["test"] * 30
    task = examine(write(tmp_path / "d.jsonl", cycle("a", "b"), split=words)).task
    assert [len(s) for s in (task.train, task.dev, task.test)] == [70, 20, 30]


def test_a_split_file_with_lists_of_shards(tmp_path):
    (tmp_path / "data").mkdir()
    write(tmp_path / "data/train-00000-of-00002.jsonl", cycle("a", "b")[:40], TEXTS[:40])
    write(tmp_path / "data/train-00001-of-00002.jsonl", cycle("a", "b")[:40], TEXTS[40:80])
    write(tmp_path / "data/test-00000-of-00001.jsonl", cycle("a", "b")[:40], TEXTS[80:])
    task = tasks.load(tasks.from_flags(data=tmp_path))
    assert len(task.train) + len(task.dev) == 80


def test_metric_file_is_found_beside_the_task_file_and_its_change_is_noticed(tmp_path):
    write(tmp_path / "d.jsonl", [f"a reply about {t}" for t in TEXTS])
    (tmp_path / "m.py").write_text("def score(prediction, target):\n    return prediction == target\n")
    (tmp_path / "task.yaml").write_text("data: d.jsonl\nmetric: m.py:score\n")
    first = tasks.load(tasks.read_spec(tmp_path)).metric
    (tmp_path / "m.py").write_text("def score(prediction, target):\n    return 1\n")
    assert first.options["digest"] != tasks.load(tasks.read_spec(tmp_path)).metric.options["digest"]
