"""From what the user says to a `Task`: read, find columns, check, split. Task files and flags both end in `load`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from whichway.errors import DataError, OptionError, UserError
from whichway.nouns import Example, JudgeSpec, MetricSpec, Prompt, Split, Task
from whichway.prompts import files as text
from whichway.prompts.answer_extraction import spoken, thinks
from whichway.prompts.variables import ROW, settled
from whichway.tasks import (
    answers,
    check,
    choices,
    columns,
    legacy,
    metrics,
    notes,
    open_ended,
    read,
    split,
    task_notes,
    unlabelled,
    unusable,
)
from whichway.tasks.chat_formats import INPUT, KEYS, SYSTEM, TARGET, left_out_notes
from whichway.tasks.collection import uncollected
from whichway.tasks.conversation_rows import example_of, with_conversations
from whichway.tasks.encodings import COMPRESSED
from whichway.tasks.metrics import checks
from whichway.tasks.spec import Spec
from whichway.tasks.table import SPLIT_WORDS, BadRows, DataTable, Row, Skipped

RANK: Mapping[Split | None, int] = {"test": 0, "dev": 1, "train": 2, None: 3}


@dataclass(frozen=True, slots=True)
class Examined:
    """A task, and what was found while reading it."""

    task: Task
    findings: check.Findings
    rows: tuple[tuple[Example, Row], ...] = ()  # in file order without copies; none where there are no wanted answers
    parts: columns.Columns | None = None


@dataclass(frozen=True, slots=True)
class _Sample:
    """An example with the row it is made of and the side its data gave it."""

    example: Example
    row: Row
    side: Split | None


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The rows of a task as examples, with everything that was decided about them."""

    table: DataTable
    parts: columns.Columns
    samples: list[_Sample]
    answers: answers.Answers
    spelled: list[str]  # each target as its file spells it
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    prompts: tuple[Prompt, ...]


def load(spec: Spec) -> Task:
    """The task that a spec describes.

    Raises:
        DataError: the data cannot carry a contest; names file and line.
        OptionError: the metric or an option of it is unknown or does not fit the data.
    """
    return examine(spec).task


def examine(spec: Spec, rows: DataTable | None = None) -> Examined:
    """The task that a spec describes, with the findings of all checks. Raises as `load` does.

    Args:
        spec: what is said about the task.
        rows: in memory, in place of the spec's data.
    """
    if spec.inputs is not None and (spec.data is not None or spec.target is not None):
        raise DataError("inputs: stand in place of data: and target:. Leave one of them out.")
    with uncollected():
        return _examine_open(spec, rows) if open_ended.is_open(spec) else _examine(spec, rows)


def _examine(spec: Spec, rows: DataTable | None) -> Examined:
    """A task with wanted answers."""
    loaded = _loaded(spec, rows)
    where, parts, answers_read = str(loaded.table.path), loaded.parts, loaded.answers
    samples, doubles = _distinct(loaded.samples)
    check.refuse_small(len(samples), f"{where}, without duplicates")
    sides = split.split(
        [s.example for s in samples],
        stratify=bool(answers_read.labels),
        sides_in_data=[s.side for s in samples],
        fractions=_fractions(spec),
    )
    task = _task(spec, parts, samples, sides.of, answers_read.labels, answers_read.metric)
    free = any(s.side is None for s in samples)  # all of them, or those that are marked "any"
    named = spec.split is not None and spec.split != parts.split
    only = (s.example for s, side in zip(samples, sides.of, strict=True) if free and s.side and side)
    task = replace(task, foldable=free and not (named or parts.rejected), extra_train=tuple(only))
    check.refuse_splits(task, where, notes.group_advice(parts, [s.example for s in samples]))
    task = replace(task, prompts=tuple(settled(p, parts.input, parts.target) for p in loaded.prompts))
    bare = unlabelled.read_unlabelled(spec, task, parts)
    task = replace(task, unlabelled=bare.rows)
    decided = [*loaded.notes, *notes.decided(spec, parts, answers_read, sides.near_duplicates), *bare.notes]
    decided += [*task_notes.prompts(task.prompts, parts.input), *task_notes.reasoning(task)]
    warnings = [
        *loaded.table.warnings,
        *answers_read.warnings,
        *doubles,
        *sides.warnings,
        *notes.group_hint(loaded.table, parts),
    ]
    warnings += [*left_out_notes(s.row.fields for s in samples), *task_notes.marks(task), *task_notes.entities(task)]
    warnings += [*task_notes.lost_letters(task), *bare.warnings]
    warnings += notes.left_out(loaded.skipped, len(samples))
    rows_of = tuple((s.example, s.row) for s in samples)
    return Examined(task, check.findings(task, notes=decided, warnings=warnings), rows_of, parts)


