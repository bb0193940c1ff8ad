"""Tasks without wanted answers: an ask, a handful of inputs, and what a good answer must fulfil.

How so few rows are split. There is no train split: without wanted answers nothing can be trained, and there is no
worked example to show. Under `DEV_FROM` inputs all of them are test, and each way enters with the first candidate that
it gives: picking the best of several on two or three inputs would be luck, and would take inputs from the intervals.
From `DEV_FROM` inputs on a third, by content hash, is dev, where candidates are chosen; the rest is test. Inputs are
never in both. What few rows cannot show is made up for in one direction only: answers are drawn several times
(`REPEATS`), which measures variety, and intervals are over inputs, whose number is all the evidence there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from whichway.errors import DataError, did_you_mean
from whichway.nouns import Example, MetricSpec, Task
from whichway.tasks import columns, near_duplicates
from whichway.tasks.metrics import checks
from whichway.tasks.spec import Spec
from whichway.tasks.split import point
from whichway.tasks.table import DataTable, Row

LEAST = 3
DEV_FROM = 12
REPEATS = 5
POOR = (
    "The embedded model is far too small to write well (often a word or two): its numbers are measured like any "
    "other's, its texts are not worth sending. Name a model of yours: --model."
)
INLINE = Path("inputs")  # where rows of the task file itself come from, in messages


def is_open(spec: Spec) -> bool:
    """Whether a spec says that there are no wanted answers: inputs or checks or a judge, and no target."""
    has_open_keys = spec.inputs is not None or spec.checks is not None or spec.judge is not None
    return (has_open_keys or (spec.metric is not None and spec.metric.name == "checks")) and spec.target is None


def build(spec: Spec, metric: MetricSpec | None, table: DataTable | None) -> tuple[Task, list[str], list[str]]:
    """The task with all that its rows decide, and notes and warnings; `load` adds what else the spec says.

    Args:
        spec: without a target.
        metric: the checks, complete; None where only a judge is named.
        table: the rows of the data file; None: they stand in the spec.

    Raises:
        DataError: too few inputs, an empty one, or no ask; names file and line.
        OptionError: a check names no input column.
    """
    if spec.ask is None:
        raise DataError("ask: say what is asked of the model. An open-ended task has no column to take it from.")
    if metric is None and spec.judge is None:
        raise DataError("There is nothing to measure answers by: add checks: (such as `words: {min: 40, max: 120}`).")
    table = _inline(spec) if table is None else table
    names, passed, part = _columns(spec, table)
    checks.refuse_unknown_fields(metric.options if metric else {}, names)
    rows = _distinct(table.rows, names, passed["group"])
    if len(rows) < LEAST:
        raise DataError(
            f"{table.path}: {len(rows)} different inputs. At least {LEAST} are needed to say how answers vary from "
            "input to input; 8 are a start."
        )
    dev, test, split_note = _halves(rows, passed["split"])
    judge = spec.judge.spec() if spec.judge else None
    name = spec.name or (spec.data.stem if spec.data is not None else "open")
    task = Task(name, spec.ask, (), dev, test, metric or MetricSpec("checks"), checks=metric, judge=judge)
    doubles = len(table.rows) - len(rows)
    notes = ["Open-ended: without wanted answers nothing is trained, and baselines have nothing to learn."]
    notes += [f"input: {', '.join(names)}{part}."] if spec.input is None and spec.inputs is None else []
    notes += [] if metric else ["No checks: every answer that is not empty scores 100; the judge stands beside."]
    warnings = [f"{doubles} inputs stand twice and count once."] if doubles else []
    warnings += [POOR] if spec.model == "embedded" else []
    return task, [*notes, *([split_note] if dev else [])], [*warnings, *([] if dev else [split_note])]


def _inline(spec: Spec) -> DataTable:
    """The inputs of the task file as a table."""
    assert spec.inputs is not None  # the caller's choice
    fields = [item if isinstance(item, dict) else {"input": item} for item in spec.inputs]
    first = tuple(fields[0])
    for number, values in enumerate(fields, start=1):
        if tuple(sorted(values)) != tuple(sorted(first)):
            raise DataError(
                f"inputs: number {number} has {', '.join(values)}, the first has {', '.join(first)}. "
                "All inputs need the same fields."
            )
    return DataTable(INLINE, first, tuple(Row(values, INLINE, number) for number, values in enumerate(fields, start=1)))


def _columns(spec: Spec, table: DataTable) -> tuple[tuple[str, ...], dict[str, str | None], str]:
    """The input columns, the group and split columns, and a note about a column that looks like answers."""
    by = spec.split if isinstance(spec.split, str) else None
    roles = {"group": spec.group, "split": by, "id": spec.id}
    named = {part: None if columns.is_none(name, table) else name for part, name in roles.items()}
    for part, name in [("input", name) for name in spec.input or ()] + list(named.items()):
        if name is not None and name not in table.columns:
            raise DataError(
                f"{table.path}: {part} column '{name}' is not there.{did_you_mean(name, table.columns)} "
                f"Columns: {', '.join(table.columns)}."
            )
    if spec.input is not None:
        return tuple(spec.input), named, ""
    free = [name for name in table.columns if name not in named.values() and name.casefold() not in ("id", "group")]
    answers = [name for name in free if name.casefold() in columns.TARGETS]
    inputs = tuple(name for name in free if name not in answers) or tuple(free)
    hint = f"; {', '.join(answers)} left out: if it holds wanted answers, say target: {answers[0]}" if answers else ""
    return inputs, named, hint


def _distinct(rows: Sequence[Row], names: Sequence[str], group: str | None) -> list[tuple[Example, Row]]:
    """Examples without exact copies.

    Raises:
        DataError: an input is empty.
    """
    by_id: dict[str, tuple[Example, Row]] = {}
    for row in rows:
        fields = {name: row.fields.get(name, "") for name in names}
        if not any(text.strip() for text in fields.values()):
            raise DataError(f"{row.where}: the input ({', '.join(names)}) is empty. Fill it or delete the row.")
        example = Example(fields, "", (row.fields.get(group) or None) if group else None, row.origin)
        by_id.setdefault(example.id, (example, row))
    return list(by_id.values())


def _halves(
    rows: Sequence[tuple[Example, Row]], column: str | None
) -> tuple[tuple[Example, ...], tuple[Example, ...], str]:
    """Dev and test, and what to tell about it."""
    split_sides = [row.side(column, "dev or test") for _, row in rows]
    if any(split_sides):
        dev = tuple(e for (e, _), side in zip(rows, split_sides, strict=True) if side in ("train", "dev"))
        test = tuple(e for (e, _), side in zip(rows, split_sides, strict=True) if side not in ("train", "dev"))
        if len(test) < LEAST:
            raise DataError(f"the test split that the data bring has {len(test)} inputs; at least {LEAST} are needed.")
        return dev, test, f"Split as the data say: {len(dev)} inputs to choose candidates by, {len(test)} to test."
    examples = [e for e, _ in rows]
    if len(examples) < DEV_FROM:
        return (), tuple(examples), (
            f"All {len(examples)} inputs are test: with fewer than {DEV_FROM} nothing is held out to choose candidates "
            "by, so each way enters with its first one."
        )  # fmt: skip
    places = {
        e.id: point(f"group {e.group}" if e.group else f"text {near_duplicates.skeleton(e.text)}") for e in examples
    }
    edge = sorted(places.values())[len(examples) // 3 - 1]
    dev, test = (tuple(e for e in examples if (places[e.id] <= edge) == side) for side in (True, False))
    return dev, test, f"{len(dev)} inputs choose candidates (dev), {len(test)} test them; no input does both."
