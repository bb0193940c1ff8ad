"""Rules by registration: each is a function from a scene to hits, with id, kinds, severity, reason and source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from whichway.lint.scene import Piece, Scene, locate
from whichway.nouns import Prompt, digest

Severity = Literal["error", "warn", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warn", "info")


@dataclass(frozen=True, slots=True)
class Edit:
    """A change that a finding suggests, as a function on prompts."""

    what: str  # "list the labels"
    apply: Callable[[Prompt], Prompt]


@dataclass(frozen=True, slots=True)
class Hit:
    """Where a rule fires, before it is placed in the file."""

    message: str
    piece: Piece | None = None
    start: int = 0
    end: int = 0
    edit: Edit | None = None
    suggestion: str = ""  # instead of the rule's own


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule."""

    id: str
    title: str
    kinds: str  # of S static, D needs the data, M measured by ablation, P knows the model
    severity: Severity
    why: str
    source: str
    suggestion: str
    check: Callable[[Scene], Iterator[Hit]]

    @property
    def family(self) -> str:
        """The file it is in."""
        return self.check.__module__.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of a rule. Lines and columns count from 1; the end column is after the last character."""

    id: str
    severity: Severity
    line: int
    column: int
    end_line: int
    end_column: int
    message: str
    why: str
    source: str
    suggestion: str
    snippet: str
    fingerprint: str  # of rule and words, so that it survives a moved line
    edit: Edit | None = None


RULES: dict[str, Rule] = {}


def rule(
    id_: str, title: str, kinds: str, severity: Severity, *, why: str, source: str, suggestion: str
) -> Callable[[Callable[[Scene], Iterator[Hit]]], Callable[[Scene], Iterator[Hit]]]:
    """Register a function as a rule.

    Raises:
        ValueError: the id is taken.
    """

    def register(check: Callable[[Scene], Iterator[Hit]]) -> Callable[[Scene], Iterator[Hit]]:
        if id_ in RULES:
            raise ValueError(f"{id_} is registered twice")
        RULES[id_] = Rule(id_, title, kinds, severity, why, source, suggestion, check)
        return check

    return register


def placed(rule: Rule, hit: Hit, scene: Scene) -> Finding:
    """A hit as a finding, placed in the file."""
    source = scene.draft.source
    start, end = (0, min(1, len(source))) if hit.piece is None else locate(source, hit.piece, hit.start, hit.end)
    line, column = position(source, start)
    end_line, end_column = position(source, max(end, start))
    snippet = source[start:end] if hit.piece is not None else ""
    return Finding(
        rule.id,
        rule.severity,
        line,
        column,
        end_line,
        max(end_column, column + 1) if end_line == line else end_column,
        hit.message,
        rule.why,
        rule.source,
        hit.suggestion or rule.suggestion,
        snippet,
        digest([rule.id, " ".join(snippet.split()), hit.message if not snippet else ""]),
        hit.edit,
    )


def position(source: str, at: int) -> tuple[int, int]:
    """Line and column of a character, from 1."""
    before = source[:at]
    return before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1
