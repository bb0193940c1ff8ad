"""Render a `Prompt` and a row's text to chat messages, or to plain text for models without a chat template."""

from __future__ import annotations

from collections.abc import Sequence

from whichway.nouns import Message, Prompt


def instructions(prompt: Prompt) -> str:
    """All that stands before the shots and the row, as paragraphs; empty slots leave no trace."""
    parts = [prompt.role, prompt.context, prompt.objective, "\n".join(prompt.instructions)]
    if prompt.labels:
        parts.append(f"Answer with one of: {', '.join(prompt.labels)}.")
    parts.append(prompt.output_format)
    return "\n\n".join(part.strip() for part in parts if part.strip())


def messages(prompt: Prompt, text: str) -> tuple[Message, ...]:
    """The chat messages that ask `prompt` of one row.

    Shots are earlier turns, so that prompt and shots are a prefix that all rows of a task share.

    Args:
        prompt: the slots.
        text: the row's input; entered as it is, never read as a template.
    """
    head = instructions(prompt)
    turns: list[Message] = []
    if head and prompt.layout == "system":
        turns.append(Message("system", head))
    for shot in prompt.shots:
        turns += [Message("user", shot.text), Message("assistant", shot.answer)]
    last = f"{text}\n\n{prompt.reminder}" if prompt.reminder else text
    turns.append(Message("user", last))
    if head and prompt.layout == "user":
        turns[0] = Message("user", f"{head}\n\n{turns[0].content}")
    return tuple(turns)


def plain(turns: Sequence[Message]) -> str:
    """Messages as plain text that ends where the answer starts, for base models without a chat template."""
    names = {"user": "Input: ", "assistant": "Answer: ", "system": ""}
    return "\n\n".join(names[turn.role] + turn.content for turn in turns) + "\n\nAnswer:"
