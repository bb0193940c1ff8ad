"""JSON fields: F1 over the key and value pairs of a JSON object; nested objects count by path, lists in any order."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from whichway.nouns import Example, Score, canonical
from whichway.tasks.metrics._text import Base, plain


@dataclass(frozen=True, slots=True)
class Options:
    """Options of JSON fields."""

    strict: bool = field(default=False, metadata={"help": "case and punctuation of values count"})


class Metric(Base):
    """Pairs in both, against pairs in answer and target; two empty objects agree."""

    name = "json_fields"
    title = "JSON fields"

    def __init__(self, options: Options) -> None:
        self.strict = options.strict

    def normal(self, text: str) -> str:
        """The object in one spelling; text that holds none, as plain text."""
        value = parse(text)
        return plain(text) if value is None else canonical(value)

    def __call__(self, example: Example, text: str) -> Score:
        """Compare the object in an answer with the target's."""
        answer, target = parse(text), parse(example.target)
        if answer is None or target is None:
            return Score(None, f"no JSON object in {'the answer' if answer is None else 'the target'}")
        answered, wanted = Counter(self._pairs(answer)), Counter(self._pairs(target))
        if not answered and not wanted:
            return Score(1.0)
        return Score(2 * (answered & wanted).total() / (answered.total() + wanted.total()))

    def _pairs(self, value: Any, path: str = "") -> Iterator[tuple[str, str]]:
        if isinstance(value, dict) and (value or not path):
            for key, inner in value.items():
                yield from self._pairs(inner, f"{path}.{key}")
        elif isinstance(value, list) and value:
            for inner in value:
                yield from self._pairs(inner, f"{path}[]")
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            yield path, text if self.strict else plain(text)


def parse(text: str) -> dict[str, Any] | None:
    """The first JSON object in a text (a fence or words around it do no harm), or None."""
    decoder = json.JSONDecoder(parse_constant=_refuse)
    start = text.find("{")
    while start >= 0:
        try:
            value, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            start = text.find("{", start + 1)
        else:
            return value if isinstance(value, dict) else None
    return None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
