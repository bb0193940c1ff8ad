"""A prompt as a file that a person writes and edits: YAML with one key for each slot, or plain text.

Plain text (`.txt`, `.md`) is the instructions, word for word. `{{name}}` in it is filled from the row's field of this
name, `{{input}}` from the whole row; without any, the row follows the text. Chat messages stand in JSON or YAML.

This is the one parser: command line, task file, lint and Python read a file through it.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from whichway.errors import DataError, did_you_mean
from whichway.nouns import Form, Layout, Message, Prompt, Shot, to_json
from whichway.prompts import yaml_core
from whichway.prompts.variables import VARIABLE, declared, names, texts

AS_WRITTEN = Form("as written")  # of loose text: nothing is added to it
KEYS = tuple(f.name for f in dataclasses.fields(Prompt))
STRUCTURED = (".yaml", ".yml", ".json")  # endings of files that hold slots or messages
SETTINGS = ("temperature", "max_tokens", "stop", "response_format", "repeats", "model", "judge")  # beside the prompt
ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
}
MARK = re.compile(r"(?:#|//|<!--|\{#)\s*whichway:\s*(ignore(?:-file)?)\b[:\s]*((?:[A-Za-z]{2}\d{3}[, \t]*)+)[^\n]*")
_LINE = re.compile(rf"(?m)^[ \t]*{MARK.pattern}\n?")
_PAIR = re.compile(
    r"^(?P<one>[A-Z][\w ]{0,24}?)(?: ?\d+)?:[ \t]*(?P<text>\S.*(?:\n(?!\s*\n)(?![A-Z][\w ]{0,24}?(?: ?\d+)?:).*)*)\n\s*"
    r"(?P<two>[A-Z][\w ]{0,24}?)(?: ?\d+)?:[ \t]*(?P<answer>\S.*)$",
    re.M,
)
_LISTS = ("instructions", "steps", "constraints", "labels", "protected", "variables")


def dump(prompt: Prompt) -> str:
    """YAML of the slots that differ from an empty prompt; `load` gives the same prompt back."""
    import yaml

    empty = to_json(Prompt())
    slots = {name: value for name, value in to_json(prompt).items() if value != empty.get(name)}
    if not prompt.variables and any("{{" in text for text in texts(prompt)):
        slots["variables"] = []  # braces that are meant as they are
    if "glosses" in slots:
        slots["glosses"] = dict(slots["glosses"])
    if "form" in slots:
        slots["form"] = {name: value for name, value in slots["form"].items() if value != empty["form"][name]}
    return str(yaml.safe_dump(slots, sort_keys=False, allow_unicode=True, width=100)) if slots else "objective: ''\n"


def read(path: Path) -> Prompt:
    """The prompt of a file, however it is named: on the command line, in a task file, in Python.

    YAML and JSON hold slots or chat messages, everything else is loose text.

    Raises:
        DataError: it cannot be read, or holds what no prompt has (names file, line, and the nearest known word).
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise DataError(f"{path} cannot be read: {reason}.") from error
    where = str(path)
    if path.suffix.lower() not in STRUCTURED:
        if not text.strip():
            raise DataError(f"{path}: the file is empty.")
        return of_text(blanked(text), where)
    values = parsed(text, path)
    if is_chat(values):
        return of_turns(messages_of(json.dumps(values), where)[0], where)
    settings, slots = settings_of(values if isinstance(values, Mapping) else {})
    return of_slots(slots, where) if settings else load(text, where)


def parsed(source: str, path: Path) -> Any:
    """The values of a YAML or JSON file (JSON is YAML).

    Raises:
        DataError: it is neither; names the line.
    """
    import yaml

    try:
        return json.loads(source) if path.suffix.lower() == ".json" else yaml_core.load(source)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON: {error.msg}.") from None
    except yaml.YAMLError as error:
        at, problem = yaml_core.problem(error)
        raise DataError(f"{path}{at}: not valid YAML: {problem}.") from None


def is_chat(value: Any) -> bool:
    """Whether the values of a file are chat messages: a list of them, or an object with `messages`."""
    if isinstance(value, list):
        return any(isinstance(one, Mapping) for one in value)
    return isinstance(value, Mapping) and "messages" in value


