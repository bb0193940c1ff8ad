"""`--set way.option=value` as values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from whichway.errors import OptionError


def settings_of(words: Sequence[str]) -> Iterator[tuple[str, str, Any]]:
    """`way.option=value` -> way, option, value.

    Raises:
        OptionError: not of that form.
    """
    for word in words:
        name, equals, text = word.partition("=")
        way, dot, option = name.strip().rpartition(".")  # the model's name after a way may hold dots
        if not (equals and dot and way and option):
            raise OptionError(f"--set {word}: write it as way.option=value, such as --set tune_lora.rank=8")
        yield way, option, value_of(text.strip())


def value_of(text: str) -> Any:
    """A number, true, false, none, a list with commas, or the text itself."""
    if "," in text:
        return [value_of(part.strip()) for part in text.strip("[]()").split(",") if part.strip()]
    words: Mapping[str, Any] = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return json.loads(text)
    except ValueError:
        return text
