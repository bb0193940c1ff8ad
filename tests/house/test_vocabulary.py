"""Names in the source are the field's own: words of a private vocabulary do not come back as identifiers."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src" / "whichway"
WHOLE = frozenset({"found", "said", "kept", "given", "asked", "told", "made", "who", "whom"})  # say what it is instead
PARTS = frozenset({"till", "heat", "lane", "lanes", "desk", "desks", "booth", "house", "doors", "errand", "trunk"})


def bound(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The names that a file binds, with their lines: variables, parameters, functions, classes, fields, attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield (node.id if isinstance(node, ast.Name) else node.attr), node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno


def words(name: str) -> list[str]:
    """The words of a name in snake case or camel case."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def denied(name: str) -> bool:
    return name in WHOLE or not PARTS.isdisjoint(words(name))


@pytest.mark.parametrize("room", sorted(path.name for path in SRC.iterdir() if path.name != "__pycache__"))
def test_no_name_is_of_the_private_vocabulary(room: str) -> None:
    place = SRC / room
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place] if place.suffix == ".py" else []
    found = [
        f"{file.relative_to(SRC)}:{line}: {name}"
        for file in files
        for name, line in bound(ast.parse(file.read_text(encoding="utf-8")))
        if denied(name)
    ]
    assert not found, "name what it is, by the field's terms: " + ", ".join(found)


@pytest.mark.parametrize(("name", "wrong"), [
    ("found", True), ("run_heat", True), ("HouseBench", True), ("trunk_of", True), ("founded", False),
    ("contender", False), ("kept_score", False),
])  # fmt: skip
def test_words_are_told_from_parts_of_words(name: str, wrong: bool) -> None:
    assert denied(name) is wrong
