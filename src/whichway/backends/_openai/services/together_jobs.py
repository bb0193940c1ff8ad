"""Together's fine-tuning protocol, as its API reference of November 2026 shows it: LoRA on open models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from whichway.backends._openai.job_calls import JobCalls
from whichway.backends._openai.job_services import (
    JobCheckpoint,
    JobSpec,
    JobState,
    JobStep,
    RowLimits,
    Status,
    base_notice,
    between,
    number,
)

_STATUS: Mapping[str, Status] = {
    "pending": "waiting", "queued": "waiting", "running": "running", "compressing": "running", "uploading": "running",
    "cancel_requested": "running", "cancelled": "cancelled", "user_error": "failed", "error": "failed",
    "completed": "succeeded",
}  # fmt: skip
LIMITS = RowLimits(1, 25 * 1024**3)


@dataclass(frozen=True, slots=True)
class TogetherJobs:
    """The protocol at Together."""

    calls: JobCalls
    limits: RowLimits = LIMITS

    def upload(self, name: str, content: bytes) -> str:
        """Send a file of rows; its id."""
        fields = {"purpose": "fine-tune", "file_name": name, "file_type": "jsonl"}
        return str(self.calls.upload("/files/upload", fields, name, content)["id"])

    def create(self, spec: JobSpec) -> JobState:
        """Start a LoRA job with a checkpoint after each epoch."""
        body: dict[str, Any] = {
            "training_file": spec.file, "model": spec.model, "n_epochs": spec.epochs, "n_checkpoints": spec.epochs,
            "suffix": spec.name[:40], "training_type": {"type": "Lora"}, "training_method": {"method": "sft"},
            "random_seed": spec.seed,
        }  # fmt: skip
        if spec.batch is not None:
            body["batch_size"] = spec.batch
        if spec.rate is not None:
            body["learning_rate"] = spec.rate
        return _state(self.calls.post("/fine-tunes", body, repeat=False))

    def search(self, file: str) -> JobState | None:
        """The job that trains on a file."""
        jobs = self.calls.get("/fine-tunes").get("data") or ()
        return next((_state(job) for job in jobs if job.get("training_file") == file), None)

    def state(self, job: str) -> JobState:
        """Where a job stands."""
        return _state(self.calls.get(f"/fine-tunes/{job}"))

    def progress(self, job: str) -> JobStep | None:
        """The newest step that an event tells with its loss; most events tell neither."""
        return JobStep.newest(self.calls.get(f"/fine-tunes/{job}/events").get("data") or ())

    def checkpoints(self, job: str) -> list[JobCheckpoint]:
        """The intermediate checkpoints, each asked as `MODEL:STEP`."""
        model = self.state(job).model
        entries = self.calls.get(f"/fine-tunes/{job}/checkpoints").get("data") or ()
        middle = [entry for entry in entries if "intermediate" in str(entry.get("checkpoint_type", "")).lower()]
        return [JobCheckpoint(f"{model}:{entry['step']}", int(entry["step"])) for entry in middle]

    def ready(self, model: str) -> None:
        """Nothing to do where its base answers without a machine of one's own; elsewhere the first call says so."""

    def cancel(self, job: str) -> None:
        """Stop a job."""
        self.calls.post(f"/fine-tunes/{job}/cancel", {})

    def discard(self, file: str) -> None:
        """Delete a file."""
        self.calls.delete(f"/files/{file}")

    def notice(self, model: str) -> str:
        """What models.yaml says of the base."""
        return base_notice(self.calls)


def _state(job: Mapping[str, Any]) -> JobState:
    events = job.get("events") or ()
    errors = [str(event.get("message")) for event in events if "error" in str(event.get("type", "")).lower()]
    return JobState(
        id=str(job.get("id") or job.get("job_id")),
        status=_STATUS.get(str(job.get("status")), "running"),
        model=str(job.get("model_output_name") or job.get("output_name") or ""),
        message=errors[-1] if errors else "",
        trained_tokens=number(job.get("token_count")) or None,
        seconds=between(job.get("created_at"), job.get("updated_at")),
    )
