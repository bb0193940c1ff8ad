"""Conversations as rows: chat `messages`, ShareGPT `conversations`, chat-style prompt/completion and preferences.

The last answer is the target, what was said before it the input: one user's message as its text, a longer conversation
as a `Conversation`, whose turns reach the model as real turns. What cannot be used (images, calls of tools) is refused
by name; what is left out is counted (`Conversation.notes`).
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whichway.errors import DataError
from whichway.nouns import Message, Role, transcript
from whichway.tasks.chat_variants import is_message, rewritten

ROLES: Mapping[str, Role] = {
    **dict.fromkeys(("user", "human", "prompter", "customer"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "bot", "ai", "chatgpt", "chatbot"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
}
TOOL_ROLES = (
    "tool",
    "function",
    "observation",
    "function_response",
    "function_call",
    "tool_call",
    "tool_response",
    "ipython",
)
SYSTEM = "system"  # the column a conversation's system message becomes
KEYS = ("messages", "conversations", "conversation")  # columns that hold whole conversations
_TALK = frozenset((*KEYS, "chosen", "prompt", "completion"))  # without one of these columns a row is no conversation
INPUT, TARGET = "input", "target"  # the columns that they become
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")  # beside an answer's text
_UNTRAINED = ("weight", "train", "training")  # beside an answer: 0 or false where it must not be learned
_PARTS = {"text", "input_text", "output_text"}
LEFT_THOUGHTS = "reasoning of earlier answers is left out, as chat templates leave it out"
LEFT_WEIGHT = "answers of weight 0 are no targets: the last one that counts is, and what follows it is left out"


class Conversation(str):
    """A cell that is a conversation: its transcript, with its turns and what was left out of them."""

    turns: tuple[Message, ...]
    notes: tuple[str, ...]

    def __new__(cls, turns: Sequence[Message], notes: Iterable[str] = ()) -> Conversation:
        """A cell of these turns; `notes` are sentences that are counted over the rows."""
        self = super().__new__(cls, transcript(turns))
        self.turns, self.notes = tuple(turns), tuple(notes)
        return self


@dataclass(frozen=True, slots=True)
class _ParsedTurn:
    """One message as the file has it."""

    message: Message
    thoughts: str = ""
    trained: bool = True  # whether it may be learned
    name: str = ""


def flatten(fields: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """A row with its conversation replaced by `system`, `input` and `target`; other rows as they are.

    A conversation that ends with the user has no target; beside other columns one of those may be it. Preferences
    (`chosen` and `rejected` as messages, with or without a `prompt` before them) become `prompt`, `chosen` and
    `rejected`.

    Args:
        fields: the row as the file holds it.
        where: "file:line", for messages.

    Raises:
        DataError: a message that cannot be used; names it.
    """
    fields = rewritten(fields, where)
    if _TALK.isdisjoint(fields):
        return fields
    for key in KEYS:
        turns = listed(fields.get(key))
        if turns or (key != "conversation" and isinstance(fields.get(key), list)):
            _refuse_tools(fields, where)
            return _split(turns or fields[key], _without(fields, key, "tools", "functions"), where, key)
    if _chat(fields.get("chosen")) and _chat(fields.get("rejected")):
        return _preference(fields, where)
    turns = [*_chat(fields.get("prompt")), *_chat(fields.get("completion"))]
    if turns:
        _refuse_tools(fields, where)
        answer = fields.get("completion")
        if isinstance(answer, str):
            turns.append({"role": "assistant", "content": answer})
        return _split(turns, _without(fields, "prompt", "completion", "tools", "functions"), where, "prompt")
    return fields


def listed(value: Any) -> list[Any]:
    """The messages of a cell: a list of them, or one written as JSON (or as Python writes it); empty for others."""
    if isinstance(value, list):
        return value if value and all(map(is_message, value)) else []
    if (
        not isinstance(value, str)
        or not value.lstrip().startswith("[")
        or ("content" not in value and "value" not in value)
    ):
        return []
    try:
        messages = json.loads(value)
    except (ValueError, RecursionError):
        try:
            messages = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return []
    return messages if isinstance(messages, list) and messages and all(map(is_message, messages)) else []


def conversation(value: Any, where: str, key: str = INPUT) -> Conversation:
    """Messages that ask: the turns of a row without its answer.

    Args:
        value: the messages, as a list or as JSON.
        where: for messages.
        key: the column.

    Raises:
        DataError: no messages, a message that cannot be used, or no user's message at the end.
    """
    turns = listed(value)
    if not turns:
        raise DataError(f"{where}: '{key}' holds no messages: {str(value)[:60]}")
    parsed = [_turn(turn, where, key, number) for number, turn in enumerate(turns, 1)]
    return _question_turns(parsed, where, key)


def _preference(fields: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Two conversations that differ in their last answer."""
    _refuse_tools(fields, where)
    prompt = fields.get("prompt")
    before = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else _chat(prompt)
    rest = _without(fields, "prompt", "chosen", "rejected", "tools", "functions")
    sides = []
    for key in ("chosen", "rejected"):
        messages = _chat(fields[key])
        whole = messages if before and messages[: len(before)] == before else [*before, *messages]
        side = _split(whole, {}, where, key)
        if TARGET not in side:
            raise DataError(f"{where}: '{key}' ends with the user; the assistant's answer is missing.")
        sides.append(side)
    chosen, rejected = sides
    if {**chosen, TARGET: ""} != {**rejected, TARGET: ""}:
        raise DataError(f"{where}: 'chosen' and 'rejected' answer different conversations; only the last may differ.")
    system = {SYSTEM: chosen[SYSTEM]} if SYSTEM in chosen else {}
    columns = {"prompt": chosen[INPUT], "chosen": chosen[TARGET], "rejected": rejected[TARGET]}
    return {**system, **columns, **rest}


