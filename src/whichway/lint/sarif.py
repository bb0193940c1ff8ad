"""Findings as SARIF 2.1.0 (OASIS, 2020), which code hosts show beside the lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from whichway import __version__
from whichway.lint.registry import Finding, Rule, Severity

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS: dict[Severity, str] = {"error": "error", "warn": "warning", "info": "note"}


def sarif(findings: Sequence[tuple[str, Finding]], rules: dict[str, Rule]) -> str:
    """One run with every rule and the findings.

    Args:
        findings: (path, finding); paths with forward slashes, relative where they can be.
        rules: all rules, by id.
    """
    index = {id_: n for n, id_ in enumerate(rules)}
    driver = {
        "name": "whichway lint",
        "semanticVersion": __version__,
        "rules": [_rule(rule) for rule in rules.values()],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(path, finding, index[finding.id]) for path, finding in findings],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": "".join(word.capitalize() for word in _letters(rule.title).split()),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "help": {"text": f"{rule.suggestion}\n\nSource: {rule.source}"},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"kinds": rule.kinds.split(","), "tags": [rule.family]},
    }


def _letters(text: str) -> str:
    return "".join(c if c.isalnum() else " " for c in text)


def _result(path: str, finding: Finding, index: int) -> dict[str, Any]:
    region = {
        "startLine": finding.line,
        "startColumn": finding.column,
        "endLine": finding.end_line,
        "endColumn": finding.end_column,
    }
    return {
        "ruleId": finding.id,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{finding.message}. {finding.suggestion}"},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": path}, "region": region}}],
        "partialFingerprints": {"whichway/v1": finding.fingerprint},
    }
