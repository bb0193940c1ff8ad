"""From what the user says to a `Task`: read, find columns, check, split. Task files and flags both end in `load`."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from whichway.errors import DataError, OptionError, UserError, did_you_mean
from whichway.nouns import Example, JudgeSpec, MetricSpec, Prompt, Split, Task
from whichway.prompts import files as text
from whichway.tasks import check, columns, metrics, open_ended, read, split
from whichway.tasks.metrics import checks, json_fields, numeric
from whichway.tasks.metrics._text import plain
from whichway.tasks.read import SPLIT_WORDS, Row, Table
from whichway.tasks.spec import Spec

MOST_LABELS, LEAST_ROWS_PER_LABEL, LONGEST_LABEL = 100, 3, 60
MOST_NUMBER_CLASSES = 20
PREFERENCE = "preference"  # the metric of rows with a chosen and a rejected answer
RANK: Mapping[Split | None, int] = {"test": 0, "dev": 1, "train": 2, None: 3}


@dataclass(frozen=True, slots=True)
class Examined:
    """A task, and what was found while reading it."""

    task: Task
    findings: check.Findings


@dataclass(frozen=True, slots=True)
class _Sample:
    """An example with the row it is made of and the side its data gave it."""

    example: Example
    row: Row
    side: Split | None


def load(spec: Spec) -> Task:
    """The task that a spec describes.

    Raises:
        DataError: the data cannot carry a contest; names file and line.
        OptionError: the metric or an option of it is unknown or does not fit the data.
    """
    return examine(spec).task


def examine(spec: Spec, rows: Table | None = None) -> Examined:
    """The task that a spec describes, with the findings of all checks. Raises as `load` does.

    Args:
        spec: what is said about the task.
        rows: in memory, in place of the spec's data.
    """
    if spec.inputs is not None and (spec.data is not None or spec.target is not None):
        raise DataError("inputs: stand in place of data: and target:. Leave one of them out.")
    if open_ended.is_open(spec):
        return _examine_open(spec, rows)
    table = rows or _table(spec)
    where = str(table.path)
    parts = _columns(spec, table)
    samples = _samples(table, parts)
    check.refuse_small(len(samples), where)
    check.refuse_constant((s.example.target for s in samples), where, parts.target)
    labels, metric = _judge(spec, samples, bool(parts.rejected))
    samples, spelling = _spelled(samples, labels)
    samples, doubles = _distinct(samples)
    check.refuse_small(len(samples), f"{where}, without duplicates")
    sides = split.split(
        [s.example for s in samples],
        stratify=bool(labels),
        given=[s.side for s in samples],
        fractions=_fractions(spec),
    )
    task = _task(spec, parts, samples, sides.of, labels, metric)
    check.refuse_splits(task, where)
    notes = _notes(spec, parts, labels, metric, sides.near_duplicates)
    warnings = [*spelling, *doubles, *sides.warnings, *_group_hint(table, parts)]
    return Examined(task, check.findings(task, notes=notes, warnings=warnings))


def _examine_open(spec: Spec, rows: Table | None) -> Examined:
    """A task without wanted answers."""
    metric = spec.metric if spec.metric else MetricSpec("checks", spec.checks) if spec.checks else None
    if metric is not None and metric.name not in ("checks", "python_function"):
        raise OptionError(
            f"metric {metric.name} compares with wanted answers, and no target is named. Say target: COLUMN, or leave "
            "the metric out: answers are judged by the checks."
        )
    table = (rows or _table(spec)) if spec.inputs is None else None
    task, notes, warnings = open_ended.build(spec, metric and _complete(metric, ()), table)
    task = replace(task, **_said(spec))
    return Examined(task, check.findings(task, notes=notes, warnings=warnings))


@dataclass(frozen=True, slots=True)
class Source:
    """A row as its file holds it, copies too, with the split that its data gave it and the target as it is spelled."""

    example: Example
    side: Split | None
    said: str


def sources(spec: Spec) -> list[Source]:
    """Every row of a task in the order of its file, before copies are dropped. Raises as `load` does.

    Raises:
        UserError: the rows have no wanted answers, or two answers each.
    """
    table = _table(spec)
    parts = _columns(spec, table)
    if parts.rejected:
        raise UserError("Preferences (chosen and rejected answers) are no chat lines; they are trained as they are.")
    samples = _samples(table, parts)
    labels, _ = _judge(spec, samples, False)
    spelled, _ = _spelled(samples, labels)
    return [Source(new.example, new.side, old.example.target) for old, new in zip(samples, spelled, strict=True)]


def read_inputs(path: Path, fields: Sequence[str]) -> list[Example]:
    """New rows without targets, for a winner to answer.

    Args:
        path: any data file, or a .txt file with one input per line.
        fields: the input columns of the task that the winner was made for.

    Raises:
        DataError: the file cannot be read, or lacks a column.
    """
    if path.suffix.lower() == ".txt" and len(fields) == 1:
        lines = enumerate(read.decode(path).split("\n"), 1)
        return [Example({fields[0]: line.strip()}, "", None, f"{path.name}:{n}") for n, line in lines if line.strip()]
    table = read.read(path)
    found = columns.inputs_of(table, fields)
    return [
        Example({f: row.fields.get(name, "") for f, name in zip(fields, found, strict=True)}, "", None, row.origin)
        for row in table.rows
    ]


# Reading


def _table(spec: Spec) -> Table:
    if isinstance(spec.split, dict):
        files: dict[Split, list[Path]] = {
            SPLIT_WORDS[side]: [file] for side, file in spec.split.items() if isinstance(file, Path)
        }
        if files:
            return read.read_splits(files, files["train"][0])
    if spec.data is None:
        raise DataError("No data. Say where the rows are: --data FILE, or `data: FILE` in the task file.")
    return read.read(spec.data)


def _columns(spec: Spec, table: Table) -> columns.Columns:
    by = spec.split if isinstance(spec.split, str) else None
    return columns.find(table, input=spec.input, target=spec.target, group=spec.group, id=spec.id, split=by)


def _samples(table: Table, parts: columns.Columns) -> list[_Sample]:
    _refuse_empty(table, parts.target, "the target")
    if parts.id:
        _refuse_double_ids(table, parts.id)
    if parts.rejected:
        _refuse_empty(table, parts.rejected, "the rejected answer")
    return [_sample(row, parts) for row in table.rows]


def _sample(row: Row, parts: columns.Columns) -> _Sample:
    fields = {name: row.fields.get(name, "") for name in parts.input}
    if not any(fields.values()):
        raise DataError(f"{row.where}: the input ({', '.join(parts.input)}) is empty. Fill it or delete the row.")
    group = row.fields.get(parts.group, "") if parts.group else ""
    target, rejected = row.fields[parts.target], row.fields[parts.rejected] if parts.rejected else None
    if target.strip() == (rejected or "").strip():
        raise DataError(f"{row.where}: the chosen and the rejected answer are the same. Delete the row.")
    return _Sample(Example(fields, target, group or None, row.origin, rejected), row, row.side(parts.split))


def _refuse_empty(table: Table, column: str, part: str) -> None:
    empty = [row for row in table.rows if not row.fields.get(column)]
    if empty:
        more = f" So are {len(empty) - 1} more, the next on line {empty[1].line}." if len(empty) > 1 else ""
        raise DataError(f"{empty[0].where}: {part} (column '{column}') is empty.{more} Fill it or delete the row.")


def _refuse_double_ids(table: Table, column: str) -> None:
    seen: dict[tuple[Path, str], Row] = {}
    for row in table.rows:
        value = row.fields.get(column, "")
        if not value:
            continue
        first = seen.setdefault((row.path, value), row)
        if first is not row:
            raise DataError(
                f"{row.where}: the id '{value[:60]}' (column '{column}') stands on line {first.line} already. "
                f"Make ids unique; if equal ids mean rows that belong together, say group: {column}."
            )


# Labels and metric


def _judge(spec: Spec, samples: Sequence[_Sample], prefers: bool) -> tuple[tuple[str, ...], MetricSpec]:
    """The labels (none for free text) and the metric, as the user says or as the targets suggest."""
    targets = [s.example.target for s in samples]
    if prefers or (spec.metric and spec.metric.name == PREFERENCE):
        return (), _preference(spec.metric, prefers)
    named = metrics.load(spec.metric) if spec.metric else None
    if spec.labels is not None:
        labels = _separate(spec.labels)
    else:
        labels = _found_labels(targets) if (named.closed if named else _looks_closed(targets)) else ()
    if named is not None and named.closed:
        _refuse_open(named.name, labels, targets)
    return labels, _complete(spec.metric or MetricSpec(_default_metric(labels, targets)), labels)


def _preference(metric: MetricSpec | None, prefers: bool) -> MetricSpec:
    """The metric of rows with a chosen and a rejected answer."""
    if not prefers:
        raise OptionError(f"metric {PREFERENCE} wants rows with a column 'chosen' and a column 'rejected'.")
    if metric is not None and metric.name != PREFERENCE:
        raise OptionError(
            f"rows with a chosen and a rejected answer are judged by {PREFERENCE}, not by {metric.name}. To learn the "
            "chosen answers alone, take the column 'rejected' out of the data."
        )
    found = metric or MetricSpec(PREFERENCE)
    metrics.load(found)  # its options are known
    return found


def _complete(metric: MetricSpec, labels: tuple[str, ...]) -> MetricSpec:
    """A metric with the options that the task fills in."""
    known = metrics.options(metric.name)
    extra: dict[str, object] = {}
    if labels and "labels" in known and metrics.load(metric).closed:
        extra["labels"] = list(labels)
    if metric.name == "checks":
        metrics.load(metric)
    if metric.options.get("function"):
        file = Path(str(metric.options["function"]).rpartition(":")[0])
        extra["digest"] = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    return MetricSpec(metric.name, {**extra, **metric.options})


def _refuse_open(name: str, labels: Sequence[str], targets: Sequence[str]) -> None:
    if not labels or (len(labels) > MOST_LABELS and len(targets) < LEAST_ROWS_PER_LABEL * len(labels)):
        raise OptionError(
            f"metric {name} wants a closed set of labels, but the data have {len(set(targets))} different targets in "
            f"{len(targets)} rows. Use exact_match or token_f1, or list the labels."
        )


def _separate(labels: tuple[str, ...]) -> tuple[str, ...]:
    """The user's labels, if answers can tell them apart."""
    for n, label in enumerate(labels):
        twin = next((other for other in labels[:n] if plain(other) == plain(label)), None)
        if twin is not None:
            raise OptionError(f"labels '{twin}' and '{label}' differ only in case or punctuation. Rename one.")
    return labels


