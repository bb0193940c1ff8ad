"""Render a `Prompt` and a row's text to chat messages, or to plain text for models without a chat template."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from whichway.nouns import Example, Form, Headings, Message, Prompt, Shot, Wrap, transcript
from whichway.prompts.nearest import Retrieve, by_words
from whichway.prompts.row_shots import row_shots
from whichway.prompts.variables import ROW, fill, names

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
_CHANNEL = "You are given the answer to the question below. Write the text that it is the answer for."
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
    glosses = dict(prompt.glosses)
    lines = [f"{label}: {glosses[label]}" if glosses.get(label) else label for label in prompt.labels]
    listing = prompt.form.labels
    if listing == "bullets" or (glosses and listing in ("sentence", "comma", "quoted")):
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


Row = Example | Shot | str  # a row: with its fields and turns, a worked example, or a bare text


def messages(
    prompt: Prompt, row: Row, retrieve: Retrieve = by_words, without: Collection[str] = ()
) -> tuple[Message, ...]:
    """The chat messages that ask `prompt` of one row.

    Shots are earlier turns, so that prompt and shots are a prefix that all rows of a task share; those chosen for the
    row from a pool stand after them. A row that is a conversation brings its own turns as they are.

    Args:
        prompt: the slots.
        row: the row's input; entered as it is, never read as a template.
        retrieve: chooses the shots of the row; without it only words can.
        without: texts of the pool that are not shown with this row (in training: `tasks.leave_out`).

    Raises:
        ModelError: the prompt names an encoder that `retrieve` cannot use.
    """
    text = row if isinstance(row, str) else row.text
    return render_with_shots(prompt, row, (*prompt.shots, *row_shots(prompt, text, retrieve, without)))


def render_with_shots(prompt: Prompt, row: Row, shots: Sequence[Shot]) -> tuple[Message, ...]:
    """The messages with these shots, whatever the prompt's own are."""
    head = _filled(prompt, instructions(prompt), row)
    fixed = not any(names(turn.content) for turn in prompt.lead)
    turns: list[Message] = list(prompt.lead) if fixed else []
    for shot in shots:
        turns += [*_row_turns(prompt, shot, "", fixed), Message("assistant", shot.answer)]
    own = _row_turns(prompt, row, _filled(prompt, prompt.reminder, row), fixed)
    system = [turn.content for turn in own[:1] if turn.role == "system"]
    turns += own[len(system) :]
    if not turns[-1].content and head:  # the instructions have the row in them
        turns[-1], head = Message("user", head), ""
    if head and prompt.layout == "system":
        system.insert(0, head)
    elif head:
        first = next(n for n, turn in enumerate(turns) if turn.role == "user" and not turn.earlier)
        turns[first] = Message("user", f"{head}\n\n{turns[first].content}")
    own_only = bool(system) and head not in system  # it is the row's, as the turns before its last are
    return (*([Message("system", "\n\n".join(system), own_only)] if system else []), *turns)


def shot_turns(prompt: Prompt, shot: Shot) -> list[Message]:
    """The turns of a worked example before its answer."""
    return _row_turns(prompt, shot, "", not any(names(turn.content) for turn in prompt.lead))


def _row_turns(prompt: Prompt, row: Row, reminder: str, fixed: bool) -> list[Message]:
    """The turns that bring one row: a system message of its own first, then what was said before, its text last.

    A worked example has no system message of its own: there is one only, the row's; its text goes before the example's.
    """
    own = () if isinstance(row, str) else row.turns
    body = _body(prompt, row)
    last = "\n\n".join(part for part in (body, reminder) if part) if reminder else body
    system = [turn.content for turn in own[:1] if turn.role == "system"]
    if isinstance(row, Shot):
        before = list(own[len(system) : -1])
        last = "\n\n".join([*system, last])
        system = []
    else:
        before = [replace(turn, earlier=True) for turn in own[len(system) : -1]]
    lead = [] if fixed else [Message(turn.role, _filled(prompt, turn.content, row)) for turn in prompt.lead]
    return [*(Message("system", text) for text in system), *lead, *before, Message("user", last)]


def _body(prompt: Prompt, row: Row) -> str:
    """The text of a row's own message."""
    if prompt.variables and _values(prompt, row) is not None:
        return wrapped(_filled(prompt, prompt.row, row), prompt.form.wrap) if prompt.row else ""
    return wrapped(_text(row), prompt.form.wrap)


def _text(row: Row) -> str:
    """A row as one text; of a conversation the last message."""
    if isinstance(row, str):
        return row
    return row.turns[-1].content if row.turns else row.text


def _filled(prompt: Prompt, text: str, row: Row) -> str:
    return fill(text, _values(prompt, row) or {}) if prompt.variables else text


