"""JSON, Parquet, Arrow and folders in the layouts that libraries write."""

import json
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from files_kit import ROWS, examine, examples, jsonl, lines, pairs, told

from whichway import tasks
from whichway.errors import UserError
from whichway.tasks import read

DICTS = [{"text": t, "label": y} for t, y in ROWS]
COLUMNS = {"text": [t for t, _ in ROWS], "label": [y for _, y in ROWS]}
INDEXED = {name: {str(n): v for n, v in enumerate(values)} for name, values in COLUMNS.items()}
SPLIT_ROWS = {"train": DICTS[:36], "validation": DICTS[36:46], "test": DICTS[46:]}
DOCUMENTS = {
    "array": DICTS,
    "under data": {"version": 2, "data": DICTS},
    "splits": SPLIT_ROWS,
    "splits as columns": {
        name: {c: [row[c] for row in rows] for c in ("text", "label")} for name, rows in SPLIT_ROWS.items()
    },
    "pandas columns": INDEXED,
    "pandas index": {str(n): row for n, row in enumerate(DICTS)},
    "pandas index with names": {f"ticket {n}": row for n, row in enumerate(DICTS)},
    "pandas split": {"columns": ["text", "label"], "index": list(range(60)), "data": [list(row) for row in ROWS]},
    "pandas table": {"schema": {"fields": [{"name": "text"}], "primaryKey": []}, "data": DICTS},
    "columns": COLUMNS,
    "dataset viewer": {"features": [], "rows": [{"row_idx": n, "row": row} for n, row in enumerate(DICTS)]},
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_json_document(name, tmp_path):
    found = examine(tmp_path, "d.json", json.dumps(DOCUMENTS[name], indent=1))
    assert pairs(found) == sorted(ROWS)
    if name.startswith("splits"):
        assert [len(found.task.train), len(found.task.dev), len(found.task.test)] == [36, 10, 14]
        assert "validation (dev)" in told(found)


def test_json_lines_over_several_lines_and_blank_ones(tmp_path):
    pretty = "\n\n".join(json.dumps(row, indent=2) for row in DICTS)
    found = examine(tmp_path, "d.jsonl", pretty)
    assert pairs(found) == sorted(ROWS)
    assert examples(found)[1].origin == "d.jsonl:6"
    blank = examine(tmp_path, "e.jsonl", "\r\n\r\n".join(json.dumps(row) for row in DICTS))
    assert pairs(blank) == sorted(ROWS)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("d.json", json.dumps([list(row) for row in ROWS]), ["without their columns' names"]),
        ("d.json", "// rows\n" + json.dumps(DICTS), ["d.json:1", "no comments"]),
        ("d.jsonl", "\n".join(map(str, DICTS)), ["d.jsonl:1", "json.dumps"]),
        ("d.jsonl", '{"text": "a", "text": "b", "label": "c"}', ["d.jsonl:1", "'text' stands twice"]),
        ("d.jsonl", '{"text": "\\ud83d", "label": "c"}', ["d.jsonl:1", "surrogate"]),
        ("d.json", json.dumps({"train": DICTS[:3], "notes": "x", "n": 3}), ["3 rows"]),
        ("d.json", json.dumps({"a": {"b": {"c": 1}}}), ["expected an array"]),
    ],
)
def test_json_that_is_refused(name, content, words, tmp_path):
    with pytest.raises(UserError) as caught:
        examine(tmp_path, name, content)
    for word in words:
        assert word in str(caught.value)


def test_what_is_left_unread_is_named(tmp_path):
    found = examine(tmp_path, "d.json", json.dumps({**SPLIT_ROWS, "unlabelled": DICTS[:5]}))
    assert "no splits: unlabelled" in told(found)
    for name, rows in (("my_train.csv", ROWS[:40]), ("my_test.csv", ROWS[40:]), ("readme.csv", ROWS[:2])):
        (tmp_path / name).write_text(lines("{},{}", rows, "text,label"))
    (tmp_path / "d.json").unlink()
    folder = tasks.examine(tasks.from_flags(data=tmp_path))
    assert "train: my_train.csv." in told(folder)
    assert "say no split: readme.csv" in told(folder)


