"""Together's and Fireworks' protocols, replayed from the forms of their API references: whole jobs, and failures."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from endpoint_kit import KEY
from test_tune_hosted import PACE

from whichway.backends._openai import fine_tuning
from whichway.errors import EndpointError, ModelError, WayFailed
from whichway.models.shelf import HostedEndpoint, TuningService
from whichway.nouns import Adapter, Message, TrainJob, TrainRow, Weights

RECORDED = Path(__file__).parent / "recorded"
BASES = {"together": "org/open-8b", "fireworks": "accounts/fireworks/models/open-8b"}
ROOTS = {"together": "/v1", "fireworks": "/inference/v1"}


@dataclass
class Recording:
    """A server that answers with what was recorded, call by call, and keeps what it was sent."""

    calls: list[dict[str, Any]]
    sent: list[tuple[str, str, bytes]] = field(default_factory=list)

    def answer(self, method: str, path: str, content: bytes) -> tuple[int, Any]:
        """The next recorded answer to such a call; the data set's own name stands for the recorded one."""
        self.sent.append((method, path, content))
        if not self.calls:
            return 500, {"error": {"message": f"not recorded: {method} {path}"}}
        wanted = self.calls.pop(0)
        pattern = wanted["path"].replace("DATASET", self.dataset)
        assert (method, path) == (wanted["method"], pattern), f"{method} {path} came, {wanted['path']} was recorded"
        return wanted.get("status", 200), wanted["body"]

    @property
    def dataset(self) -> str:
        """The name that the client gave."""
        made = [content for method, path, content in self.sent if path.endswith("/datasets")]
        return str(json.loads(made[0])["datasetId"]) if made else ""

    def body(self, place: int) -> Mapping[str, Any]:
        """The JSON of a call."""
        body: Mapping[str, Any] = json.loads(self.sent[place][2])
        return body


