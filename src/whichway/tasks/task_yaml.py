"""A task file as values, with the line of each key for messages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from whichway.errors import DataError
from whichway.tasks.encodings import decode

Marks = dict[tuple[str | int, ...], int]  # key path -> line

# YAML by the 1.2 core schema: `yes`, `no`, `on`, dates and 12:30 are words (labels often are), and 1e-3 is a number.


class TaskFileLoader(yaml.SafeLoader):
    """Reads a task file."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own interface
        first: [(tag, form) for tag, form in pairs if tag.endswith((":null", ":merge"))]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)$")
_FLOAT = re.compile(r"[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.inf)$")
TaskFileLoader.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOL, list("tTfF"))
TaskFileLoader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
TaskFileLoader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))


def values_and_lines(path: Path) -> tuple[Any, Marks]:
    """The values of a YAML file, and the line of each key.

    Raises:
        DataError: it is no YAML, or a key stands twice.
    """
    if path.suffix.lower() in (".csv", ".tsv", ".jsonl", ".parquet"):
        raise DataError(f"{path} looks like data, no task file. Say --data {path}, or first whichway init {path}")
    loader = TaskFileLoader(decode(path))
    try:
        node = loader.get_single_node()
        if node is None:
            raise DataError(f"{path}: the file is empty. A task file needs at least `data: FILE`.")
        marks = _marks(node, path, ())
        return loader.construct_document(node), marks
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise DataError(f"{path}{at}: not valid YAML: {error.problem}.") from None
    except yaml.YAMLError as error:
        raise DataError(f"{path}: not valid YAML: {error}.") from None
    finally:
        loader.dispose()


def _marks(node: yaml.Node, path: Path, at: tuple[str | int, ...]) -> Marks:
    marks: Marks = {at: node.start_mark.line + 1}
    if isinstance(node, yaml.SequenceNode):
        for number, inner in enumerate(node.value):
            marks |= _marks(inner, path, (*at, number))
    if isinstance(node, yaml.MappingNode):
        for key, inner in node.value:
            here = (*at, str(key.value))
            if here in marks:
                raise DataError(f"{path}:{key.start_mark.line + 1}: the key '{key.value}' stands twice.")
            marks |= _marks(inner, path, here)
            marks[here] = key.start_mark.line + 1
    return marks
