"""Rows as token ids, as the trainer, the evaluator and the server see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from whichway.engine.model.chat_template import Renderer
from whichway.nouns import Message
from whichway.prompts.answer_extraction import thinks

Targets = Literal["last", "all"]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A row as token ids: the prompt, and the answer with its turn end. Only answers are trained."""

    prompt: list[int]
    answer: list[int]
    earlier: tuple[tuple[int, int], ...] = ()  # answers inside the prompt that are trained too: their (start, end)
    trimmed: int = 0  # oldest turns of its conversation that were left out

    @property
    def trained(self) -> int:
        """How many tokens carry the loss."""
        return sum(end - start for start, end in self.earlier) + len(self.answer)


def encode(
    renderer: Renderer,
    rows: Sequence[tuple[Sequence[Message], str]],
    targets: Targets = "last",
    context: int | None = None,
) -> list[Encoded]:
    """Rows as the trainer, the evaluator and the server see them.

    Args:
        renderer: the model's.
        rows: messages and answer of each.
        targets: which answers are trained: the row's own, after its last message, or "all": those of the assistant's
            earlier turns as well.
        context: tokens that the model reads; a conversation that is longer loses its oldest turns. None: as it is.
    """
    encoded_rows: dict[int, Encoded] = {}
    conversations = [messages for messages, _ in rows]
    for think in (False, True):
        places = [n for n, (_, answer) in enumerate(rows) if thinks(answer) is think]
        prompts = renderer.prompt_ids([conversations[n] for n in places], think)
        for n, prompt in zip(places, prompts, strict=True):
            ids, left = list(renderer.answer_ids(rows[n][1])), 0
            if (
                context is not None
                and len(prompt) + len(ids) - 1 > context
                and any(m.earlier for m in conversations[n])
            ):
                prompt, left = renderer.fitted(conversations[n], context - len(ids) + 1, think)
                conversations[n] = _without_oldest(conversations[n], left)
            encoded_rows[n] = Encoded(prompt, ids, (), left)
    encoded = [encoded_rows[n] for n in range(len(rows))]
    if targets != "all":
        return encoded
    return [
        replace(row, earlier=spans) for row, spans in zip(encoded, renderer.earlier_answers(conversations), strict=True)
    ]


def _without_oldest(messages: Sequence[Message], count: int) -> list[Message]:
    """Messages without so many of the row's earlier turns."""
    first = next((n for n, m in enumerate(messages) if m.earlier and m.role != "system"), 0)
    return [m for n, m in enumerate(messages) if not first <= n < first + count]
