"""Conversations in the layouts of vendors and older tools, rewritten as `messages` before they are read.

Gemini (`contents` with `parts`), logs of calls (`request` and `response`, or `body`), instructions with a `history` of
earlier pairs, texts of turns headed "Human:" and "Assistant:", and a list of messages under any name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from whichway.errors import DataError

MESSAGES = "messages"
USUAL = frozenset((MESSAGES, "conversations", "conversation", "prompt", "completion", "chosen", "rejected"))
_ASKED = ("instruction", "query", "prompt", "question", "input")
_ANSWERED = ("output", "response", "completion", "answer")
_TURNS = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")


def rewritten(fields: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """A row with its conversation under `messages`, where it holds one in another layout; other rows as they are.

    Args:
        fields: the row as the file holds it.
        where: "file:line", for messages.

    Raises:
        DataError: a log of a call that failed.
    """
    if not any(type(value) in (list, dict) for value in fields.values()):
        return _headed(fields) if "chosen" in fields and "rejected" in fields else fields
    for change in (_gemini, _log, _history, _any_name):
        changed = change(fields, where)
        if changed is not None:
            return changed
    return fields


def is_message(turn: Any) -> bool:
    """Whether a value is a chat message: who says it, and what."""
    return isinstance(turn, Mapping) and bool({"role", "from"} & set(turn)) and bool({"content", "value"} & set(turn))


def _without(fields: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in keys}


def _gemini(fields: Mapping[str, Any], where: str) -> dict[str, Any] | None:
    """`contents`: turns with `parts`, and a `systemInstruction` beside them."""
    turns = fields.get("contents")
    if not isinstance(turns, list) or not turns or not all(isinstance(t, Mapping) and "parts" in t for t in turns):
        return None
    keys = ("systemInstruction", "system_instruction")
    system = [fields[key] for key in keys if isinstance(fields.get(key), Mapping)]
    messages = [{"role": "system", "content": one.get("parts")} for one in system]
    messages += [{"role": turn.get("role", "user"), "content": turn["parts"]} for turn in turns]
    return {**_without(fields, "contents", *keys), MESSAGES: messages}


def _log(fields: Mapping[str, Any], where: str) -> dict[str, Any] | None:
    """A call and its answer: `request` (or `body`, as in OpenAI's batches) with `messages`, and `response`."""
    for key in ("request", "body"):
        request = fields.get(key)
        if isinstance(request, Mapping) and isinstance(request.get("body"), Mapping):
            request = request["body"]
        if isinstance(request, Mapping) and isinstance(request.get(MESSAGES), list):
            break
    else:
        return None
    messages = list(request[MESSAGES])
    if isinstance(request.get("system"), str):
        messages = [{"role": "system", "content": request["system"]}, *messages]
    response = fields.get("response")
    rest = {**_without(fields, key, "response", "url", "method", "custom_id")}
    if response is None:
        return {**rest, MESSAGES: messages}
    answer = _answer(response)
    if answer is None:
        raise DataError(f"{where}: the response holds no message (choices[0].message, or content). Delete the row.")
    return {**rest, MESSAGES: [*messages, answer]}


def _answer(response: Any) -> Mapping[str, Any] | None:
    """The message of a response, in OpenAI's or Anthropic's layout."""
    if isinstance(response, str):
        return {"role": "assistant", "content": response}
    if not isinstance(response, Mapping):
        return None
    response = response["body"] if isinstance(response.get("body"), Mapping) else response
    choices = response.get("choices")
    if isinstance(choices, Sequence) and choices and isinstance(choices[0], Mapping):
        message = choices[0].get("message")
        return message if isinstance(message, Mapping) else None
    return response if is_message(response) else None


def _history(fields: Mapping[str, Any], where: str) -> dict[str, Any] | None:
    """An instruction with a `history` of earlier pairs (LLaMA-Factory)."""
    pairs = fields.get("history")
    questions = [name for name in _ASKED if isinstance(fields.get(name), str)]
    answered = next((name for name in _ANSWERED if isinstance(fields.get(name), str)), None)
    if not isinstance(pairs, list) or not questions or answered is None:
        return None
    if not all(isinstance(p, list) and len(p) == 2 and all(isinstance(t, str) for t in p) for p in pairs):
        return None
    question = "\n".join(fields[name] for name in questions if fields[name])
    turns = [(role, text) for pair in pairs for role, text in zip(("user", "assistant"), pair, strict=True)]
    turns += [("user", question), ("assistant", fields[answered])]
    system = fields.get("system")
    messages = [{"role": "system", "content": system}] if isinstance(system, str) and system else []
    messages += [{"role": role, "content": text} for role, text in turns]
    return {**_without(fields, "history", "system", answered, *questions), MESSAGES: messages}


def _any_name(fields: Mapping[str, Any], where: str) -> dict[str, Any] | None:
    """One column that holds lists of messages, whatever its name."""
    if not USUAL.isdisjoint(fields):
        return None
    candidates = [k for k, v in fields.items() if isinstance(v, list) and v and all(map(is_message, v))]
    if len(candidates) != 1:
        return None
    return {**_without(fields, candidates[0]), MESSAGES: fields[candidates[0]]}


def _headed(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Preferences whose texts are whole conversations, each turn headed "Human:" or "Assistant:" (HH-RLHF)."""
    sides = {key: _turns(fields[key]) for key in ("chosen", "rejected")}
    return {**fields, **sides} if all(sides.values()) else fields


def _turns(text: Any) -> list[dict[str, str]]:
    if not isinstance(text, str) or not text.startswith("\n\nHuman:"):
        return []
    parts = _TURNS.split(text)[1:]
    roles = {"Human": "user", "Assistant": "assistant"}
    return [
        {"role": roles[role], "content": content.strip()} for role, content in zip(parts[::2], parts[1::2], strict=True)
    ]
