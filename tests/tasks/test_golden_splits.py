"""Existing data keep their splits: digests as they were before the readers were divided by format."""

import json

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from files_kit import ROWS, jsonl, lines

from whichway import tasks
from whichway.nouns import digest

ALPACA = [{"instruction": "Sort.", "input": f" {t} ", "output": y} for t, y in ROWS]
FREE = [{"question": t, "answer": f"The answer to number {n} is {t[::-1]}"} for n, (t, _) in enumerate(ROWS)]
FILES = {
    "d.csv": lines("{},{}", header="text,label"),
    "semicolon.csv": lines("{};{}", header="text;label"),
    "quoted.csv": lines('"{}, or ""so""\nit seems",{}', header="text,label", end="\r\n"),
    "d.tsv": lines("{}\t{}", header="question\tanswer"),
    "d.jsonl": jsonl([{"input": t, "target": y, "group": f"c{n % 17}"} for n, (t, y) in enumerate(ROWS)]),
    "alpaca.json": json.dumps(ALPACA),
    "free.jsonl": jsonl(FREE),
    "objects.jsonl": jsonl([{"input": t, "target": json.dumps({"team": y})} for t, y in ROWS]),
    "stars.csv": lines("{},{}", [(t, str(n % 5 + 1)) for n, (t, _) in enumerate(ROWS)], "text,label"),
    "mixed.csv": lines("{},{}", [(t, y.title() if n % 7 == 0 else y) for n, (t, y) in enumerate(ROWS)], "text,label"),
}
GOLDEN = {  # file: digests of train, dev, test, and of labels and metric
    "d.csv": ["c37eb2566db58b81", "15044ba740e0b1c4", "cd27442e5253e93a", "30d083f531816bcb"],
    "semicolon.csv": ["c37eb2566db58b81", "15044ba740e0b1c4", "cd27442e5253e93a", "30d083f531816bcb"],
    "quoted.csv": ["eb482b80f1d3219e", "081529b5c7c597de", "77926d0635c6507b", "30d083f531816bcb"],
    "d.tsv": ["40299913d746e3a3", "9c45eeb1dd974b6c", "9998fd7bbd393f01", "30d083f531816bcb"],
    "d.jsonl": ["1fd497242c99eb4e", "bdfb69c8d4cde6f3", "ce785a95a02cb010", "30d083f531816bcb"],
    "alpaca.json": ["f17de920a439b1d9", "afb1dd50629abc43", "1abfd32f318523a1", "30d083f531816bcb"],
    "free.jsonl": ["3bda2cc78b615f94", "234d5bdaf1d2d522", "139827110f4a81f1", "82b42c3091174db3"],
    "objects.jsonl": ["4b875aaf3dd7f7e7", "385b898de16ad0c7", "8e24af0ef8e2a0aa", "7a9ebe38f76dc363"],
    "stars.csv": ["4f0bbb5c7ebee227", "f6291bd8a32d03d5", "9d6a7955883ff9a3", "1bc9b5bb5c21e4bc"],
    "mixed.csv": ["c37eb2566db58b81", "15044ba740e0b1c4", "cd27442e5253e93a", "30d083f531816bcb"],
    "d.parquet": ["c40fdfa583aa6bf5", "a5a075012955f916", "5678508ffbfc0820", "46b18ba3696d238c"],
    "folder": ["826dc6ea2da3616b", "537d12c5c27f9a70", "4315eba58beab63a", "30d083f531816bcb"],
}


def digests(path):
    task = tasks.load(tasks.from_flags(data=path))
    sides = [digest([e.id for e in side]) for side in (task.train, task.dev, task.test)]
    return [*sides, digest([list(task.labels), task.metric.name, dict(task.metric.options)])]


@pytest.mark.parametrize("name", [*FILES, "d.parquet", "folder"])
def test_splits_stand(name, tmp_path):
    path = write(name, tmp_path)
    assert digests(path) == GOLDEN[name]


def write(name, folder):
    path = folder / name
    if name in FILES:
        path.write_text(FILES[name], newline="")
    elif name == "folder":
        path.mkdir()
        (path / "train.csv").write_text(lines("{},{}", ROWS[:40], "text,label"))
        (path / "test.jsonl").write_text(jsonl([{"text": t, "label": y} for t, y in ROWS[40:]]))
    else:
        table = arrow.table({"text": [t for t, _ in ROWS], "label": [n % 3 for n in range(60)], "x": [1.0] * 60})
        parquet.write_table(table, path)
    return path
