"""OpenAI's fine-tuning protocol: files, jobs, events, checkpoints. Azure, LiteLLM and `whichway serve` speak it, too.

The forms are those of OpenAI's published API description. OpenAI itself takes no new jobs from `CLOSES` on (notice of
2026-05-07); models that were trained before go on answering until their base is switched off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from whichway.backends._openai.calls import RowRefused
from whichway.backends._openai.job_calls import JobCalls
from whichway.backends._openai.job_services import (
    JobCheckpoint,
    JobSpec,
    JobState,
    JobStep,
    RowLimits,
    Status,
    number,
    real,
)
from whichway.errors import EndpointError
from whichway.models import endpoints

OWN_HOST, CLOSES = "api.openai.com", "2027-01-06"
PAGES = 20  # of a hundred jobs each, looked through for one of ours
_STATUS: Mapping[str, Status] = {
    "validating_files": "waiting", "queued": "waiting", "paused": "waiting", "running": "running",
    "succeeded": "succeeded", "failed": "failed", "cancelled": "cancelled",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class OpenAIJobs:
    """The protocol at one endpoint."""

    calls: JobCalls
    limits: RowLimits = field(default_factory=RowLimits)

    def __post_init__(self) -> None:
        """OpenAI's own limits hold at OpenAI; other servers say themselves what they do not take."""
        if endpoints.host(self.calls.endpoint) == OWN_HOST:
            object.__setattr__(self, "limits", RowLimits(10, 512 * 1024 * 1024, 65_536))

    def upload(self, name: str, content: bytes) -> str:
        """Send a file of rows; its id."""
        return str(self.calls.upload("/files", {"purpose": "fine-tune"}, name, content)["id"])

    def create(self, spec: JobSpec) -> JobState:
        """Start a supervised job."""
        numbers: dict[str, Any] = {"n_epochs": spec.epochs}
        if spec.batch is not None:
            numbers["batch_size"] = spec.batch
        if spec.rate is not None:
            numbers["learning_rate_multiplier"] = spec.rate
        body = {
            "model": spec.model, "training_file": spec.file, "suffix": spec.name, "seed": spec.seed,
            "method": {"type": "supervised", "supervised": {"hyperparameters": numbers}},
        }  # fmt: skip
        return _state(self.calls.post("/fine_tuning/jobs", body, repeat=False))

    def search(self, file: str) -> JobState | None:
        """The newest job that trains on a file."""
        jobs = self._pages("/fine_tuning/jobs")
        return next((_state(job) for job in jobs if job.get("training_file") == file), None)

    def state(self, job: str) -> JobState:
        """Where a job stands."""
        return _state(self.calls.get(f"/fine_tuning/jobs/{job}"))

    def progress(self, job: str) -> JobStep | None:
        """The newest step of its metrics events."""
        events = self.calls.get(f"/fine_tuning/jobs/{job}/events", limit=20).get("data") or ()
        return JobStep.newest(event.get("data") or {} for event in events)

    def checkpoints(self, job: str) -> list[JobCheckpoint]:
        """The checkpoints at the ends of the last epochs."""
        return [
            JobCheckpoint(
                str(one["fine_tuned_model_checkpoint"]),
                int(one["step_number"]),
                real((one.get("metrics") or {}).get("train_loss")),
            )
            for one in self._pages(f"/fine_tuning/jobs/{job}/checkpoints")
        ]

    def ready(self, model: str) -> None:
        """Nothing to do: it answers at once."""

    def cancel(self, job: str) -> None:
        """Stop a job."""
        self.calls.post(f"/fine_tuning/jobs/{job}/cancel", {})

    def discard(self, file: str) -> None:
        """Delete a file."""
        self.calls.delete(f"/files/{file}")

    def notice(self, model: str) -> str:
        """When the model is switched off, as the list of models says it; and that OpenAI trains no others."""
        try:
            facts = self.calls.get(f"/models/{model}")
        except (RowRefused, EndpointError):  # not every server lists what it tuned
            facts = {}
        date = facts.get("shutdown_date") or facts.get("available_until") or self.calls.endpoint.retires
        lines = [f"is switched off by its provider on {date}" if date else ""]
        if endpoints.host(self.calls.endpoint) == OWN_HOST:
            lines.append(f"cannot be trained again at OpenAI, which takes no new fine-tuning jobs from {CLOSES} on")
        return " and ".join(line for line in lines if line)

    def _pages(self, path: str) -> Iterator[Mapping[str, Any]]:
        """All entries of a list, page by page."""
        query: dict[str, Any] = {"limit": 100}
        for _ in range(PAGES):
            page = self.calls.get(path, **query)
            entries = page.get("data") or []
            yield from entries
            if not page.get("has_more") or not entries:
                return
            query["after"] = entries[-1]["id"]


def _state(job: Mapping[str, Any]) -> JobState:
    error = job.get("error") or {}
    created, finished = number(job.get("created_at")), number(job.get("finished_at"))
    return JobState(
        id=str(job["id"]),
        status=_STATUS.get(str(job.get("status")), "running"),
        model=str(job.get("fine_tuned_model") or ""),
        message=str(error.get("message") or error.get("code") or "") if isinstance(error, Mapping) else str(error),
        trained_tokens=number(job.get("trained_tokens")),
        seconds=float(finished - created) if created is not None and finished is not None else None,
    )
