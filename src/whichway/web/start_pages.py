"""Start a run from an uploaded file, or one like another run with changes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from whichway.app import run_form
from whichway.app.run_form import OptionChoice, UploadedData
from whichway.app.run_jobs import RunJobs
from whichway.errors import UserError
from whichway.web.rendering import page

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

LISTS = ("input", "ways")
TEXTS = ("target", "ask", "name", "model", "minutes")


class StartPages:
    """The forms that start runs.

    Args:
        jobs: the folder of runs.
    """

    def __init__(self, jobs: RunJobs) -> None:
        self._jobs = jobs

    def routes(self) -> list[Route]:
        """The routes."""
        from starlette.routing import Route

        return [
            Route("/new", self.upload_form),
            Route("/new", self.upload, methods=["POST"]),
            Route("/new/{upload}", self.form),
            Route("/new/{upload}", self.start, methods=["POST"]),
            Route("/runs/{name}/clone", self.clone),
        ]

    async def upload_form(self, call: Request) -> Response:
        """Where a file is chosen."""
        return page("upload.html.j2", error="")

    async def upload(self, call: Request) -> Response:
        """Keep the file, and go on to its form."""
        from starlette.datastructures import UploadFile
        from starlette.responses import RedirectResponse

        async with call.form(max_files=1) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile) or not file.filename:
                return page("upload.html.j2", 400, error="Choose a file first.")
            name, data = file.filename, await file.read()
        try:
            upload = await asyncio.to_thread(run_form.keep_upload, self._jobs.runs, name, data)
        except UserError as error:
            return page("upload.html.j2", 400, error=str(error))
        return RedirectResponse(f"/new/{upload.id}", 303)

    async def form(self, call: Request) -> Response:
        """The form for an uploaded file, filled with what was found in it."""
        upload = await asyncio.to_thread(run_form.read_upload, self._jobs.runs, call.path_params["upload"])
        choices = {"input": upload.input, "target": upload.target, "ask": upload.ask, "name": upload.path.stem}
        return await self._show(upload, choices)

    async def clone(self, call: Request) -> Response:
        """The form as it was for another run, to be changed."""
        job = self._jobs.find(call.path_params["name"])
        if job is None:
            raise UserError(f"{call.path_params['name']} was not started from this page, so its form is not known.")
        upload = await asyncio.to_thread(run_form.read_upload, self._jobs.runs, str(job.choices["upload"]))
        return await self._show(upload, job.choices)

    async def start(self, call: Request) -> Response:
        """Start the run, or show the form again with what does not fit."""
        from starlette.responses import RedirectResponse

        upload = await asyncio.to_thread(run_form.read_upload, self._jobs.runs, call.path_params["upload"])
        async with call.form() as form:
            choices = choices_of(form, run_form.option_choices()) | {"upload": upload.id}
        name = str(choices["name"]).strip()
        try:
            arguments = run_form.arguments_of(upload, choices)
            await asyncio.to_thread(self._jobs.start, name, arguments, choices)
        except UserError as error:
            return await self._show(upload, choices, str(error))
        return RedirectResponse(f"/runs/{name}", 303)

    async def _show(self, upload: UploadedData, choices: Mapping[str, Any], error: str = "") -> Response:
        ways, models = await asyncio.to_thread(_lists)
        name = str(choices.get("name", ""))
        free = name if error else run_form.free_name(self._jobs.runs, name, self._jobs.names())
        return page(
            "form.html.j2",
            400 if error else 200,
            upload=upload,
            choices={**dict.fromkeys(LISTS, ()), **dict.fromkeys(TEXTS, ""), **choices, "name": free},
            error=error,
            ways=ways,
            models=models,
            options=run_form.option_choices(),
        )


def _lists() -> tuple[list[run_form.WayChoice], list[str]]:
    return run_form.way_choices(), run_form.model_choices()


def choices_of(form: FormData, options: list[OptionChoice]) -> dict[str, Any]:
    """What a form holds, by name."""
    choices: dict[str, Any] = {name: [str(value) for value in form.getlist(name)] for name in LISTS}
    choices |= {name: str(form.get(name, "")) for name in TEXTS}
    for option in options:
        choices[option.name] = option.name in form if option.switch else str(form.get(option.name, ""))
    return choices
