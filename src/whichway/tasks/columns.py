"""Which columns are input, target, group, id and split: as the user says, or found by name when that is unambiguous."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from whichway.errors import DataError, did_you_mean
from whichway.tasks.chat_formats import SYSTEM
from whichway.tasks.table import ANY_SPLIT, SPLIT_WORDS, DataTable, Row

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
    (("instruction", "context"), "response"),
    (("input_text",), "output_text"),
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
    "class", "intent", "annotation", "summary", "gold", "expected", "topic", "team", "sentiment", "answerkey", "cop",
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
ASIDE = frozenset(("meta", "metadata", "info", "extra", "extras"))  # never an answer because nothing else is left
_WHOLE = "What is learned here is one answer to each text: labels, a text, a number, a JSON object."
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
    table: DataTable,
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
    by_user = {part for part, name in (("group", group), ("id", id), ("split", split)) if name}
    _exist(table, {"input": inputs, "target": (target,), "group": (group,), "id": (id,), "split": (split,)})
    if target is not None and target in inputs:
        raise DataError(f"{table.path}: '{target}' is both input and target.")
    named = {*inputs, target, group, id, split}
    empty = _empty(table)
    free = [name for name in table.columns if name not in named and name not in empty]
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
    _refuse_marked(table, inputs, target, by_user=bool(named - {None}))
    spare = tuple(name for name in (*usable, *empty) if name not in (*inputs, target))
    parts = {"group": group, "id": unique, "split": split}
    by_name = tuple(part for part, name in parts.items() if name and part not in by_user)
    return Columns(inputs, target, group, unique, split, ask, spare, rejected, by_name)


def _empty(table: DataTable) -> list[str]:
    """Columns without a value in any row, where enough others remain: they are no input and no answer."""
    filled: set[str] = set()
    for row in table.rows:
        if len(filled) == len(table.columns):
            break
        filled.update(name for name, value in row.fields.items() if value)
    return [name for name in table.columns if name not in filled] if len(filled) > 1 else []


def _refuse_marked(table: DataTable, inputs: Sequence[str], target: str, *, by_user: bool) -> None:
    """Refuse answers of which a column says that some are bad (KTO): they would be learned like the good ones.

    Raises:
        DataError: prompts and completions with a column "label" of truth values, where the user named no column.
    """
    if by_user or target.casefold() != "completion" or "label" not in table.columns:
        return
    if {row.fields.get("label", "").casefold() for row in table.rows} == {"true", "false"}:
        raise DataError(
            f"{table.path}: the column 'label' says which completions are good (true) and which are not (false), and "
            "all would be learned. Keep the rows with true; or to tell good from bad: --input prompt --input "
            "completion --target label."
        )


def is_none(name: str | None, table: DataTable) -> bool:
    """Whether the user says that no column plays a part; a column of that name is a column."""
    return name is not None and name.casefold() == NO_COLUMN and name not in table.columns


def _rejected(table: DataTable, target: str | None) -> str | None:
    """The column of rejected answers, where the target is the column of chosen ones."""
    names = {name.casefold(): name for name in table.columns}
    if PREFERRED not in names or REJECTED not in names or target not in (None, names[PREFERRED]):
        return None
    return names[REJECTED]


def inputs_of(table: DataTable, wanted: Sequence[str]) -> tuple[str, ...]:
    """The input columns of rows without targets.

    Raises:
        DataError: a wanted column is missing.
    """
    _exist(table, {"input": wanted})
    return tuple(wanted)


def _exist(table: DataTable, parts: dict[str, Sequence[str | None]]) -> None:
    for part, names in parts.items():
        for name in names:
            if name is not None and name not in table.columns:
                raise DataError(
                    f"{table.path}: {part} column '{name}' is not there.{did_you_mean(name, table.columns)} "
                    f"Columns: {', '.join(table.columns)}."
                )


def _one(free: Iterable[str], names: Iterable[str], fits: Callable[[str], bool] = bool) -> str | None:
    matching = [name for name in free if name.casefold() in names and fits(name)]
    return matching[0] if len(matching) == 1 else None


def _is_split(table: DataTable, name: str) -> bool:
    """Whether a column called split holds splits; where only some values are, the first other one is refused."""
    known = [row.fields.get(name, "").casefold() in (*SPLIT_WORDS, ANY_SPLIT) for row in table.rows]
    if any(known) and not all(known):
        row = table.rows[known.index(False)]
        raise DataError(
            f"{row.where}: column '{name}' says '{row.fields.get(name, '')[:40]}', and others train or test. Use "
            "train, dev and test alone; if the column is no split, say split: none."
        )
    return all(known)


def _constant(table: DataTable, name: str) -> str:
    values = {row.fields.get(name, "") for row in table.rows}
    return values.pop() if len(values) == 1 else ""


def _ask(table: DataTable, free: Sequence[str]) -> str:
    """What a system message or instruction that is the same in all rows asks."""
    if len(free) < 3:  # input and target must remain
        return ""
    return next((text for name in ASKS if name in free and (text := _constant(table, name))), "")


def _input_and_target(
    table: DataTable, free: Sequence[str], inputs: tuple[str, ...], target: str | None
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
        known = _known(free, INPUTS)
        part = "target" if inputs or (target is None and len(known) == 1) else "input"
        raise _unclear(table, free, part, known[0] if len(known) == 1 and not inputs else "")
    return inputs, target


def _pair(free: Sequence[str]) -> tuple[tuple[str, ...], str] | None:
    """The one known pair whose columns are all there; more inputs before fewer, a label's text before its number."""
    folded = Counter(name.casefold() for name in free)  # "label" beside "Label" is a question
    names = {name.casefold(): name for name in free if folded[name.casefold()] == 1}
    known = [(inputs, target) for inputs, target in PAIRS if {*inputs, target} <= names.keys()]
    most = max((len(inputs) for inputs, _ in known), default=0)
    best = [pair for pair in known if len(pair[0]) == most]
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
        return others[0] if len(others) == 1 and others[0].casefold() not in ASIDE else None
    return None


