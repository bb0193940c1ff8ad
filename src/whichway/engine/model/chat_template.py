"""Messages to token ids, through the model's own chat template or as plain text for base models.

One rendering serves training, evaluation and serving: a row is `prompt_ids(messages) + answer_ids(answer)`. The ids of
an answer do not depend on the row, so what is trained is, by construction, what is asked and scored later. The work is
done by `chat_text.py`, which a shipped program carries along.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from whichway.engine.model import chat_text
from whichway.engine.model.chat_text import ChatText, TemplateError, Turn
from whichway.errors import ModelError
from whichway.nouns import Message

T = TypeVar("T")
_TAIL = 4  # tokens after an answer among which its turn's end is looked for


class Renderer:
    """Renders for one tokenizer.

    `ends` are the token ids that end an answer, `special` those that are no text: marks of the chat, ends.
    """

    def __init__(self, tokenizer: Any, eos: Sequence[int] = ()) -> None:
        """`eos`: what the model's own configuration calls an end."""
        self.tokenizer = tokenizer
        self._chat = ChatText(tokenizer, eos)
        self.chat = self._chat.chat
        self.special = self._chat.special
        self._system = self._chat.system
        self.turn_end = self.answer_ids("x")[-1]
        self.ends = frozenset([*self._chat.eos, self.turn_end])
        self.closing = self.ends | self._chat.breaks()
        self._before = self._before_answers()

    @property
    def opens(self) -> bool:
        """Whether the template begins the reasoning itself."""
        return self._chat.opens

    @property
    def marks(self) -> tuple[str, ...]:
        """The words of this model's control tokens; in a row they are read as text."""
        return tuple(self._chat.marks.words)

    def with_prefix(self, ids: Sequence[int]) -> Renderer:
        """A renderer that puts these ids in front of every prompt."""
        other = copy.copy(self)
        other._chat = copy.copy(self._chat)
        other._chat.lead = [*ids, *self._chat.lead]
        return other

    def prompt_ids(self, rows: Sequence[Sequence[Message]], think: bool = False) -> list[list[int]]:
        """Token ids of each row's prompt, up to where the answer starts; at most one BOS.

        Args:
            rows: the messages of each.
            think: the answer will bring its own reasoning.

        Raises:
            ModelError: the template cannot render some turns.
        """
        return _with_model_errors(lambda: self._chat.prompt_ids([_turns(row) for row in rows], think))

    def fitted(self, row: Sequence[Message], room: int, think: bool = False) -> tuple[list[int], int]:
        """Token ids of a row's prompt in `room` tokens, and how many of its earlier turns were left out for that."""
        return _with_model_errors(lambda: self._chat.fitted(_turns(row), room, think))

    def text_ids(self, text: str) -> list[int]:
        """Token ids of plain text, as a model that was pretrained on such text begins it."""
        bos, marks = self.tokenizer.bos_token_id, self._chat.marks
        return [*([bos] if bos is not None else []), *marks.encode([marks.hide(text)])[0]]

    def prompt_text(self, messages: Sequence[Message]) -> str:
        """The prompt as text. Trailing spaces belong to the answer: tokenizers merge them with its first word."""
        return self._chat.marks.shown(_with_model_errors(lambda: self._chat.prompt_text(_turns(messages))))

    def answer_ids(self, answer: str) -> tuple[int, ...]:
        """Token ids that follow any prompt when the answer is `answer`; the last one ends the turn."""
        return _with_model_errors(lambda: self._chat.answer_ids(answer))

    def earlier_answers(self, rows: Sequence[Sequence[Message]]) -> list[tuple[tuple[int, int], ...]]:
        """Where the assistant's turns lie in `prompt_ids` of rows: `(start, end)` of each answer with its turn end.

        A turn that the template writes otherwise than it was given (without its thoughts, say) has no place.

        Raises:
            ModelError: the tokenizer does not say which characters a token stands for.
        """
        if not self._before or not any(turn.role == "assistant" for row in rows for turn in row):
            return [()] * len(rows)
        if not getattr(self.tokenizer, "is_fast", False):
            raise ModelError("Earlier answers can be trained only with a tokenizer that has a tokenizer.json.")
        return [self._answers_in(row) for row in rows]

    def _answers_in(self, row: Sequence[Message]) -> tuple[tuple[int, int], ...]:
        text, ids, places, before = _with_model_errors(lambda: self._chat.located(_turns(row), self._before))
        spans = (self._tokens_of(span, ids, places) for span in _turns_of(row, text, before))
        lead = len(self._chat.lead)
        return tuple((lead + start, lead + end) for start, end in spans if start < end)

    def _tokens_of(
        self, span: tuple[int, int], ids: Sequence[int], places: Sequence[tuple[int, int]]
    ) -> tuple[int, int]:
        """Tokens of some characters, with those after them up to the mark that ends the turn, where there is one."""
        inside = [n for n, (start, end) in enumerate(places) if span[0] < end and start < span[1] and start < end]
        if not inside or places[inside[0]][0] < span[0] - 1:  # one token for the answer and what stands before it
            return 0, 0
        first, last = inside[0], inside[-1] + 1
        for n in range(last, min(last + _TAIL, len(ids))):
            if ids[n] in self.closing:
                return first, n + 1
            if self._decode([ids[n]]).strip():
                break
        return first, last

    def text(self, ids: Sequence[int]) -> str:
        """The answer that generated ids spell."""
        text = self._decode([i for i in ids if i not in self.ends])
        return (text if self.chat else text.split(chat_text.BREAK)[0]).strip()

    def continuation(self, ids: Sequence[int]) -> str:
        """What generated ids spell behind a text, spaces and all."""
        return self._decode([i for i in ids if i not in self.ends])

    def token_text(self, token: int) -> str:
        """A token by itself; marks of the chat in their own spelling."""
        if token >= len(self.tokenizer):
            return ""
        return str(self.tokenizer.decode([token], clean_up_tokenization_spaces=False))

    def broken(self, ids: Sequence[int]) -> bool:
        """Whether a plain-text answer is over: a base model goes on to the next input instead of stopping."""
        return not self.chat and chat_text.BREAK in self._decode(ids[-4:])

    def _before_answers(self) -> str:
        """What stands between a message and the assistant's answer to it, where more turns follow."""
        turns = [Message("user", "Mark41"), Message("assistant", "Mark42"), Message("user", "Mark43")]
        try:
            text = self.prompt_text(turns)
        except ModelError:  # a template of one turn only
            return ""
        return text.partition("Mark41")[2].partition("Mark42")[0]

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _turns(messages: Sequence[Message]) -> list[Turn]:
    return [{"role": m.role, "content": m.content, **({"earlier": True} if m.earlier else {})} for m in messages]


def _with_model_errors(work: Callable[[], T]) -> T:
    """What a piece of work gives; a template's fault is the model's."""
    try:
        return work()
    except TemplateError as error:
        raise ModelError(str(error)) from error


def _turns_of(row: Sequence[Message], text: str, before: str) -> list[tuple[int, int]]:
    """Characters of each earlier answer in the prompt's text, in order; `before` stands before an answer."""
    spans, at = [], 0
    for question, turn in pairwise(row):
        answer = turn.content.strip()
        if turn.role != "assistant" or not answer:
            continue
        place = at
        while (place := text.find(before + answer, place)) >= 0:
            if text[:place].rstrip().endswith(question.content.strip()):  # the turn itself, not a text that quotes one
                at = place + len(before) + len(answer)
                spans += [] if turn.untrained else [(at - len(answer), at)]
                break
            place += 1
    return spans
