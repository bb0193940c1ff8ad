"""A training at a fine-tuning service: rows go up, one job is created, it is waited for, its checkpoints are weights.

What happened stands in `job.json` of the training's folder before the next thing happens. A process that was killed
finds its job there; one that was killed between asking for a job and hearing of it looks the job up at the service, by
the file that it trains on, which no other training has. So no training ever starts twice.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from whichway.backends._openai.calls import Pace, RowRefused
from whichway.backends._openai.job_calls import JobCalls, Unsure
from whichway.backends._openai.job_services import ENDED, JobCheckpoint, JobService, JobSpec, JobState, JobStep
from whichway.backends._openai.services.fireworks_jobs import FireworksJobs
from whichway.backends._openai.services.openai_jobs import OpenAIJobs
from whichway.backends._openai.services.together_jobs import TogetherJobs
from whichway.backends._openai.tuning_rows import file_of, tokens_of
from whichway.errors import EndpointError, ModelError, WayFailed
from whichway.models.shelf import HostedEndpoint
from whichway.nouns import Adapter, TrainJob, digest
from whichway.training_kinds import HostedOptions, options

JOB = "job.json"  # in the folder of a training
PART = "hosted.json"  # in the folder of a trained part: what the tuned model is called, and where
NAME = "whichway"  # a part of the names of jobs, files and tuned models
_BY_HOST = ("together", "fireworks")  # parts of their addresses

Watch = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What is known of a training's job; never a key."""

    word: str  # the user's word for the endpoint
    address: str
    model: str  # the base
    file: str = ""  # of rows, once it was sent
    requested: bool = False  # whether a job was asked for
    job: str = ""  # its id, once the service answered
    status: str = ""  # how it ended
    tuned: str = ""  # the tuned model

    @classmethod
    def read(cls, folder: Path) -> JobRecord | None:
        """The record in a training's folder; None where there is none."""
        try:
            facts = json.loads((folder / JOB).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return cls(**facts)

    def write(self, folder: Path) -> JobRecord:
        """Keep it, whole or not at all."""
        _write(folder / JOB, asdict(self))
        return self


def service_of(endpoint: HostedEndpoint, pace: Pace) -> JobService:
    """The protocol by which an endpoint's models are trained: as models.yaml says, or by its address.

    Raises:
        ModelError: models.yaml lacks what it needs, or the key is missing.
    """
    host = urlsplit(endpoint.base_url).hostname or ""
    name: str = endpoint.tuning.service or next((known for known in _BY_HOST if known in host), "openai")
    if name == "fireworks" and not endpoint.tuning.account:
        raise ModelError(
            f"{endpoint.word}: Fireworks trains for an account. Name yours in models.yaml: tuning: {{service: "
            "fireworks, account: NAME}."
        )
    calls = JobCalls(endpoint, pace)
    services: dict[str, Callable[[JobCalls], JobService]] = {
        "openai": OpenAIJobs, "together": TogetherJobs, "fireworks": FireworksJobs,
    }  # fmt: skip
    return services[name](calls)


def billed_tokens(job: TrainJob) -> tuple[int, int]:
    """Tokens that a training is billed for: about, and at most."""
    about, most = tokens_of(job.rows)
    epochs = _options(job).n_epochs
    return about * epochs, most * epochs


def begun(folder: Path) -> bool:
    """Whether a job was asked for in a training's folder, and has not ended in vain."""
    record = JobRecord.read(folder)
    return record is not None and record.requested and record.status in ("", "succeeded")


def tuned_model(folder: Path) -> str:
    """What the tuned model of a trained part is called.

    Raises:
        ModelError: the folder is none of a trained part.
    """
    try:
        return str(json.loads((folder / PART).read_text(encoding="utf-8"))["model"])
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"The trained part {folder} is missing or damaged: {error}.") from None


def cancel(endpoint: HostedEndpoint, pace: Pace, job: str) -> JobState:
    """Stop a job; where it stands then."""
    service = service_of(endpoint, pace)
    service.cancel(job)
    return service.state(job)


