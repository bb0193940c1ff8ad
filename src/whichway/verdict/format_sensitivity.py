"""Which candidates of a way differ in the form of their prompt alone, and how they did on the dev rows they share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from whichway.findings import Formats
from whichway.nouns import Candidate, Form, Record, digest, to_json
from whichway.verdict.format_spread import FEWEST, formats


def spread_over_forms(
    ways: Iterable[str], candidates: Mapping[str, Candidate], records: Callable[[Collection[str]], Iterable[Record]]
) -> tuple[Formats, ...]:
    """The spread of each way that asked the same words in three forms and more.

    Args:
        ways: of the plan, in its order.
        candidates: id -> candidate.
        records: gives those of some candidates; those on dev count.
    """
    wanted = {key: group for key, group in _families(candidates).items() if len(group) >= FEWEST}
    ids = {key for group in wanted.values() for key in group}
    scores: dict[str, dict[str, float]] = defaultdict(dict)
    for record in records(ids):
        if record.split == "dev" and not record.repeat:
            scores[record.candidate][record.example] = record.points
    spreads = []
    for way in ways:
        measured = [
            _spread(way, group, candidates, scores) for (family_way, _), group in wanted.items() if family_way == way
        ]
        known = [spread for spread in measured if spread is not None]
        if known:  # the family with most forms, then most rows, speaks for the way
            spreads.append(max(known, key=lambda spread: (spread.forms, spread.rows)))
    return tuple(spreads)


def _families(candidates: Mapping[str, Candidate]) -> dict[tuple[str, str], list[str]]:
    """(way, content without its form) -> candidates. Calibrated ones and others are never one family."""
    families: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key, candidate in candidates.items():
        words = replace(candidate.prompt, form=Form(), layout="system").content
        read = {**to_json(candidate.decoding), "bias": bool(candidate.decoding.bias)}
        families[candidate.way, digest([words, candidate.weights.key, read, candidate.seed])].append(key)
    return families


def _spread(
    way: str,
    group: Sequence[str],
    candidates: Mapping[str, Candidate],
    scores: Mapping[str, Mapping[str, float]],
) -> Formats | None:
    rows = sorted(set.intersection(*(set(scores[key]) for key in group)))
    table = np.array([[scores[key][row] for row in rows] for key in group], dtype=np.float64)
    return formats(way, [_name(candidates[key], group, candidates) for key in group], table)


def _name(candidate: Candidate, group: Sequence[str], candidates: Mapping[str, Candidate]) -> str:
    """What tells a form from the others of its family."""
    all_forms = [candidates[key].prompt for key in group]
    form, parts = candidate.prompt.form, []
    for value, others in (
        (form.name or "no framework", {p.form.name for p in all_forms}),
        (f"headings {form.headings}", {p.form.headings for p in all_forms}),
        (f"labels {form.labels}", {p.form.labels for p in all_forms}),
        (f"wrap {form.wrap}", {p.form.wrap for p in all_forms}),
        (f"in the {candidate.prompt.layout} message", {p.layout for p in all_forms}),
    ):
        if len(others) > 1:
            parts.append(value)
    return ", ".join(parts) or candidate.note
