"""Messages to token ids, through the model's own chat template or as plain text for base models.

One rendering serves training, evaluation and serving: a row is `prompt_ids(messages) + answer_ids(answer)`. The ids of
an answer do not depend on the row, so what is trained is, by construction, what is asked and scored later.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from whichway.errors import ModelError
from whichway.nouns import Message
from whichway.prompts.template import plain

_ASK = (Message("user", "x"),)
_TAIL = 4  # tokens after an answer among which its turn's end is looked for
_BREAK = "\n\n"  # what ends an answer in plain text
# Some templates print today's date: with it a prompt would differ from day to day, and from its own training.
_DATE = {"%d": "26", "%b": "Jul", "%B": "July", "%m": "07", "%Y": "2024", "%y": "24", "%A": "Friday", "%a": "Fri"}
_NOW = "".join(f"|replace('{code}', '{word}')" for code, word in _DATE.items())
_STILL = f"{{%- macro strftime_now(format) -%}}{{{{ format{_NOW} }}}}{{%- endmacro -%}}"


class Renderer:
    """Renders for one tokenizer.

    `ends` are the token ids that end an answer, `special` those that are no text: marks of the chat, ends.
    """

    def __init__(self, tokenizer: Any, eos: Sequence[int] = ()) -> None:
        """`eos`: what the model's own configuration calls an end."""
        self.tokenizer = tokenizer
        self.chat = bool(tokenizer.chat_template)
        self._source = _STILL + tokenizer.get_chat_template() if self.chat else ""
        self._system = self.chat and self._takes_system()
        self.special = set(tokenizer.all_special_ids)
        self.special |= {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
        self._eos = [*eos, *([tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else [])]
        self.special |= set(self._eos)
        self._lead = [] if self.chat else self._bos()
        self._answers: dict[str, tuple[int, ...]] = {}
        self.turn_end = self.answer_ids("x")[-1]
        self.ends = frozenset([*self._eos, self.turn_end])
        self.closing = self.ends | self._breaks()
        self._before = self._before_answers()

    def behind(self, ids: Sequence[int]) -> Renderer:
        """A renderer that puts these ids in front of every prompt."""
        other = copy.copy(self)
        other._lead = [*ids, *self._lead]
        return other

    def prompt_ids(self, rows: Sequence[Sequence[Message]]) -> list[list[int]]:
        """Token ids of each row's prompt, up to where the answer starts; at most one BOS."""
        return [self._lead + ids for ids in self._encode([self.prompt_text(row) for row in rows])]

    def text_ids(self, text: str) -> list[int]:
        """Token ids of plain text, as a model that was pretrained on such text begins it."""
        bos = self.tokenizer.bos_token_id
        return [*([bos] if bos is not None else []), *self._encode([text])[0]]

    def prompt_text(self, messages: Sequence[Message]) -> str:
        """The prompt as text. Trailing spaces belong to the answer: tokenizers merge them with its first word."""
        if not self.chat:
            return plain(messages).rstrip(" ")
        return self._template(messages, ask=True).rstrip(" ")

    def answer_ids(self, answer: str) -> tuple[int, ...]:
        """Token ids that follow any prompt when the answer is `answer`; the last one ends the turn."""
        answer = answer.strip()
        if answer not in self._answers:
            self._answers[answer] = self._find_answer(answer)
        return self._answers[answer]

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
        texts = [self.prompt_text(row) for row in rows]
        found = self.tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        lead = len(self._lead)
        return [
            tuple(
                (lead + start, lead + end)
                for start, end in (self._tokens_of(span, ids, places) for span in self._turns_of(row, text))
                if start < end
            )
            for row, text, ids, places in zip(rows, texts, found["input_ids"], found["offset_mapping"], strict=True)
        ]

    def _turns_of(self, row: Sequence[Message], text: str) -> list[tuple[int, int]]:
        """Characters of each earlier answer in the prompt's text, in order."""
        spans, at = [], 0
        for asked, turn in pairwise(row):
            answer = turn.content.strip()
            if turn.role != "assistant" or not answer:
                continue
            place = at
            while (place := text.find(self._before + answer, place)) >= 0:
                if text[:place].rstrip().endswith(asked.content.strip()):  # the turn itself, not a text that quotes one
                    at = place + len(self._before) + len(answer)
                    spans.append((at - len(answer), at))
                    break
                place += 1
        return spans

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
        """The answer behind generated ids."""
        text = self._decode([i for i in ids if i not in self.ends])
        return (text if self.chat else text.split(_BREAK)[0]).strip()

    def broken(self, ids: Sequence[int]) -> bool:
        """Whether a plain-text answer is over: a base model goes on to the next input instead of stopping."""
        return not self.chat and _BREAK in self._decode(ids[-4:])

    def _find_answer(self, answer: str) -> tuple[int, ...]:
        head = self.prompt_text(_ASK)
        rest = self._after(head, answer)
        core = answer.strip()
        cut = rest.find(core) + len(core)
        body, tail = rest[: max(cut, 0)], self._encode([rest[max(cut, 0) :]])[0]
        stop = next((n for n, i in enumerate(tail) if i in self.special), None)
        if stop is None and not self._eos:
            raise ModelError("The tokenizer names no end-of-text token; set eos_token in tokenizer_config.json.")
        end = tail[: stop + 1] if stop is not None else [self._eos[-1]]
        return (*self._behind(head, body), *end)

    def _after(self, head: str, answer: str) -> str:
        """The text from the end of the prompt to the end of the answer's turn."""
        if not self.chat:
            return f" {answer.strip()}" if answer.strip() else ""
        full = self._template([*_ASK, Message("assistant", answer)], ask=False)
        if full.startswith(head):
            return full[len(head) :]
        # The generation prompt is not how the template writes an assistant's turn: answer right behind it.
        at = full.rfind(answer.strip())
        return full[at:] if at >= 0 else answer.strip()

    def _behind(self, head: str, body: str) -> list[int]:
        """Ids of `body` behind `head`. Where the tokenizer would merge across, the prompt's own ids are kept."""
        before, both = self._encode([head, head + body])
        return both[len(before) :] if both[: len(before)] == before else self._encode([body])[0]

    def _template(self, messages: Sequence[Message], *, ask: bool) -> str:
        turns = [{"role": m.role, "content": m.content} for m in (messages if self._system else fold(messages))]
        try:
            return self._apply(turns, ask=ask)
        except Exception as error:  # a template is foreign code: jinja, type and key errors alike
            roles = ", ".join(turn["role"] for turn in turns)
            raise ModelError(f"The model's chat template cannot render the turns {roles}: {error}") from error

    def _apply(self, turns: list[dict[str, str]], *, ask: bool) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                turns,
                chat_template=self._source,
                tokenize=False,
                add_generation_prompt=ask,
                enable_thinking=False,
                date_string="26 Jul 2024",
            )
        )

    def _takes_system(self) -> bool:
        """Whether the template prints system messages; some raise, some drop them silently."""
        turns = [{"role": "system", "content": "Mark41"}, {"role": "user", "content": "x"}]
        try:
            return "Mark41" in self._apply(turns, ask=True)
        except Exception:
            return False

    def _before_answers(self) -> str:
        """What stands between a message and the assistant's answer to it, where more turns follow."""
        turns = [Message("user", "Mark41"), Message("assistant", "Mark42"), Message("user", "Mark43")]
        try:
            text = self._template(turns, ask=True) if self.chat else plain(turns)
        except ModelError:  # a template of one turn only
            return ""
        return text.partition("Mark41")[2].partition("Mark42")[0]

    def _bos(self) -> list[int]:
        bos = self.tokenizer.bos_token_id
        return [bos] if bos is not None and self.tokenizer("x")["input_ids"][0] == bos else []

    def _breaks(self) -> frozenset[int]:
        if self.chat:
            return frozenset()
        return frozenset(self._behind("Answer: x", _BREAK)[:1])

    def _encode(self, texts: list[str]) -> list[list[int]]:
        ids: list[list[int]] = self.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))


def fold(messages: Sequence[Message]) -> list[Message]:
    """Messages without a system role: its text goes in front of the first user turn."""
    system = [m.content for m in messages if m.role == "system"]
    turns = [m for m in messages if m.role != "system"]
    if system and turns:
        turns[0] = Message(turns[0].role, "\n\n".join([*system, turns[0].content]))
    return turns