class HostedTraining:
    """Trains at one endpoint.

    Args:
        service: the protocol.
        watch: hears of progress; None: nobody does.
    """

    def __init__(self, service: JobService, watch: Watch | None) -> None:
        self._service, self._watch = service, watch
        self._endpoint, self._pace = service.calls.endpoint, service.calls.pace

    def train(self, job: TrainJob, folder: Path) -> Iterator[Adapter]:
        """Checkpoints, the last one last; all of them after the job's end, when they can be asked.

        Raises:
            WayFailed: the service refuses the rows, or the job failed or was cancelled.
            EndpointError: the service refuses us or stays away; the job goes on.
        """
        content = file_of(job, self._service.limits, self._service.calls.title)
        record = self._created(job, folder, content)
        ended, state = record.status, self._ended(record)
        record = replace(record, status=state.status, tuned=state.model).write(folder)
        if not ended:
            self._discard(record)
        if state.status != "succeeded":
            why = f": {state.message}" if state.message else ""
            raise WayFailed(
                f"the fine-tuning job {state.id} {'was' if state.status == 'cancelled' else 'has'} {state.status}{why}",
                state.seconds,
                state.trained_tokens or 0,
            )
        if not state.model or state.model == record.model:
            raise WayFailed(f"the fine-tuning job {state.id} has succeeded and names no model of its own")
        self._service.ready(state.model)
        yield from self._adapters(job, folder, state)

    def _created(self, job: TrainJob, folder: Path, content: bytes) -> JobRecord:
        """The job of this training: the one that is there, else a new one."""
        base = self._endpoint.tuning.model or self._endpoint.model
        record = JobRecord.read(folder)
        if record is None or record.status not in ("", "succeeded"):  # a new try after one that failed
            record = JobRecord(self._endpoint.word, self._endpoint.base_url, base)
        if record.job:
            return record
        try:
            if not record.file:
                name = f"{NAME}-{job.id[:16]}.jsonl"
                record = replace(record, file=self._service.upload(name, content)).write(folder)
            known = self._service.search(record.file) if record.requested else None
            record = replace(record, requested=True).write(folder)
            state = known or self._create(job, record)
        except RowRefused as refused:
            self._discard(record)
            (folder / JOB).unlink(missing_ok=True)
            raise WayFailed(f"{self._service.calls.title} takes no such fine-tuning job: {refused}", 0.0) from None
        return replace(record, job=state.id).write(folder)

    def _create(self, job: TrainJob, record: JobRecord) -> JobState:
        """Start the job; where no answer comes, look whether it has started before asking again."""
        numbers = _options(job)
        spec = JobSpec(
            record.model, record.file, numbers.n_epochs, numbers.batch_size, numbers.learning_rate_multiplier,
            job.seed, f"{NAME}-{job.id[:8]}",
        )  # fmt: skip
        wait, why = self._pace.first_wait, ""
        for _ in range(self._pace.tries):
            try:
                return self._service.create(spec)
            except Unsure as error:
                why = str(error)
                time.sleep(wait)  # a job that was heard of is in the list by then
                wait = min(2 * wait, self._pace.longest_wait)
            known = self._service.search(record.file)
            if known is not None:
                return known
        raise EndpointError(
            f"{self._service.calls.title} does not say whether it has begun a job: {why}. Run the same command again "
            "later; it looks for the job first."
        )

    def _ended(self, record: JobRecord) -> JobState:
        """Wait for the end of a job."""
        began, shown = time.monotonic(), -1
        while True:
            try:
                state = self._service.state(record.job)
            except RowRefused as refused:
                if refused.status != 404:
                    title = self._service.calls.title
                    raise EndpointError(f"{title} tells nothing of the job {record.job}: {refused}") from None
                state = JobState(record.job, "failed", message=f"the service no longer knows it: {refused}")
            if state.status in ENDED:
                return state
            if state.status == "running" and self._watch is not None:
                step = self._progress(record.job)
                if step is not None and step.step > shown:
                    shown = step.step
                    left = (time.monotonic() - began) * (step.steps - step.step) / max(1, step.step)
                    self._watch(
                        {"step": step.step, "steps": step.steps, "loss": step.loss, "tokens_per_second": 0.0,
                         "seconds_left": left}
                    )  # fmt: skip
            time.sleep(self._pace.poll_seconds)

    def _progress(self, job: str) -> JobStep | None:
        try:
            return self._service.progress(job)
        except RowRefused:  # it has no events
            return None

    def _checkpoints(self, job: str) -> list[JobCheckpoint]:
        try:
            return self._service.checkpoints(job)
        except RowRefused:  # it has none
            return []

    def _adapters(self, job: TrainJob, folder: Path, state: JobState) -> Iterator[Adapter]:
        """The checkpoints as trained parts. The job is paid for as a whole, so all its tokens stand at the first."""
        epochs, (about, _) = _options(job).n_epochs, billed_tokens(job)
        marks = _curve(self._checkpoints(state.id), state, epochs)
        tokens = about if state.trained_tokens is None else state.trained_tokens
        notice = self._service.notice(state.model)
        for mark in marks:
            name = digest([self._endpoint.base_url, mark.model], 32)
            facts = {
                "model": mark.model, "base": self._endpoint.tuning.model or self._endpoint.model, "job": state.id,
                "step": mark.step, "address": self._endpoint.base_url, "notice": notice,
            }  # fmt: skip
            size = _write(folder / name / PART, facts)
            yield Adapter(
                weights=replace(job.weights, adapter=name, kind=job.kind),
                step=mark.step,
                epoch=epochs * mark.step / marks[-1].step,
                loss=mark.loss,
                seconds=state.seconds or 0.0,
                tokens=tokens,
                bytes=size,
                name=mark.model,
                notice=notice,
            )

    def _discard(self, record: JobRecord) -> None:
        """Take the rows away from the service; where it keeps them all the same, that is no reason to stop."""
        try:
            if record.file:
                self._service.discard(record.file)
        except (RowRefused, EndpointError):
            return


def _curve(checkpoints: list[JobCheckpoint], state: JobState, epochs: int) -> list[JobCheckpoint]:
    """Checkpoints in order, the tuned model itself last; there is one at the end of each of the last epochs."""
    ordered = sorted(checkpoints, key=lambda mark: mark.step)
    if not ordered:
        return [JobCheckpoint(state.model, epochs)]
    gap = ordered[-1].step - ordered[-2].step if len(ordered) > 1 else ordered[0].step
    if ordered[-1].model == state.model or ordered[-1].step >= gap * epochs:
        return [*ordered[:-1], replace(ordered[-1], model=state.model)]
    return [*ordered, JobCheckpoint(state.model, ordered[-1].step + gap)]


def _options(job: TrainJob) -> HostedOptions:
    return options(HostedOptions, job.options)


def _write(path: Path, facts: Mapping[str, Any]) -> int:
    """Write JSON, then rename; its size."""
    text = json.dumps(facts, indent=1, sort_keys=True) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.replace(temporary, path)
    return len(text)
