"""The live page as an ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from whichway.app.run_jobs import RunJobs
from whichway.errors import WhichwayError
from whichway.web.access_gate import AccessGate
from whichway.web.chat_pages import ChatPages
from whichway.web.compare_pages import ComparePages
from whichway.web.playground_pages import PlaygroundPages
from whichway.web.rendering import page
from whichway.web.row_pages import RowPages
from whichway.web.run_pages import RunPages
from whichway.web.start_pages import StartPages

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

ASSETS = {
    "style.css": (("whichway.report", "page.css"), ("whichway.web", "web.css")),
    "live.js": (("whichway.web", "live.js"),),
    "playground.js": (("whichway.web", "playground.js"),),
    "chat.js": (("whichway.web", "feedback.js"), ("whichway.web", "chat.js")),
    "label.css": (("whichway.web", "label.css"),),
    "label.js": (("whichway.web", "label.js"),),
    "rows.js": (("whichway.web", "feedback.js"), ("whichway.web", "rows.js")),
}


def site(runs: Path, token: str) -> Starlette:
    """The page over a folder of runs.

    Args:
        runs: the folder; made when the first run is started from the page.
        token: that its address has.
    """
    jobs = RunJobs(runs.absolute())
    playgrounds, chats = PlaygroundPages(jobs), ChatPages(jobs)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await chats.close()
        await asyncio.to_thread(playgrounds.close)

    pages = (RunPages(jobs), StartPages(jobs), ComparePages(jobs), RowPages(jobs), playgrounds, chats)
    return application([route for one in pages for route in one.routes()], token, lifespan)


def application(
    routes: Sequence[Route],
    token: str,
    lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]] | None = None,
) -> Starlette:
    """Routes as an application behind its token, with styles and scripts, in which errors are pages.

    Args:
        routes: of the pages.
        token: that the address has.
        lifespan: what is done when it ends.
    """
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.routing import Route

    return Starlette(
        routes=[Route("/assets/{name}", _asset), *routes],
        middleware=[Middleware(AccessGate, token)],
        exception_handlers={WhichwayError: _told_error, HTTPException: _http_error, Exception: _broken},
        lifespan=lifespan,
    )


async def _asset(call: Request) -> Response:
    from starlette.exceptions import HTTPException
    from starlette.responses import Response

    name = call.path_params["name"]
    if name not in ASSETS:
        raise HTTPException(404, "there is no such file")
    text = "\n".join(files(package).joinpath(file).read_text("utf-8") for package, file in ASSETS[name])
    return Response(text, media_type="text/css" if name.endswith(".css") else "text/javascript")


async def _told_error(call: Request, error: Exception) -> Response:
    return page("problem.html.j2", 400, message=str(error))


async def _http_error(call: Request, error: Exception) -> Response:
    from starlette.exceptions import HTTPException

    assert isinstance(error, HTTPException)
    return page("problem.html.j2", error.status_code, message=str(error.detail))


async def _broken(call: Request, error: Exception) -> Response:
    return page("problem.html.j2", 500, message=f"The page failed: {type(error).__name__}. The terminal has its trace.")