def _values(prompt: Prompt, row: Row) -> dict[str, str] | None:
    """The row's value for each variable that the prompt declares; None where the row does not have them.

    A column that is a conversation stands for its last message: what was said before comes as turns.
    """
    if isinstance(row, str):
        values = {}
    else:
        whole = transcript(row.turns) if row.turns else None
        bare = transcript(row.turns[1:]) if row.turns and row.turns[0].role == "system" else None
        last = row.turns[-1].content if row.turns else ""
        values = {
            name: last if row.turns and value in (whole, bare) else value for name, value in dict(row.input).items()
        }
    if len(prompt.variables) == 1:
        values.setdefault(prompt.variables[0], _text(row))
    values.setdefault(ROW, _text(row))
    if any(name not in values for name in prompt.variables):
        return None
    return {name: values[name] for name in prompt.variables}


def channel_messages(prompt: Prompt, row: Row, retrieve: Retrieve = by_words) -> tuple[Message, ...]:
    """The messages that ask how likely the row's text is under a label: labels and texts in each other's places.

    In a shot the user names the label and the text is the answer. The last message is the row's text; the one before
    it is where the user's turn begins, and each label is appended to it.

    Args:
        prompt: the slots; what stands after the input has no place here.
        row: the row's input; entered as it is, a conversation as one text.
        retrieve: chooses the shots of the row, where the prompt has a pool.
    """
    text = row if isinstance(row, str) else row.text
    return channel_render_with_shots(prompt, row, (*prompt.shots, *retrieve(prompt, text)))


def channel_render_with_shots(prompt: Prompt, row: Row, shots: Sequence[Shot]) -> tuple[Message, ...]:
    """`channel_messages` with these shots, whatever the prompt's own are."""
    head, wrap = _filled(prompt, channel_instructions(prompt), row), prompt.form.wrap
    text = row if isinstance(row, str) else row.text
    turns = [Message("system", head)] if head and prompt.layout == "system" else []
    for shot in shots:
        turns += [Message("user", shot.answer), Message("assistant", wrapped(shot.text, wrap))]
    turns += [Message("user", ""), Message("assistant", wrapped(text, wrap))]
    if head and prompt.layout == "user":
        turns[0] = Message("user", f"{head}\n\n{turns[0].content}")
    return tuple(turns)


def channel_instructions(prompt: Prompt) -> str:
    """What stands before shots and row when texts are scored under labels: the task the other way round.

    The slots that say how to answer (labels, format, steps) have no place there; the one that says what is asked has.
    """
    objective = prompt.objective.strip()
    return f"{_CHANNEL}\n\n{objective}" if objective else ""


def outline(prompt: Prompt, channel: bool = False) -> tuple[Message, ...]:
    """The messages as they are shown: a placeholder where the row goes, a note where shots are chosen for it.

    `channel`: those of `channel_messages`, with a placeholder for the label too.
    """
    shots = prompt.shots
    if prompt.pool and prompt.nearest:
        note = f"[the {prompt.nearest} of {len(prompt.pool)} worked examples most like the row, each a turn of its own]"
        named = tuple((name, note) for name in prompt.variables)
        shots = (*shots, Shot(note, "[its answer]", named))
    if not channel:
        return render_with_shots(prompt, stand_in(prompt), shots)
    return with_label(channel_render_with_shots(prompt, stand_in(prompt), shots), placeholder(prompt, "label"))


def with_label(turns: Sequence[Message], label: str) -> tuple[Message, ...]:
    """The messages of `channel_messages` with one label in its place."""
    *head, turn, row = turns
    return (*head, Message(turn.role, turn.content + label), row)


def stand_in(prompt: Prompt) -> Shot:
    """A row whose texts are placeholders: one for the row, or one for each variable."""
    return Shot(placeholder(prompt), "", tuple(placeholders(prompt).items()))


def placeholders(prompt: Prompt) -> dict[str, str]:
    """Variable -> where its value goes in a shown prompt: `{{name}}`, or a numbered variant that no example holds."""
    words = str([(s.text, s.answer, s.input, s.turns) for s in (*prompt.shots, *prompt.pool)])
    marks = {}
    for name in prompt.variables:
        mark, number = f"{{{{{name}}}}}", 1
        while mark in words:
            number += 1
            mark = f"{{{{{name}_{number}}}}}"
        marks[name] = mark
    return marks


def own_turns(prompt: Prompt) -> int:
    """How many of the outline's last messages are the row's: its own, and the lead that names variables."""
    return 1 + (len(prompt.lead) if any(names(turn.content) for turn in prompt.lead) else 0)


def plain(turns: Sequence[Message]) -> str:
    """Messages as plain text that ends where the answer starts, for base models without a chat template."""
    names = {"user": "Input: ", "assistant": "Answer: ", "system": ""}
    return "\n\n".join(names[turn.role] + turn.content for turn in turns) + "\n\nAnswer:"


def placeholder(prompt: Prompt, name: str = ROW) -> str:
    """Where a row's text goes in a shown prompt: `{{input}}`, or a numbered variant that its own words lack."""
    if name in prompt.variables:
        return f"{{{{{name}}}}}"
    words, mark, number = str(prompt.content), f"{{{{{name}}}}}", 1
    while mark in words:
        number += 1
        mark = f"{{{{{name}_{number}}}}}"
    return mark