def _templated(table: DataTable) -> str | None:
    """A column whose texts are conversations in some template: marks or headings of a user and of an assistant."""
    for name in table.columns:
        texts = [row.fields.get(name, "") for row in table.rows[:50]]
        if texts and all(_USER.search(text) and _ASSISTANT.search(text) for text in texts):
            return name
    return None


def _unclear(table: DataTable, free: Sequence[str], part: str, text: str = "") -> DataError:
    """Why no part is clear, and the way out.

    Args:
        table: as read.
        free: columns that could play a part.
        part: "input" or "target".
        text: the column that is the input by its name; "" where none is.
    """
    shown = ", ".join(table.columns)
    templated = _templated(table)
    if templated:
        return DataError(
            f"{table.path}: column '{templated}' holds whole conversations, written in a chat template already. A "
            'model has its own: give the turns instead, as {"messages": [{"role": "user", "content": ...}, ...]}.'
        )
    if not _known(free, INPUTS | TARGETS) and table.path.suffix.lower() in (".csv", ".tsv"):
        return DataError(f"{table.path}:1: no column has a known name. Columns, from the first line: {shown[:200]}. "
                         f"{_first_line(table)}")  # fmt: skip
    if "tokens" in table.columns and any(name.endswith("tags") for name in table.columns):
        return DataError(f"{table.path}: a tag for each token (tokens, tags) is no answer to a text. {_WHOLE}")
    more = _flags(table, text) or _nested(table)
    return DataError(
        f"{table.path}: it is not clear which column is the {part}. Columns: {shown[:400]}. "
        f"Say it: --input {text or 'COLUMN'} --target COLUMN, or input: and target: in the task file. {more}"
        "If there are no wanted answers, say in a task file what a good one must fulfil (checks:)."
    )


def _first_line(table: DataTable) -> str:
    """What a first line without known names may be."""
    head = table.columns[0]
    if head.startswith("{") and len(table.columns) < 9 and '":' in head:
        return "It looks like JSON lines: name the file .jsonl."
    if len(table.columns) == 1:
        return (
            "One column: if another separator divides it, name it (--delimiter '~'); if the file begins with a title "
            "or a comment, delete that."
        )
    return (
        "If the file has no header, add one (such as text,label); if it begins with a title, delete that; else say "
        "--input COLUMN --target COLUMN (input: and target: in a task file)."
    )


def _flags(table: DataTable, text: str) -> str:
    """A hint where every other column holds zeros and ones: one column for each label."""
    others = [name for name in table.columns if name != text]
    values = {row.fields.get(name, "").casefold() for row in table.rows for name in others}
    if not text or len(others) < 2 or not values <= {"0", "1", "true", "false", ""}:
        return ""
    ones = [sum(row.fields.get(name, "").casefold() in ("1", "true") for name in others) for row in table.rows]
    many = "" if set(ones) == {1} else "s, divided by ;"
    return (
        f"{', '.join(others[:4])} hold zeros and ones, a column for each label: name one as the target, or write one "
        f"column that holds the name{many} of each row's label{'s' if many else ''}. "
    )


def _nested(table: DataTable) -> str:
    """A hint where columns hold objects: their values have names of their own."""
    for name in table.columns:
        cell = table.rows[0].fields.get(name, "")
        if cell.startswith("{"):
            keys = _keys(cell)
            if keys:
                return f"'{name}' holds objects; a value in it is named by its path, such as {name}.{keys[0]}. "
        if cell.startswith("[{"):
            return f"'{name}' holds lists of objects, which are no text: write one row for each. "
    return ""


def _keys(cell: str) -> list[str]:
    try:
        value = json.loads(cell)
    except ValueError:
        return []
    return list(value) if isinstance(value, dict) else []


def with_paths(table: DataTable, names: Iterable[str | None]) -> DataTable:
    """A table with columns for values inside objects, where a name is a path to one: `meta.label`."""
    wanted = [name for name in names if name and "." in name and name not in table.columns]
    paths = {name: name.split(".") for name in wanted if name.split(".")[0] in table.columns}
    if not paths:
        return table
    rows = [replace(row, fields={**row.fields, **{n: _at(row, p) for n, p in paths.items()}}) for row in table.rows]
    return replace(table, rows=tuple(rows), columns=(*table.columns, *paths))


def _at(row: Row, path: Sequence[str]) -> str:
    """The value at a path inside a cell; "" where it is missing."""
    try:
        value = json.loads(row.fields.get(path[0], ""))
    except ValueError:
        return ""
    for key in path[1:]:
        value = value.get(key) if isinstance(value, dict) else None
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)
