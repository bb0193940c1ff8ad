"""Ways that are made of other ways of the contest: their parts are looked for before anything is spent."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from whichway.contracts import combines
from whichway.errors import OptionError, did_you_mean
from whichway.nouns import split_name

FEWEST = 2  # parts


def check_parts(chosen: Mapping[str, Mapping[str, Any]], known: Mapping[str, Any]) -> None:
    """Refuse a way that is made of others where the contest does not try them.

    Args:
        chosen: contestant -> options that are not its defaults.
        known: all ways.

    Raises:
        OptionError: too few others are tried, or an option (metadata `part`) names one that is not.
    """
    combining = [name for name in chosen if combines(known[split_name(name)[0]])]
    others = [name for name in chosen if name not in combining]
    for name in combining:
        if len(others) < FEWEST:
            tried = f"only {others[0]} is" if others else "none is"
            raise OptionError(
                f"{name} is made of two other ways of the contest, and {tried} tried. Name them in --ways as well, "
                f"such as --ways base_tfidf,prompt_shots,{name}"
            )
        for field in dataclasses.fields(known[split_name(name)[0]].Options):
            if field.metadata.get("part"):
                _check_named(f"{name}.{field.name}", chosen[name].get(field.name, ()), others, known)


def _check_named(option: str, value: Any, others: list[str], known: Mapping[str, Any]) -> None:
    for part in map(str, value if isinstance(value, list | tuple) else (value,)):
        if part in others:
            continue
        advice = " Add it to --ways." if part in known else did_you_mean(part, others)
        raise OptionError(f"{option}={part}: no other way that this contest tries.{advice}")