def _found_labels(targets: Sequence[str]) -> tuple[str, ...]:
    """Distinct targets, sorted; of several spellings the most frequent stands for all."""
    by_count = sorted(Counter(targets).items(), key=lambda item: (-item[1], item[0]))
    return tuple(sorted({plain(target): target for target, _ in reversed(by_count)}.values()))


def _looks_closed(targets: Sequence[str]) -> bool:
    """Whether targets are few, repeated and short enough to be labels rather than free text."""
    distinct = {plain(target) for target in targets}
    short = all(len(target) <= LONGEST_LABEL and "\n" not in target for target in targets)
    few = len(distinct) <= MOST_LABELS and len(targets) >= LEAST_ROWS_PER_LABEL * len(distinct)
    if not short or not few or _all_objects(targets):
        return False
    return not _all_numbers(targets) or len(distinct) <= MOST_NUMBER_CLASSES or _class_codes(distinct)


def _class_codes(distinct: set[str]) -> bool:
    """Whether numbers count up from 0 or 1, as class codes do."""
    whole = sorted(int(text) for text in distinct if text.isdecimal())
    return len(whole) == len(distinct) and whole[0] in (0, 1) and whole[-1] - whole[0] == len(whole) - 1


def _default_metric(labels: Sequence[str], targets: Sequence[str]) -> str:
    if labels:
        return "accuracy"
    if _all_objects(targets):
        return "json_fields"
    return "numeric" if _all_numbers(targets) else "token_f1"


