"""Leaks: rows that the prompt will be judged on, words of single training rows, secrets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from whichway.lint.edits import keeping_shots, short
from whichway.lint.registry import Hit, rule
from whichway.lint.scene import Scene


@rule(
    "PL031",
    "A test or dev row stands in the prompt",
    "D",
    "error",
    why="A prompt that quotes the rows it is judged on scores too well, and the score says nothing about new rows.",
    source="gepa #261; dspydantic #23. Test rows are compared by hashes of word sequences; their text is never read",
    suggestion="Take examples from the training rows only.",
)
def leakage(scene: Scene) -> Iterator[Hit]:
    """A run of words of the prompt is one of a held-out row."""
    if scene.data is None or scene.data.held_out is None:
        return
    for piece in scene.pieces:
        for start, end, split in scene.data.held_out(piece.text):
            edit = None
            if piece.part.startswith("shot"):
                edit = keeping_shots("drop this example", lambda shots, i=piece.index: (*shots[:i], *shots[i + 1 :]))  # type: ignore[misc]
            yield Hit(f"these words stand in a {split} row: “{short(piece.text[start:end])}”", piece, start, end, edit)
            break


_CODE = re.compile(r"(?<![\w$€£.-])(?:[A-Z]{1,5}-?)?\d{4,}(?![\w.])|\b[A-Z]{2,5}-\d{2,}\b")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]{3,}\b")


@rule(
    "PL032",
    "Words of single training rows in the rules",
    "D",
    "warn",
    why="An optimiser that writes names and numbers of its training rows into the prompt has learned the rows, not "
    "the task.",
    source="gepa #261; Dropbox Dash, prompt optimisation (overfitting to example identifiers)",
    suggestion="Say the rule that the row shows, without its names and numbers.",
)
def row_words(scene: Scene) -> Iterator[Hit]:
    """An id or a name that only one or two training rows hold."""
    if scene.data is None:
        return
    known = f"{scene.data.practice.ask} {' '.join(scene.labels)}".casefold()
    tokens = Counter(word for e in scene.data.practice.train for word in set(re.findall(r"[\w-]+", e.text)))
    for piece in scene.rules:
        for form in (_CODE, _NAME):
            for match in form.finditer(piece.text):
                word = match.group()
                lower = 0 if word == word.lower() else tokens.get(word.lower(), 0)
                if 1 <= tokens.get(word, 0) <= 2 and not lower and word.casefold() not in known:
                    yield Hit(
                        f"“{word}” stands in {tokens[word]} training row{'s' if tokens[word] > 1 else ''} and "
                        f"nowhere else",
                        piece,
                        *match.span(),
                    )


_SECRETS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "an API key",
        re.compile(
            r"\b(?:sk-(?:[a-z]+-)?[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{30,}|"
            r"xox[abprs]-[\w-]{10,}|AIza[\w-]{30,}|hf_[A-Za-z0-9]{30,})"
        ),
    ),
    ("a private key", re.compile(r"-----BEGIN (?:\w+ )*PRIVATE KEY-----")),
    (
        "a password",
        re.compile(
            r"\b(?:password|passwd|secret|api[_-]?key|access[_-]?token)\s*[:=]\s*[\"']?(?![<{\[])[^\s\"']{6,}", re.I
        ),
    ),
    ("an e-mail address", re.compile(r"\b[\w.+-]+@(?!example\.|test\.)[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}\b", re.I)),
    ("a bank account", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")),
    ("a social security number", re.compile(r"\b\d{3}-\d{2}-\d{4}\b")),
    ("a telephone number", re.compile(r"(?<![\w.])\+\d{1,3}[ -]?(?:\(\d+\)[ -]?)?\d{2,4}(?:[ -]?\d{2,4}){2,4}\b")),
)
_CARD = re.compile(r"\b\d(?:[ -]?\d){12,18}\b")


@rule(
    "PL045",
    "A secret or personal data",
    "S",
    "error",
    why="What stands in a prompt is sent with every call, kept in logs, and can be asked out of the model.",
    source="nbajpai, prompt security checklist; OWASP Top 10 for LLM applications, LLM02 and LLM07",
    suggestion="Take it out, and change the key if the prompt was ever shared.",
)
def secrets(scene: Scene) -> Iterator[Hit]:
    """Keys, passwords, addresses, numbers of cards and accounts."""
    for what, form in _SECRETS:
        for piece, match in scene.search(form, scene.pieces):
            yield Hit(what, piece, *match.span())
    for piece, match in scene.search(_CARD, scene.pieces):
        if luhn(re.sub(r"\D", "", match.group())):
            yield Hit("a card number", piece, *match.span())


def luhn(digits: str) -> bool:
    """The check digit of card numbers (ISO/IEC 7812-1)."""
    turned = [int(d) for d in reversed(digits)]
    return (sum(turned[::2]) + sum(sum(divmod(2 * d, 10)) for d in turned[1::2])) % 10 == 0
