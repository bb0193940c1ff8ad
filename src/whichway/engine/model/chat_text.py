"""Chat turns to token ids, through a model's own chat template or as plain text for base models.

It needs Python and the model's tokenizer alone and is shipped beside `use.py` as it is, so that a shipped program reads
the same tokens as training and evaluation did. A turn is a mapping with `role` and `content`; `earlier` marks turns of
a row's own conversation that may be left out where the whole is too long.

**Marks.** What a row says is text. Where it holds the words of a control token (`<|im_end|>`), these are encoded as
the characters they are: the template's own marks are the only control tokens, so a row cannot forge a turn. They are
told apart before the template runs: in the row they are replaced by stand-ins of private characters, and put back once
the template's marks have names that no text can hold. A template that marks turns by plain text (`[INST]`, `### User:`)
has no such tokens; there a row's own marks are what they look like.

**Reasoning.** An answer without reasoning is never put inside an open `<think>`: where the template opens one, it is
closed first. An answer that begins with `<think>` brings the only block: one that the template writes is left out.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

Turn = Mapping[str, Any]

OPEN, CLOSE = "<think>", "</think>"
BREAK = "\n\n"  # what ends an answer in plain text
_ASK: tuple[Turn, ...] = ({"role": "user", "content": "x"},)
# Some templates print today's date: with it a prompt would differ from day to day, and from its own training.
_DATE = {"%d": "26", "%b": "Jul", "%B": "July", "%m": "07", "%Y": "2024", "%y": "24", "%A": "Friday", "%a": "Fri"}
_NOW = "".join(f"|replace('{code}', '{word}')" for code, word in _DATE.items())
_STILL = f"{{%- macro strftime_now(format) -%}}{{{{ format{_NOW} }}}}{{%- endmacro -%}}"
_LEFT, _RIGHT = "\ue0f0", "\ue0f1"  # around the number of a stand-in


class TemplateError(Exception):
    """A chat template, which is foreign code, cannot render some turns."""


class Marks:
    """Encodes texts in which some words of control tokens are only text.

    Args:
        tokenizer: a fast tokenizer.
        rendered: a text that its template writes: what stands there of tokens that were added is the template's own.
    """

    def __init__(self, tokenizer: Any, rendered: str = "") -> None:
        self.tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder.values()
        words = {token.content for token in added if token.special or token.content in rendered}
        self.words = sorted({*words, *tokenizer.all_special_tokens} - {OPEN, CLOSE, ""}, key=len, reverse=True)
        self._found = re.compile("|".join(map(re.escape, [*self.words, _LEFT])), re.IGNORECASE)
        self._hidden: dict[str, str] = {}  # what was written -> its stand-in
        self._nonce = secrets.token_hex(8)

    def hide(self, text: str) -> str:
        """A text with stand-ins for the words of control tokens; the same text where it holds none."""
        return self._found.sub(lambda match: self._stand_in(match.group()), text)

    def _stand_in(self, word: str) -> str:
        return self._hidden.setdefault(word, f"{_LEFT}{len(self._hidden)}{_RIGHT}")

    def shown(self, text: str) -> str:
        """The text that stand-ins stand for."""
        if _LEFT not in text:
            return text
        words = list(self._hidden)
        return re.sub(f"{_LEFT}(\\d+){_RIGHT}", lambda match: words[int(match[1])], text)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts; stand-ins become the words they stand for, as text."""
        plain = [text for text in texts if _LEFT not in text]
        encoded: list[list[int]] = (
            self.tokenizer(plain, add_special_tokens=False, verbose=False)["input_ids"] if plain else []
        )
        ids = iter(encoded)
        return [self._apart(text) if _LEFT in text else list(next(ids)) for text in texts]

    def _apart(self, text: str) -> list[int]:
        return self.located(text)[1]

    def located(self, text: str) -> tuple[str, list[int], list[tuple[int, int]]]:
        """Token ids of a text and the characters that each stands for, with the text that these are counted in."""
        if _LEFT not in text:
            plain = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
            return text, list(plain["input_ids"]), list(plain["offset_mapping"])
        encoder, back = self._renamed
        named = self.shown(self.named(text))
        encoding = encoder.encode(named, add_special_tokens=False)
        return named, [back.get(i, i) for i in encoding.ids], list(encoding.offsets)

    def named(self, text: str) -> str:
        """A text in which the control tokens have their other names."""
        for word, name in self._names.items():
            text = text.replace(word, name)
        return text

    @cached_property
    def _names(self) -> dict[str, str]:
        """Control token -> a name that cannot occur in a text."""
        return {word: f"\ue0f2{self._nonce}.{number}\ue0f3" for number, word in enumerate(self.words)}

    @cached_property
    def _renamed(self) -> tuple[Any, dict[int, int]]:
        """The tokenizer with its control tokens renamed, and its ids for them -> the real ones."""
        from tokenizers import Tokenizer

        data = json.loads(self.tokenizer.backend_tokenizer.to_str())
        data |= {"post_processor": None, "truncation": None, "padding": None}
        real: dict[str, int] = {}
        for token in data["added_tokens"]:
            name = self._names.get(token["content"])
            if name is not None:
                token |= {"content": name, "normalized": False, "single_word": False}
            real[token["content"]] = token["id"]
        model = data["model"]
        if model["type"] == "Unigram":  # control words are pieces of its vocabulary, and the likeliest way to read them
            model["vocab"] = [[piece, -1e4 if piece in self._names else score] for piece, score in model["vocab"]]
        encoder = Tokenizer.from_str(json.dumps(data))
        return encoder, {int(encoder.token_to_id(content) or 0): number for content, number in real.items()}


