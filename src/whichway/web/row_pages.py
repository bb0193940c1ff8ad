"""The test rows of a finished run, with thumbs and corrections on their answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from whichway.app import run_watch
from whichway.app.run_jobs import RunJobs
from whichway.app.run_rows import FILTERS, RunRows
from whichway.web.rendering import page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

MOST = 4  # runs whose rows are held


class RowPages:
    """Rows side by side over all ways.

    Args:
        jobs: the folder of runs.
    """

    def __init__(self, jobs: RunJobs) -> None:
        self._jobs = jobs
        self._rows: dict[str, tuple[float, RunRows]] = {}  # run -> when its verdict was written, its rows

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
        rows = await asyncio.to_thread(self._of, name)
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
        rows = await asyncio.to_thread(self._of, call.path_params["name"])
        return await rows.feedback(call)

    def _of(self, name: str) -> RunRows:
        run_watch.overview(self._jobs, name)  # raises where there is no such run
        folder = self._jobs.runs / name
        file = folder / "verdict.json"
        when = file.stat().st_mtime if file.exists() else 0.0
        if name not in self._rows or self._rows[name][0] != when:
            self._rows.pop(name, None)
            self._rows[name] = when, RunRows(folder)
            while len(self._rows) > MOST:
                self._rows.pop(next(iter(self._rows)))
        return self._rows[name][1]
