"""Works off fine-tuning jobs: files are validated at once, trainings run one after another beside the answers.

What is on disk decides: a server that was killed finds its open jobs there, and each training goes on from the state
that it saved last.
"""

from __future__ import annotations

import csv
import io
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from whichway.contracts import Attended, Backend
from whichway.errors import WhichwayError
from whichway.nouns import Adapter, Decoding, Reply, Request, TrainRow
from whichway.ship.fine_tuning import training_file
from whichway.ship.fine_tuning.job_request import KINDS_OF_METHOD, training
from whichway.ship.fine_tuning.job_store import OPEN, JobStore
from whichway.ship.served_models import ServedModel

Ask = Callable[[ServedModel, list[Request]], list[Reply]]
_QUIET = 1.0  # seconds between two events that tell a loss
_PATIENCE = 3.0  # seconds for a training to save its state when the server ends
log = logging.getLogger(__name__)


class _Interrupted(Exception):
    """The job was cancelled, or the server ends."""


class JobRunner:
    """Validates and trains.

    Args:
        store: where jobs are kept.
        backends: backend name -> backend.
        models: model id -> what it stands for; fine-tuned models are added.
        ask: answers requests with a model; for losses on a validation file.
    """

    def __init__(
        self, store: JobStore, backends: Mapping[str, Backend], models: MutableMapping[str, ServedModel], ask: Ask
    ) -> None:
        self.store, self.models, self._backends, self._ask = store, models, backends, ask
        self._checks: queue.Queue[str | None] = queue.Queue()
        self._trainings: queue.Queue[str | None] = queue.Queue()
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._spoke = 0.0  # when the last loss was told

    def start(self) -> None:
        """Offer the models of earlier jobs again, and go on with the jobs that are open."""
        self._offer_again()
        for job in reversed(self.store.jobs()):
            if job["status"] in OPEN:
                message = "The server was started again; the job goes on from the state that was saved last"
                self.store.add_event(job["id"], message, "warn")
                (self._checks if job["status"] == "validating_files" else self._trainings).put(job["id"])
        works = ((self._checks, self._check), (self._trainings, self._train))
        for jobs, work in works:
            thread = threading.Thread(target=self._loop, args=(jobs, work), daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """End; a training saves its state and goes on at the next start."""
        self._stopping.set()
        for jobs in (self._checks, self._trainings):
            jobs.put(None)
        for thread in self._threads:
            thread.join(_PATIENCE)

    def submit(self, job: str) -> None:
        """Take up a job that was created."""
        self.store.add_event(job, f"Created fine-tuning job: {job}")
        self._checks.put(job)

    def cancel(self, job: str) -> bool:
        """Cancel an open job; its checkpoints so far stay. False: it is over already."""
        cancelled = self.store.update_job(job, "cancelled", finished_at=int(time.time()))
        if cancelled:
            self.store.add_event(job, "Fine-tuning job cancelled")
        return cancelled

    def _offer_again(self) -> None:
        for job in reversed(self.store.jobs()):
            for checkpoint in reversed(self.store.checkpoints(job["id"])):
                start = self.models.get(job["model"])
                if start is not None:
                    folder = self.store.job_folder(job["id"]) / checkpoint["adapter"]
                    weights = replace(start.weights, adapter=checkpoint["adapter"], kind=checkpoint["kind"])
                    self.models[checkpoint["name"]] = ServedModel(weights, folder)
                    if job["fine_tuned_model"] and checkpoint["last"]:
                        self.models[job["fine_tuned_model"]] = ServedModel(weights, folder)

    def _loop(self, jobs: queue.Queue[str | None], work: Callable[[str], None]) -> None:
        while (job := jobs.get()) is not None and not self._stopping.is_set():
            try:
                work(job)
            except _Interrupted:
                log.info("%s was interrupted", job)
            except WhichwayError as error:
                self._fail(job, "training_failed", str(error))
            except Exception as error:  # one broken job must not end the others
                log.exception("%s failed", job)
                self._fail(job, "server_error", f"{type(error).__name__}: {error}")

    def _fail(self, job: str, code: str, message: str, param: str | None = None) -> None:
        error = {"code": code, "message": message, "param": param}
        if self.store.update_job(job, "failed", error=error, finished_at=int(time.time()), estimated_finish=None):
            self.store.add_event(job, f"Fine-tuning job failed: {message}", "error")

    # Validation

    def _check(self, name: str) -> None:
        job = self.store.known_job(name)
        for param in ("training_file", "validation_file"):
            if job[param] is not None:
                word = param.replace("_", " ")
                self.store.add_event(name, f"Validating {word}: {job[param]}")
                try:
                    self._rows(job, param)
                except training_file.InvalidTrainingFile as error:
                    self._fail(name, f"invalid_{param}", f"{job[param]}: {error}", param)
                    return
        if self.store.update_job(name, "queued"):
            self.store.add_event(name, "Files validated, moving job to queued state")
            self._trainings.put(name)

    def _rows(self, job: Mapping[str, Any], param: str) -> tuple[TrainRow, ...]:
        path = self.store.content(job[param])
        if not path.exists():
            raise training_file.InvalidTrainingFile("the file was deleted")
        return training_file.read(path, job["method"]["type"])

    # Training

    def _train(self, name: str) -> None:
        job = self.store.known_job(name)
        if not self.store.update_job(name, "running"):
            return  # cancelled while it waited
        if job["status"] == "queued":
            self.store.add_event(name, "Fine-tuning job started")
        start = self.models.get(job["model"])
        if start is None:
            raise WhichwayError(f"the model '{job['model']}' is not served any more")
        method = job["method"]["type"]
        rows = self._rows(job, "training_file")
        work = training(method, start.weights, rows, job["seed"], job["method"][method]["hyperparameters"])
        backend = self._backends[start.weights.backend]
        folder = self.store.job_folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        last: Adapter | None = None
        with _watched(backend, lambda facts: self._watch(name, facts)):
            adapters = backend.train(work, folder, start.adapter)
            try:
                for adapter in adapters:
                    last = adapter
                    self._checkpoint(job, start, adapter)
                    self._go_on(name)
            finally:
                getattr(adapters, "close", lambda: None)()
        assert last is not None
        self._succeed(job, start, last)

    def _go_on(self, name: str) -> None:
        """Stop here where the job was cancelled or the server ends."""
        if self._stopping.is_set() or self.store.known_job(name)["status"] not in OPEN:
            raise _Interrupted

    def _watch(self, name: str, facts: Mapping[str, Any]) -> None:
        self._go_on(name)
        now = time.monotonic()
        if now - self._spoke < _QUIET and facts["step"] > 1:
            return
        self._spoke = now
        step, steps, loss = facts["step"], facts["steps"], facts["loss"]
        self.store.update_job(name, estimated_finish=int(time.time() + facts["seconds_left"]))
        data = {"step": step, "train_loss": loss, "total_steps": steps}
        self.store.add_event(name, f"Step {step}/{steps}: training loss={loss:.4f}", data=data)

    def _checkpoint(self, job: Mapping[str, Any], start: ServedModel, adapter: Adapter) -> None:
        """Offer a checkpoint under its model id; nothing is new about one of before a restart."""
        name, digest = f"{model_name(job)}:ckpt-step-{adapter.step}", adapter.weights.adapter
        served = ServedModel(adapter.weights, self.store.job_folder(job["id"]) / str(digest))
        if name in self.models:
            return
        loss = self._validation_loss(job, served)
        losses = {"train_loss": adapter.loss, **({} if loss is None else {"full_valid_loss": loss})}
        facts = {"step_number": adapter.step, "adapter": digest, "kind": adapter.weights.kind, "last": False}
        metrics = {"step": adapter.step, **losses}
        self.store.add_checkpoint(job["id"], name, {**facts, "metrics": metrics, "tokens": adapter.tokens})
        self.models[name] = served
        self.store.add_event(job["id"], f"Checkpoint created at step {adapter.step}: {name}", data=metrics)

    def _validation_loss(self, job: Mapping[str, Any], served: ServedModel) -> float | None:
        """Mean negative log-probability of an answer token of the validation file, in nats; None without one."""
        if job["validation_file"] is None:
            return None
        rows = self._rows(job, "validation_file")
        if job["method"]["type"] == "dpo":
            rows = rows[::2]  # of the wanted answers
        decoding = Decoding("likelier")
        replies = self._ask(served, [Request(row.messages, decoding, (row.answer,)) for row in rows])
        read = [reply for reply in replies if reply.finish != "error"]
        tokens = sum(reply.tokens_out for reply in read)
        return -sum(sum(reply.scores.values()) for reply in read) / tokens if tokens else None

    def _succeed(self, job: Mapping[str, Any], start: ServedModel, last: Adapter) -> None:
        name, digest = model_name(job), str(last.weights.adapter)
        self.store.mark_last(f"{name}:ckpt-step-{last.step}")
        self.models[name] = ServedModel(last.weights, self.store.job_folder(job["id"]) / digest)
        results = self.store.write_file(f"step_metrics_{job['id']}.csv", "fine-tune-results", self._results(job["id"]))
        facts = {"fine_tuned_model": name, "trained_tokens": last.tokens, "result_files": [results["id"]]}
        end = {"finished_at": int(time.time()), "estimated_finish": None}
        if self.store.update_job(job["id"], "succeeded", **facts, **end):
            self.store.add_event(job["id"], f"New fine-tuned model created: {name}")
            self.store.add_event(job["id"], "The job has successfully completed")
        else:  # cancelled at the last moment: its checkpoints stay
            del self.models[name]

    def _results(self, name: str) -> str:
        """Losses by step, as CSV."""
        columns = ("step", "train_loss", "full_valid_loss")
        lines: dict[int, dict[str, Any]] = {}
        for event in reversed(self.store.events(name)):
            if event["type"] == "metrics":
                lines.setdefault(event["data"]["step"], {}).update(event["data"])
        out = io.StringIO()
        writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines[step] for step in sorted(lines))
        return out.getvalue()


def trains(backend: Backend, served: ServedModel, method: training_file.Method) -> bool:
    """Whether a job of this method can start from a model: the base, or what a job of the same method gave."""
    kind = KINDS_OF_METHOD[method]
    return served.candidate is None and kind in backend.trains() and served.weights.kind in ("none", kind)


def model_name(job: Mapping[str, Any]) -> str:
    """The id of the model that a job gives."""
    base = job["model"].split(":")[1] if job["model"].startswith("ft:") else job["model"]
    return f"ft:{base}:whichway:{job['suffix'] or ''}:{job['id'].removeprefix('ftjob-')[:8]}"


@contextmanager
def _watched(backend: Backend, watch: Callable[[Mapping[str, Any]], None]) -> Iterator[None]:
    """Have a backend report its progress to `watch` for a while, where it reports any."""
    if not isinstance(backend, Attended):
        yield
        return
    backend.watch = watch
    try:
        yield
    finally:
        backend.watch = None