class ChatText:
    """Renders for one tokenizer.

    Args:
        tokenizer: the model's.
        eos: what the model's own configuration calls an end.
    """

    def __init__(self, tokenizer: Any, eos: Iterable[int] = ()) -> None:
        self.tokenizer = tokenizer
        self.chat = bool(tokenizer.chat_template)
        self.source = _STILL + tokenizer.get_chat_template() if self.chat else ""
        self.eos = [*eos, *([tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else [])]
        self.special = set(tokenizer.all_special_ids)
        self.special |= {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
        self.special |= set(self.eos)
        self.system = self.chat and self._prints([{"role": "system", "content": "Mark41"}, *_ASK], "Mark41")
        self.marks = Marks(tokenizer, self._sample() if self.chat else "")
        self.lead = [] if self.chat else self._bos()
        self._answers: dict[str, tuple[int, ...]] = {}

    # Prompts

    def prompt_ids(self, rows: Sequence[Sequence[Turn]], think: bool = False) -> list[list[int]]:
        """Token ids of each row's prompt, up to where the answer starts; at most one BOS."""
        return [self.lead + ids for ids in self.marks.encode([self.prompt_text(row, think) for row in rows])]

    def located(self, row: Sequence[Turn], before: str) -> tuple[str, list[int], list[tuple[int, int]], str]:
        """A prompt's text, its ids, the characters of each, and `before` (of the template) as it stands there."""
        text = self.prompt_text(row)
        named, ids, places = self.marks.located(text)
        return named, ids, places, before if named == text else self.marks.named(before)

    def fitted(self, row: Sequence[Turn], room: int, think: bool = False) -> tuple[list[int], int]:
        """Token ids of a row's prompt in so many tokens, and how many of its oldest turns were left out for that.

        Turns are left out up to the next user's, so that what is left begins as a conversation does. Where even the
        last turn is too long, the whole prompt without earlier turns comes back.
        """
        turns, left = list(row), 0
        (ids,) = self.prompt_ids([turns], think)
        while len(ids) > room and any(map(_droppable, turns)):
            first = next(n for n, turn in enumerate(turns) if _droppable(turn))
            turns.pop(first)
            left += 1
            while turns[first].get("earlier") and turns[first]["role"] != "user":
                turns.pop(first)
                left += 1
            (ids,) = self.prompt_ids([turns], think)
        return ids, left

    def prompt_text(self, turns: Sequence[Turn], think: bool = False) -> str:
        """The prompt as text, with stand-ins where a row holds words of control tokens.

        Trailing spaces belong to the answer: tokenizers merge them with its first word.
        """
        hidden = [{**turn, "content": self.marks.hide(turn["content"])} for turn in turns]
        return self._head(hidden, think)

    def _head(self, turns: Sequence[Turn], think: bool) -> str:
        if not self.chat:
            return plain(turns).rstrip(" ")
        text = self._template(turns, ask=True, think=think).rstrip(" ")
        if think:
            return re.sub(f"{OPEN}\\s*{CLOSE}\\s*$", "", text)
        if re.search(f"{OPEN}\\s*$", text):
            return text.rstrip("\n") + f"\n\n{CLOSE}\n\n"
        return text

    # Answers

    def answer_ids(self, answer: str) -> tuple[int, ...]:
        """Token ids that follow any prompt when the answer is `answer`; the last one ends the turn."""
        answer = answer.strip()
        if answer not in self._answers:
            self._answers[answer] = self._find_answer(answer)
        return self._answers[answer]

    def _find_answer(self, answer: str) -> tuple[int, ...]:
        think, core = thinks(answer), self.marks.hide(answer)
        head = self._head(_ASK, think)
        if think and self.chat:
            begun = re.search(f"{OPEN}\\s*$", head)  # the template has opened the block already
            body = core.lstrip().removeprefix(OPEN).lstrip("\n") if begun else self._lead_in + core
            return (*self._behind(head, body), *self.ending)
        rest = self._after(head, core)
        at = rest.find(core)
        if core and at < 0:  # the template writes something else: the answer as it is, and the end of any turn
            return (*self._behind(head, self._lead_in + core), *self.ending)
        cut = max(at + len(core), 0)
        return (*self._behind(head, rest[:cut]), *self._end_of(rest[cut:]))

    @cached_property
    def ending(self) -> tuple[int, ...]:
        """The ids that end a turn."""
        rest = self._after(self._head(_ASK, False), "x")
        return self._end_of(rest[rest.find("x") + 1 :])

    @cached_property
    def _lead_in(self) -> str:
        """The space that the template writes before an answer, if it does."""
        rest = self._after(self._head(_ASK, False), "x")
        before = rest[: rest.find("x")]
        return "" if before.strip() else before

    def _end_of(self, text: str) -> tuple[int, ...]:
        tail = self.marks.encode([text])[0]
        stop = next((n for n, i in enumerate(tail) if i in self.special), None)
        if stop is None and not self.eos:
            raise TemplateError("The tokenizer names no end-of-text token; set eos_token in tokenizer_config.json.")
        return tuple(tail[: stop + 1]) if stop is not None else (self.eos[-1],)

    def _after(self, head: str, answer: str) -> str:
        """The text from the end of the prompt to the end of the answer's turn."""
        if not self.chat:
            return f" {answer}" if answer else ""
        full = self._template([*_ASK, {"role": "assistant", "content": answer}], ask=False, think=False)
        if full.startswith(head):
            return full[len(head) :]
        # The generation prompt is not how the template writes an assistant's turn: answer right after it.
        at = full.rfind(answer)
        return full[at:] if at >= 0 else answer

    def _behind(self, head: str, body: str) -> list[int]:
        """Ids of `body` after `head`. Where the tokenizer would merge across, the prompt's own ids are kept."""
        before, both = self.marks.encode([head, head + body])
        return both[len(before) :] if both[: len(before)] == before else self.marks.encode([body])[0]

    @cached_property
    def opens(self) -> bool:
        """Whether the template begins the reasoning itself, so that a text's first words are inside the block."""
        return self.chat and re.search(f"{OPEN}\\s*$", self._head(_ASK, True)) is not None

    def breaks(self) -> frozenset[int]:
        """Ids that begin what ends an answer in plain text."""
        return frozenset() if self.chat else frozenset(self._behind("Answer: x", BREAK)[:1])

    # The template

    def _template(self, turns: Sequence[Turn], *, ask: bool, think: bool) -> str:
        fitting = self._fitting([{"role": turn["role"], "content": turn["content"]} for turn in turns])
        try:
            return self._apply(fitting, ask, think)
        except Exception as error:  # a template is foreign code: jinja, type and key errors alike
            roles = ", ".join(turn["role"] for turn in fitting)
            raise TemplateError(f"The model's chat template cannot render the turns {roles}: {error}") from error

    def _apply(self, turns: Sequence[Turn], ask: bool, think: bool = False) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                list(turns),
                chat_template=self.source,
                tokenize=False,
                add_generation_prompt=ask,
                enable_thinking=think,
                date_string="26 Jul 2024",
            )
        )

    def _fitting(self, turns: list[dict[str, str]]) -> list[dict[str, str]]:
        """The turns as this template takes them: with or without system messages, in turn where it wants that."""
        if not self.system:
            turns = fold(turns)
        elif any(turn["role"] == "system" for turn in turns[1:]) and not self._takes_later_system:
            turns = [*turns[:1], *fold(turns[1:])]
        talk = next((n for n, turn in enumerate(turns) if turn["role"] != "system"), len(turns))
        if talk < len(turns) and turns[talk]["role"] == "assistant" and not self._takes_assistant_first:
            turns = [*turns[:talk], {"role": "user", "content": ""}, *turns[talk:]]
        if any(a["role"] == b["role"] for a, b in pairwise(turns)) and not self._takes_runs:
            turns = merged(turns)
        return turns

    def _prints(self, turns: Sequence[Turn], *words: str) -> bool:
        """Whether the template prints these words in this order; some raise, some drop messages silently."""
        try:
            text = self._apply(turns, True)
        except Exception:
            return False
        places = [text.find(word) for word in words]
        return min(places) >= 0 and places == sorted(places)

    @cached_property
    def _takes_later_system(self) -> bool:
        roles = ("system", "user", "assistant", "system", "user")
        talk = [{"role": role, "content": f"Mark{40 + n}"} for n, role in enumerate(roles)]
        return self._prints(talk, *(turn["content"] for turn in talk))

    @cached_property
    def _takes_assistant_first(self) -> bool:
        return self._prints([{"role": "assistant", "content": "Mark41"}, *_ASK], "Mark41")

    @cached_property
    def _takes_runs(self) -> bool:
        users = [{"role": "user", "content": word} for word in ("Mark41", "Mark42")]
        answers = [{"role": "assistant", "content": word} for word in ("Mark43", "Mark44")]
        return self._prints([*users, *answers, *_ASK], "Mark41", "Mark42", "Mark43", "Mark44")

    def _sample(self) -> str:
        """A conversation as the template writes it."""
        turns = [*_ASK, {"role": "assistant", "content": "y"}, *_ASK]
        try:
            return self._apply(turns, True)
        except Exception:
            return ""

    def _bos(self) -> list[int]:
        bos = self.tokenizer.bos_token_id
        return [bos] if bos is not None and self.tokenizer("x")["input_ids"][0] == bos else []


