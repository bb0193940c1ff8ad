"""The winning prompt as it is sent: chat messages with a placeholder where the row goes."""

from __future__ import annotations

import json
from dataclasses import dataclass

from whichway.nouns import Message, Prompt, Weights, canonical, to_json


@dataclass(frozen=True, slots=True)
class Sent:
    """A prompt in three forms: messages, their plain text, and the slots that are not empty."""

    messages: tuple[Message, ...]
    placeholder: str
    text: str
    json: str
    slots: tuple[tuple[str, str], ...]

    @property
    def bare(self) -> bool:
        """Whether the row alone is sent."""
        return len(self.messages) == 1 and self.messages[0].content == self.placeholder


def sent(prompt: Prompt) -> Sent:
    """The prompt as a model gets it."""
    mark = placeholder(prompt)
    turns = messages(prompt, mark)
    return Sent(
        messages=turns,
        placeholder=mark,
        text="\n\n".join(f"[{turn.role}]\n{turn.content}" for turn in turns),
        json=json.dumps(to_json(turns), indent=2, ensure_ascii=False),
        slots=slots(prompt),
    )


def placeholder(prompt: Prompt) -> str:
    """`{{input}}`, or the first numbered variant that the prompt's own words do not contain."""
    words, mark, number = canonical(prompt), "{{input}}", 1
    while mark in words:
        number += 1
        mark = f"{{{{input_{number}}}}}"
    return mark


def messages(prompt: Prompt, text: str) -> tuple[Message, ...]:
    """The same rendering as `prompts.template.messages`.

    Written again because the report reads run folders only; a test holds the two equal.
    """
    head = _instructions(prompt)
    turns = [Message("system", head)] if head and prompt.layout == "system" else []
    for shot in prompt.shots:
        turns += [Message("user", shot.text), Message("assistant", shot.answer)]
    turns.append(Message("user", f"{text}\n\n{prompt.reminder}" if prompt.reminder else text))
    if head and prompt.layout == "user":
        turns[0] = Message("user", f"{head}\n\n{turns[0].content}")
    return tuple(turns)


def _instructions(prompt: Prompt) -> str:
    parts = [prompt.role, prompt.context, prompt.objective, "\n".join(prompt.instructions)]
    if prompt.labels:
        parts.append(f"Answer with one of: {', '.join(prompt.labels)}.")
    parts.append(prompt.output_format)
    return "\n\n".join(part.strip() for part in parts if part.strip())


def slots(prompt: Prompt) -> tuple[tuple[str, str], ...]:
    """Name and text of each slot that is not empty; shots are counted."""
    found = [
        ("role", prompt.role),
        ("context", prompt.context),
        ("objective", prompt.objective),
        ("instructions", "\n".join(prompt.instructions)),
        ("labels", ", ".join(prompt.labels)),
        ("output format", prompt.output_format),
        ("shots", str(len(prompt.shots)) if prompt.shots else ""),
        ("reminder", prompt.reminder),
        ("layout", prompt.layout),
        ("protected", ", ".join(prompt.protected)),
    ]
    return tuple((name, text) for name, text in found if text)


def weights(them: Weights) -> str:
    """Which weights answer, in words."""
    if them.adapter is None:
        return "base weights, untouched"
    return f"{them.kind}, trained part {them.adapter}"
