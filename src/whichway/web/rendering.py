"""The page's templates, filled in."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment
    from starlette.responses import Response


@cache
def templates() -> Environment:
    """The page's templates; everything is escaped."""
    from whichway.report.environment import escaped_pages

    pages = escaped_pages("web", ("seconds", "usd", "count", "signed", "probability"))
    pages.filters["when"] = _when
    pages.filters["clock"] = _clock
    return pages


def fragment(name: str, values: Mapping[str, Any]) -> str:
    """A template filled in."""
    return templates().get_template(name).render(**values)


def page(name: str, status: int = 200, **values: Any) -> Response:
    """An answer with a whole page."""
    from starlette.responses import HTMLResponse

    return HTMLResponse(fragment(name, values), status)


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) if seconds else ""


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))
