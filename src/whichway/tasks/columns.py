"""Which columns are input, target, group, id and split: as the user says, or found by name when that is unambiguous."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from whichway.errors import DataError, did_you_mean
from whichway.tasks.chat_formats import SYSTEM
from whichway.tasks.table import SPLIT_WORDS, Table

PAIRS = (  # (input columns, target column); of two that share columns the longer one wins
    (("input",), "target"),
    (("input",), "output"),
    (("input",), "label"),
    (("text",), "label"),
    (("text",), "label_text"),
    (("text",), "target"),
    (("question",), "answer"),
    (("context", "question"), "answer"),
    (("prompt",), "completion"),
    (("prompt",), "response"),
    (("prompt",), "chosen"),
    (("question",), "chosen"),
    (("instruction",), "chosen"),
    (("input",), "chosen"),
    (("instruction",), "output"),
    (("instruction", "input"), "output"),
    (("instruction",), "response"),
    (("premise", "hypothesis"), "label"),
    (("sentence1", "sentence2"), "label"),
    (("sentence",), "label"),
)
INPUTS = frozenset((
    "input", "inputs", "text", "question", "prompt", "sentence", "query", "utterance", "message", "document", "content",
    "body", "instruction", "article", "review", "tweet", "source", "ticket", "email", "request", "comment",
))  # fmt: skip
TARGETS = frozenset((
    "target", "targets", "label", "labels", "label_text", "answer", "completion", "output", "response", "category",
    "class", "intent", "summary", "gold", "expected", "topic", "team", "sentiment", "answerkey", "cop",
))  # fmt: skip
# What marks a user's and an assistant's turn in texts that went through a chat template, or through a plain one.
_USER = re.compile(
    r"<\|(?:im_start\|>|start_header_id\|>)?\s*(?:user|User)\b|<start_of_turn>user|\[INST\]|<｜User｜>|<\|user\|>|"
    r"(?m:^###? ?(?:Human|User|Instruction)\b)"
)
_ASSISTANT = re.compile(
    r"<\|(?:im_start\|>|start_header_id\|>)?\s*assistant\b|<start_of_turn>model|\[/INST\]|<｜Assistant｜>|"
    r"<\|assistant\|>|"
    r"(?m:^###? ?(?:Assistant|Response|Answer)\b)"
)
GROUPS = ("group", "group_id")
NO_COLUMN = "none"  # as group, id or split: no column plays this part, whatever its name
PREFERRED, REJECTED = "chosen", "rejected"  # the two answers of a preference
ASKS = (SYSTEM, "instruction")  # columns that say what is asked when they are the same in all rows


@dataclass(frozen=True, slots=True)
class Columns:
    """The part each column plays; `spare` plays none."""

    input: tuple[str, ...]
    target: str
    group: str | None
    id: str | None
    split: str | None
    ask: str  # what a constant column asks, or ""
    spare: tuple[str, ...]
    rejected: str | None = None  # in preference data: the answer that the target was preferred to
    by_name: tuple[str, ...] = ()  # "group", "id", "split": parts that a column plays because of its name alone


def find(
    table: Table,
    *,
    input: str | Sequence[str] | None = None,  # noqa: A002 - the task file's own word
    target: str | None = None,
    group: str | None = None,
    id: str | None = None,  # noqa: A002
    split: str | None = None,
) -> Columns:
    """The columns by the user's words, the missing ones by their names.

    Raises:
        DataError: a named column is not there ("did you mean"), or input or target is not clear.
    """
    inputs = (input,) if isinstance(input, str) else tuple(input or ())
    refused = {part for part, name in (("group", group), ("id", id), ("split", split)) if is_none(name, table)}
    group, id, split = (None if is_none(name, table) else name for name in (group, id, split))  # noqa: A001
    said = {part for part, name in (("group", group), ("id", id), ("split", split)) if name}
    _exist(table, {"input": inputs, "target": (target,), "group": (group,), "id": (id,), "split": (split,)})
    if target is not None and target in inputs:
        raise DataError(f"{table.path}: '{target}' is both input and target.")
    named = {*inputs, target, group, id, split}
    free = [name for name in table.columns if name not in named]
    if "split" not in refused:
        split = split or _one(free, ["split"], lambda name: _is_split(table, name))
    if "group" not in refused:
        group = group or _one(free, GROUPS)
    unique = id or (None if "id" in refused else _one(free, ["id"]))
    free = [name for name in free if name not in (split, group, unique)]
    rejected = _rejected(table, target)
    free = [name for name in free if name != rejected]
    ask = "" if inputs else _ask(table, free)
    usable = [name for name in free if not (ask and name in ASKS and _constant(table, name) == ask)]
    inputs, target = _input_and_target(table, usable, inputs, target)
    if SYSTEM in usable and inputs in (("input",), ("prompt",)) and input is None:  # system messages of their own
        inputs = (SYSTEM, *inputs)
    spare = tuple(name for name in usable if name not in (*inputs, target))
    parts = {"group": group, "id": unique, "split": split}
    by_name = tuple(part for part, name in parts.items() if name and part not in said)
    return Columns(inputs, target, group, unique, split, ask, spare, rejected, by_name)


def is_none(name: str | None, table: Table) -> bool:
    """Whether the user says that no column plays a part; a column of that name is a column."""
    return name is not None and name.casefold() == NO_COLUMN and name not in table.columns


def _rejected(table: Table, target: str | None) -> str | None:
    """The column of rejected answers, where the target is the column of chosen ones."""
    names = {name.casefold(): name for name in table.columns}
    if PREFERRED not in names or REJECTED not in names or target not in (None, names[PREFERRED]):
        return None
    return names[REJECTED]


def inputs_of(table: Table, wanted: Sequence[str]) -> tuple[str, ...]:
    """The input columns of rows without targets.

    Raises:
        DataError: a wanted column is missing.
    """
    _exist(table, {"input": wanted})
    return tuple(wanted)


def _exist(table: Table, parts: dict[str, Sequence[str | None]]) -> None:
    for part, names in parts.items():
        for name in names:
            if name is not None and name not in table.columns:
                raise DataError(
                    f"{table.path}: {part} column '{name}' is not there.{did_you_mean(name, table.columns)} "
                    f"Columns: {', '.join(table.columns)}."
                )


def _one(free: Iterable[str], names: Iterable[str], fits: Callable[[str], bool] = bool) -> str | None:
    found = [name for name in free if name.casefold() in names and fits(name)]
    return found[0] if len(found) == 1 else None


def _is_split(table: Table, name: str) -> bool:
    return all(row.fields.get(name, "").casefold() in SPLIT_WORDS for row in table.rows)


def _constant(table: Table, name: str) -> str:
    values = {row.fields.get(name, "") for row in table.rows}
    return values.pop() if len(values) == 1 else ""


def _ask(table: Table, free: Sequence[str]) -> str:
    """What a system message or instruction that is the same in all rows asks."""
    if len(free) < 3:  # input and target must remain
        return ""
    return next((text for name in ASKS if name in free and (text := _constant(table, name))), "")


def _input_and_target(
    table: Table, free: Sequence[str], inputs: tuple[str, ...], target: str | None
) -> tuple[tuple[str, ...], str]:
    if not inputs and target is None:
        pair = _pair(free)
        if pair:
            return pair
    if target is None:
        target = _target([name for name in free if name not in inputs], exact=bool(inputs))
    if not inputs and target is not None:
        rest = [name for name in free if name != target]
        known = _known(rest, INPUTS)
        inputs = (known[0],) if len(known) == 1 else tuple(rest) if len(rest) == 1 else ()
    if not inputs or target is None:
        raise _unclear(table, free, "input" if not inputs else "target")
    return inputs, target


def _pair(free: Sequence[str]) -> tuple[tuple[str, ...], str] | None:
    """The one known pair whose columns are all there; more inputs before fewer, a label's text before its number."""
    names = {name.casefold(): name for name in free}
    found = [(inputs, target) for inputs, target in PAIRS if {*inputs, target} <= names.keys()]
    most = max((len(inputs) for inputs, _ in found), default=0)
    best = [pair for pair in found if len(pair[0]) == most]
    if len(best) == 2 and {target for _, target in best} == {"label", "label_text"}:
        best = [pair for pair in best if pair[1] == "label_text"]
    if len(best) != 1:
        return None
    inputs, target = best[0]
    return tuple(names[name] for name in inputs), names[target]