def _loaded(spec: Spec, rows: DataTable | None = None) -> _Loaded:
    """Read, find columns, leave out what cannot be used, read targets."""
    table = rows or _table(spec)
    where, bad = str(table.path), BadRows(spec.skip_bad)
    prompts = _prompts(spec)
    table = columns.with_paths(table, (*(spec.input or ()), spec.target, spec.group, spec.id))
    parts = _columns(spec, table, prompts)
    table = unlabelled.answered(spec, table, parts)
    table = replace(table, rows=tuple(unusable.usable(table, parts, spec, bad)))
    resolved = choices.resolve(table, parts, spec.input is not None)
    table, parts = resolved.table, resolved.parts
    inputs = with_conversations(table, parts.input)
    samples = [_sample(row, fields, parts) for row, fields in zip(table.rows, inputs, strict=True)]
    count = len(bad.skipped) + len(table.skipped)
    check.refuse_small(len(samples), where)
    check.refuse_constant((row.fields[parts.target] for row in table.rows), where, parts.target)
    spelled = [s.example.target for s in samples]
    judged = _read_answers(spec, spelled, parts, where)
    for place, message in judged.places:
        bad.refuse(samples[place].row.origin, f"{samples[place].row.where}: {message}")
    wrong = {place for place, _ in judged.places}
    samples = [
        s if target == s.example.target else replace(s, example=replace(s.example, target=target))
        for n, (s, target) in enumerate(zip(samples, judged.targets, strict=True))
        if n not in wrong
    ]
    spelled = [spelling.strip() for n, spelling in enumerate(spelled) if n not in wrong]
    skipped = (*table.skipped, *bad.skipped)
    if skipped and len(skipped) > count:
        check.refuse_small(len(samples), where)
    _check_share(skipped, len(samples), spec.skip_bad, where)
    all_notes = (*table.notes, *resolved.notes, *notes.spaces(table, parts, judged))
    return _Loaded(table, parts, samples, judged, spelled, skipped, all_notes, prompts)


def _read_answers(spec: Spec, spelled: Sequence[str], parts: columns.Columns, where: str) -> answers.Answers:
    """Labels, metric and targets. Answers that bring their reasoning are free text, unless the user asks for labels."""
    if not any(map(thinks, spelled)):
        return answers.judge(spec, spelled, parts.target, where, bool(parts.rejected))
    bare = [spoken(text)[0] for text in spelled]
    closed = spec.metric is not None and metrics.load(spec.metric).closed
    if spec.labels or closed or spec.target_type not in (None, "text"):
        return answers.judge(spec, bare, parts.target, where, bool(parts.rejected))
    few = len(set(bare)) * 3 <= len(bare)
    metric = spec.metric or MetricSpec("exact_match" if few else "token_f1")
    spec = spec.model_copy(update={"target_type": "text", "metric": metric})
    return answers.judge(spec, spelled, parts.target, where, bool(parts.rejected))


def _check_share(skipped: Sequence[Skipped], rows: int, allowed: float, where: str) -> None:
    """Refuse when more rows were left out, by the readers and here, than is allowed."""
    total = BadRows(allowed)
    for one in skipped:
        total.refuse(one.origin, one.reason)
    total.check(rows, where)


