"""Chat with two candidates of a run side by side, each proved to be what its pane says; thumbs and corrections."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from whichway.app import run_watch
from whichway.app.run_chat import RunChat, open_chat
from whichway.app.run_jobs import RunJobs
from whichway.errors import UserError
from whichway.web.rendering import fragment, page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

MOST = 2  # runs whose candidates are ready: each holds models


class ChatPages:
    """The chats of finished runs.

    Args:
        jobs: the folder of runs.
    """

    def __init__(self, jobs: RunJobs) -> None:
        self._jobs = jobs
        self._open: dict[str, RunChat] = {}  # the one that was used last stands last
        self._opening = asyncio.Lock()

    def routes(self) -> list[Route]:
        """The routes."""
        from starlette.routing import Route

        place = "/runs/{name}/chat"
        return [
            Route(place, self.show),
            Route(f"{place}/proof", self.proof),
            Route(f"{place}/completions", self.ask, methods=["POST"]),
            Route(f"{place}/feedback", self.feedback, methods=["POST"]),
        ]

    async def close(self) -> None:
        """Close every chat; what is being answered is finished before."""
        while self._open:
            await self._open.popitem()[1].__aexit__(None, None, None)

    async def show(self, call: Request) -> Response:
        """Two panes and one line to type in."""
        name = call.path_params["name"]
        chat = await self._of(name)
        models = chat.models()
        usual = [models[0].name, models[-1].name]  # the winner, and the base where it can be asked
        names = [call.query_params.get(side) or usual[place] for place, side in enumerate(("left", "right"))]
        panes = [chat.model(one) for one in names]
        fields = max((pane.fields for pane in panes), key=len) or ("text",)
        return page(
            "chat.html.j2",
            run=name,
            models=models,
            panes=panes,
            fields=fields,
            conversation=any(pane.conversation for pane in panes),
        )

    async def proof(self, call: Request) -> Response:
        """What was seen of a candidate when it was asked with and without its trained part."""
        from starlette.responses import HTMLResponse

        chat = await self._of(call.path_params["name"])
        proof = await chat.proof(call.query_params.get("model", ""))
        return HTMLResponse(fragment("proof.html.j2", {"proof": proof}))

    async def ask(self, call: Request) -> Response:
        """One answer, in OpenAI's protocol."""
        return await self._held(call).chat(call)

    async def feedback(self, call: Request) -> Response:
        """A thumb or a correction."""
        return await self._held(call).feedback(call)

    def _held(self, call: Request) -> RunChat:
        name = call.path_params["name"]
        if name not in self._open:
            raise UserError("this chat is closed. Load the page again.")
        return self._open[name]

    async def _of(self, name: str) -> RunChat:
        """The run's chat; opened where it is not, and then the one that was used longest ago is closed."""
        async with self._opening:
            chat = self._open.pop(name, None)
            if chat is None:
                chat = await asyncio.to_thread(self._read, name)
                await chat.__aenter__()
            self._open[name] = chat
            while len(self._open) > MOST:
                oldest = self._open.pop(next(iter(self._open)))
                await oldest.__aexit__(None, None, None)
            return chat

    def _read(self, name: str) -> RunChat:
        run_watch.overview(self._jobs, name)  # raises where there is no such run
        return open_chat(self._jobs.runs / name)
