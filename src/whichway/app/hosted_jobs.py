"""Fine-tuning jobs that runs of a place have asked services for: what became of them, and how to stop one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from whichway.errors import ModelError, OptionError, UserError, did_you_mean

if TYPE_CHECKING:
    from whichway.backends._openai.fine_tuning import JobRecord
    from whichway.models.shelf import HostedEndpoint


@dataclass(frozen=True, slots=True)
class ListedJob:
    """One job as it stands now."""

    record: JobRecord
    status: str  # as the service says it; "unknown: ..." where it cannot be asked
    tuned: str  # the tuned model, where there is one


def jobs(cache: Path) -> Iterator[ListedJob]:
    """The jobs whose trainings lie in a cache; services are asked about those that have not ended.

    Args:
        cache: of runs.
    """
    from whichway.backends._openai import fine_tuning
    from whichway.backends._openai.calls import Pace, RowRefused

    for record in _records(cache):
        if record.status:
            yield ListedJob(record, record.status, record.tuned)
        elif not record.job:
            yield ListedJob(record, "asked for" if record.requested else "rows sent", "")
        else:
            try:
                service = fine_tuning.service_of(_endpoint(record), Pace(tries=2, patience_seconds=10))
                state = service.state(record.job)
                yield ListedJob(record, state.status, state.model)
            except (UserError, RowRefused) as error:
                yield ListedJob(record, f"unknown: {error}", "")


def still_training(cache: Path) -> Iterator[str]:
    """A sentence for each job of a cache that has not ended, as far as is known here; nothing is sent."""
    for record in _records(cache):
        if record.job and not record.status:
            yield (
                f"the fine-tuning job {record.job} goes on at {record.word}. The same command takes it up again; "
                f"`whichway tuning cancel {record.job}` stops it."
            )


def stop(cache: Path, job: str) -> ListedJob:
    """Stop a job that has not ended.

    Raises:
        OptionError: there is no such job in the cache.
        UserError: the service refuses, or cannot be asked.
    """
    from whichway.backends._openai import fine_tuning
    from whichway.backends._openai.calls import Pace, RowRefused

    records = {record.job: record for record in _records(cache) if record.job}
    if job not in records:
        known = did_you_mean(job, records) if records else " None was asked for here."
        raise OptionError(f"there is no fine-tuning job '{job}' in {cache}.{known}")
    try:
        state = fine_tuning.cancel(_endpoint(records[job]), Pace(tries=3, patience_seconds=30), job)
    except RowRefused as refused:
        raise UserError(f"the service does not stop {job}: {refused}") from None
    return ListedJob(records[job], state.status, state.model)


def _records(cache: Path) -> Iterator[JobRecord]:
    from whichway.backends._openai.fine_tuning import JOB, JobRecord
    from whichway.contest.cache import TRAININGS

    for path in sorted(cache.glob(f"{TRAININGS}/*/{JOB}"), key=lambda path: path.stat().st_mtime):
        record = JobRecord.read(path.parent)
        if record is not None:
            yield record


def _endpoint(record: JobRecord) -> HostedEndpoint:
    """The endpoint of a job, as it was when the job was asked for.

    Raises:
        ModelError: it is another one now.
    """
    from whichway.models import endpoints

    endpoint = endpoints.find(record.word)
    if endpoint is None or endpoint.base_url != record.address:
        raise ModelError(f"{record.word} was at {record.address}; restore its entry in models.yaml.")
    return endpoint
