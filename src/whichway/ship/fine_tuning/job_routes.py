"""`/v1/files` and `/v1/fine_tuning/jobs` as OpenAI's clients ask them."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whichway.contracts import Backend
from whichway.errors import did_you_mean
from whichway.nouns import Reply, Request
from whichway.ship.batching import ContinuousBatcher
from whichway.ship.fine_tuning.job_request import JobRequest, parse_job, resolved
from whichway.ship.fine_tuning.job_runner import JobRunner, trains
from whichway.ship.fine_tuning.job_store import OPEN, JobStore
from whichway.ship.protocol import Refused
from whichway.ship.served_models import ServedModel

if TYPE_CHECKING:
    from starlette.requests import Request as Call
    from starlette.responses import Response
    from starlette.routing import Route

_PIECE = 1 << 20  # bytes copied at once
_PAGE, _MOST = 20, 100  # entries of a list: unless the client says how many, and at most
_FILES = 10_000  # entries of the list of files at most, as OpenAI has it
_JOB_FACTS = (
    *("error", "fine_tuned_model", "finished_at", "hyperparameters", "model", "result_files", "seed"),
    *("trained_tokens", "training_file", "validation_file", "estimated_finish", "metadata", "method"),
)


class FineTuning:
    """The handlers; as a context the jobs are worked off.

    Args:
        store: files and jobs.
        backends: backend name -> backend.
        models: model id -> what it stands for; fine-tuned models are added.
        batcher: answers the rows of a validation file.
    """

    def __init__(
        self,
        store: JobStore,
        backends: Mapping[str, Backend],
        models: MutableMapping[str, ServedModel],
        batcher: ContinuousBatcher,
    ) -> None:
        self._store, self._models, self._backends, self._batcher = store, models, backends, batcher
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runner = JobRunner(store, backends, models, self._ask)

    async def __aenter__(self) -> FineTuning:
        self._loop = asyncio.get_running_loop()
        self._runner.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.to_thread(self._runner.stop)
        self._store.close()

    def _ask(self, served: ServedModel, requests: list[Request]) -> list[Reply]:
        """Answers, for a thread."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(self._batcher.ask(served, requests), self._loop).result()

    def routes(self) -> list[Route]:
        """All of them."""
        from starlette.routing import Route

        jobs = "/v1/fine_tuning/jobs"
        return [
            Route("/v1/files", self.upload, methods=["POST"]),
            Route("/v1/files", self.files),
            Route("/v1/files/{file}", self.file),
            Route("/v1/files/{file}", self.delete_file, methods=["DELETE"]),
            Route("/v1/files/{file}/content", self.content),
            Route(jobs, self.create, methods=["POST"]),
            Route(jobs, self.jobs),
            Route(f"{jobs}/{{job}}", self.job),
            Route(f"{jobs}/{{job}}/cancel", self.cancel, methods=["POST"]),
            Route(f"{jobs}/{{job}}/events", self.events),
            Route(f"{jobs}/{{job}}/checkpoints", self.checkpoints),
        ]

    # Files

    async def upload(self, call: Call) -> Response:
        """Take a file, in a form of the fields `purpose` and `file`."""
        from starlette.datastructures import UploadFile
        from starlette.exceptions import HTTPException

        try:
            form = await call.form(max_files=1, max_fields=8)
        except (HTTPException, AssertionError) as error:
            raise Refused(f"the body is no form with a file: {error}", "file") from error
        purpose, file = form.get("purpose"), form.get("file")
        if not isinstance(file, UploadFile):
            raise Refused("'file' is missing: send a form (multipart/form-data) with 'purpose' and 'file'", "file")
        if purpose != "fine-tune":
            raise Refused("purpose: only 'fine-tune' is served here", "purpose")
        with tempfile.NamedTemporaryFile(prefix="whichway-upload-", delete=False) as out:
            while piece := await file.read(_PIECE):
                out.write(piece)
        try:
            row = await asyncio.to_thread(self._store.add_file, file.filename or "file", purpose, Path(out.name))
        finally:
            Path(out.name).unlink(missing_ok=True)
        return _json(_file(row))

    async def files(self, call: Call) -> Response:
        """All files."""
        rows = self._store.files()
        purpose = call.query_params.get("purpose")
        if call.query_params.get("order") == "asc":
            rows.reverse()
        chosen = [_file(row) for row in rows if purpose is None or row["purpose"] == purpose]
        page = _page(call, chosen, _FILES, _FILES)
        return _json({**page, **_ends(page, "")})  # the published schema knows no null there

    async def file(self, call: Call) -> Response:
        """One file."""
        return _json(_file(self._file(call)))

    async def content(self, call: Call) -> Response:
        """The bytes of a file."""
        from starlette.responses import FileResponse

        row = self._file(call)
        return FileResponse(self._store.content(row["id"]), media_type="application/octet-stream")

    async def delete_file(self, call: Call) -> Response:
        """Delete a file that no open job wants."""
        row = self._file(call)
        for job in self._store.jobs():
            if job["status"] in OPEN and row["id"] in (job["training_file"], job["validation_file"]):
                raise Refused(f"{row['id']} is wanted by {job['id']}, which is {job['status']}", "file_id", 409)
        self._store.delete_file(row["id"])
        return _json({"id": row["id"], "object": "file", "deleted": True})

    def _file(self, call: Call) -> dict[str, Any]:
        return self._known_file(call.path_params["file"], "file_id", 404)

    def _known_file(self, name: str, param: str, status: int) -> dict[str, Any]:
        row = self._store.file(name)
        if row is None:
            raise Refused(f"there is no file '{name}'", param, status)
        return row

    # Jobs

    async def create(self, call: Call) -> Response:
        """Create a job."""
        request = parse_job(await call.body())
        self._check_model(request)
        for param, name in (("training_file", request.training_file), ("validation_file", request.validation_file)):
            if name is not None and self._known_file(name, param, 400)["purpose"] != "fine-tune":
                raise Refused(f"{param}: the purpose of '{name}' is not 'fine-tune'", param)
        numbers = resolved(request.kind, request.numbers)
        facts: dict[str, Any] = {
            "model": request.model,
            "training_file": request.training_file,
            "validation_file": request.validation_file,
            "suffix": request.suffix,
            "seed": random.randrange(2**31) if request.seed is None else request.seed,
            "method": {"type": request.kind, request.kind: {"hyperparameters": numbers}},
            "hyperparameters": {key: value for key, value in numbers.items() if key != "beta"},
            "metadata": request.metadata,
            "result_files": [],
            **dict.fromkeys(("error", "fine_tuned_model", "finished_at", "trained_tokens", "estimated_finish")),
        }
        job = self._store.add_job(facts)
        self._runner.submit(job["id"])
        return _json(_job(job))

    def _check_model(self, request: JobRequest) -> None:
        served = self._models.get(request.model)
        if served is None:
            message = f"there is no model '{request.model}'.{did_you_mean(request.model, self._models)}"
            raise Refused(message, "model", 404, "model_not_found")
        if not trains(self._backends[served.weights.backend], served, request.kind):
            able = [name for name, other in self._models.items()
                    if trains(self._backends[other.weights.backend], other, request.kind)]  # fmt: skip
            others = f"Take one of: {', '.join(able[:8])}." if able else "No model that is served here can be."
            message = f"'{request.model}' cannot be fine-tuned here by the method '{request.kind}'. {others}"
            raise Refused(message, "model", code="model_not_available")

    async def jobs(self, call: Call) -> Response:
        """All jobs, the newest first."""
        wanted = {key[9:-1]: value for key, value in call.query_params.items() if key.startswith("metadata[")}
        jobs = [job for job in self._store.jobs() if wanted.items() <= (job["metadata"] or {}).items()]
        return _json(_page(call, [_job(job) for job in jobs]))

    async def job(self, call: Call) -> Response:
        """One job."""
        return _json(_job(self._job(call)))

    async def cancel(self, call: Call) -> Response:
        """Cancel a job that is not over."""
        job = self._job(call)
        if not self._runner.cancel(job["id"]):
            raise Refused(f"{job['id']} is over: {self._job(call)['status']}", "fine_tuning_job_id")
        return _json(_job(self._job(call)))

    async def events(self, call: Call) -> Response:
        """What happened to a job, the newest first."""
        facts = ("id", "created_at", "level", "message", "type", "data")
        rows = self._store.events(self._job(call)["id"])
        return _json(_page(call, [_only(row, facts, object="fine_tuning.job.event") for row in rows]))

    async def checkpoints(self, call: Call) -> Response:
        """A job's checkpoints, the newest first."""
        rows = self._store.checkpoints(self._job(call)["id"])
        page = _page(call, [_checkpoint(row) for row in rows], 10)
        return _json({**page, **_ends(page, None)})

    def _job(self, call: Call) -> dict[str, Any]:
        name = call.path_params["job"]
        job = self._store.job(name)
        if job is None:
            raise Refused(f"there is no job '{name}'", "fine_tuning_job_id", 404, "fine_tune_not_found")
        return job


