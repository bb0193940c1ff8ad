"""From the text of a file to a draft: plain text with `{{variables}}`, or chat messages as JSON."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from whichway.errors import DataError
from whichway.lint.scene import VARIABLE, Draft
from whichway.nouns import Layout, Message, Prompt, Shot
from whichway.prompts import files, variables
from whichway.prompts.files import AS_WRITTEN

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
}
SETTINGS = ("temperature", "max_tokens", "stop", "response_format", "repeats", "model", "judge")
_PAIR = re.compile(
    r"^(?P<one>[A-Z][\w ]{0,24}?)(?: ?\d+)?:[ \t]*(?P<text>\S.*(?:\n(?!\s*\n)(?![A-Z][\w ]{0,24}?(?: ?\d+)?:).*)*)\n\s*"
    r"(?P<two>[A-Z][\w ]{0,24}?)(?: ?\d+)?:[ \t]*(?P<answer>\S.*)$",
    re.M,
)


def of_text(source: str, path: str = "prompt") -> Draft:
    """A plain-text prompt. `{{name}}` is filled from the row's field, `{{input}}` marks the row; else the row follows.

    Worked examples are found where two labelled lines (`Text: ...`, `Team: ...`) repeat and one variable follows them.

    Raises:
        DataError: it holds template logic; names the line.
    """
    body = source.strip("\n")
    found = list(VARIABLE.finditer(body))
    row = found[0] if len(found) == 1 and "{%" not in body else None
    head = body if row is None else body[: row.start()]
    rest, shots = _shots(head, bool(row)) if len(found) < 2 else (head, ())
    if found and not shots:
        return Draft(files.written(body, path), source, path, "text")
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
    return Draft(prompt if name else variables.declared(prompt, path), source, path, "text")


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


def of_messages(source: str, path: str = "prompt") -> Draft:
    """Chat messages: a JSON list of `{role, content}`, or an object with `messages` and settings beside them.

    Raises:
        DataError: no such JSON; names the line.
    """
    try:
        found = json.loads(source)
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        raise DataError(f"{path}:{line}: not valid JSON: {getattr(error, 'msg', error)}.") from None
    settings: dict[str, Any] = {}
    if isinstance(found, dict):
        settings = {key: found[key] for key in SETTINGS if key in found}
        found = found.get("messages")
    if not isinstance(found, list) or not found:
        raise DataError(f"{path}: no chat messages. Give a list of objects with role and content.")
    return of_turns([_turn(one, n, path) for n, one in enumerate(found, 1)], source, path, settings)


def _turn(one: Any, number: int, path: str) -> Message:
    role = ROLES.get(str(one.get("role", "")).casefold()) if isinstance(one, Mapping) else None
    content = one.get("content") if isinstance(one, Mapping) else None
    if isinstance(content, list):
        content = "\n".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    if role is None or not isinstance(content, str):
        raise DataError(f"{path}: message {number} needs a role (system, user, assistant) and a text as content.")
    return Message(role, content)  # type: ignore[arg-type]


def of_turns(turns: Sequence[Message], source: str, path: str, settings: Mapping[str, Any]) -> Draft:
    """Messages as slots: system is the objective, answered turns are shots, the last turn holds the row."""
    if any(VARIABLE.search(turn.content) for turn in turns):
        return Draft(files.of_chat(tuple(turns), path), source, path, "messages", tuple(turns), settings)
    system = "\n\n".join(turn.content for turn in turns if turn.role == "system")
    rest = [turn for turn in turns if turn.role != "system"]
    paired = [turn.role for turn in rest] == ["user", "assistant"] * (len(rest) // 2) + ["user"] * (len(rest) % 2)
    if not paired:
        roles = ", ".join(turn.role for turn in turns)
        raise DataError(
            f"{path}: without a variable the row follows the messages, and these ({roles}) have no place for it. Name "
            "one where the row goes, such as {{input}}."
        )
    shots = [Shot(one.content, two.content) for one, two in zip(rest[:-1:2], rest[1::2], strict=False)]
    before = rest[-1].content.strip() if rest and rest[-1].role == "user" else ""
    layout: Layout = "system" if system else "user"
    prompt = Prompt(
        objective=(system or before).strip(),
        instructions=(before,) if system and before else (),
        shots=tuple(shots),
        layout=layout,
        form=AS_WRITTEN,
    )
    return Draft(variables.declared(prompt, path), source, path, "messages", tuple(turns), settings)