@contextmanager
def replayed(recording: Recording) -> Iterator[str]:
    """The address of the server."""

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            assert self.headers["Authorization"] == f"Bearer {KEY}"
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                status, body = recording.answer(self.command, self.path.partition("?")[0], content)
            except AssertionError as error:
                status, body = 400, {"error": {"message": str(error)}}
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _any

        def log_message(self, *words: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def train(service: str, recording: Recording, folder: Path, **tuning: Any) -> list[Adapter]:
    """A training of twelve rows, two epochs."""
    rows = tuple(TrainRow((Message("user", f"my parcel {n}"),), "delivery") for n in range(12))
    job = TrainJob("hosted", Weights("openai", "there", "r"), rows, ("delivery",), 7, {"n_epochs": 2})
    about = TuningService(**{"service": service, "account": "me", **tuning})
    with replayed(recording) as address:
        endpoint = HostedEndpoint("there", BASES[service], address + ROOTS[service], "FAKE_KEY", tuning=about)
        training = fine_tuning.HostedTraining(fine_tuning.service_of(endpoint, PACE), lambda facts: None)
        return list(training.train(job, folder))


def recorded(service: str) -> Recording:
    return Recording(json.loads((RECORDED / f"{service}.json").read_text())["calls"])


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_KEY", KEY)


def test_a_job_at_together(tmp_path: Path) -> None:
    recording = recorded("together")
    adapters = train("together", recording, tmp_path)
    assert recording.calls == [], "all that was recorded was called"
    assert [(a.name, a.step, a.epoch) for a in adapters] == [
        ("me/open-8b-whichway-1:12", 12, 1.0), ("me/open-8b-whichway-1", 24, 2.0),
    ]  # fmt: skip
    assert (adapters[0].tokens, adapters[0].seconds) == (8642, 600.0)
    upload, create = recording.sent[0][2], recording.body(1)
    assert b'name="file_type"\r\n\r\njsonl' in upload
    assert upload.count(b'"role": "assistant"') == 12
    assert create["model"] == "org/open-8b"
    assert (create["training_file"], create["n_epochs"], create["n_checkpoints"]) == ("file-6bba78fb", 2, 2)
    assert create["training_type"] == {"type": "Lora"}


def test_a_job_at_fireworks(tmp_path: Path) -> None:
    recording = recorded("fireworks")
    adapters = train("fireworks", recording, tmp_path)
    assert recording.calls == []
    assert [(a.name, a.epoch, a.seconds) for a in adapters] == [("accounts/me/models/whichway-1", 2.0, 600.0)]
    assert adapters[0].tokens > 0, "counted here, as it does not say"
    dataset = recording.body(0)
    assert dataset["datasetId"].startswith("whichway-")
    assert dataset["dataset"] == {"userUploaded": {}, "exampleCount": "12"}
    create = recording.body(2)
    assert create["dataset"] == f"accounts/me/datasets/{dataset['datasetId']}"
    assert (create["baseModel"], create["epochs"]) == ("accounts/fireworks/models/open-8b", 2)
    assert recording.body(6) == {"model": "accounts/me/models/whichway-1", "serverless": True}


def test_a_model_that_fireworks_does_not_load_waits_for_its_user(tmp_path: Path) -> None:
    recording = recorded("fireworks")
    recording.calls[6] |= {"status": 400, "body": {"error": {"message": "the base is not serverless"}}}
    with pytest.raises(EndpointError, match=r"whichway-1 is trained, and .* does not load it: the base is not serverl"):
        train("fireworks", recording, tmp_path)
    rest = recorded("fireworks")
    rest.calls = [rest.calls[4], rest.calls[6]]  # nothing is sent or trained again
    adapters = train("fireworks", rest, tmp_path, deployment="accounts/me/deployments/d")
    assert rest.calls == []
    assert rest.body(1) == {"model": "accounts/me/models/whichway-1", "deployment": "accounts/me/deployments/d"}
    assert len(adapters) == 1


@pytest.mark.parametrize(("service", "place", "change", "reason"), [
    ("together", 5, {"status": "error", "events": [{"type": "JOB_ERROR", "message": "no credit"}]}, "no credit"),
    ("fireworks", 4, {"state": "JOB_STATE_FAILED", "status": {"message": "row 3 is odd"}}, "row 3 is odd"),
])  # fmt: skip
def test_failures_say_why(service: str, place: int, change: Any, reason: str, tmp_path: Path) -> None:
    recording = recorded(service)
    recording.calls[place]["body"] |= change
    with pytest.raises(WayFailed, match=f"has failed: {reason}"):
        train(service, recording, tmp_path)


def test_services_are_known_by_their_address() -> None:
    from whichway.backends._openai.services.openai_jobs import OpenAIJobs
    from whichway.backends._openai.services.together_jobs import TogetherJobs

    def of(address: str) -> Any:
        return fine_tuning.service_of(HostedEndpoint("there", "m", address, "FAKE_KEY"), PACE)

    assert isinstance(of("https://api.together.xyz/v1"), TogetherJobs)
    assert isinstance(of("https://name.openai.azure.com/openai/v1"), OpenAIJobs)
    assert of("https://api.openai.com/v1").limits.least_rows == 10
    with pytest.raises(ModelError, match="Fireworks trains for an account"):
        of("https://api.fireworks.ai/inference/v1")


@pytest.mark.parametrize(("address", "model", "sentence"), [
    ("https://api.openai.com/v1", {"id": "ft:x", "shutdown_date": "2027-10-23"},
     "is switched off by its provider on 2027-10-23 and cannot be trained again at OpenAI, which takes no new "
     "fine-tuning jobs from 2027-01-06 on"),
    ("https://other.example/v1", {"shutdown_date": None}, "is switched off by its provider on 2028-01-01"),
    ("https://other.example/v1", {"id": "ft:x", "available_until": "2029-01-01"},
     "is switched off by its provider on 2029-01-01"),
])  # fmt: skip
def test_how_long_a_tuned_model_lives(address: str, model: Any, sentence: str) -> None:
    from whichway.backends._openai.services.openai_jobs import OpenAIJobs

    class Calls:
        endpoint = HostedEndpoint("there", "x", address, retires="2028-01-01")

        def get(self, path: str) -> Any:
            assert path == "/models/ft:x"
            return model

    calls: Any = Calls()
    assert OpenAIJobs(calls).notice("ft:x") == sentence