def _json(value: Any) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse(value)


def _only(row: Mapping[str, Any], names: Sequence[str], **more: Any) -> dict[str, Any]:
    return {**{name: row[name] for name in names}, **more}


def _file(row: Mapping[str, Any]) -> dict[str, Any]:
    return _only(row, ("id", "object", "bytes", "created_at", "filename", "purpose", "status"))


def _job(job: Mapping[str, Any]) -> dict[str, Any]:
    more = {"object": "fine_tuning.job", "organization_id": "org-local", "integrations": []}
    return _only(job, ("id", "created_at", "status", *_JOB_FACTS), **more)


def _checkpoint(row: Mapping[str, Any]) -> dict[str, Any]:
    names = {"fine_tuned_model_checkpoint": row["name"], "fine_tuning_job_id": row["job"]}
    return _only(row, ("id", "created_at", "step_number", "metrics"), object="fine_tuning.job.checkpoint", **names)


def _ends(page: Mapping[str, Any], none: str | None) -> dict[str, str | None]:
    """The first and the last id of a page; `none`, where it is empty."""
    ids = [row["id"] for row in page["data"]] or [none]
    return {"first_id": ids[0], "last_id": ids[-1]}


def _page(call: Call, rows: list[dict[str, Any]], size: int = _PAGE, most: int = _MOST) -> dict[str, Any]:
    """The part of a list that the client asks for by `limit` and `after`."""
    word = call.query_params.get("limit", str(size))
    if not (word.isdecimal() and 1 <= int(word) <= most):
        raise Refused(f"limit: a whole number from 1 to {most}", "limit")
    after, start = call.query_params.get("after"), 0
    if after is not None:
        places = [place for place, row in enumerate(rows) if row["id"] == after]
        if not places:
            raise Refused(f"there is no entry '{after}' to go on after", "after", 404)
        start = places[0] + 1
    end = start + int(word)
    return {"object": "list", "data": rows[start:end], "has_more": end < len(rows)}