def _chat(value: Any) -> list[Any]:
    return listed(value) if isinstance(value, list) and all(isinstance(t, dict) and "role" in t for t in value) else []


def _without(fields: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in keys}


def _refuse_tools(fields: Mapping[str, Any], where: str) -> None:
    for key in ("tools", "functions"):
        if fields.get(key) not in (None, "", [], {}, "[]", "null"):
            raise DataError(
                f"{where}: '{key}' defines tools, and tools are not offered to a model here. Take '{key}' out of the "
                "row, or write what the model must know of them into the system message."
            )


def _split(turns: Sequence[Any], rest: dict[str, Any], where: str, key: str) -> dict[str, Any]:
    """System text, the conversation up to the last answer, and that answer."""
    parsed = [_turn(turn, where, key, number) for number, turn in enumerate(turns, 1)]
    notes: list[str] = []
    if parsed and parsed[-1].message.role == "assistant" and not all(one.trained for one in parsed):
        parsed, left = _up_to_trained_answer(parsed, where, key)
        notes += [LEFT_WEIGHT] if left else []
    if not parsed or parsed[-1].message.role != "assistant":
        question = _question_columns(parsed, notes, where, key)
        if rest:  # another column may be what is wanted
            return {**question, **rest}
        everything = _question_turns(parsed, where, key)
        talk = everything.turns[1 if everything.turns[0].role == "system" else 0 :]
        return {**question, INPUT: Conversation(talk, everything.notes), TARGET: ""}
    first = len(parsed) - 1
    while first and parsed[first - 1].message.role == "assistant":  # an answer in several messages is one
        first -= 1
    question = _question_columns(parsed[:first], notes, where, key)
    text = "\n\n".join(one.message.content for one in parsed[first:] if one.message.content)
    thoughts = "\n\n".join(one.thoughts for one in parsed[first:] if one.thoughts)
    if thoughts:
        text = f"<think>\n{thoughts}\n</think>\n\n{text}"
    whole = {key: Conversation([one.message for one in parsed])} if rest else {}
    return {**question, TARGET: text, **rest, **whole}


def _up_to_trained_answer(parsed: list[_ParsedTurn], where: str, key: str) -> tuple[list[_ParsedTurn], bool]:
    """The conversation up to the last answer that may be learned, and whether that left something out."""
    last = next(
        (n for n in range(len(parsed) - 1, -1, -1) if parsed[n].trained and parsed[n].message.role == "assistant"), None
    )
    if last is None:
        raise DataError(f"{where}: every answer of '{key}' has weight 0: there is nothing to learn. Delete the row.")
    return parsed[: last + 1], last + 1 < len(parsed)


def _question_columns(parsed: list[_ParsedTurn], notes: list[str], where: str, key: str) -> dict[str, Any]:
    """The columns of what was said before the answer."""
    before = _question_turns(parsed, where, key)
    head = 1 if before.turns[0].role == "system" else 0
    system = {SYSTEM: before.turns[0].content} if head else {}
    talk, notes = before.turns[head:], [*notes, *before.notes]
    if len(talk) == 1 and not notes:
        return {**system, INPUT: talk[0].content}
    return {**system, INPUT: Conversation(talk, notes)}


def _question_turns(parsed: Sequence[_ParsedTurn], where: str, key: str) -> Conversation:
    """The turns that ask: leading system messages as one, then the talk, which ends with the user."""
    head = 0
    while head < len(parsed) and parsed[head].message.role == "system":
        head += 1
    system = "\n\n".join(one.message.content for one in parsed[:head] if one.message.content)
    talk = parsed[head:]
    if not any(one.message.role == "user" for one in talk):
        raise DataError(f"{where}: '{key}' holds no user's message: there is nothing to answer.")
    last = max(n for n, one in enumerate(talk) if one.message.role == "user")
    after = list(talk[last + 1 :])
    if all(one.message.role == "system" for one in after):  # an instruction after the question stands before it
        talk = [*talk[:last], *after, talk[last]]
    names = {one.name for one in talk if one.name and one.message.role == "user"}
    if len(names) > 1:
        raise DataError(
            f"{where}: '{key}' is a talk of several users ({', '.join(sorted(names)[:3])}), whose names a chat "
            "template does not write. Put each name into its message's text."
        )
    notes = [LEFT_THOUGHTS] if any(one.thoughts for one in talk) else []
    turns = [Message("system", system)] if system else []
    return Conversation([*turns, *(one.message for one in talk)], notes)


