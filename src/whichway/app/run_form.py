"""A run put together in a form: what an uploaded file holds, what can be chosen, the arguments that say it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from whichway import options
from whichway.app.run_jobs import PLACE
from whichway.errors import DataError, OptionError, UserError

UPLOADS = f"{PLACE}/uploads"
KEYS = ("metric", "labels", "group", "split", "volume", "margin")  # of a task file, beside the run's own options
SHOWN = 3  # rows of a file
_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class ColumnFound:
    """A column of an uploaded file."""

    name: str
    values: int  # that differ
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UploadedData:
    """An uploaded file as it was read."""

    id: str
    path: Path
    rows: int
    columns: tuple[ColumnFound, ...]
    input: tuple[str, ...]  # found by their names; none where that is not clear
    target: str
    notes: tuple[str, ...]

    @property
    def ask(self) -> str:
        """A first wording of the question."""
        return f"Which {self.target.replace('_', ' ')} fits?" if self.target else ""


@dataclass(frozen=True, slots=True)
class WayChoice:
    """A way that can be tried."""

    name: str
    kind: str
    summary: str


@dataclass(frozen=True, slots=True)
class OptionChoice:
    """An option of a run, or a key of a task file."""

    name: str
    help: str
    default: Any
    switch: bool  # on or off


def keep_upload(runs: Path, name: str, data: bytes) -> UploadedData:
    """Keep an uploaded file and read it.

    Args:
        runs: the folder of runs.
        name: that the file had; its ending says how it is read.
        data: its bytes.

    Raises:
        DataError: it cannot be read; nothing is kept then.
    """
    last = PurePosixPath(PureWindowsPath(name).name).name
    safe = re.sub(r"[^\w.-]+", "-", last).lstrip(".-")[-80:] or "data.csv"
    key = secrets.token_hex(8)
    path = runs / UPLOADS / key / safe
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    try:
        return read_upload(runs, key)
    except UserError as error:
        path.unlink()
        path.parent.rmdir()
        raise DataError(str(error).replace(str(path), safe)) from error


def read_upload(runs: Path, key: str) -> UploadedData:
    """An uploaded file by its id.

    Raises:
        UserError: there is no such upload, or it cannot be read.
    """
    from whichway.app.task_draft import columns
    from whichway.tasks.read import read

    folder = runs / UPLOADS / key
    paths = sorted(folder.iterdir()) if _ID.fullmatch(key) and folder.is_dir() else []
    if not paths:
        raise UserError("this upload is not there any more. Upload the file again.")
    table = read(paths[0])
    texts = {name: [str(row.fields.get(name, "")) for row in table.rows] for name in table.columns}
    columns_here = tuple(
        ColumnFound(name, len(set(values)), tuple(value[:120] for value in values[:SHOWN]))
        for name, values in texts.items()
    )
    inputs, target = columns(table)
    names = (inputs,) if isinstance(inputs, str) else tuple(inputs or ())
    notes = (*table.notes, *table.warnings)
    return UploadedData(key, paths[0], len(table.rows), columns_here, names, target or "", notes)


def way_choices() -> list[WayChoice]:
    """Every way that can be tried, with a line about it."""
    from whichway.app.configure import ways

    known = ways()
    return [WayChoice(name, known[name].KIND, _first_line(known[name])) for name in known]


def _first_line(way: Any) -> str:
    return (getattr(way, "__doc__", None) or "").strip().partition("\n")[0]


def model_choices() -> list[str]:
    """The models that are on this machine, by name."""
    from whichway.app.models import listing

    return [one.entry.name for one in listing() if one.folder is not None]


def option_choices() -> list[OptionChoice]:
    """The options of a run and some keys of the task, with their help texts as they are declared."""
    from whichway.tasks.spec import flags

    keys = [OptionChoice(name, flags()[name][1], "", False) for name in KEYS]
    defaults = options.defaults()
    own = [
        OptionChoice(name, declaration.help, defaults[name], isinstance(defaults[name], bool))
        for name, declaration in options.declared().items()
        if name != "minutes"  # it has a place of its own in the form
    ]
    return keys + own


def arguments_of(upload: UploadedData, choices: Mapping[str, Any]) -> list[str]:
    """The arguments of `whichway run` that a form amounts to.

    Args:
        upload: the data.
        choices: name -> value: input and ways are lists, switches are true or false, all else is text; "": not given.

    Raises:
        UserError: a choice does not fit.
    """
    names = [column.name for column in upload.columns]
    inputs, target = list(choices.get("input", ())), str(choices.get("target", ""))
    for name in [*inputs, *([target] if target else [])]:
        if name not in names:
            raise OptionError(f"there is no column '{name}'.")
    if not inputs or not target:
        raise OptionError("say which column holds the text, and which the wanted answer.")
    if target in inputs:
        raise OptionError(f"the column '{target}' cannot be both the text and the wanted answer.")
    arguments = [f"--data={upload.path}", *(f"--input={name}" for name in inputs), f"--target={target}"]
    texts = {name: str(choices.get(name, "")).strip() for name in ("ask", "name", "model", "minutes", *KEYS)}
    arguments += [f"--{name}={text}" for name, text in texts.items() if text]
    ways = list(choices.get("ways", ()))
    arguments += [f"--ways={','.join(ways)}"] if ways else []
    return arguments + _option_flags(choices)


def _option_flags(choices: Mapping[str, Any]) -> list[str]:
    flags, values = [], dict[str, Any]()
    for name, default in options.defaults().items():
        if isinstance(default, bool):
            if name in choices and bool(choices[name]) is not default:
                flags.append(options.flag(name))
        elif text := str(choices.get(name, "")).strip():
            values[name] = _number(text) if name == "seeds" else text
            flags += [f"{options.flag(name)}={text}"] if name != "minutes" else []
    options.read_options(values)
    return flags


def _number(text: str) -> Any:
    return int(text) if text.isdecimal() else text


def free_name(runs: Path, wish: str, taken: Sequence[str]) -> str:
    """A name for a run that no other has."""
    base = re.sub(r"[^\w.-]+", "-", wish).strip("-._") or "run"
    names, number = set(taken), 1
    name = base
    while name in names or (runs / name).exists():
        number += 1
        name = f"{base}-{number}"
    return name