def _all_objects(targets: Sequence[str]) -> bool:
    return all(target.startswith("{") and json_fields.parse(target) is not None for target in targets)


def _all_numbers(targets: Sequence[str]) -> bool:
    return all(numeric.is_number(target) for target in targets)


def _spelled(samples: Sequence[_Sample], labels: Sequence[str]) -> tuple[list[_Sample], list[str]]:
    """Samples with targets spelled as the labels are.

    Raises:
        DataError: a target is none of the labels.
    """
    if not labels:
        return list(samples), []
    standing = {plain(label): label for label in labels}
    variants: dict[str, set[str]] = defaultdict(set)
    spelled = []
    for s in samples:
        label = standing.get(plain(s.example.target))
        if label is None:
            hint = did_you_mean(s.example.target, labels)
            raise DataError(f"{s.row.where}: the target '{s.example.target[:60]}' is not among the labels.{hint}")
        variants[label].add(s.example.target)
        spelled.append(replace(s, example=replace(s.example, target=label)))
    mixed = {label: found - {label} for label, found in variants.items() if found - {label}}
    notes = [f"'{label}' is also spelled {', '.join(sorted(found))}: taken as one." for label, found in mixed.items()]
    return spelled, notes


# Examples


def _distinct(samples: Sequence[_Sample]) -> tuple[list[_Sample], list[str]]:
    """Samples without exact copies; of copies in several given splits the one in test, else dev, stays."""
    best: dict[str, _Sample] = {}
    dropped: list[tuple[_Sample, _Sample]] = []
    for s in samples:
        rival = best.setdefault(s.example.id, s)
        if rival is not s:
            keep, drop = (s, rival) if RANK[s.side] < RANK[rival.side] else (rival, s)
            best[s.example.id] = keep
            dropped.append((drop, keep))
    if not dropped:
        return list(samples), []
    drop, keep = dropped[0]
    note = f"{len(dropped)} exact duplicates dropped, first: {drop.example.origin} repeats {keep.example.origin}."
    kept = {id(s) for s in best.values()}
    return [s for s in samples if id(s) in kept], [note]


