"""What was decided for the user while a task was read, one line each."""

from __future__ import annotations

from collections.abc import Sequence

from whichway.nouns import Example
from whichway.tasks.answers import MULTI_LABEL, Answers
from whichway.tasks.columns import Columns
from whichway.tasks.labels import Counts
from whichway.tasks.spec import Spec
from whichway.tasks.table import DataTable, Skipped

LISTED = 20  # rows that were left out, told one by one; of the rest the places
_OPEN = {"numeric": "numbers", "json_fields": "JSON objects", MULTI_LABEL: "several labels a row"}


def decided(spec: Spec, parts: Columns, answers: Answers, joined: int) -> list[str]:
    """Columns, ask and metric, where the user did not say them.

    Args:
        spec: what the user says.
        parts: the columns.
        answers: labels and metric.
        joined: rows that took the split of an earlier near-duplicate.
    """
    notes = []
    if spec.input is None or spec.target is None:
        notes.append(f"input: {', '.join(parts.input)}; target: {parts.target} (found by name).")
    columns = {"group": parts.group, "id": parts.id, "split": parts.split}
    notes += [f"{part}: {columns[part]} (found by name; if it is not, say {part}: none)." for part in parts.by_name]
    if parts.spare:
        notes.append(f"Columns not used: {', '.join(parts.spare)}.")
    if not spec.ask and (parts.ask or not parts.rejected):
        notes.append("ask: taken from the data." if parts.ask else f'ask: "{ask(parts)}" (say better: ask).')
    if spec.metric is None:
        notes.append(f"metric: {answers.metric.name}, as the answers are {_kind(parts, answers)}.")
    if joined:
        notes.append(f"{joined} near-duplicates are kept in the split of their first copy.")
    return [*notes, *answers.notes]


def ask(parts: Columns) -> str:
    """A question made from the names of the columns."""
    inputs = " and the ".join(name.replace("_", " ") for name in parts.input)
    return f"Give the {parts.target.replace('_', ' ')} for the {inputs}."


def _kind(parts: Columns, answers: Answers) -> str:
    if answers.labels:
        return f"{len(answers.labels)} labels"
    if parts.rejected:
        return "chosen or rejected"
    if answers.metric.name in _OPEN:
        return _OPEN[answers.metric.name]
    repeated = Counts.of([target.strip() for target in answers.targets]).repeated
    return "open (free text)" + (" Labels? --target-type label" if repeated > 0.5 else "")


def spaces(table: DataTable, parts: Columns, answers: Answers) -> list[str]:
    """White space that was left out, or kept, around fields that are used."""
    inputs = sum(any(name in row.raw for name in parts.input) for row in table.rows)
    targets = sum(target != target.strip() for target in answers.targets)
    notes = [f"white space around {inputs} inputs is left out."] if inputs else []
    return notes + ([f"white space around {targets} targets is kept, as they are free text."] if targets else [])


def left_out(skipped: Sequence[Skipped], rows: int) -> list[str]:
    """Warnings that list the rows which were left out.

    Args:
        skipped: the rows.
        rows: that remain.
    """
    if not skipped:
        return []
    lines = [f"left out: {one.reason}" for one in skipped[:LISTED]]
    if len(skipped) > LISTED:
        lines.append(f"left out: {', '.join(one.origin for one in skipped[LISTED:])}.")
    return [f"{len(skipped)} of {len(skipped) + rows} rows cannot be used and are left out (skip_bad).", *lines]


def group_advice(parts: Columns, examples: Sequence[Example]) -> str:
    """What to do about a group column that was found by its name and leaves a split without rows."""
    if not parts.group:
        return ""
    groups = {example.group for example in examples if example.group}
    taken = "was taken as the group by its name" if "group" in parts.by_name else "is the group"
    return (
        f" Column '{parts.group}' {taken}, and has {len(groups)} different values; if rows of one value may be "
        "divided, say group: none (--group none)."
    )


def group_hint(table: DataTable, parts: Columns) -> list[str]:
    """A warning when an unused id column repeats, so that rows of one customer or document may lie on two sides."""
    if parts.group:
        return []
    for name in parts.spare:
        values = [row.fields.get(name, "") for row in table.rows]
        if name.casefold().endswith("_id") and all(values) and 1 < len(set(values)) <= len(values) / 2:
            return [f"Column '{name}' repeats. If rows with one {name} are alike, keep them together: group: {name}."]
    return []