def _known(free: Iterable[str], words: frozenset[str]) -> list[str]:
    return [name for name in free if name.casefold() in words]


def _target(free: Sequence[str], *, exact: bool) -> str | None:
    known = _known(free, TARGETS)
    if len(known) == 1:
        return known[0]
    if len(free) == 1 and exact:
        return free[0]
    if len(free) == 2 and not known:
        others = [name for name in free if name not in _known(free, INPUTS)]
        return others[0] if len(others) == 1 else None
    return None


def _templated(table: Table) -> str | None:
    """A column whose texts are conversations in some template: marks or headings of a user and of an assistant."""
    for name in table.columns:
        texts = [row.fields.get(name, "") for row in table.rows[:50]]
        if texts and all(_USER.search(text) and _ASSISTANT.search(text) for text in texts):
            return name
    return None


def _unclear(table: Table, free: Sequence[str], part: str) -> DataError:
    shown = ", ".join(table.columns)
    templated = _templated(table)
    if templated:
        return DataError(
            f"{table.path}: column '{templated}' holds whole conversations, written in a chat template already. A "
            'model has its own: give the turns instead, as {"messages": [{"role": "user", "content": ...}, ...]}.'
        )
    if not _known(free, INPUTS | TARGETS) and table.path.suffix.lower() in (".csv", ".tsv"):
        return DataError(
            f"{table.path}:1: no column has a known name. Columns, from the first line: {shown[:200]}. "
            "If the file has no header, add one (such as text,label); if it begins with a title, delete that; else say "
            "input and target."
        )
    return DataError(
        f"{table.path}: it is not clear which column is the {part}. Columns: {shown}. "
        "Say it: --input COLUMN --target COLUMN, or input: and target: in the task file. "
        "If there are no wanted answers, say in a task file what a good one must fulfil (checks:)."
    )