def saved(folder: Path, rows, files=1):
    """A folder as `Dataset.save_to_disk` leaves it, with integer labels and their names."""
    names = sorted({y for _, y in rows})
    table = arrow.table({"text": [t for t, _ in rows], "label": [names.index(y) for _, y in rows]})
    folder.mkdir(parents=True)
    listed = []
    for n in range(files):
        part = table.slice(n * len(rows) // files, len(rows) // files)
        listed.append({"filename": f"data-{n:05d}-of-{files:05d}.arrow"})
        with arrow.ipc.new_stream(str(folder / listed[-1]["filename"]), part.schema) as sink:
            sink.write_table(part)
    features = {"text": {"dtype": "string", "_type": "Value"}, "label": {"names": names, "_type": "ClassLabel"}}
    (folder / "state.json").write_text(json.dumps({"_data_files": listed, "_split": None}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    return folder


def test_save_to_disk(tmp_path):
    one = tasks.examine(tasks.from_flags(data=saved(tmp_path / "one", ROWS, files=2)))
    assert pairs(one) == sorted(ROWS)
    for name, rows in (("train", ROWS[:36]), ("validation", ROWS[36:46]), ("test", ROWS[46:]), ("extra", ROWS[:1])):
        saved(tmp_path / "dict" / name, rows)
    (tmp_path / "dict/dataset_dict.json").write_text('{"splits": ["train", "validation", "test", "extra"]}')
    several = tasks.examine(tasks.from_flags(data=tmp_path / "dict"))
    assert pairs(several) == sorted(ROWS)
    assert several.task.train[0].origin == "train:1"
    assert len(several.task.test) == 14
    assert "no splits of ours: extra" in told(several)
    next((tmp_path / "one").glob("*.arrow")).unlink()
    with pytest.raises(UserError, match="Is the copy complete"):
        tasks.load(tasks.from_flags(data=tmp_path / "one"))


def test_parquet_with_lists_types_and_bytes(tmp_path):
    table = arrow.table({
        "text": arrow.array([t for t, _ in ROWS]).dictionary_encode(),
        "label": [[y] if n % 2 else [y, "urgent"] for n, (_, y) in enumerate(ROWS)],
        "image": [b"\xff\xd8\x00"] * 60,
        "price": arrow.array([0.1] * 60, arrow.float32()),
    })  # fmt: skip
    parquet.write_table(table, tmp_path / "d.parquet")
    found = tasks.examine(tasks.from_flags(data=tmp_path / "d.parquet"))
    assert found.task.metric.name == "multi_label"
    assert "columns of bytes (images, sounds) are not read: image" in told(found)
    rows = read.read(tmp_path / "d.parquet").rows
    assert (rows[0].fields["price"], rows[0].fields["label"]) == ("0.1", '["billing", "urgent"]')


def test_label_names_of_lists_and_hidden_labels(tmp_path):
    names = ["billing", "technical", "sales"]
    features = {"labels": {"feature": {"names": names, "_type": "ClassLabel"}, "_type": "Sequence"}}
    values = [[names.index(y)] if n % 3 else [0, 2] for n, (_, y) in enumerate(ROWS)]
    table = arrow.table({"text": [t for t, _ in ROWS], "labels": values})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, tmp_path / "d.parquet")
    assert examples(tasks.examine(tasks.from_flags(data=tmp_path / "d.parquet")))[0].target == "billing, sales"
    hidden = {"label": {"names": names, "_type": "ClassLabel"}}
    table = arrow.table({"text": [t for t, _ in ROWS], "label": [-1] * 60})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": hidden}})})
    parquet.write_table(table, tmp_path / "test.parquet")
    (tmp_path / "d.parquet").unlink()
    (tmp_path / "train.csv").write_text(lines("{},{}", header="text,label"))
    with pytest.raises(UserError, match=r"the test split has no answers \(column 'label'\)"):
        tasks.load(tasks.from_flags(data=tmp_path))


@pytest.mark.parametrize("name", ["d.csv", "d.jsonl", "d.parquet", "d.json"])
def test_numbers_are_read_by_one_rule(name, tmp_path):
    """Whole numbers that a library wrote with ".0" are whole in every format; others stay as they are written."""
    whole, mixed = [float(n % 3) for n in range(60)], [n / 2 for n in range(60)]
    texts = [t for t, _ in ROWS]
    if name == "d.parquet":
        parquet.write_table(arrow.table({"text": texts, "label": whole, "size": mixed}), tmp_path / name)
    else:
        dicts = [{"text": t, "label": w, "size": m} for t, w, m in zip(texts, whole, mixed, strict=True)]
        (tmp_path / name).write_text({
            "d.csv": "text,label,size\n" + "".join(f"{d['text']},{d['label']},{d['size']}\n" for d in dicts),
            "d.jsonl": jsonl(dicts), "d.json": json.dumps(dicts),
        }[name])  # fmt: skip
    table = read.read(tmp_path / name)
    assert [row.fields["label"] for row in table.rows] == [str(n % 3) for n in range(60)]
    assert [row.fields["size"] for row in table.rows][:4] == ["0.0", "0.5", "1.0", "1.5"]
    assert table.notes[-1] == "numbers like 1.0 are read as 1 in: label."
    assert tasks.load(tasks.from_flags(data=tmp_path / name, target="label", input="text")).labels == ("0", "1", "2")
