"""Checks: the share of stated rules that an answer fulfils, for tasks that have no one right answer.

    words, characters, sentences    {min: 40, max: 120}, either may be left out
    must_contain, must_not_contain  texts, without regard to case; "{name}" stands for the row's field of that name
    regex                           patterns, searched anywhere, by Python's rules
    format                          json (nothing else), bullets (every line is one), sentences (running text)
    function                        path/to/file.py:function, as for `python_function`; its number is the share

Each text, pattern and length counts as one check. Every check counts the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from whichway.errors import OptionError, did_you_mean
from whichway.nouns import Example, Score
from whichway.tasks.metrics import python_function
from whichway.tasks.metrics._text import Base, words

Words = str | tuple[str, ...]
Length = dict[Literal["min", "max"], int]
Check = Callable[[Example, str], Score]

_FIELD = re.compile(r"\{([^{}]+)\}")
_BULLET = re.compile(r"\s*(?:[-*•–]|\d+[.)])\s+\S")
_END = re.compile(r"[.!?…][\"'”’)]*(?=\s|$)")


@dataclass(frozen=True, slots=True)
class Options:
    """What an answer must fulfil; without any check, only that there is one."""

    words: Length | None = field(default=None, metadata={"help": "number of words: {min: 40, max: 120}"})
    characters: Length | None = field(default=None, metadata={"help": "number of characters"})
    sentences: Length | None = field(default=None, metadata={"help": "number of sentences"})
    must_contain: Words = field(default=(), metadata={"help": "texts it must hold; {name} is the row's field"})
    must_not_contain: Words = field(default=(), metadata={"help": "texts it must not hold"})
    regex: Words = field(default=(), metadata={"help": "patterns that must be found in it"})
    format: Literal["json", "bullets", "sentences"] | None = field(default=None, metadata={"help": "its form"})
    function: str = field(default="", metadata={"help": "path/to/file.py:function, which gives a number in 0..1"})
    digest: str = field(default="", metadata={"help": "digest of that file; filled in"})


class Metric(Base):
    """Share of checks passed; none for an empty answer. `why` names what failed."""

    name = "checks"
    title = "Checks passed"

    def __init__(self, options: Options) -> None:
        self.checks: dict[str, Check] = dict(_checks(options))

    def __call__(self, example: Example, text: str) -> Score:
        """Check one answer."""
        if not text.strip():
            return Score(None, "empty answer")
        scores = {name: check(example, text) for name, check in self.checks.items()}
        failed = [f"{name}{f' ({s.why})' if s.why else ''}" for name, s in scores.items() if (s.value or 0.0) < 1]
        share = sum(s.value or 0.0 for s in scores.values()) / len(scores) if scores else 1.0
        return Score(share, f"failed: {'; '.join(failed)}" if failed else "")

    def each(self, example: Example, text: str) -> dict[str, float]:
        """Every check by its name: 1 passed, 0 not; an empty answer passes none."""
        if not text.strip():
            return dict.fromkeys(self.checks, 0.0)
        return {name: check(example, text).value or 0.0 for name, check in self.checks.items()}


def as_tuple(texts: Words) -> tuple[str, ...]:
    """One text or several, as several."""
    return (texts,) if isinstance(texts, str) else texts


def fields_of(options: Mapping[str, object]) -> set[str]:
    """The fields of a row that the texts of some options name in braces."""
    texts = [text for key in ("must_contain", "must_not_contain") for text in _listed(options.get(key, ()))]
    return {name for text in texts for name in _FIELD.findall(text)}


def _listed(value: object) -> list[str]:
    return [value] if isinstance(value, str) else [str(v) for v in value] if isinstance(value, list | tuple) else []


def _checks(options: Options) -> Iterator[tuple[str, Check]]:
    for unit, count in (("words", _words), ("characters", len), ("sentences", _sentences)):
        length: Length | None = getattr(options, unit)
        if length is not None:
            yield _length(unit, length, count)
    for text in as_tuple(options.must_contain):
        yield f"contains “{text}”", _containing(text, True)
    for text in as_tuple(options.must_not_contain):
        yield f"without “{text}”", _containing(text, False)
    for pattern in as_tuple(options.regex):
        yield f"matches {pattern}", _matching(pattern)
    if options.format:
        yield f"is {options.format}", _formed(options.format)
    if options.function:
        named = options.function.rpartition(":")[2]
        yield f"function {named}", python_function.Metric(python_function.Options(options.function))


def _length(unit: str, length: Length, count: Callable[[str], int]) -> tuple[str, Check]:
    low, high = length.get("min", 0), length.get("max")
    if not length or low < 0 or (high is not None and high < max(low, 1)):
        raise OptionError(f"metric checks: {unit} {dict(length)}: write min, max or both, min at most max.")
    name = f"{unit} {low}–{high}" if low and high is not None else f"{unit} ≥ {low}" if low else f"{unit} ≤ {high}"

    def check(example: Example, text: str) -> Score:
        size = count(text.strip())
        fits = size >= low and (high is None or size <= high)
        return Score(float(fits), "" if fits else f"{size}")

    return name, check


def _words(text: str) -> int:
    return len(words(text))


def _sentences(text: str) -> int:
    """Ends of sentences; a last one without its stop counts."""
    return len(_END.findall(text)) + (not _END.search(text[-3:]) and bool(text))


def _containing(wanted: str, inside: bool) -> Check:
    def check(example: Example, text: str) -> Score:
        filled = _FIELD.sub(lambda match: example.input.get(match[1], match[0]), wanted)
        return Score(float((" ".join(filled.split()).casefold() in " ".join(text.split()).casefold()) == inside))

    return check


def _matching(pattern: str) -> Check:
    try:
        compiled = re.compile(pattern, re.MULTILINE)
    except re.error as error:
        raise OptionError(f"metric checks: regex '{pattern}': {error}.") from None
    return lambda _, text: Score(float(compiled.search(text) is not None))


def _formed(form: str) -> Check:
    test = {"json": _is_json, "bullets": _is_bullets, "sentences": _is_prose}[form]
    return lambda _, text: Score(float(test(text)))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_bullets(text: str) -> bool:
    return all(_BULLET.match(line) for line in text.splitlines() if line.strip())


def _is_prose(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.strip()]
    return not any(_BULLET.match(line) or line.lstrip().startswith("#") for line in lines) and bool(
        _END.search(lines[-1][-4:]) if lines else False
    )


def refuse_unknown_fields(options: Mapping[str, object], known: tuple[str, ...]) -> None:
    """Refuse braces that name no input column.

    Raises:
        OptionError: says which ("did you mean").
    """
    for name in sorted(fields_of(options)):
        if name not in known:
            raise OptionError(f"checks: {{{name}}} is no input column.{did_you_mean(name, known)}")
