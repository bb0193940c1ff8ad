"""Secrets and personal data in texts: e-mail addresses, card and phone numbers, IBANs, API keys.

Patterns find what looks like one; where the kind has a check sum (cards, IBANs) it must be right, so that order numbers
are left alone. Names and addresses are not looked for: no pattern tells them from other words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]+\.)+[A-Za-z]{2,24}(?![\w-])")
_CARD = re.compile(r"(?<![\d-])(?:\d[ -]?){12,18}\d(?![\d-]|\.\d)")
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?(?!\w)")
_PHONE = re.compile(
    r"(?<![\w.+/-])(?<!\d )(?:"
    r"(?:\+|00)[1-9]\d{0,2}[ .-]?(?:\(0?\d{1,4}\)[ .-]?)?\d(?:[ ./-]?\d){5,11}"  # with a country code
    r"|\(\d{3}\) ?\d{3}[ .-]\d{4}"  # (555) 010-9999
    r"|\d{3}[.-]\d{3}[.-]\d{4}"
    r"|0[1-9]\d{1,3}[ /-]\d{2,4}(?:[ -]?\d{2,4}){1,3}"  # 030 901820, 0171-1234567
    r")(?![\w-])"
)
_KEY = re.compile(
    r"(?<![\w-])(?:"
    r"sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|hf_[A-Za-z0-9]{20,}|glpat-[\w-]{16,}"
    r"|A(?:KIA|SIA)[A-Z0-9]{16}|AIza[\w-]{30,}|xox[abprs]-[\w-]{10,}|[sr]k_(?:live|test)_[A-Za-z0-9]{16,}"
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r")"
)
KINDS = ("API key", "e-mail", "IBAN", "card", "phone")  # the first that fits a place names it
MASKS = {"API key": "[KEY]", "e-mail": "[EMAIL]", "IBAN": "[IBAN]", "card": "[CARD]", "phone": "[PHONE]"}


@dataclass(frozen=True, slots=True)
class PersonalDetail:
    """Something found, from `start` to `end` of the text."""

    kind: str
    start: int
    end: int
    text: str

    @property
    def masked(self) -> str:
        """What may be shown of it: the kind and its first character; of a number the last two digits."""
        if self.kind in ("card", "phone", "IBAN"):
            return f"…{self.text.strip()[-2:]}"
        return f"{self.text[0]}…"


def find(text: str) -> list[PersonalDetail]:
    """What is found in a text, in order, without overlaps."""
    taken: list[PersonalDetail] = []
    kinds = _possible(text)
    if not kinds:
        return taken
    for kind in kinds:
        for match in _PATTERNS[kind].finditer(text):
            free = all(match.end() <= hit.start or match.start() >= hit.end for hit in taken)
            if free and _valid(kind, match[0]):
                taken.append(PersonalDetail(kind, match.start(), match.end(), match[0]))
    return sorted(taken, key=lambda hit: hit.start)


_ASCII_DIGITS = b"0123456789"
_DIGITS = re.compile(r"\d(?:[ ().+/-]{0,2}\d){6}")  # a number of seven digits, the shortest that is looked for
_KEY_SIGNS = ("sk-", "gh", "hf_", "glpat-", "AKIA", "ASIA", "AIza", "xox", "k_", "eyJ", "PRIVATE KEY")
_UNMARKED = bytes(set(range(256)) - set(b"-_ABCDEFGHIJKLMNOPQRSTUVWXYZ"))  # a key holds one of the others


_PATTERNS = dict(zip(KINDS, (_KEY, _EMAIL, _IBAN, _CARD, _PHONE), strict=True))
_IBAN_START = re.compile(r"[A-Z]{2}\d\d")


def _possible(text: str) -> list[str]:
    """The kinds for which a text holds what every match needs: cheap, as most texts hold nothing."""
    marked = not text.isascii() or bool(text.encode().translate(None, _UNMARKED))
    kinds = ["API key"] if marked and any(map(text.__contains__, _KEY_SIGNS)) else []
    if "@" in text:
        kinds.append("e-mail")
    digits = _digits(text)
    if marked and digits > 1 and _IBAN_START.search(text):
        kinds.append("IBAN")
    if digits > 6 and _DIGITS.search(text):
        kinds += ["card", "phone"]
    return kinds


def _digits(text: str) -> int:
    """How many digits a text holds; at least that many, where it is not ASCII."""
    if not text.isascii():
        return len(text)
    raw = text.encode()
    return len(raw) - len(raw.translate(None, _ASCII_DIGITS))


def mask(text: str) -> tuple[str, list[PersonalDetail]]:
    """The text with a word in place of each thing found, and what was found."""
    hits = find(text)
    return "".join(_pieces(text, hits)), hits


def _pieces(text: str, hits: list[PersonalDetail]) -> Iterator[str]:
    at = 0
    for hit in hits:
        yield text[at : hit.start]
        yield MASKS[hit.kind]
        at = hit.end
    yield text[at:]


def _valid(kind: str, text: str) -> bool:
    if kind == "card":
        return luhn(text)
    return iban(text) if kind == "IBAN" else True


def luhn(text: str) -> bool:
    """Whether the digits of a text end in the right check digit (ISO/IEC 7812-1, annex B); not all of them alike."""
    digits = [int(c) for c in text if c.isdigit()]
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    doubled = [sum(divmod(2 * d, 10)) if n % 2 else d for n, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def iban(text: str) -> bool:
    """Whether a text's check digits are right (ISO 13616: moved to the end and read as a number, 1 modulo 97)."""
    packed = text.replace(" ", "")
    if not 15 <= len(packed) <= 34:
        return False
    turned = packed[4:] + packed[:4]
    return int("".join(str(int(c, 36)) for c in turned)) % 97 == 1
