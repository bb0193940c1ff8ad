"""Assertions: an answer is judged by its row's own asserts, as promptfoo scores a test: their weighted mean."""

from __future__ import annotations

import json
from dataclasses import dataclass

from whichway.nouns import Example, Score
from whichway.tasks.assertions import judge
from whichway.tasks.metrics._text import Base


@dataclass(frozen=True, slots=True)
class Options:
    """No options: everything stands in the rows."""


class Metric(Base):
    """Share of asserts that hold, by weight; `why` names those that failed."""

    name = "assertions"

    def __init__(self, options: Options) -> None:
        pass

    def __call__(self, example: Example, text: str) -> Score:
        """Judge one answer by the asserts in the example's target."""
        if not text.strip():
            return Score(None, "empty answer")
        try:
            asserts = json.loads(example.target)
        except ValueError:
            asserts = None
        if not isinstance(asserts, list) or not all(isinstance(one, dict) and "type" in one for one in asserts):
            return Score(float(example.target.strip() == text.strip()), "the target holds no asserts: compared as text")
        return judge(asserts, example, text)
