"""The list of runs, one run live, its report, and stop and resume."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from whichway.app import run_watch
from whichway.app.run_jobs import RunJobs
from whichway.errors import WhichwayError
from whichway.web.rendering import fragment, page
from whichway.web.verdict_cache import VerdictCache

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

TICK = 0.4  # seconds between looks at a run's files
_META = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">')
_OWN = "; frame-ancestors 'none'"


class RunPages:
    """Everything about runs that exist.

    Args:
        jobs: the folder of runs.
    """

    def __init__(self, jobs: RunJobs) -> None:
        self._jobs = jobs
        self._reports = VerdictCache(jobs, run_watch.report_page)

    def routes(self) -> list[Route]:
        """The routes."""
        from starlette.routing import Route

        return [
            Route("/", self.listing),
            Route("/runs/{name}", self.run),
            Route("/runs/{name}/report", self.report),
            Route("/runs/{name}/events", self.events),
            Route("/runs/{name}/stop", self.stop, methods=["POST"]),
            Route("/runs/{name}/resume", self.resume, methods=["POST"]),
        ]

    async def listing(self, call: Request) -> Response:
        """Every run."""
        runs = await asyncio.to_thread(run_watch.overviews, self._jobs)
        return page("runs.html.j2", runs=runs, folder=str(self._jobs.runs))

    async def run(self, call: Request) -> Response:
        """One run, which moves while it is held."""
        name = call.path_params["name"]
        progress = await asyncio.to_thread(run_watch.progress, self._jobs, name)
        lines, offset = await asyncio.to_thread(run_watch.log_lines, self._jobs, name, 0)
        return page(
            "run.html.j2",
            progress=progress,
            run=progress.overview,
            scores=progress.scores,
            lines=lines,
            offset=offset,
            job=self._jobs.find(name),
            output=self._jobs.output(name),
        )

    async def report(self, call: Request) -> Response:
        """The report, under the policy that it states itself."""
        from starlette.responses import HTMLResponse

        text = await asyncio.to_thread(self._reports.of, call.path_params["name"])
        policy = _META.search(text)
        assert policy is not None
        return HTMLResponse(text, headers={"content-security-policy": policy[1] + _OWN})

    async def events(self, call: Request) -> Response:
        """What happens in a run, as server-sent events; an event's id is its place in the log, so that none is lost."""
        from starlette.responses import StreamingResponse

        name = call.path_params["name"]
        await asyncio.to_thread(run_watch.overview, self._jobs, name)
        start = call.headers.get("last-event-id") or call.query_params.get("after", "0")
        stream = self._stream(call, name, int(start) if start.isdecimal() else 0)
        return StreamingResponse(stream, media_type="text/event-stream")

    async def _stream(self, call: Request, name: str, offset: int) -> AsyncIterator[str]:
        before, state = None, "running"
        while True:
            now = await asyncio.to_thread(_stamps, self._jobs, name)
            lines, offset = await asyncio.to_thread(run_watch.log_lines, self._jobs, name, offset)
            if lines:
                yield f"id: {offset}\nevent: log\ndata: {json.dumps(lines)}\n\n"
            if now != before:
                before = now
                text, state = await asyncio.to_thread(self._standings, name)
                yield f"event: standings\ndata: {json.dumps(text)}\n\n"
            if state != "running" and not lines:
                yield "event: end\ndata: {}\n\n"
                return
            if await call.is_disconnected():
                return
            await asyncio.sleep(TICK)

    def _standings(self, name: str) -> tuple[str, str]:
        try:
            progress = run_watch.progress(self._jobs, name)
        except WhichwayError as error:  # a file that is being written
            return fragment("notice.html.j2", {"message": str(error)}), "running"
        values = {"progress": progress, "run": progress.overview, "scores": progress.scores}
        return fragment("standings.html.j2", values), progress.overview.state

    async def stop(self, call: Request) -> Response:
        """Stop a run that the page started; what is done is kept."""
        await asyncio.to_thread(self._jobs.stop, call.path_params["name"])
        return _back(call)

    async def resume(self, call: Request) -> Response:
        """Go on with a run that was stopped."""
        await asyncio.to_thread(self._jobs.resume, call.path_params["name"])
        return _back(call)


def _stamps(jobs: RunJobs, name: str) -> tuple[object, ...]:
    """What changes when a run does: sizes and times of its files, and whether its process lives."""
    folder, job = jobs.runs / name, jobs.find(name)
    paths = [folder / word for word in ("plan.json", "records.jsonl", "ledger.jsonl", "race.json", "verdict.json")]
    paths += sorted(folder.glob("ways/*/status.json"))
    stats = [path.stat() for path in paths if path.exists()]
    return (*((s.st_size, s.st_mtime_ns) for s in stats), job is not None and jobs.running(job))


def _back(call: Request) -> Response:
    from starlette.responses import RedirectResponse

    return RedirectResponse(f"/runs/{call.path_params['name']}", 303)
