"""A prompt as the fields of a form: a text for each slot, a line for each item of a list; and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from whichway.app.prompt_history import LISTS
from whichway.errors import OptionError
from whichway.nouns import Prompt
from whichway.plurals import plural
from whichway.prompts.edit import edited
from whichway.prompts.variables import declared

HELP: Mapping[str, str] = {  # of every slot that a person writes, in the order in which the form shows them
    "objective": "What is asked, in one or two sentences.",
    "instructions": "How to do it. A line each.",
    "context": "What the model must know beforehand.",
    "output_format": "How the answer is to look.",
    "reminder": "What stands after the row's text.",
    "role": "Who answers: “You are …”.",
    "steps": "In which order. A line each; they are numbered.",
    "constraints": "What must not be. A line each.",
    "audience": "Who reads the answer.",
    "tone": "How it sounds.",
    "style": "How it is written.",
    "success_criteria": "What makes an answer good.",
    "row": "The message that brings the row, with its {{field}}.",
}
MAIN = ("objective", "instructions", "context", "output_format", "reminder")


@dataclass(frozen=True, slots=True)
class PromptSlot:
    """A slot of a prompt as a field of a form."""

    name: str
    help: str
    text: str
    list: bool  # a line for each item
    main: bool  # shown from the start

    @property
    def lines(self) -> int:
        """Rows of its field."""
        return min(12, max(2 if self.main else 1, sum(1 + len(line) // 80 for line in self.text.split("\n"))))


def slots_of(prompt: Prompt) -> list[PromptSlot]:
    """The fields of a form for a prompt; those that are filled are shown from the start."""
    slots = []
    for name, help_text in HELP.items():
        value = getattr(prompt, name)
        text = "\n".join(value) if name in LISTS else value
        if name in prompt.protected or (name == "row" and not text):
            continue
        slots.append(PromptSlot(name, help_text, text, name in LISTS, name in MAIN or bool(text)))
    return slots


def filled(prompt: Prompt, values: Mapping[str, str]) -> Prompt:
    """The prompt with what a form holds; slots that the form does not have stay as they are.

    Raises:
        OptionError: there is no such slot.
        UserError: a text that no prompt can have, such as template logic.
    """
    slots: dict[str, str | tuple[str, ...]] = {}
    for name, value in values.items():
        text = value.replace("\r\n", "\n")
        if name not in HELP:
            raise OptionError(f"'{name}' is no slot of the form.")
        if name in LISTS:
            slots[name] = tuple(line.strip() for line in text.split("\n") if line.strip())
        else:
            slots[name] = text
    changed = {name: value for name, value in slots.items() if value != getattr(prompt, name)}
    if not changed:
        return prompt
    after = edited(prompt, **changed)
    texts = [text for value in changed.values() for text in ([value] if isinstance(value, str) else value)]
    names_field = any("{{" in text for text in texts)
    return declared(replace(after, variables=()) if names_field else after)


def carried(prompt: Prompt) -> str:
    """What a form does not show of a prompt and leaves as it is, in a sentence; "" where there is nothing."""
    parts = []
    if prompt.labels:
        parts.append(f"{len(prompt.labels)} allowed answers are listed")
    if prompt.shots:
        parts.append(f"{plural(len(prompt.shots), 'worked example')}")
    if prompt.pool:
        parts.append(f"for each row the {prompt.nearest} nearest of {len(prompt.pool)} worked examples")
    if prompt.glosses:
        parts.append(f"{len(prompt.glosses)} labels are explained")
    if prompt.form.name:
        parts.append(f"laid out as “{prompt.form.name}”")
    return "; ".join(parts)
