"""Conversations as rows: chat `messages`, ShareGPT `conversations`, chat-style prompt/completion and preferences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from whichway.errors import DataError

ROLES = {"human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant", "developer": "system"}
SYSTEM = "system"  # the column a conversation's system message becomes


def flatten(fields: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """A row with its conversation replaced by `system`, `input` and `target`; other rows as they are.

    Preferences (`chosen` and `rejected` as messages, with or without a `prompt` before them) become `prompt`, `chosen`
    and `rejected`.

    Args:
        fields: the row as the file holds it.
        where: "file:line", for messages.
    """
    for key in ("messages", "conversations"):
        if isinstance(fields.get(key), list):
            return _split(fields[key], _without(fields, key), where, key)
    if _chat(fields.get("chosen")) and _chat(fields.get("rejected")):
        return _preference(fields, where)
    turns = [*_chat(fields.get("prompt")), *_chat(fields.get("completion"))]
    if turns:
        return _split(turns, _without(fields, "prompt", "completion"), where, "prompt")
    return fields


def _preference(fields: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Two conversations that differ in their last answer."""
    asked = fields.get("prompt")
    before = [{"role": "user", "content": asked}] if isinstance(asked, str) else _chat(asked)
    rest = _without(fields, "prompt", "chosen", "rejected")
    sides = []
    for key in ("chosen", "rejected"):
        said = _chat(fields[key])
        whole = said if before and said[: len(before)] == before else [*before, *said]
        sides.append(_split(whole, {}, where, key))
    chosen, rejected = sides
    if {**chosen, "target": ""} != {**rejected, "target": ""}:
        raise DataError(f"{where}: 'chosen' and 'rejected' answer different conversations; only the last may differ.")
    system = {SYSTEM: chosen[SYSTEM]} if SYSTEM in chosen else {}
    told = {"prompt": chosen["input"], "chosen": chosen["target"], "rejected": rejected["target"]}
    return {**system, **told, **rest}


def _chat(value: Any) -> list[Any]:
    return value if isinstance(value, list) and all(isinstance(turn, dict) and "role" in turn for turn in value) else []


def _without(fields: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in keys}


def _split(turns: Sequence[Any], rest: dict[str, Any], where: str, key: str) -> dict[str, Any]:
    """System text, the conversation up to the last answer, and that answer."""
    said = [_turn(turn, where, key) for turn in turns]
    system = "\n\n".join(text for role, text in said if role == "system")
    talk = [(role, text) for role, text in said if role != "system"]
    if len(talk) < 2 or talk[-1][0] != "assistant" or talk[0][0] == "assistant":
        raise DataError(f"{where}: '{key}' must begin with a user's message and end with the assistant's answer.")
    before = talk[:-1]
    text = before[0][1] if len(before) == 1 else "\n".join(f"{role}: {text}" for role, text in before)
    return {**({SYSTEM: system} if system else {}), "input": text, "target": talk[-1][1], **rest}


def _turn(turn: Any, where: str, key: str) -> tuple[str, str]:
    if not isinstance(turn, Mapping):
        raise DataError(f"{where}: '{key}' holds something that is no message: {str(turn)[:60]}")
    role = str(turn.get("role", turn.get("from", ""))).lower()
    role = ROLES.get(role, role)
    content = turn.get("content", turn.get("value"))
    if isinstance(content, list):  # parts, as OpenAI's API writes them
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping)) or None
    if role not in ("system", "user", "assistant") or not isinstance(content, str):
        raise DataError(f"{where}: '{key}' holds a message without known role or without text: {str(dict(turn))[:80]}")
    return role, content.strip()