def _droppable(turn: Turn) -> bool:
    return bool(turn.get("earlier")) and turn["role"] != "system"


def thinks(answer: str) -> bool:
    """Whether an answer begins with reasoning."""
    return answer.lstrip().startswith(OPEN) and CLOSE in answer


def spoken(text: str) -> tuple[str, str]:
    """The answer of a text and the reasoning before it; no answer where reasoning is begun and not ended."""
    before, mark, after = text.rpartition(CLOSE)
    if mark:
        return after.strip(), before.strip().removeprefix(OPEN).strip()
    return ("", text.strip().removeprefix(OPEN).strip()) if text.lstrip().startswith(OPEN) else (text, "")


def plain(turns: Sequence[Turn]) -> str:
    """Turns as plain text that ends where the answer starts."""
    names = {"user": "Input: ", "assistant": "Answer: ", "system": ""}
    return "\n\n".join(names[turn["role"]] + turn["content"] for turn in turns) + "\n\nAnswer:"


def fold(turns: Sequence[Turn]) -> list[dict[str, str]]:
    """Turns without a system role: the text of each system message goes in front of the next user turn."""
    folded: list[dict[str, str]] = []
    waiting: list[str] = []
    for turn in turns:
        if turn["role"] == "system":
            waiting.append(turn["content"])
        elif turn["role"] == "user" and waiting:
            folded.append({"role": "user", "content": "\n\n".join([*waiting, turn["content"]])})
            waiting = []
        else:
            folded.append(dict(turn))
    return [*folded, *({"role": "user", "content": text} for text in waiting)]


def merged(turns: Sequence[Turn]) -> list[dict[str, str]]:
    """Neighbours of one role as one turn."""
    turns_out: list[dict[str, str]] = []
    for turn in turns:
        if turns_out and turns_out[-1]["role"] == turn["role"]:
            turns_out[-1] = {**turns_out[-1], "content": f"{turns_out[-1]['content']}\n\n{turn['content']}"}
        else:
            turns_out.append(dict(turn))
    return turns_out
