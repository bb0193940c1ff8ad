"""Render a `Prompt` and a row's text to chat messages, or to plain text for models without a chat template."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from whichway.nouns import Form, Headings, Message, Prompt, Shot, Wrap
from whichway.prompts.nearest import Retrieve, by_words
from whichway.prompts.row_shots import row_shots

# Slots before the row, in the order in which they stand when no framework says otherwise, with their headings.
TITLES = {
    "role": "Role",
    "context": "Context",
    "audience": "Audience",
    "objective": "Task",
    "instructions": "Instructions",
    "steps": "Steps",
    "constraints": "Constraints",
    "tone": "Tone",
    "style": "Style",
    "labels": "Labels",
    "output_format": "Output format",
    "success_criteria": "Success criteria",
}
_LED = {"audience": "Audience", "tone": "Tone", "style": "Style", "success_criteria": "A good answer"}


def instructions(prompt: Prompt) -> str:
    """All that stands before the shots and the row; empty slots leave no trace."""
    form = prompt.form
    parts = []
    for heading, slots in sections(form):
        alone = len(slots) == 1 and form.headings != "none"
        texts = [_slot(prompt, slot, led=not alone) for slot in slots]
        text = "\n\n".join(text for text in texts if text)
        if text:
            parts.append(_headed(heading, text, form.headings))
    return "\n\n".join(parts)


def sections(form: Form) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Headings with their slots: the form's own, then every slot that it does not name."""
    named = {slot for _, slots in form.sections for slot in slots}
    return form.sections + tuple((title, (slot,)) for slot, title in TITLES.items() if slot not in named)


def _slot(prompt: Prompt, slot: str, led: bool) -> str:
    """One slot as text; `led`: with a word in front that says what it is, where nothing else does."""
    if slot == "labels":
        return _labels(prompt)
    value = getattr(prompt, slot)
    if slot == "steps":
        return "\n".join(f"{n}. {step.strip()}" for n, step in enumerate(value, 1))
    if slot == "constraints":
        return "\n".join(f"- {one.strip()}" for one in value)
    text = "\n".join(value) if isinstance(value, tuple) else str(value)
    return f"{_LED[slot]}: {text.strip()}" if led and text.strip() and slot in _LED else text.strip()


def _labels(prompt: Prompt) -> str:
    if not prompt.labels:
        return ""
    told = dict(prompt.glosses)
    lines = [f"{label}: {told[label]}" if told.get(label) else label for label in prompt.labels]
    listing = prompt.form.labels
    if listing == "bullets" or (told and listing in ("sentence", "comma", "quoted")):
        return "Answer with one of:\n" + "\n".join(f"- {line}" for line in lines)
    if listing == "numbers":
        return "Answer with one of:\n" + "\n".join(f"{n}. {line}" for n, line in enumerate(lines, 1))
    if listing == "quoted":
        return "Answer with one of: " + ", ".join(f'"{line}"' for line in lines) + "."
    joined = ", ".join(lines)
    return f"Labels: {joined}" if listing == "comma" else f"Answer with one of: {joined}."


def _headed(heading: str, text: str, style: Headings) -> str:
    if style == "none" or not heading:
        return text
    if style == "markdown":
        return f"## {heading}\n{text}"
    if style == "colon":
        return f"{heading}: {text}"
    if style == "capitals":
        return f"{heading.upper()}\n{text}"
    tag = heading.lower().replace(" & ", "_and_").replace(" ", "_")
    return f"<{tag}>\n{text}\n</{tag}>"


def wrapped(text: str, wrap: Wrap) -> str:
    """A row's text, told from the instructions around it."""
    if wrap == "label":
        return f"Input: {text}"
    if wrap == "tags":
        return f"<input>\n{text}\n</input>"
    return f'"""\n{text}\n"""' if wrap == "quotes" else text


def messages(
    prompt: Prompt, text: str, retrieve: Retrieve = by_words, without: Collection[str] = ()
) -> tuple[Message, ...]:
    """The chat messages that ask `prompt` of one row.

    Shots are earlier turns, so that prompt and shots are a prefix that all rows of a task share; those chosen for the
    row from a pool stand after them.

    Args:
        prompt: the slots.
        text: the row's input; entered as it is, never read as a template.
        retrieve: chooses the shots of the row; without it only words can.
        without: texts of the pool that are not shown with this row (in training: `tasks.leave_out`).

    Raises:
        ModelError: the prompt names an encoder that `retrieve` cannot use.
    """
    return laid_out(prompt, text, (*prompt.shots, *row_shots(prompt, text, retrieve, without)))


def laid_out(prompt: Prompt, text: str, shots: Sequence[Shot]) -> tuple[Message, ...]:
    """The messages with these shots, whatever the prompt's own are."""
    head, wrap = instructions(prompt), prompt.form.wrap
    turns: list[Message] = []
    if head and prompt.layout == "system":
        turns.append(Message("system", head))
    for shot in shots:
        turns += [Message("user", wrapped(shot.text, wrap)), Message("assistant", shot.answer)]
    row = wrapped(text, wrap)
    turns.append(Message("user", f"{row}\n\n{prompt.reminder}" if prompt.reminder else row))
    if head and prompt.layout == "user":
        turns[0] = Message("user", f"{head}\n\n{turns[0].content}")
    return tuple(turns)


def outline(prompt: Prompt) -> tuple[Message, ...]:
    """The messages as they are shown: a placeholder where the row goes, a note where shots are chosen for it."""
    shots = prompt.shots
    if prompt.pool and prompt.nearest:
        note = f"[the {prompt.nearest} of {len(prompt.pool)} worked examples most like the row, each a turn of its own]"
        shots = (*shots, Shot(note, "[its answer]"))
    return laid_out(prompt, placeholder(prompt), shots)


def plain(turns: Sequence[Message]) -> str:
    """Messages as plain text that ends where the answer starts, for base models without a chat template."""
    names = {"user": "Input: ", "assistant": "Answer: ", "system": ""}
    return "\n\n".join(names[turn.role] + turn.content for turn in turns) + "\n\nAnswer:"


def placeholder(prompt: Prompt) -> str:
    """Where a row's text goes in a shown prompt: `{{input}}`, or a numbered variant that its own words lack."""
    words, mark, number = str(prompt.content), "{{input}}", 1
    while mark in words:
        number += 1
        mark = f"{{{{input_{number}}}}}"
    return mark
