"""A server with OpenAI's fine-tuning protocol that keeps its own bill of trainings, and misbehaves when told to."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email import policy
from email.parser import BytesParser
from typing import Any
from urllib.parse import urlsplit

from endpoint_kit import Body, ChatHandler, Endpoint, truth

BASE = "fake-model"


def answer_of_models(body: Body) -> str:
    """Tuned models write the right label; the base calls everything billing."""
    if body["model"] == BASE:
        return json.dumps({"answer": "billing"}) if "response_format" in body else "billing"
    assert "response_format" not in body, "a tuned model writes the label itself"
    return truth(body["messages"][-1]["content"])


@dataclass
class TuningEndpoint(Endpoint):
    """What the service does and what it has done.

    Attributes:
        job_fault: of a call about files or jobs, by its method and path and how often it came: "500", "429", "html",
            "lost" (done, but the answer is cut off), or None.
        polls: looks at a job before it ends.
        ends: how jobs end.
        lists_checkpoints: whether it has any.
        price: usd of a million trained tokens.
    """

    job_fault: Callable[[str, str, int], str | None] = lambda method, path, number: None
    polls: int = 3
    ends: str = "succeeded"
    lists_checkpoints: bool = True
    price: float = 8.0
    says_tokens: bool = True
    shutdown: str | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    jobs: dict[str, Body] = field(default_factory=dict)
    looks: Counter[str] = field(default_factory=Counter)
    heard: Counter[str] = field(default_factory=Counter)  # "POST /files" -> times
    training_usd: float = 0.0

    def __post_init__(self) -> None:
        self.handler = TuningHandler
        self.answer = self.answer or answer_of_models

    def create(self, body: Body) -> Body:
        """A new job."""
        name = f"ftjob-{len(self.jobs) + 1}"
        content = self.files[body["training_file"]]
        numbers = body["method"]["supervised"]["hyperparameters"]
        job = {
            "object": "fine_tuning.job", "id": name, "created_at": 1700000000, "status": "validating_files",
            "model": body["model"], "training_file": body["training_file"], "fine_tuned_model": None,
            "finished_at": None, "trained_tokens": None, "error": None, "result_files": [], "seed": body["seed"],
            "hyperparameters": numbers, "organization_id": "org-1", "suffix": body["suffix"],
        }  # fmt: skip
        job["rows"] = content.count(b"\n")
        job["tokens"] = len(content) // 4 * numbers["n_epochs"]
        self.jobs[name] = job
        return job

    def look(self, job: Body) -> Body:
        """The job, a little further."""
        self.looks[job["id"]] += 1
        if job["status"] in ("succeeded", "failed", "cancelled"):
            return job
        job["status"] = "running"
        if self.looks[job["id"]] >= self.polls:
            job |= {"status": self.ends, "finished_at": 1700000000 + 600}
            if self.ends == "succeeded":
                job |= {"fine_tuned_model": f"ft:{BASE}:org:{job['suffix']}:{job['id']}"}
                job["trained_tokens"] = job["tokens"] if self.says_tokens else None
                self.training_usd += job["tokens"] * self.price / 1e6
            if self.ends == "failed":
                job["error"] = {"code": "invalid_training_file", "message": "the rows are odd", "param": None}
        return job

    def checkpoints(self, job: Body) -> list[Body]:
        """One at the end of each epoch; the last is the model itself."""
        epochs, model = job["hyperparameters"]["n_epochs"], job["fine_tuned_model"]
        return [
            {"object": "fine_tuning.job.checkpoint", "id": f"ftckpt_{n}", "created_at": 1700000100 + n,
             "fine_tuned_model_checkpoint": model if n == epochs else f"{model}:ckpt-step-{n * 10}",
             "fine_tuning_job_id": job["id"], "metrics": {"step": n * 10, "train_loss": 1 / n}, "step_number": n * 10}
            for n in range(epochs, 0, -1)
        ]  # fmt: skip

    def events(self, job: Body) -> list[Body]:
        """The step that it is at."""
        step = self.looks[job["id"]]
        data = {"step": step, "total_steps": self.polls, "train_loss": 1.0 / step}
        event = {"object": "fine_tuning.job.event", "id": "ftevent-1", "created_at": 1700000001, "level": "info"}
        return [
            {**event, "message": f"Step {step}", "type": "metrics", "data": data},
            {**event, "message": "Fine-tuning job started", "type": "message", "data": None},
        ]


class TuningHandler(ChatHandler):
    """Files, jobs and models besides chat."""

    endpoint: TuningEndpoint

    def do_GET(self) -> None:
        self._route("GET")

    def do_DELETE(self) -> None:
        self._route("DELETE")

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith(("/v1/files", "/v1/fine_tuning")):
            self._route("POST")
        else:
            super().do_POST()

    def _route(self, method: str) -> None:
        service, path = self.endpoint, urlsplit(self.path).path.removeprefix("/v1")
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if service.key is None or self.headers.get("Authorization") != f"Bearer {service.key}":
            sent = self.headers.get("Authorization", "").removeprefix("Bearer ")
            return self._json(401, {"error": {"message": f"Incorrect API key provided: {sent}", "code": "invalid"}})
        kind = f"{method} /{path.split('/')[1]}"
        with service._lock:
            service.heard[kind] += 1
            fault = service.job_fault(method, path, service.heard[kind])
            if fault in ("500", "429"):
                return self._json(int(fault), {"error": {"message": "oops"}}, {"Retry-After": "0.01"})
            status, body = self._answer(method, path, content)
        if fault == "lost":
            self.close_connection = True
            return None
        if fault == "html":
            return self._send(200, b"<html>Log in</html>", {"Content-Type": "text/html"})
        if fault == "hang":
            time.sleep(1.2)
        return self._json(status, body)

    def _answer(self, method: str, path: str, content: bytes) -> tuple[int, Body]:
        service, parts = self.endpoint, path.strip("/").split("/")
        if parts[0] == "files":
            return self._file(method, parts, content)
        if parts[0] == "models":
            return 200, {"id": parts[1], "object": "model", "shutdown_date": service.shutdown}
        if method == "POST" and len(parts) == 2:
            return 200, service.create(json.loads(content))
        if len(parts) == 2:
            return 200, {"object": "list", "data": list(reversed(service.jobs.values())), "has_more": False}
        job = service.jobs.get(parts[2])
        if job is None:
            return 404, {"error": {"message": "no such job"}}
        if len(parts) == 3:
            return 200, service.look(job)
        if parts[3] == "cancel":
            job["status"] = "cancelled"
            return 200, job
        if parts[3] == "checkpoints" and not service.lists_checkpoints:
            return 404, {"error": {"message": "no such path"}}
        listed = service.events(job) if parts[3] == "events" else service.checkpoints(job)
        return 200, {"object": "list", "data": listed, "has_more": False}

    def _file(self, method: str, parts: list[str], content: bytes) -> tuple[int, Body]:
        service = self.endpoint
        if method == "DELETE":
            service.deleted.append(parts[1])
            return 200, {"id": parts[1], "object": "file", "deleted": True}
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        fields: dict[str, Any] = {}
        for part in BytesParser(policy=policy.HTTP).parsebytes(head + content).iter_parts():
            fields[str(part.get_param("name", header="content-disposition"))] = part
        assert fields["purpose"].get_content().strip() == "fine-tune"
        name = f"file-{len(service.files) + 1}"
        service.files[name] = fields["file"].get_payload(decode=True)
        service.names[name] = fields["file"].get_filename()
        return 200, {"id": name, "object": "file", "bytes": len(service.files[name]), "purpose": "fine-tune",
                     "filename": service.names[name], "created_at": 1700000000, "status": "processed"}  # fmt: skip
