"""Every example in docs/data.md is read as the page says."""

import re
from pathlib import Path

import pytest

from whichway.tasks import choices, columns, read, readers
from whichway.tasks.several_labels import detect as several_of

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```(csv|tsv|jsonl|json)\n(.*?)```\n→ `(.*?)` · `(.*?)`\n", PAGE, re.DOTALL)


@pytest.mark.parametrize(("kind", "content", "text", "target"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_example(kind, content, text, target, tmp_path):
    path = tmp_path / f"d.{kind}"
    path.write_text(content, encoding="utf-8")
    table = read.read(path)
    parts = columns.find(table)
    resolved = choices.resolve(table, parts, named_input=False)
    row, parts = resolved.table.rows[0], resolved.parts
    fields = {name: row.fields[name] for name in parts.input}
    shown = next(iter(fields.values())) if len(fields) == 1 else "\n".join(f"{k}: {v}" for k, v in fields.items())
    targets = [r.fields[parts.target] for r in resolved.table.rows]
    several = several_of(targets * 3) if targets[0].startswith("[") else None
    assert (shown, several.spelled()[0] if several else targets[0]) == (text.replace("⏎", "\n"), target)


def test_the_page_names_every_format():
    assert len(EXAMPLES) == PAGE.count("```") // 2 >= 15
    for extension in readers.extensions():
        assert f"`{extension}`" in PAGE
    for extension in (".xlsx", ".xls", ".ods", ".zip", ".tar", ".zst"):
        assert f"`{extension}`" in PAGE
        assert extension in readers.REFUSED