def settings_of(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of the decoding that stand beside slots, and the slots alone."""
    settings = {key: yaml_core.typed(value) for key, value in values.items() if key in SETTINGS}
    return settings, {key: value for key, value in values.items() if key not in settings}


def blanked(source: str) -> str:
    """A plain-text prompt without its suppression lines, lines kept in number; inline marks become spaces."""
    whole = _LINE.sub(lambda m: "\n" if m.group().endswith("\n") else "", source)
    return MARK.sub("", whole)


def of_text(source: str, where: str = "prompt") -> Prompt:
    """A prompt from loose text.

    `{{name}}` is filled from the row's field, `{{input}}` marks the row; without any, the row follows.

    Worked examples are found where two labelled lines (`Text: ...`, `Team: ...`) repeat and one variable follows them.

    Raises:
        DataError: it holds template logic; names the line.
    """
    body = source.strip("\n")
    variables_found = list(VARIABLE.finditer(body))
    row = variables_found[0] if len(variables_found) == 1 and "{%" not in body else None
    head = body if row is None else body[: row.start()]
    rest, shots = _shots(head, bool(row)) if len(variables_found) < 2 else (head, ())
    if variables_found and not shots:
        return written(body, where)
    name = row[1] if row else ""
    prompt = Prompt(
        objective=rest.strip(),
        shots=shots,
        reminder=body[row.end() :].strip("\n") if row else "",
        layout="user",
        form=AS_WRITTEN,
        variables=(name,) if name else (),
        row=f"{{{{{name}}}}}" if name else "",
    )
    return prompt if name else declared(prompt, where)


def _shots(head: str, open_: bool) -> tuple[str, tuple[Shot, ...]]:
    """What stands before the row without its worked examples, and these."""
    pairs = list(_PAIR.finditer(head))
    counts = Counter((m["one"].strip(), m["two"].strip()) for m in pairs)
    if not counts:
        return head, ()
    names, times = counts.most_common(1)[0]
    if times < 2 or names[0] == names[1]:
        return head, ()
    chosen = [m for m in pairs if (m["one"].strip(), m["two"].strip()) == names]
    shots = tuple(Shot(m["text"].strip(), m["answer"].strip()) for m in chosen)
    rest = head
    for match in reversed(chosen):
        rest = rest[: match.start()] + rest[match.end() :]
    if open_:  # the row's own label is no instruction
        rest = re.sub(rf"{re.escape(names[0])}:\s*$", "", rest)
    return re.sub(r"\n{3,}", "\n\n", rest), shots


def messages_of(source: str, where: str = "prompt") -> tuple[tuple[Message, ...], dict[str, Any]]:
    """Chat messages, a JSON list of `{role, content}` or an object with `messages`, and the settings beside them.

    Raises:
        DataError: no such JSON; names the line.
    """
    try:
        turns = json.loads(source)
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        raise DataError(f"{where}:{line}: not valid JSON: {getattr(error, 'msg', error)}.") from None
    settings: dict[str, Any] = {}
    if isinstance(turns, dict):
        settings = {key: turns[key] for key in SETTINGS if key in turns}
        turns = turns.get("messages")
    if not isinstance(turns, list) or not turns:
        raise DataError(f"{where}: no chat messages. Give a list of objects with role and content.")
    return tuple(_turn(one, n, where) for n, one in enumerate(turns, 1)), settings


def _turn(one: Any, number: int, path: str) -> Message:
    role = ROLES.get(str(one.get("role", "")).casefold()) if isinstance(one, Mapping) else None
    content = one.get("content") if isinstance(one, Mapping) else None
    if isinstance(content, list):
        content = "\n".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    if role is None or not isinstance(content, str):
        raise DataError(f"{path}: message {number} needs a role (system, user, assistant) and a text as content.")
    return Message(role, content)  # type: ignore[arg-type]


def of_turns(turns: Sequence[Message], where: str = "prompt") -> Prompt:
    """Messages as a prompt: system is the objective, answered turns are shots, the last turn holds the row.

    Raises:
        DataError: there is no place for the row, or template logic.
    """
    if any(VARIABLE.search(turn.content) for turn in turns):
        return of_chat(tuple(turns), where)
    system = "\n\n".join(turn.content for turn in turns if turn.role == "system")
    rest = [turn for turn in turns if turn.role != "system"]
    paired = [turn.role for turn in rest] == ["user", "assistant"] * (len(rest) // 2) + ["user"] * (len(rest) % 2)
    if not paired:
        roles = ", ".join(turn.role for turn in turns)
        raise DataError(
            f"{where}: without a variable the row follows the messages, and these ({roles}) have no place for it. Name "
            "one where the row goes, such as {{input}}."
        )
    shots = [Shot(one.content, two.content) for one, two in zip(rest[:-1:2], rest[1::2], strict=False)]
    before = rest[-1].content.strip() if rest and rest[-1].role == "user" else ""
    prompt = Prompt(
        objective=(system or before).strip(),
        instructions=(before,) if system and before else (),
        shots=tuple(shots),
        layout="system" if system else "user",
        form=AS_WRITTEN,
    )
    return declared(prompt, where)


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
        slots = yaml_core.load(text)
    except yaml.YAMLError as error:
        line, problem = yaml_core.problem(error)
        raise DataError(f"{where}{line}: not valid YAML: {problem}.") from error
    if not isinstance(slots, dict):
        raise DataError(f"{where}: a prompt is a list of slots, such as 'objective: What is it about?'.")
    for key in slots:
        if key not in KEYS:
            row = next((n for n, one in enumerate(text.splitlines(), 1) if one.startswith(f"{key}:")), 1)
            raise DataError(f"{where}:{row}: a prompt has no slot '{key}'.{did_you_mean(str(key), KEYS)}")
    return of_slots(slots, where)


def of_slots(slots: Mapping[str, Any], where: str = "prompt") -> Prompt:
    """A prompt from slots by name, also written for short (`load`).

    Raises:
        DataError: an unknown slot, or a value that does not fit.
    """
    from pydantic import TypeAdapter, ValidationError

    for key in slots:
        if key not in KEYS:
            raise DataError(f"{where}: a prompt has no slot '{key}'.{did_you_mean(str(key), KEYS)}")
    try:
        prompt: Prompt = TypeAdapter(Prompt).validate_python(_shaped(slots))
    except ValidationError as error:
        first = error.errors()[0]
        slot = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{where}: {slot}: {first['msg']}.") from error
    return prompt if "variables" in slots else declared(prompt, where)


def _shaped(slots: Mapping[str, Any]) -> dict[str, Any]:
    """What people write for short: one line for a list of one, `label: words` for glosses, pairs for shots."""
    shaped = dict(slots)
    for name in _LISTS:
        if isinstance(shaped.get(name), str):
            shaped[name] = [shaped[name]]
    if isinstance(shaped.get("glosses"), dict):
        shaped["glosses"] = [[label, words] for label, words in shaped["glosses"].items()]
    return shaped