def _examine_open(spec: Spec, rows: DataTable | None) -> Examined:
    """A task without wanted answers."""
    if spec.unlabelled is not None:
        raise OptionError("unlabelled: no row has a wanted answer to learn from. Name the target, or leave it out.")
    metric = spec.metric if spec.metric else MetricSpec("checks", spec.checks) if spec.checks else None
    if metric is not None and metric.name not in ("checks", "python_function"):
        raise OptionError(
            f"metric {metric.name} compares with wanted answers, and no target is named. Say target: COLUMN, or leave "
            "the metric out: answers are judged by the checks."
        )
    table = (rows or _table(spec)) if spec.inputs is None else None
    prompts = _prompts(spec)
    named = None if spec.input or table is None else _named(prompts, table, ())
    if named:
        spec = spec.model_copy(update={"input": named})
    task, task_notes_found, warnings = open_ended.build(spec, metric and answers.complete(metric, ()), table)
    fields = tuple(task.test[0].input)
    task = replace(task, **_spec_fields(spec))
    task = replace(task, prompts=tuple(settled(prompt, fields, "") for prompt in prompts))
    task_notes_found = [*task_notes_found, *task_notes.prompts(task.prompts, fields)]
    warnings = [*warnings, *task_notes.marks(task)]
    if table is not None:
        task_notes_found = [*table.notes, *task_notes_found]
        _check_share(table.skipped, len(table.rows), spec.skip_bad, str(table.path))
        warnings = [*table.warnings, *warnings, *notes.left_out(table.skipped, len(table.rows))]
    return Examined(task, check.findings(task, notes=task_notes_found, warnings=warnings))


@dataclass(frozen=True, slots=True)
class Source:
    """A row as its file holds it, copies too, with the split that its data gave it and the target as it is spelled."""

    example: Example
    side: Split | None
    spelled: str


def sources(spec: Spec) -> list[Source]:
    """Every usable row of a task in the order of its file, before copies are dropped. Raises as `load` does.

    Raises:
        UserError: the rows have no wanted answers, or two answers each.
    """
    return sources_and_skipped(spec)[0]


def sources_and_skipped(spec: Spec) -> tuple[list[Source], tuple[Skipped, ...]]:
    """What `sources` gives, and the rows that were left out. Raises as `sources` does."""
    loaded = _loaded(spec)
    if loaded.parts.rejected:
        raise UserError("Preferences (chosen and rejected answers) are no chat lines; they are trained as they are.")
    free = not loaded.answers.labels and loaded.answers.targets == tuple(s.example.target for s in loaded.samples)
    spelled = [s.example.target for s in loaded.samples] if free and not _rewritten(loaded) else loaded.spelled
    rows = [Source(s.example, s.side, spelling) for s, spelling in zip(loaded.samples, spelled, strict=True)]
    return rows, loaded.skipped


def _rewritten(loaded: _Loaded) -> bool:
    """Whether a target was written in another way than its file has it, apart from white space."""
    return any(s.example.target.strip() != spelling for s, spelling in zip(loaded.samples, loaded.spelled, strict=True))


# Reading


def _table(spec: Spec) -> DataTable:
    if isinstance(spec.split, dict):
        files: dict[Split, list[Path]] = {
            SPLIT_WORDS[side]: [file] for side, file in spec.split.items() if isinstance(file, Path)
        }
        if files:
            return read.read_splits(files, files["train"][0], spec.reading)
    if spec.data is None:
        raise DataError("No data. Say where the rows are: --data FILE, or `data: FILE` in the task file.")
    return legacy.without_stops(read.read(spec.data, spec.reading))


def _prompts(spec: Spec) -> tuple[Prompt, ...]:
    """The user's prompts, also out of their files."""
    return tuple(p if isinstance(p, Prompt) else text.read(p) for p in spec.prompt)


