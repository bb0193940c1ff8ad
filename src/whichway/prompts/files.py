"""A prompt as a file that a person writes and edits: YAML with one key for each slot, or plain text.

Plain text (`.txt`, `.md`) is the instructions, word for word. `{{name}}` in it is filled from the row's field of this
name, `{{input}}` from the whole row; without any, the row follows the text.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whichway.errors import DataError, did_you_mean
from whichway.nouns import Form, Layout, Message, Prompt, Shot, to_json
from whichway.prompts import yaml_core
from whichway.prompts.variables import declared, names, texts

AS_WRITTEN = Form("as written")  # of loose text: nothing is added to it
KEYS = tuple(f.name for f in dataclasses.fields(Prompt))
_LISTS = ("instructions", "steps", "constraints", "labels", "protected", "variables")


def dump(prompt: Prompt) -> str:
    """YAML of the slots that differ from an empty prompt; `load` gives the same prompt back."""
    import yaml

    empty = to_json(Prompt())
    told = {name: value for name, value in to_json(prompt).items() if value != empty.get(name)}
    if not prompt.variables and any("{{" in text for text in texts(prompt)):
        told["variables"] = []  # braces that are meant as they are
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
    return load(text, str(path)) if path.suffix in (".yaml", ".yml", ".json") else plain(text, str(path))


def plain(text: str, where: str = "prompt") -> Prompt:
    """A prompt from loose text.

    Raises:
        DataError: it holds template logic; names the line.
    """
    if not names(text):
        return declared(Prompt(objective=text.strip(), form=AS_WRITTEN), where)
    return written(text.strip(), where)


def written(text: str, where: str = "prompt") -> Prompt:
    """A prompt from a text that names variables: what it renders to is this text with the variables filled in.

    The paragraphs before the first variable are the objective, those after the last one the reminder, so that what
    rows share is computed once; what lies between brings the row.

    Raises:
        DataError: it holds template logic; names the line.
    """
    before, row, after = parts(text)
    slots = Prompt(objective=before, row=row, reminder=after, layout="user", form=AS_WRITTEN)
    return declared(slots, where)


def parts(text: str) -> tuple[str, str, str]:
    """The paragraphs before the first variable, from there to the last one, and after it."""
    blocks = text.split("\n\n")
    places = [n for n, block in enumerate(blocks) if names(block)]
    if not places or "{%" in text:  # a fence may span paragraphs
        return "", text, ""
    first, last = places[0], places[-1] + 1
    head, row, tail = ("\n\n".join(some) for some in (blocks[:first], blocks[first:last], blocks[last:]))
    exact = head == head.strip() and tail == tail.strip()
    return (head, row, tail) if exact else ("", text, "")


def of_chat(turns: tuple[Message, ...], where: str = "prompt") -> Prompt:
    """A prompt from chat messages that name variables. What it renders to is these messages, filled in.

    The last message brings the row; worked examples without variables before it are shots, other turns its lead.

    Raises:
        DataError: the last message is the assistant's, or there is template logic.
    """
    head = 0
    while head < len(turns) and turns[head].role == "system":
        head += 1
    system, talk = "\n\n".join(turn.content for turn in turns[:head]), turns[head:]
    if talk and talk[-1].role != "user":
        raise DataError(
            f"{where}: the last message is the {talk[-1].role}'s. A beginning of the answer is not written for the "
            "model here: end with the user's message."
        )
    before, last = talk[:-1], talk[-1].content if talk else ""
    paired = [turn.role for turn in before] == ["user", "assistant"] * (len(before) // 2)
    examples = paired and not any(names(turn.content) for turn in before)
    shots = (
        tuple(Shot(u.content, a.content) for u, a in zip(before[::2], before[1::2], strict=True)) if examples else ()
    )
    lead = () if examples else before
    layout: Layout = "system" if system else "user"
    opening, row, reminder = parts(last) if names(last) else ("", last, "")
    if opening and (system or before):  # it would not stand where it is written
        opening, row = "", f"{opening}\n\n{row}"
    return declared(
        Prompt(
            objective=system or opening,
            shots=shots,
            reminder=reminder,
            layout=layout,
            form=AS_WRITTEN,
            row=row,
            lead=lead,
        ),
        where,
    )


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
        found = yaml_core.load(text)
    except yaml.YAMLError as error:
        line, problem = yaml_core.problem(error)
        raise DataError(f"{where}{line}: broken YAML: {problem}.") from error
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
    return prompt if "variables" in found else declared(prompt, where)


def _shaped(found: Mapping[str, Any]) -> dict[str, Any]:
    """What people write for short: one line for a list of one, `label: words` for glosses, pairs for shots."""
    shaped = dict(found)
    for name in _LISTS:
        if isinstance(shaped.get(name), str):
            shaped[name] = [shaped[name]]
    if isinstance(shaped.get("glosses"), dict):
        shaped["glosses"] = [[label, words] for label, words in shaped["glosses"].items()]
    return shaped
