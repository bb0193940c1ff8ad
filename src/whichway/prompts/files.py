"""A prompt as a file that a person writes and edits: YAML with one key for each slot, or plain text.

Plain text (`.txt`, `.md`) is the instructions, word for word; with `{{input}}` in it, what stands before is asked in
front of the row and what stands behind it follows the row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whichway.errors import DataError, did_you_mean
from whichway.nouns import Form, Prompt, to_json

MARK = "{{input}}"
AS_WRITTEN = Form("as written")  # of loose text: nothing is added to it
KEYS = tuple(f.name for f in dataclasses.fields(Prompt))
_LISTS = ("instructions", "steps", "constraints", "labels", "protected")


def dump(prompt: Prompt) -> str:
    """YAML of the slots that differ from an empty prompt; `load` gives the same prompt back."""
    import yaml

    empty = to_json(Prompt())
    told = {name: value for name, value in to_json(prompt).items() if value != empty.get(name)}
    if "glosses" in told:
        told["glosses"] = dict(told["glosses"])
    if "form" in told:
        told["form"] = {name: value for name, value in told["form"].items() if value != empty["form"][name]}
    return str(yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=100)) if told else "objective: ''\n"


def read(path: Path) -> Prompt:
    """A prompt file; its ending tells the format.

    Raises:
        DataError: it cannot be read, or holds what no prompt has (names file, line, and the nearest known word).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        told = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise DataError(f"{path} cannot be read: {told}.") from error
    return load(text, str(path)) if path.suffix in (".yaml", ".yml", ".json") else plain(text)


def plain(text: str) -> Prompt:
    """A prompt from loose text."""
    before, mark, after = text.partition(MARK)
    if not mark:
        return Prompt(objective=text.strip(), form=AS_WRITTEN)
    return Prompt(objective=before.strip(), reminder=after.strip(), layout="user", form=AS_WRITTEN)


def load(text: str, where: str = "prompt") -> Prompt:
    """A prompt from YAML (or JSON) with one key for each slot.

    Args:
        text: the file's content.
        where: its name, for messages.

    Raises:
        DataError: no mapping, an unknown key, or a value that does not fit its slot.
    """
    import yaml

    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise DataError(f"{where}{line}: broken YAML: {getattr(error, 'problem', error)}.") from error
    if not isinstance(found, dict):
        raise DataError(f"{where}: a prompt is a list of slots, such as 'objective: What is it about?'.")
    for key in found:
        if key not in KEYS:
            row = next((n for n, one in enumerate(text.splitlines(), 1) if one.startswith(f"{key}:")), 1)
            raise DataError(f"{where}:{row}: a prompt has no slot '{key}'.{did_you_mean(str(key), KEYS)}")
    return of_slots(found, where)


def of_slots(found: Mapping[str, Any], where: str = "prompt") -> Prompt:
    """A prompt from slots by name, also written for short (`load`).

    Raises:
        DataError: an unknown slot, or a value that does not fit.
    """
    from pydantic import TypeAdapter, ValidationError

    for key in found:
        if key not in KEYS:
            raise DataError(f"{where}: a prompt has no slot '{key}'.{did_you_mean(str(key), KEYS)}")
    try:
        prompt: Prompt = TypeAdapter(Prompt).validate_python(_shaped(found))
    except ValidationError as error:
        first = error.errors()[0]
        slot = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{where}: {slot}: {first['msg']}.") from error
    return prompt


def _shaped(found: Mapping[str, Any]) -> dict[str, Any]:
    """What people write for short: one line for a list of one, `label: words` for glosses, pairs for shots."""
    shaped = dict(found)
    for name in _LISTS:
        if isinstance(shaped.get(name), str):
            shaped[name] = [shaped[name]]
    if isinstance(shaped.get("glosses"), dict):
        shaped["glosses"] = [[label, words] for label, words in shaped["glosses"].items()]
    return shaped
