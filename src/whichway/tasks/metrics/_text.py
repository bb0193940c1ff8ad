"""What metrics share: the form in which answers are compared, and the base class."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from whichway.contracts import Aggregate

_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")  # CJK has no spaces: by character
_NO_WIDTH = dict.fromkeys((0x200B, 0x2060, 0xFEFF, 0xAD))  # joiners stay: emoji and Persian need them
_WRAPPERS = ("\"'`*", "“”‘’«»")


def plain(text: str) -> str:
    """Text without outer quotes, emphasis and trailing punctuation, case-folded, with single spaces.

    Letters that Unicode spells in two ways (é as one sign or as two) are one, and signs without width are left out.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text.translate(_NO_WIDTH))
    folded = _SPACE.sub(" ", text.casefold()).strip()
    bare = folded.strip("".join(_WRAPPERS) + " ").rstrip(".,;:!? ").strip("".join(_WRAPPERS) + " ")
    return bare or folded


def words(text: str) -> list[str]:
    """The words of a text, case-folded, without punctuation."""
    return _WORD.findall(text.casefold())


class Base:
    """A metric whose rows are averaged and whose answers are free text."""

    name: str = ""
    title: str = ""
    aggregate: Literal["mean"] | Aggregate = "mean"
    lowest: float = 0.0
    plain: bool = False
    needs_scores: bool = False
    closed: bool = False

    def normal(self, text: str) -> str:
        """The form in which answers are compared."""
        return plain(text)
