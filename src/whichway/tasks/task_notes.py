"""What a user should hear of prompts' variables, of reasoning in answers, and of chat marks in rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from whichway.nouns import Prompt, Task
from whichway.prompts.answer_extraction import CLOSE
from whichway.prompts.variables import texts

MARKS = re.compile(
    r"<\|[A-Za-z][\w ]{1,30}\|>|<｜[^｜<>]{1,40}｜>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|"
    r"<(?:bos|eos|pad)>"
)


# two bytes of UTF-8 as Latin-1 or Windows-1252 show them: a letter with an accent, a quotation mark
_GARBLED = re.compile("[ÂÃ][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|â€[\u0080-\u00bf™œžŸ˜“”¦]")
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{2,5}|#x[0-9a-fA-F]{2,5});")


def prompts(user_prompts: Sequence[Prompt], fields: Sequence[str]) -> Iterator[str]:
    """What prompts name, and what they do not."""
    named = {name for prompt in user_prompts for name in prompt.variables}
    left = [name for name in fields if name not in named]
    if named and left and all(prompt.variables for prompt in user_prompts):
        yield (
            f"{', '.join(left)}: input that no prompt names. Baselines see it, prompts do not; name it, or say which "
            "columns are input."
        )
    for prompt in user_prompts:
        braced = [
            name
            for name in fields
            if any(re.search(rf"(?<!\{{)\{{{re.escape(name)}\}}(?!\}})", t) for t in texts(prompt))
        ]
        if braced:
            shown = ", ".join(f"{{{name}}}" for name in braced)
            yield f"{shown} in the prompt is sent as it is: a variable has two braces, {{{{{braced[0]}}}}}."


def reasoning(task: Task) -> Iterator[str]:
    """How answers that bring their reasoning are learned and judged."""
    count = sum(CLOSE in e.target for e in (*task.train, *task.dev, *task.test))
    if count:
        yield (
            f"{count} answers hold reasoning (<think>): it is learned with the answer, and the answer after it is "
            "judged. To learn and score the answers alone, list them (--labels)."
        )


def entities(task: Task) -> Iterator[str]:
    """Signs of HTML in rows: they are read as they stand, and a model reads `&#39;` where people read an apostrophe."""
    rows = (*task.train, *task.dev, *task.test)
    hits = [
        (match.group(), e.origin)
        for e in rows
        for text in (*e.input.values(), e.target)
        if "&" in text and (match := _ENTITY.search(text))
    ]
    if hits:
        words = ", ".join(word for word, _ in Counter(word for word, _ in hits).most_common(3))
        yield (
            f"{len(hits)} texts hold HTML entities ({words}; first: {hits[0][1]}), which are read as they stand. "
            "Turn them into plain text (html.unescape in Python)."
        )


def lost_letters(task: Task) -> Iterator[str]:
    """Texts whose letters were lost before they came here: UTF-8 that was read as another encoding, or replaced."""
    rows = (*task.train, *task.dev, *task.test)
    odd = [(text, e.origin) for e in rows for text in (*e.input.values(), e.target) if not text.isascii()]
    garbled = [(match.group(), where) for text, where in odd if (match := _GARBLED.search(text))]
    if garbled:
        yield (
            f"{len(garbled)} texts look like UTF-8 that was read as another encoding ('{garbled[0][0]}', first: "
            f"{garbled[0][1]}). They are read as they stand; save them anew as UTF-8, or mend them (ftfy in Python)."
        )
    replaced = [where for text, where in odd if "\ufffd" in text]
    if replaced:
        yield (
            f"{len(replaced)} texts hold the sign for a letter that could not be read (U+FFFD, first: {replaced[0]}): "
            "they were decoded wrongly before. Save them anew from where they come."
        )


def marks(task: Task) -> Iterator[str]:
    """Words of chat templates in rows: they are read as text, and should not be learned as answers."""
    rows = (*task.train, *task.dev, *task.test)
    for part, values in (
        ("inputs", ((" ".join(e.input.values()), e) for e in rows)),
        ("answers", ((e.target, e) for e in rows)),
    ):
        hits = [
            (match.group(), e.origin)
            for text, e in values
            if ("<" in text or "[" in text) and (match := MARKS.search(text))
        ]
        if hits:
            words = ", ".join(word for word, _ in Counter(word for word, _ in hits).most_common(3))
            more = "" if part == "inputs" else " An answer ends by itself: take them out of the data"
            yield (
                f"{len(hits)} {part} hold marks of chat templates ({words}; first: {hits[0][1]}): they are read as "
                f"text, never as turns.{more}{'.' if more else ''}"
            )
