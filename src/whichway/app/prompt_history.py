"""The state of a playground: the kept prompt, the one being edited, and every step between them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

from whichway.errors import OptionError, did_you_mean
from whichway.nouns import Prompt
from whichway.prompts.edit import edited

LISTS = tuple(f.name for f in fields(Prompt) if f.name in ("instructions", "steps", "constraints"))
TEXTS = tuple(f.name for f in fields(Prompt) if isinstance(f.default, str))


@dataclass(frozen=True, slots=True)
class PromptVersion:
    """One version of the prompt, and how it came about."""

    prompt: Prompt
    what: str


@dataclass(slots=True)
class PromptHistory:
    """Kept and current prompt with an undo history; nothing here asks a model."""

    reference: Prompt
    steps: list[PromptVersion] = field(default_factory=list)
    at: int = 0

    @classmethod
    def of(cls, reference: Prompt, current: Prompt | None = None) -> PromptHistory:
        """A history with a kept prompt, and another one being edited if there is one."""
        history = cls(reference, [PromptVersion(reference, "start")])
        if current is not None and current != reference:
            history.put(current, "your prompt")
        return history

    @property
    def current(self) -> Prompt:
        """The prompt being edited."""
        return self.steps[self.at].prompt

    def put(self, prompt: Prompt, what: str) -> bool:
        """Add a version and forget the undone ones; False when it is the same prompt."""
        if prompt == self.current:
            return False
        self.steps[self.at + 1 :] = [PromptVersion(prompt, what)]
        self.at += 1
        return True

    def keep(self) -> None:
        """Make the current prompt the one that others are compared with."""
        self.reference = self.current

    def revert(self) -> bool:
        """Go back to the kept prompt, as a step of its own."""
        return self.put(self.reference, "revert")

    def undo(self) -> bool:
        """Go one step back; False at the first one."""
        return self._go(-1)

    def redo(self) -> bool:
        """One step forward again."""
        return self._go(1)

    def _go(self, by: int) -> bool:
        if not 0 <= self.at + by < len(self.steps):
            return False
        self.at += by
        return True


def with_slot(prompt: Prompt, slot: str, text: str) -> Prompt:
    """A slot filled from a line of text; lists take their items separated by `|`.

    Raises:
        OptionError: no such slot, or one that a line cannot fill.
        ProtectedPart: the slot is protected.
    """
    if slot in LISTS:
        return edited(prompt, **{slot: tuple(part.strip() for part in text.split("|") if part.strip())})
    if slot == "layout":
        if text not in ("system", "user"):
            raise OptionError(f"layout = {text}: write system or user.")
        return replace(prompt, layout=text)  # type: ignore[arg-type]
    if slot not in TEXTS:
        raise OptionError(f"'{slot}' is no slot that a line can fill.{did_you_mean(slot, (*TEXTS, *LISTS, 'layout'))}")
    return edited(prompt, **{slot: text})


def added(prompt: Prompt, sentence: str) -> Prompt:
    """The prompt with one more instruction."""
    return edited(prompt, instructions=(*prompt.instructions, sentence))


def dropped(prompt: Prompt, number: str) -> Prompt:
    """One instruction less, counted from 1.

    Raises:
        OptionError: there is no such instruction.
    """
    if not number.isdecimal() or not 1 <= int(number) <= len(prompt.instructions):
        raise OptionError(f"- {number}: the prompt has {len(prompt.instructions)} instructions, counted from 1.")
    rest = [one for n, one in enumerate(prompt.instructions, 1) if n != int(number)]
    return edited(prompt, instructions=tuple(rest))
