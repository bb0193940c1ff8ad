"""Suppressions inside a file, and baselines: findings that are known and accepted.

`whichway: ignore PL008 PL009` in a comment (`#`, `//`, `<!-- -->`, `{# #}`) holds for its own line and the next one,
`whichway: ignore-file PL008` for the whole file. Such lines are no part of a plain-text prompt.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from whichway.errors import DataError, OptionError, did_you_mean
from whichway.lint.registry import Finding
from whichway.prompts.files import MARK


@dataclass(frozen=True, slots=True)
class Ignored:
    """What a file asks to leave out."""

    everywhere: frozenset[str]
    lines: dict[int, frozenset[str]]  # line -> rules

    def holds(self, finding: Finding) -> bool:
        """Whether a finding is suppressed."""
        return finding.id in self.everywhere or finding.id in self.lines.get(finding.line, frozenset())


def suppressions(source: str, known: Iterable[str]) -> Ignored:
    """The suppressions of a file.

    Raises:
        OptionError: a rule that does not exist.
    """
    everywhere: set[str] = set()
    lines: dict[int, set[str]] = defaultdict(set)
    for number, line in enumerate(source.splitlines(), 1):
        for match in MARK.finditer(line):
            ids = {word.upper() for word in re.findall(r"[A-Za-z]{2}\d{3}", match.group(2))}
            check_ids(ids, known)
            if match.group(1) == "ignore-file":
                everywhere |= ids
            else:
                lines[number] |= ids
                lines[number + 1] |= ids
    return Ignored(frozenset(everywhere), {n: frozenset(ids) for n, ids in lines.items()})


def check_ids(ids: Iterable[str], known: Iterable[str]) -> None:
    """Refuse rules that do not exist.

    Raises:
        OptionError: with the nearest one.
    """
    known = list(known)
    for id_ in ids:
        if id_ not in known:
            hint = did_you_mean(id_, known) if len(known) < 10 else " They run from PL001 to PL048: docs/lint.md."
            raise OptionError(f"there is no lint rule '{id_}'.{hint}")


def read_baseline(text: str, path: str) -> Counter[str]:
    """Fingerprint -> how many findings with it are accepted.

    Raises:
        DataError: no baseline of ours.
    """
    try:
        data = json.loads(text)
        return Counter({str(entry["fingerprint"]): int(entry.get("count", 1)) for entry in data["findings"]})
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path}: no lint baseline. Write one with --write-baseline {path}") from None


def baseline(findings: Sequence[Finding]) -> str:
    """A baseline that accepts these findings."""
    counts = Counter(f.fingerprint for f in findings)
    first: dict[str, Finding] = {}
    for finding in findings:
        first.setdefault(finding.fingerprint, finding)
    entries: list[dict[str, Any]] = [
        {"fingerprint": key, "id": first[key].id, "message": first[key].message, "count": counts[key]}
        for key in sorted(first, key=lambda key: (first[key].id, key))
    ]
    return json.dumps({"version": 1, "findings": entries}, indent=2, ensure_ascii=False) + "\n"


def fresh(findings: Sequence[Finding], accepted: Counter[str]) -> list[Finding]:
    """The findings that a baseline does not accept."""
    left, new = Counter(accepted), []
    for finding in findings:
        if left[finding.fingerprint] > 0:
            left[finding.fingerprint] -= 1
        else:
            new.append(finding)
    return new
