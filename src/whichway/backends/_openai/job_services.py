"""What fine-tuning services have in common: a file of rows goes in, a job runs, its checkpoints are model ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from whichway.backends._openai.job_calls import JobCalls

Status = Literal["waiting", "running", "succeeded", "failed", "cancelled"]
ENDED = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class RowLimits:
    """What a service takes.

    Attributes:
        least_rows: in a file.
        most_bytes: of a file.
        most_row_tokens: of one row, its answer included; None: as many as the model reads.
    """

    least_rows: int = 1
    most_bytes: int = 512 * 1024 * 1024
    most_row_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What a job is asked to do."""

    model: str  # the base, by its name at the service
    file: str  # of rows, as the service calls it
    epochs: int
    batch: int | None  # None: the service chooses
    rate: float | None  # a multiplier or a rate, as the service has it; None: the service chooses
    seed: int
    name: str  # a part of the tuned model's name, and of the job's


@dataclass(frozen=True, slots=True)
class JobState:
    """Where a job stands."""

    id: str
    status: Status
    model: str = ""  # the tuned model, once there is one
    message: str = ""  # why it failed
    trained_tokens: int | None = None  # that are billed; None: the service does not say
    seconds: float | None = None  # from creation to end, by the service's clock


@dataclass(frozen=True, slots=True)
class JobCheckpoint:
    """A checkpoint that can be asked like a model."""

    model: str
    step: int
    loss: float | None = None


@dataclass(frozen=True, slots=True)
class JobStep:
    """A training's progress, as the last event tells it."""

    step: int
    steps: int
    loss: float

    @staticmethod
    def newest(steps: Iterable[Mapping[str, Any]]) -> JobStep | None:
        """The newest step among what events report; most events tell no step with its loss."""
        complete = []
        for reported in steps:
            step, steps_in_all = number(reported.get("step")), number(reported.get("total_steps"))
            loss = real(reported.get("train_loss"))
            if step is not None and steps_in_all and loss is not None:
                complete.append(JobStep(step, steps_in_all, loss))
        return max(complete, key=lambda step: step.step, default=None)


class JobService(Protocol):
    """One protocol; every call goes through `calls`, which repeats what may be repeated."""

    @property
    def calls(self) -> JobCalls:
        """By which it is asked."""
        ...

    @property
    def limits(self) -> RowLimits:
        """What files it takes."""
        ...

    def upload(self, name: str, content: bytes) -> str:
        """Send a file of rows; what the service calls it."""
        ...

    def create(self, spec: JobSpec) -> JobState:
        """Start a job.

        Raises:
            Unsure: no answer came, and it may have started.
        """
        ...

    def search(self, file: str) -> JobState | None:
        """The job that trains on a file; None where there is none."""
        ...

    def state(self, job: str) -> JobState:
        """Where a job stands."""
        ...

    def progress(self, job: str) -> JobStep | None:
        """How far its training is; None where the service does not say."""
        ...

    def checkpoints(self, job: str) -> list[JobCheckpoint]:
        """The checkpoints of a finished job that it kept, in any order."""
        ...

    def ready(self, model: str) -> None:
        """Make a tuned model ready to answer, where that takes a call.

        Raises:
            EndpointError: it cannot be had without the user.
        """
        ...

    def cancel(self, job: str) -> None:
        """Stop a job."""
        ...

    def discard(self, file: str) -> None:
        """Delete a file of rows that is no longer needed."""
        ...

    def notice(self, model: str) -> str:
        """What the service says of a tuned model's future, as a sentence; "" where it says nothing."""
        ...


def base_notice(calls: JobCalls) -> str:
    """When the base of a tuned model is switched off, as models.yaml says it."""
    date = calls.endpoint.retires
    return f"stands on a base that is switched off on {date}" if date else ""


def number(value: Any) -> int | None:
    """A whole number that a service reports, where it is one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def real(value: Any) -> float | None:
    """A number that a service reports, where it is one."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def between(start: Any, end: Any) -> float | None:
    """Seconds between two dates as ISO 8601 writes them; None where one is none."""
    try:
        return max(0.0, (datetime.fromisoformat(str(end)) - datetime.fromisoformat(str(start))).total_seconds())
    except (ValueError, TypeError):
        return None
