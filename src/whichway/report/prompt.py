"""The winning prompt as it is sent: chat messages with a placeholder where the row goes."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from whichway.nouns import Candidate, Form, Message, Prompt, Weights, to_json
from whichway.prompts.nearest import named
from whichway.prompts.template import TITLES, outline, placeholder
from whichway.runs.run import Run


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


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a cascade."""

    candidate: Candidate
    least: float | None  # confidence of an answer that stands; None: all that come here do
    share: float  # of the test rows that it answered


def stages(shipped: Candidate, run: Run) -> list[Stage]:
    """The stages of a cascade, with what each answered on test; none where the candidate never defers."""
    if shipped.deferral is None or run.choice is None:
        return []
    counts = Counter(record.stage for row in run.test for record in run.answers(run.choice, row.id))
    count, rules = max(1, counts.total()), [rule.least for rule in shipped.deferrals]
    return [
        Stage(candidate, rules[k] if k < len(rules) else None, counts[k] / count)
        for k, candidate in enumerate(shipped.stages)
    ]


def sent(prompt: Prompt, channel: bool = False) -> Sent:
    """The prompt as a model gets it; `channel`: where the row's text is scored under each label."""
    mark = placeholder(prompt)
    turns = outline(prompt, channel)
    return Sent(
        messages=turns,
        placeholder=mark,
        text="\n\n".join(f"[{turn.role}]\n{turn.content}" for turn in turns),
        json=json.dumps(to_json(turns), indent=2, ensure_ascii=False),
        slots=slots(prompt),
    )


def slots(prompt: Prompt) -> tuple[tuple[str, str], ...]:
    """Name and text of each slot that is not empty; shots are counted."""
    form = prompt.form
    shown = {
        **{name.replace("_", " "): _text(getattr(prompt, name)) for name in TITLES},
        "glosses": "\n".join(f"{label}: {words}" for label, words in prompt.glosses),
        "shots": str(len(prompt.shots)) if prompt.shots else "",
        "chosen for each row": _chosen(prompt),
        "row": prompt.row,
        "turns before the row": "\n".join(f"{turn.role}: {turn.content}" for turn in prompt.lead),
        "reminder": prompt.reminder,
        "layout": prompt.layout,
        "form": "" if form == Form() else f"{form.name or 'plain'}, headings {form.headings}, labels {form.labels}",
        "protected": ", ".join(prompt.protected),
    }
    return tuple((name, text) for name, text in shown.items() if text)


def _chosen(prompt: Prompt) -> str:
    if not prompt.nearest:
        return ""
    encoder = prompt.encoder
    by = f"the sentence encoder {named(encoder)} ({encoder.revision})" if encoder else "shared words"
    return f"{prompt.nearest} of {len(prompt.pool)} shots, by {by}"


def _text(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else "\n".join(value)


def weights(them: Weights) -> str:
    """Which weights answer, in words."""
    if them.adapter is None:
        return "base weights, untouched"
    return f"{them.kind}, trained part {them.adapter}"
