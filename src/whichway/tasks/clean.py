"""Clean a task's rows before training: mask personal data, drop duplicates and suspects; every change is logged.

Nothing is changed unless it is asked for, except that a label spelled in several ways gets one spelling, as every run
reads it. The rows come out as OpenAI's chat format, one conversation a line, which every trainer reads, ours included.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from whichway.errors import DiskError, UserError
from whichway.nouns import Example, Split, Task
from whichway.tasks import near_duplicates, pii
from whichway.tasks.label_errors import label_errors
from whichway.tasks.load import Source
from whichway.tasks.table import Skipped

ChangeKind = Literal["dropped", "masked", "merged"]


@dataclass(frozen=True, slots=True)
class CleanedCell:
    """One thing that was done to one row."""

    change: ChangeKind
    where: str  # "tickets.csv:57"
    what: str  # "exact duplicate", "near-duplicate", "label suspect", "e-mail", "label spelling", "unusable"
    why: str


@dataclass(frozen=True, slots=True)
class CleanOptions:
    """What may be done to the rows."""

    drop_duplicates: bool = False
    mask_personal: bool = False
    drop_suspects: bool = False


@dataclass(frozen=True, slots=True)
class Repeat:
    """A row that repeats an earlier one."""

    row: Example
    first: Example
    exact: bool  # the same input, but for case, punctuation and spacing


def repeats(rows: Sequence[Example]) -> list[Repeat]:
    """Rows whose input repeats an earlier row's, exactly or nearly; each beside the first it repeats."""
    repeated: list[Repeat] = []
    first_rows: dict[str, Example] = {}
    for row in rows:
        first = first_rows.setdefault(near_duplicates.skeleton(row.text), row)
        if first is not row:
            repeated.append(Repeat(row, first, True))
    keys = list(first_rows)
    for place, before in enumerate(near_duplicates.earlier(keys)):
        if before:
            repeated.append(Repeat(first_rows[keys[place]], first_rows[keys[before[0]]], False))
    return repeated


def left_out(skipped: Iterable[Skipped]) -> list[CleanedCell]:
    """The rows that the reading left out, as changes."""
    return [CleanedCell("dropped", row.origin, "unusable", row.reason) for row in skipped]


def clean(rows: Sequence[Source], cleaning: CleanOptions, closed: bool) -> tuple[list[Source], list[CleanedCell]]:
    """Rows after the changes that are wished for, and the changes in the order in which they were made.

    Args:
        rows: as the file holds them.
        cleaning: what may be done.
        closed: whether targets are labels.
    """
    changes = [_merged(row) for row in rows if row.spelled != row.example.target]
    if cleaning.mask_personal:
        masked = [_masked(row) for row in rows]
        rows, new_changes = [row for row, _ in masked], [change for _, more in masked for change in more]
        changes += new_changes
    if cleaning.drop_duplicates:
        rows, new_changes = _without(rows, _repeated(rows))
        changes += new_changes
    if cleaning.drop_suspects and closed:
        sure = label_errors([row.example for row in rows])
        why = {
            id(s.example): CleanedCell(
                "dropped", s.example.origin, "label suspect",
                f"labelled '{s.example.target}', but '{s.believed}' at {s.probability:.2f} by cross-validation",
            )
            for s in sure
        }  # fmt: skip
        rows, new_changes = _without(rows, why)
        changes += new_changes
    return list(rows), changes


def _merged(row: Source) -> CleanedCell:
    why = f"'{row.spelled}' is spelled as '{row.example.target}'"
    return CleanedCell("merged", row.example.origin, "label spelling", why)


def _masked(row: Source) -> tuple[Source, list[CleanedCell]]:
    example, hits = row.example, []
    fields = {}
    for name, value in example.input.items():
        fields[name], new_hits = pii.mask(value)
        hits += new_hits
    target, new_hits = pii.mask(example.target)
    hits += new_hits
    if not hits:
        return row, []
    turns = tuple(replace(turn, content=pii.mask(turn.content)[0]) for turn in example.turns)
    reasons = [(hit.kind, f"{hit.masked} → {pii.MASKS[hit.kind]}, looks like one") for hit in hits]
    changes = [CleanedCell("masked", example.origin, kind, why) for kind, why in reasons]
    return replace(row, example=replace(example, input=fields, target=target, turns=turns)), changes


def _repeated(rows: Sequence[Source]) -> dict[int, CleanedCell]:
    """Rows to drop: those that repeat an earlier one and have its answer. Where answers differ both stay."""
    gone: dict[int, CleanedCell] = {}
    for pair in repeats([row.example for row in rows]):
        if pair.row.target == pair.first.target:
            what = "exact duplicate" if pair.exact else "near-duplicate"
            why = f"repeats {pair.first.origin}, with the same answer"
            gone[id(pair.row)] = CleanedCell("dropped", pair.row.origin, what, why)
    return gone


def _without(rows: Sequence[Source], gone: Mapping[int, CleanedCell]) -> tuple[list[Source], list[CleanedCell]]:
    left = [row for row in rows if id(row.example) not in gone]
    return left, [gone[id(row.example)] for row in rows if id(row.example) in gone]


def chat_line(example: Example, ask: str) -> str:
    """A row in OpenAI's chat format; a group is kept beside the messages, so that it is not split later."""
    own = [(turn.role, turn.content) for turn in example.turns] or [("user", example.text)]
    if own[0][0] == "system":
        ask, own = "\n\n".join(text for text in (ask, own[0][1]) if text), own[1:]
    turns = [("system", ask), *own, ("assistant", example.target)]
    line: dict[str, object] = {"messages": [{"role": role, "content": content} for role, content in turns]}
    if example.group:
        line["group"] = example.group
    return json.dumps(line, ensure_ascii=False)


def write(out: Path, task: Task, rows: Sequence[Source], changes: Iterable[CleanedCell]) -> list[Path]:
    """Write rows and, beside them, the change log; never over a file that is there.

    Args:
        out: a .jsonl file for all rows, or a folder for train.jsonl, valid.jsonl and test.jsonl where the data are
            split already.
        task: for its ask.
        rows: to write.
        changes: to tell.

    Returns:
        The files.

    Raises:
        UserError: something is there already, or the rows are split and `out` is one file.
        DiskError: it cannot be written.
    """
    parts = dict(_parts(out, rows))
    log = out / "changes.jsonl" if out.suffix != ".jsonl" else out.with_suffix(".changes.jsonl")
    taken = [path for path in (*parts, log) if path.exists()]
    if taken:
        raise UserError(f"{taken[0]} is there already, and nothing is written over it. Give another place with --out.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        for path, some in parts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(chat_line(row.example, task.ask) + "\n" for row in some), encoding="utf-8")
        lines = (json.dumps(asdict(change), ensure_ascii=False) + "\n" for change in changes)
        log.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise DiskError(f"{out} cannot be written: {error.strerror}. Give another place with --out.") from error
    return [*parts, log]


NAMES: Mapping[Split, str] = {"train": "train.jsonl", "dev": "valid.jsonl", "test": "test.jsonl"}


def _parts(out: Path, rows: Sequence[Source]) -> Iterator[tuple[Path, list[Source]]]:
    sides = {row.side for row in rows}
    if out.suffix == ".jsonl":
        if sides != {None}:
            folder = out.with_suffix("")
            raise UserError(f"The data are split already: give --out a folder, such as {folder}, to keep them so.")
        yield out, list(rows)
        return
    if sides == {None}:
        raise UserError(f"--out {out}: name a .jsonl file.")
    for side, name in NAMES.items():
        some = [row for row in rows if row.side == side]
        if some:
            yield out / name, some
