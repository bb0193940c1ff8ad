"""YAML as other tools write it, by the core schema of YAML 1.2: `yes`, `on`, `12:10` and dates are words.

Every value is kept as it is written (`010`, `1.0`, `true` are texts here, as a row's text or a label would be), because
only whoever reads a key knows whether it holds a text or a number; `typed` turns written values into numbers and
truth values where those are wanted. JSON is read the same way.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)


class Plain(str):
    """A value that stands without quotes, as it is written."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    """Null and merge keys are read; every other plain scalar is a text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own interface
        first: [(tag, form) for tag, form in pairs if tag.endswith((":null", ":merge"))]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _text(loader: Any, node: yaml.ScalarNode) -> str:
    return Plain(node.value) if node.style is None else str(node.value)


_Loader.add_constructor("tag:yaml.org,2002:str", _text)


def load(text: str) -> Any:
    """The value of a document.

    Raises:
        yaml.YAMLError: it is not valid.
    """
    return yaml.load(text, _Loader)


def lines(text: str, key: str) -> list[int]:
    """The line on which each element of the list under a top key begins; empty where there is no such list."""
    root = yaml.compose(text, _Loader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    sequence = next((value for name, value in pairs if name.value == key), None)
    return [node.start_mark.line + 1 for node in sequence.value] if isinstance(sequence, yaml.SequenceNode) else []


def typed(value: Any) -> Any:
    """A value with its unquoted numbers and truth values as such, inside lists and mappings too."""
    if isinstance(value, list):
        return [typed(one) for one in value]
    if isinstance(value, dict):
        return {str(key): typed(one) for key, one in value.items()}
    if not isinstance(value, Plain):
        return value
    if _BOOL.fullmatch(value):
        return value.lower() == "true"
    if _INT.fullmatch(value):
        return int(value, {"0o": 8, "0x": 16}.get(value[:2], 10))
    if _FLOAT.fullmatch(value):
        return float(value.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return str(value)


def problem(error: yaml.YAMLError) -> tuple[str, str]:
    """Where a document is broken (":3", or nothing) and what is wrong with it."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return (f":{mark.line + 1}" if mark else ""), str(getattr(error, "problem", None) or error)