def _columns(spec: Spec, table: DataTable, prompts: Sequence[Prompt]) -> columns.Columns:
    """The part each column plays; those that a prompt names are the input where nothing else is said."""
    by = spec.split if isinstance(spec.split, str) else None
    roles = {"target": spec.target, "group": spec.group, "id": spec.id, "split": by}
    named = () if spec.input else _named(prompts, table, [name for name in roles.values() if name])
    if not named:
        by_name = columns.find(table, input=spec.input, **roles)
        whole = next((key for key in KEYS if key in table.columns), None)
        if whole and not spec.input and by_name.target != TARGET and by_name.input in ((INPUT,), (SYSTEM, INPUT)):
            return columns.find(table, input=whole, **roles)  # a talk to be judged, its last answer with it
        return by_name
    try:
        target = spec.target or columns.find(table, **roles).target
    except DataError:  # only the prompt says what is input
        target = None
    inputs = tuple(name for name in named if name != target)
    return columns.find(table, input=inputs or None, **{**roles, "target": target})


def _named(prompts: Sequence[Prompt], table: DataTable, taken: Sequence[str]) -> tuple[str, ...]:
    """The columns that the prompts name; none where one stands for the whole row."""
    names = list(dict.fromkeys(name for prompt in prompts for name in prompt.variables))
    if ROW in names and ROW not in table.columns:
        return ()
    return tuple(name for name in names if name in table.columns and name not in taken)


def _sample(row: Row, fields: Mapping[str, str], parts: columns.Columns) -> _Sample:
    group = row.fields.get(parts.group, "") if parts.group else ""
    rejected = row.exact(parts.rejected) if parts.rejected else None
    example = example_of(fields, row.exact(parts.target), group or None, row.origin, rejected)
    return _Sample(example, row, row.side(parts.split))


# Examples


def _distinct(samples: Sequence[_Sample]) -> tuple[list[_Sample], list[str]]:
    """Samples without exact copies; of copies in several given splits the one in test, else dev, stays."""
    best: dict[tuple[Any, ...], _Sample] = {}
    dropped: list[tuple[_Sample, _Sample]] = []
    for s in samples:
        e = s.example
        content = (tuple(e.input.items()), e.target, e.group, e.rejected, e.turns)  # what its id is a digest of
        rival = best.setdefault(content, s)
        if rival is not s:
            keep, drop = (s, rival) if RANK[s.side] < RANK[rival.side] else (rival, s)
            best[content] = keep
            dropped.append((drop, keep))
    if not dropped:
        return list(samples), []
    drop, keep = dropped[0]
    note = f"{len(dropped)} exact duplicates dropped, first: {drop.example.origin} repeats {keep.example.origin}."
    unique = {id(s) for s in best.values()}
    return [s for s in samples if id(s) in unique], [note]


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
        return tuple(s.example for s, row_side in zip(samples, sides, strict=True) if row_side == side)

    return Task(
        name=spec.name or _name(samples[0].row.path if spec.data is None else spec.data),
        ask=spec.ask
        or parts.ask
        or ("" if parts.rejected else notes.ask(parts)),  # the rows of preferences ask themselves
        train=of("train"),
        dev=of("dev"),
        test=of("test"),
        metric=metric,
        labels=labels,
        checks=_checks(spec, parts),
        judge=_judge(spec, labels),
        **_spec_fields(spec),
    )


def _spec_fields(spec: Spec) -> dict[str, Any]:
    """What a task takes over from its spec, whatever its rows are."""
    return {
        "model": spec.models[0] if spec.models else spec.model,
        "volume": spec.volume,
        "margin": spec.margin,
        "budget": spec.budget.budget() if spec.budget else None,
        "ways": spec.ways,
        "models": spec.models if len(spec.models) > 1 else (),
        "options": spec.options,
    }


def _judge(spec: Spec, labels: tuple[str, ...]) -> JudgeSpec | None:
    """The judge of free text that the spec names.

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
    return answers.complete(MetricSpec("checks", spec.checks), ())


def _name(path: Path) -> str:
    path = path.with_suffix("") if path.suffix.lower() in COMPRESSED else path
    generic = path.stem in ("data", "train", "rows", "examples", "dataset", "")
    return (path.absolute().parent.name or "task") if generic else path.stem
