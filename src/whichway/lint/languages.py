"""Languages: the prompt's and the data's, told by their scripts and commonest words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from whichway.lint.registry import Hit, rule
from whichway.lint.scene import Scene

_COMMON = {
    "English": "the and of to in is that for it with as was on are you this have not be my",
    "German": "der die und das ist nicht ich mit ein eine zu den von sie auf für es im dem des",
    "French": "le la les et des est une un pas je que pour dans qui sur avec vous du ce au",
    "Spanish": "el la los las y es una un no que por para con del se en lo mi su al",
    "Italian": "il la che di è un una non per con sono del della le gli mi si in ho al",
    "Portuguese": "o os que não uma um para com do da em é as no na por meu se mais eu",
    "Dutch": "de het een en van ik niet is dat op te zijn voor met er maar die aan je mijn",
}
_WORDS = {language: frozenset(words.split()) for language, words in _COMMON.items()}
_SCRIPTS = {
    "Chinese": re.compile(r"[\u4e00-\u9fff]"),
    "Japanese": re.compile(r"[\u3040-\u30ff]"),
    "Korean": re.compile(r"[\uac00-\ud7af]"),
    "Cyrillic script": re.compile(r"[\u0400-\u04ff]"),
    "Arabic script": re.compile(r"[\u0600-\u06ff]"),
    "Greek": re.compile(r"[\u0370-\u03ff]"),
    "Devanagari script": re.compile(r"[\u0900-\u097f]"),
    "Hebrew": re.compile(r"[\u0590-\u05ff]"),
}
LEAST = 5  # common words that must be seen


def language(text: str) -> str | None:
    """The language of a text; None when too little tells it."""
    letters = sum(c.isalpha() for c in text)
    for name in ("Japanese", "Korean", "Chinese", *_SCRIPTS):
        if letters and len(_SCRIPTS[name].findall(text)) > (0.1 if name == "Japanese" else 0.3) * letters:
            return name
    counts = Counter(re.findall(r"[^\W\d_]+", text.casefold()))
    seen = {name: sum(counts[word] for word in words) for name, words in _WORDS.items()}
    first, second = sorted(seen.values(), reverse=True)[:2]
    return max(seen, key=lambda name: seen[name]) if first >= LEAST and first > 1.3 * second else None


@rule(
    "PL046",
    "Prompt and data in different languages",
    "D",
    "info",
    why="English instructions often work for other languages, but labels and answers then drift into the prompt's "
    "language; it "
    "is worth measuring both.",
    source="Schulhoff et al. 2024, arXiv 2406.06608 (The Prompt Report, multilingual prompting)",
    suggestion="Try the prompt in the language of the data, or say the language of the answer.",
)
def other_language(scene: Scene) -> Iterator[Hit]:
    """The instructions are in one language and the rows in another."""
    if scene.data is None or not scene.rules:
        return
    here = language(scene.instruction_text)
    there = language(" ".join(e.text for e in scene.data.rows[:200]))
    if (
        here
        and there
        and here != there
        and not re.search(rf"\b(?:{there}|translat\w+|language)\b", scene.instruction_text, re.I)
    ):
        piece = scene.rules[0]
        yield Hit(f"the prompt is in {here}, the rows are in {there}", piece, 0, min(80, len(piece.text)))
