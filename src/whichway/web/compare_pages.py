"""Two finished runs against each other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from whichway.app import run_watch
from whichway.app.compare import compare
from whichway.app.run_jobs import RunJobs
from whichway.errors import UserError
from whichway.report.compare import shared
from whichway.report.formatting import ScoreText
from whichway.web.rendering import page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

CONFIDENCE = 0.95


class ComparePages:
    """The comparison of two runs.

    Args:
        jobs: the folder of runs.
    """

    def __init__(self, jobs: RunJobs) -> None:
        self._jobs = jobs

    def routes(self) -> list[Route]:
        """The routes."""
        from starlette.routing import Route

        return [Route("/compare", self.compare)]

    async def compare(self, call: Request) -> Response:
        """What both chose, or a way of each, paired on the test rows that both have."""
        return await asyncio.to_thread(self._compare, call)

    def _compare(self, call: Request) -> Response:
        words = {name: call.query_params.get(name, "") for name in ("first", "second", "one", "two")}
        runs = run_watch.overviews(self._jobs)
        finished = [run.name for run in runs if run.title]
        if not words["first"] or not words["second"]:
            raise UserError("Choose two finished runs in the list.")
        sides = [run_watch.progress(self._jobs, words[name]) for name in ("first", "second")]
        ways = [[way.name for way in side.ways if way.score is not None] for side in sides]
        choices = [side.verdict.choice if side.verdict else None for side in sides]
        one, two = words["one"] or choices[0] or "", words["two"] or choices[1] or ""
        folders = [self._jobs.runs / words[name] for name in ("first", "second")]
        result = compare(folders[0], folders[1], (one, two), CONFIDENCE)
        scores: ScoreText = sides[0].scores
        return page(
            "compare.html.j2",
            result=result,
            scores=scores,
            shared=shared(result),
            finished=finished,
            ways=ways,
            chosen={**words, "one": one, "two": two},
        )
