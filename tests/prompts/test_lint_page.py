"""docs/lint.md says what the rules say."""

from __future__ import annotations

from pathlib import Path

from whichway.lint import rules
from whichway.lint.page import page


def test_the_page_is_current() -> None:
    written = (Path(__file__).parents[2] / "docs/lint.md").read_text(encoding="utf-8")
    assert written == page(list(rules().values())), "run: python -m whichway.lint.page > docs/lint.md"
    assert all(f"## {id_}\n" in written for id_ in rules())
