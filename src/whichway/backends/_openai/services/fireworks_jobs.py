"""Fireworks' fine-tuning protocol, as its API reference of November 2026 shows it: LoRA on open models.

Data sets and jobs belong to an account, which models.yaml names (`tuning: {service: fireworks, account: NAME}`). A
tuned model answers after it was loaded, onto a deployment of one's own where models.yaml names one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from whichway.backends._openai.calls import RowRefused
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
from whichway.errors import EndpointError

_STATUS: Mapping[str, Status] = {
    "JOB_STATE_CREATING": "waiting", "JOB_STATE_PENDING": "waiting", "JOB_STATE_VALIDATING": "waiting",
    "JOB_STATE_RUNNING": "running", "JOB_STATE_WRITING_RESULTS": "running", "JOB_STATE_COMPLETED": "succeeded",
    "JOB_STATE_FAILED": "failed", "JOB_STATE_FAILED_CLEANING_UP": "failed", "JOB_STATE_EXPIRED": "failed",
    "JOB_STATE_CANCELLED": "cancelled", "JOB_STATE_DELETING": "cancelled",
}  # fmt: skip
LIMITS = RowLimits(3, 150 * 1024 * 1024)  # larger files go up another way


@dataclass(frozen=True, slots=True)
class FireworksJobs:
    """The protocol at Fireworks."""

    calls: JobCalls
    limits: RowLimits = LIMITS

    @property
    def _account(self) -> str:
        """The address of what belongs to the account; the models themselves answer at another one."""
        parts, account = urlsplit(self.calls.endpoint.base_url), self.calls.endpoint.tuning.account
        return f"{parts.scheme}://{parts.netloc}/v1/accounts/{account}"

    def upload(self, name: str, content: bytes) -> str:
        """Make a data set and fill it; its name. One that is there already is ours: the name tells its content."""
        dataset = name.partition(".")[0]
        body = {"datasetId": dataset, "dataset": {"userUploaded": {}, "exampleCount": str(content.count(b"\n"))}}
        try:
            self.calls.post(f"{self._account}/datasets", body)
        except RowRefused as refused:
            if refused.status != 409 and "already exists" not in str(refused).lower():
                raise
        self.calls.upload(f"{self._account}/datasets/{dataset}:upload", {}, name, content)
        return f"accounts/{self.calls.endpoint.tuning.account}/datasets/{dataset}"

    def create(self, spec: JobSpec) -> JobState:
        """Start a supervised job."""
        body: dict[str, Any] = {"dataset": spec.file, "baseModel": spec.model, "epochs": spec.epochs}
        body["displayName"] = f"{spec.name}-{spec.seed}"
        if spec.batch is not None:
            body["batchSizeSamples"] = spec.batch
        if spec.rate is not None:
            body["learningRate"] = spec.rate
        return _state(self.calls.post(f"{self._account}/supervisedFineTuningJobs", body, repeat=False))

    def search(self, file: str) -> JobState | None:
        """The job that trains on a data set."""
        jobs = self.calls.get(f"{self._account}/supervisedFineTuningJobs", pageSize=200)
        entries = jobs.get("supervisedFineTuningJobs") or ()
        return next((_state(job) for job in entries if job.get("dataset") == file), None)

    def state(self, job: str) -> JobState:
        """Where a job stands."""
        return _state(self.calls.get(f"{self._account}/supervisedFineTuningJobs/{job}"))

    def progress(self, job: str) -> JobStep | None:
        """Nothing: a job tells its percentage and no loss."""

    def checkpoints(self, job: str) -> list[JobCheckpoint]:
        """None: the last one alone is kept."""
        return []

    def ready(self, model: str) -> None:
        """Load the tuned model; one that is loaded stays so."""
        deployment = self.calls.endpoint.tuning.deployment
        body = {"model": model, **({"deployment": deployment} if deployment else {"serverless": True})}
        try:
            self.calls.post(f"{self._account}/deployedModels", body)
        except RowRefused as refused:
            if refused.status == 409 or "already" in str(refused).lower():
                return
            raise EndpointError(
                f"{model} is trained, and {self.calls.title} does not load it: {refused}. Deploy its base, write the "
                "deployment into models.yaml (tuning: deployment: NAME), and run the same command again."
            ) from None

    def cancel(self, job: str) -> None:
        """Stop a job; deleting one is how that is said here."""
        self.calls.delete(f"{self._account}/supervisedFineTuningJobs/{job}")

    def discard(self, file: str) -> None:
        """Delete a data set."""
        self.calls.delete(f"{self._account}/datasets/{file.rpartition('/')[2]}")

    def notice(self, model: str) -> str:
        """What models.yaml says of the base."""
        return base_notice(self.calls)


def _state(job: Mapping[str, Any]) -> JobState:
    return JobState(
        id=str(job["name"]).rpartition("/")[2],
        status=_STATUS.get(str(job.get("state")), "running"),
        model=str(job.get("outputModel") or ""),
        message=str((job.get("status") or {}).get("message") or ""),
        trained_tokens=number((job.get("jobProgress") or {}).get("inputTokens")) or None,
        seconds=between(job.get("createTime"), job.get("completedTime")),
    )