def _fractions(spec: Spec) -> dict[Split, float] | None:
    if not isinstance(spec.split, dict):
        return None
    return {SPLIT_WORDS[side]: share for side, share in spec.split.items() if isinstance(share, float)} or None


def _task(
    spec: Spec,
    parts: columns.Columns,
    samples: Sequence[_Sample],
    sides: Sequence[Split | None],
    labels: tuple[str, ...],
    metric: MetricSpec,
) -> Task:
    def of(side: Split) -> tuple[Example, ...]:
        return tuple(s.example for s, found in zip(samples, sides, strict=True) if found == side)

    return Task(
        name=spec.name or _name(samples[0].row.path if spec.data is None else spec.data),
        ask=spec.ask or parts.ask or ("" if parts.rejected else _ask(parts)),  # the rows of preferences ask themselves
        train=of("train"),
        dev=of("dev"),
        test=of("test"),
        metric=metric,
        labels=labels,
        checks=_checks(spec, parts),
        judge=_beside(spec, labels),
        **_said(spec),
    )


def _said(spec: Spec) -> dict[str, Any]:
    """What a task takes over from its spec, whatever its rows are."""
    return {
        "model": spec.models[0] if spec.models else spec.model,
        "volume": spec.volume,
        "margin": spec.margin,
        "budget": spec.budget.budget() if spec.budget else None,
        "ways": spec.ways,
        "models": spec.models if len(spec.models) > 1 else (),
        "prompts": tuple(p if isinstance(p, Prompt) else text.read(p) for p in spec.prompt),
        "options": spec.options,
    }


def _beside(spec: Spec, labels: tuple[str, ...]) -> JudgeSpec | None:
    """A judge of free text.

    Raises:
        OptionError: the answers are labels.
    """
    if spec.judge is not None and labels:
        raise OptionError("judge: the answers are labels, right or wrong. Leave judge: out, or say labels: [].")
    return spec.judge.spec() if spec.judge else None


def _checks(spec: Spec, parts: columns.Columns) -> MetricSpec | None:
    """Checks beside a metric that compares with wanted answers."""
    if not spec.checks:
        return None
    checks.refuse_unknown_fields(spec.checks, parts.input)
    return _complete(MetricSpec("checks", spec.checks), ())


def _name(path: Path) -> str:
    generic = path.stem in ("data", "train", "rows", "examples", "dataset", "")
    return (path.absolute().parent.name or "task") if generic else path.stem


def _ask(parts: columns.Columns) -> str:
    inputs = " and the ".join(name.replace("_", " ") for name in parts.input)
    return f"Give the {parts.target.replace('_', ' ')} for the {inputs}."


# Notes


def _notes(spec: Spec, parts: columns.Columns, labels: Sequence[str], metric: MetricSpec, joined: int) -> list[str]:
    """What was decided for the user, one line each."""
    notes = []
    if spec.input is None or spec.target is None:
        notes.append(f"input: {', '.join(parts.input)}; target: {parts.target} (found by name).")
    if parts.spare:
        notes.append(f"Columns not used: {', '.join(parts.spare)}.")
    if not spec.ask and (parts.ask or not parts.rejected):
        notes.append("ask: taken from the data." if parts.ask else f'ask: "{_ask(parts)}" (say better: ask).')
    if spec.metric is None:
        answers = f"{len(labels)} labels" if labels else "chosen or rejected" if parts.rejected else "open"
        notes.append(f"metric: {metric.name}, as the answers are {answers}.")
    if joined:
        notes.append(f"{joined} near-duplicates are kept in the split of their first copy.")
    return notes


def _group_hint(table: Table, parts: columns.Columns) -> list[str]:
    """A warning when an unused id column repeats, so that rows of one customer or document may lie on two sides."""
    if parts.group:
        return []
    for name in parts.spare:
        values = [row.fields.get(name, "") for row in table.rows]
        if name.casefold().endswith("_id") and all(values) and 1 < len(set(values)) <= len(values) / 2:
            return [f"Column '{name}' repeats. If rows with one {name} are alike, keep them together: group: {name}."]
    return []
