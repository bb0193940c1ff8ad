"""The playground of a run: a prompt in slots, linted while it is typed, scored beside the request."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from whichway.app import run_watch
from whichway.app.prompt_form import carried, filled, slots_of
from whichway.app.run_jobs import RunJobs
from whichway.app.run_playground import RunPlayground, open_playground, prompt_file
from whichway.errors import UserError
from whichway.nouns import Prompt
from whichway.web.rendering import fragment, page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

AT_ONCE = 2.0  # seconds that the page waits for a playground to open
MOST = 2  # playgrounds that are open: each holds a model
OWN = ("base", "reference", "whole")  # of the form, beside the slots


class PlaygroundPages:
    """The playgrounds of finished runs.

    Args:
        jobs: the folder of runs.
    """

    def __init__(self, jobs: RunJobs) -> None:
        self._jobs = jobs
        self._open: dict[str, RunPlayground] = {}  # the one that was used last stands last
        self._guard = threading.Lock()

    def routes(self) -> list[Route]:
        """The routes."""
        from starlette.routing import Route

        place = "/runs/{name}/playground"
        return [
            Route(place, self.show),
            Route(f"{place}/state", self.state),
            Route(f"{place}/lint", self.lint, methods=["POST"]),
            Route(f"{place}/score", self.score, methods=["POST"]),
            Route(f"{place}/trials/{{number:int}}", self.trial),
            Route(f"{place}/prompts/{{key}}.yaml", self.prompt),
        ]

    def close(self) -> None:
        """Close every playground."""
        for playground in self._open.values():
            playground.close()
        self._open.clear()

    async def show(self, call: Request) -> Response:
        """The editor; a page that waits while the task is read."""
        name = call.path_params["name"]
        playground = await asyncio.to_thread(self._of, name)
        try:
            ready = await asyncio.to_thread(playground.ready, AT_ONCE)
        except UserError:
            self._open.pop(name, None)  # the next try opens it anew
            raise
        if not ready:
            return page("playground_opening.html.j2", run=name)
        start = call.query_params.get("start") or playground.starts[0].key
        base = playground.prompt(start)
        reference = call.query_params.get("reference") or start
        playground.prompt(reference)
        return page(
            "playground.html.j2",
            run=name,
            playground=playground,
            start=start,
            reference=reference,
            slots=slots_of(base),
            carried=carried(base),
            findings=await asyncio.to_thread(playground.lint, base),
        )

    async def state(self, call: Request) -> Response:
        """Whether the playground can be used."""
        from starlette.responses import JSONResponse

        playground = self._open.get(call.path_params["name"])
        try:
            return JSONResponse({"ready": playground is None or playground.ready()})
        except UserError:
            return JSONResponse({"ready": True})  # the page says why it cannot

    async def lint(self, call: Request) -> Response:
        """What lint finds in the prompt as it is typed."""
        from starlette.responses import HTMLResponse

        playground, prompt, _ = await self._typed(call)
        findings = await asyncio.to_thread(playground.lint, prompt)
        return HTMLResponse(fragment("lint.html.j2", {"findings": findings}))

    async def score(self, call: Request) -> Response:
        """Begin to score the prompt; the answer names the trial."""
        from starlette.responses import JSONResponse

        playground, prompt, own = await self._typed(call)
        number = playground.begin(prompt, playground.prompt(own["reference"]), own.get("whole") == "on")
        return JSONResponse({"number": number})

    async def trial(self, call: Request) -> Response:
        """Where a trial stands, with its result as HTML once there is one."""
        from starlette.responses import JSONResponse

        trial = self._held(call.path_params["name"]).trial(call.path_params["number"])
        values = {"trial": trial, "run": call.path_params["name"]}
        over = trial.state in ("done", "failed")
        facts = {"state": trial.state, "done": trial.done, "of": trial.of, "key": trial.key, "words": trial.words}
        return JSONResponse({**facts, "html": fragment("trial.html.j2", values) if over else ""})

    async def prompt(self, call: Request) -> Response:
        """A prompt as the file that `whichway run --prompt` takes."""
        from starlette.responses import PlainTextResponse

        text = prompt_file(self._held(call.path_params["name"]).prompt(call.path_params["key"]))
        return PlainTextResponse(text, headers={"content-disposition": 'attachment; filename="prompt.yaml"'})

    async def _typed(self, call: Request) -> tuple[RunPlayground, Prompt, dict[str, str]]:
        """The playground, the prompt of a form, and what else the form holds."""
        playground = self._held(call.path_params["name"])
        async with call.form() as form:
            values = {name: str(value) for name, value in form.items()}
        own = {name: values.pop(name) for name in OWN if name in values}
        if not {"base", "reference"} <= own.keys():
            raise UserError("the form is not whole. Load the page again.")
        return playground, filled(playground.prompt(own["base"]), values), own

    def _held(self, name: str) -> RunPlayground:
        if name not in self._open:
            raise UserError("this playground is closed. Load the page again.")
        return self._open[name]

    def _of(self, name: str) -> RunPlayground:
        """The run's playground; opened where it is not, and then the one that was used longest ago is closed."""
        with self._guard:
            playground = self._open.pop(name, None)
            if playground is None:
                run_watch.overview(self._jobs, name)  # raises where there is no such run
                playground = open_playground(self._jobs.runs, name)
            self._open[name] = playground
            while len(self._open) > MOST:
                self._open.pop(next(iter(self._open))).close()
            return playground
