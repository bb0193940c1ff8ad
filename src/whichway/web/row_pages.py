"""The test rows of a finished run, with thumbs and corrections on their answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from whichway.app.run_jobs import RunJobs
from whichway.app.run_rows import FILTERS, RunRows
from whichway.web.rendering import page
from whichway.web.verdict_cache import VerdictCache

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route


class RowPages:
    """Rows side by side over all ways.

    Args:
        jobs: the folder of runs.
    """

    def __init__(self, jobs: RunJobs) -> None:
        self._rows = VerdictCache(jobs, RunRows)

    def routes(self) -> list[Route]:
        """The routes."""
        from starlette.routing import Route

        return [
            Route("/runs/{name}/rows", self.show),
            Route("/runs/{name}/rows/feedback", self.feedback, methods=["POST"]),
        ]

    async def show(self, call: Request) -> Response:
        """A page of rows."""
        name = call.path_params["name"]
        rows = await asyncio.to_thread(self._rows.of, name)
        query = {key: call.query_params.get(key, usual) for key, usual in (("show", "all"), ("find", ""))}
        number = call.query_params.get("page", "1")
        page_number = int(number) if number.isdecimal() else 1
        shown = await asyncio.to_thread(rows.page, query["show"], query["find"], page_number)
        places = {step: urlencode({**query, "page": shown.number + by}) for step, by in (("before", -1), ("after", 1))}
        return page(
            "rows.html.j2", run=name, shown=shown, query=query, filters=FILTERS, places=places, labels=rows.labels
        )

    async def feedback(self, call: Request) -> Response:
        """A thumb or a correction."""
        rows = await asyncio.to_thread(self._rows.of, call.path_params["name"])
        return await rows.feedback(call)
