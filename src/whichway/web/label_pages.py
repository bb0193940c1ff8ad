"""The page on which rows are labelled: one row at a time, by keys."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from whichway.errors import UserError
from whichway.web.rendering import page
from whichway.web.site import application

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from whichway.app.labelling.labelling_session import LabellingSession, LabellingState

ACTIONS = ("label", "skip", "unsure", "undo")
LONGEST = 20_000  # characters of a row that are shown
MOST_BYTES = 10_000  # of an action


def label_site(session: LabellingSession, token: str) -> Starlette:
    """The page of one labelling.

    Args:
        session: the labelling.
        token: that its address has.
    """
    return application(LabelPages(session).routes(), token)


class LabelPages:
    """The page, its state as JSON, and what is said about a row.

    Args:
        session: the labelling.
    """

    def __init__(self, session: LabellingSession) -> None:
        self._session = session

    def routes(self) -> list[Route]:
        """The routes."""
        from starlette.routing import Route

        return [
            Route("/", self.show),
            Route("/state", self.state),
            Route("/act", self.act, methods=["POST"]),
        ]

    async def show(self, call: Request) -> Response:
        """The page; its script asks for the state."""
        pool, out = self._session.pool, self._session.out
        return page("label.html.j2", data=pool.path.name, out=out)

    async def state(self, call: Request) -> Response:
        """The row that is to be labelled, and what stands beside it."""
        from starlette.responses import JSONResponse

        return JSONResponse(await asyncio.to_thread(lambda: state_json(self._session.state())))

    async def act(self, call: Request) -> Response:
        """Keep what is said about the row; answers with the next one. 400 with the reason where it is not kept."""
        from starlette.responses import JSONResponse

        try:
            action = await _action(call)
            state = await asyncio.to_thread(self._session.act, action["action"], action["row"], action["label"])
        except UserError as error:
            shown = await asyncio.to_thread(self._session.state)
            return JSONResponse({**state_json(shown), "error": str(error)}, 400)
        return JSONResponse(state_json(state))


async def _action(call: Request) -> Any:
    """What the page sent.

    Raises:
        UserError: it does not fit.
    """
    import json

    wrong = UserError("The page sent something that is no action on a row. Load it again.")
    if int(call.headers.get("content-length", "0")) > MOST_BYTES:
        raise wrong
    try:
        message = json.loads(await call.body())
    except ValueError:
        raise wrong from None
    fits = isinstance(message, dict) and message.get("action") in ACTIONS
    if not fits or not all(isinstance(message.get(name, ""), str) for name in ("row", "label")):
        raise wrong
    return {"row": "", "label": "", **message}


def state_json(state: LabellingState) -> dict[str, Any]:
    """What the page's script draws."""
    row, last = state.row, state.last
    return {
        "row": None if row is None else _row_json(row.key, row.input, row.drawn),
        "suggestion": None if state.suggestion is None else asdict(state.suggestion),
        "labels": [{"name": name, "count": count} for name, count in state.labels],
        "counts": state.counts,
        "advice": {"stop": state.advice.stop, "lines": list(state.advice.lines)},
        "last": None if last is None else {"action": last.action, "label": last.label, "text": state.last_text[:120]},
    }


def _row_json(key: str, fields: Any, drawn: bool) -> dict[str, Any]:
    def part(name: str, text: str) -> dict[str, Any]:
        return {"name": name, "text": text[:LONGEST], "more": max(0, len(text) - LONGEST)}

    return {"key": key, "fields": [part(name, text) for name, text in fields.items()], "drawn": drawn}
