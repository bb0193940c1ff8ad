"""The templates of pages, with the filters that they use."""

from __future__ import annotations

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


@cache
def environment() -> Environment:
    """Templates with our filters; everything is escaped."""
    pages = Environment(
        loader=PackageLoader("whichway", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for name in FILTERS:
        pages.filters[name] = getattr(formatting, name)
    pages.filters["weights"] = prompt.weights
    pages.filters["canonical"] = canonical
    pages.filters["money"] = breakeven.answer
    pages.filters["pays_back"] = breakeven.payback
    pages.filters["brief"] = partial(shorten, longest=STATIC_LONGEST)
    pages.filters["horizon"] = breakeven.days_in_words
    return pages
