"""The templates of pages, with the filters that they use."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, partial

from jinja2 import Environment, PackageLoader, StrictUndefined

from whichway.nouns import canonical
from whichway.report import breakeven, formatting, prompt
from whichway.report.rows import shorten

FILTERS = (
    *("points", "signed", "share", "seconds", "usd", "probability", "count", "model", "budget", "metric", "soften"),
    *("size", "span"),
)
STATIC_LONGEST = 400  # characters of a text in the rows that are plain HTML; the script has more of them


def escaped_pages(room: str, filters: Iterable[str], last_newline: bool = False) -> Environment:
    """Templates of a part of the package in which everything is escaped, with filters of `formatting` by their names.

    Args:
        room: the part that holds them.
        filters: functions of `formatting`.
        last_newline: whether the newline at a template's end is kept.
    """
    pages = Environment(
        loader=PackageLoader("whichway", room),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=last_newline,
    )
    for name in filters:
        pages.filters[name] = getattr(formatting, name)
    return pages


@cache
def environment() -> Environment:
    """Templates of the report with their filters."""
    pages = escaped_pages("report", FILTERS, last_newline=True)
    pages.filters["weights"] = prompt.weights
    pages.filters["canonical"] = canonical
    pages.filters["money"] = breakeven.answer
    pages.filters["pays_back"] = breakeven.payback
    pages.filters["brief"] = partial(shorten, longest=STATIC_LONGEST)
    pages.filters["horizon"] = breakeven.days_in_words
    return pages