def _turn(turn: Any, where: str, key: str, number: int) -> _ParsedTurn:
    if not isinstance(turn, Mapping):
        raise DataError(f"{where}: '{key}' holds something that is no message: {str(turn)[:60]}")
    at = f"{where}: message {number} of '{key}'"
    word = str(turn.get("role", turn.get("from", ""))).strip().lower()
    for call in ("tool_calls", "function_call"):
        if turn.get(call):
            raise DataError(
                f"{at} calls a tool ({call}), and calls are not read or written here. Write the call as the message's "
                "text if it is what should be learned, or take the row out."
            )
    if word in TOOL_ROLES or turn.get("tool_call_id"):
        raise DataError(
            f"{at} is a tool's ({word}), and results of tools are not read here. Write it as a user's message, or take "
            "the row out."
        )
    role = ROLES.get(word)
    content = turn.get("content", turn.get("value"))
    if isinstance(content, list):  # parts, as OpenAI's API writes them
        content = _parts(content, at)
    if role is None or not isinstance(content, str):
        shown = str({name: turn[name] for name in turn})[:80]
        raise DataError(f"{where}: '{key}' holds a message without known role or without text: {shown}")
    thoughts = next((str(turn[name]).strip() for name in _THOUGHTS if isinstance(turn.get(name), str)), "")
    counts = all(turn.get(name) not in (0, False, "0") for name in _UNTRAINED)
    message = Message(role, content.strip(), untrained=role == "assistant" and not counts)
    return _ParsedTurn(message, thoughts, counts, str(turn.get("name") or ""))


def _parts(parts: Sequence[Any], at: str) -> str | None:
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        kind = str(part.get("type") or ("text" if "text" in part else "")) if isinstance(part, Mapping) else ""
        if kind not in _PARTS:
            named = kind or str(part)[:40]
            raise DataError(
                f"{at} holds a part that is no text ({named}), and only text is read here. Take the row out, or write "
                "what the part shows as text."
            )
        texts.append(str(part.get("text") or ""))
    return "".join(texts) if texts else None


# Cells that hold a conversation beside other columns


def as_conversations(cells: Sequence[str], places: Sequence[str], key: str) -> list[Conversation] | None:
    """The cells of a column as conversations, where every one of them is a list of messages; else None.

    One row cannot make it so: a text that looks like messages is a text where the others are none.

    Raises:
        DataError: a message that cannot be used.
    """
    if not cells or not all(isinstance(cell, Conversation) or listed(cell) for cell in cells):
        return None
    return [
        cell if isinstance(cell, Conversation) else conversation(cell, where, key)
        for cell, where in zip(cells, places, strict=True)
    ]


def turns_of(fields: Mapping[str, str]) -> tuple[Message, ...]:
    """The turns of a row whose input holds a conversation, its own system message first; empty for others."""
    if SYSTEM not in fields and all(type(value) is str for value in fields.values()):
        return ()
    system = fields.get(SYSTEM, "")
    others = [name for name in fields if name != SYSTEM]
    if len(others) != 1:
        conversations = (value.turns for value in fields.values() if isinstance(value, Conversation))
        return next((turns for turns in conversations if turns[-1].role == "user"), ())
    value = fields[others[0]]
    if (
        isinstance(value, Conversation) and value.turns[-1].role != "user"
    ):  # a talk to be judged, not to be gone on with
        return ()
    turns = value.turns if isinstance(value, Conversation) else (Message("user", value),) if SYSTEM in fields else ()
    if len(turns) == 1 and not system:  # one message is a text
        return ()
    if system and turns:
        own = [turn.content for turn in turns[:1] if turn.role == "system"]
        turns = (Message("system", "\n\n".join([system, *own])), *turns[len(own) :])
    return turns


def text_of(value: str) -> str:
    """A cell as plain text, without turns."""
    return str.__str__(value) if isinstance(value, Conversation) else value


def left_out_notes(fields: Iterable[Mapping[str, str]]) -> list[str]:
    """What was left out of conversations, counted over rows."""
    counts: dict[str, int] = {}
    for row in fields:
        for value in row.values():
            for note in value.notes if isinstance(value, Conversation) else ():
                counts[note] = counts.get(note, 0) + 1
    return [f"{count} conversations: {note}." for note, count in counts.items()]
