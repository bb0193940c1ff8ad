"""Lint for prompts: rules with evidence, found by registration, one file for each family.

S rules read the prompt alone, D rules train and dev rows too (test rows only as hashes), M rules claim an effect that
`--measure` measures on dev, P rules know the model. A new rule is a function under `@rule(...)` in a file of this
folder.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from whichway.lint.registry import RULES, SEVERITIES, Edit, Finding, Hit, Rule, placed, rule
from whichway.lint.scene import Data, Draft, FormatScores, Provider, Scene

__all__ = [
    "SEVERITIES",
    "Data",
    "Draft",
    "Edit",
    "Finding",
    "FormatScores",
    "Hit",
    "Provider",
    "Rule",
    "Scene",
    "lint",
    "rule",
    "rules",
]


def rules() -> dict[str, Rule]:
    """Every rule by its id, in order."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return dict(sorted(RULES.items()))


def lint(scene: Scene, ignore: Iterable[str] = ()) -> list[Finding]:
    """What all rules find, in order of place, then severity.

    Args:
        scene: the prompt and what is known beside it.
        ignore: ids of rules to leave out.
    """
    left_out = set(ignore)
    findings = [
        placed(rule_, hit, scene) for id_, rule_ in rules().items() if id_ not in left_out for hit in rule_.check(scene)
    ]
    once = {(f.id, f.line, f.column, f.message): f for f in findings}
    return sorted(once.values(), key=lambda f: (f.line, f.column, SEVERITIES.index(f.severity), f.id))


class _Callable(ModuleType):
    """`whichway.lint(...)` for Python users: the package itself has that name, so it answers to the call."""

    def __call__(self, *args: Any, **kwargs: Any) -> list[Finding]:
        """See `app.porch.lint`."""
        findings: list[Finding] = importlib.import_module("whichway.app.porch").lint(*args, **kwargs)
        return findings


sys.modules[__name__].__class__ = _Callable
