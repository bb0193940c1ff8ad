"""OpenAI's own client fine-tunes on our server and chats with the result; jobs outlive the server."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from server_kit import ServerProcess, client, server
from starlette.testclient import TestClient

from whichway.backends.local import LocalBackend
from whichway.ship.serve import app
from whichway.ship.served_models import ServedModel

LABELS = {"billing": "I was billed twice", "shipping": "where is my parcel"}


def chats(count: int = 16) -> list[dict[str, Any]]:
    pairs = [(text, label) for label, text in LABELS.items()] * (count // 2)
    return [
        {"messages": [{"role": "user", "content": f"{text} {k}"}, {"role": "assistant", "content": label}]}
        for k, (text, label) in enumerate(pairs)
    ]


def preferences(count: int = 8) -> list[dict[str, Any]]:
    wanted = [{"role": "assistant", "content": "billing"}]
    other = [{"role": "assistant", "content": "shipping"}]
    return [
        {
            "input": {"messages": [{"role": "user", "content": f"I was billed twice {k}"}]},
            "preferred_output": wanted,
            "non_preferred_output": other,
        }
        for k in range(count)
    ]


def upload(asked: Any, rows: list[Any], folder: Path, name: str = "rows.jsonl") -> str:
    path = folder / name
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    with path.open("rb") as file:
        return str(asked.files.create(file=file, purpose="fine-tune").id)


def over(asked: Any, job: str, seconds: float = 90) -> Any:
    """The job when it is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        state = asked.fine_tuning.jobs.retrieve(job)
        if state.status in ("succeeded", "failed", "cancelled"):
            return state
        time.sleep(0.1)
    raise AssertionError(f"{job} is still {state.status}")


@pytest.fixture(scope="module")
def address(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server("--model", tiny("llama"), "--folder", tmp_path_factory.mktemp("served")) as place:
        yield place


def test_the_client_fine_tunes_and_chats_with_the_result(address: str, tmp_path: Path) -> None:
    asked = client(address)
    rows = upload(asked, chats(), tmp_path)
    valid = upload(asked, chats(4), tmp_path, "valid.jsonl")
    assert asked.files.retrieve(rows).filename == "rows.jsonl"
    assert {file.id for file in asked.files.list()} >= {rows, valid}
    method = {"n_epochs": 8, "batch_size": 4, "learning_rate_multiplier": 2}
    job = asked.fine_tuning.jobs.create(
        model="base", training_file=rows, validation_file=valid, suffix="mails", seed=3, metadata={"who": "me"},
        method={"type": "supervised", "supervised": {"hyperparameters": method}},
    )  # fmt: skip
    assert job.status == "validating_files"
    done = over(asked, job.id)
    assert done.status == "succeeded", done.error
    assert done.fine_tuned_model.startswith("ft:base:whichway:mails:")
    assert done.trained_tokens > 0
    assert done.hyperparameters.n_epochs == 8
    assert done.method.supervised.hyperparameters.batch_size == 4

    points = list(asked.fine_tuning.jobs.checkpoints.list(job.id))
    assert [point.step_number for point in points] == [32, 28, 24, 20, 16, 12, 8, 4]
    losses = [point.metrics.full_valid_loss for point in reversed(points)]
    assert losses[-1] < losses[0]
    events = list(asked.fine_tuning.jobs.list_events(job.id, limit=3))  # page by page
    assert events[-1].message == f"Created fine-tuning job: {job.id}"
    assert any(event.type == "metrics" and "train_loss" in event.data for event in events)
    csv = asked.files.content(done.result_files[0]).text
    assert csv.splitlines()[0] == "step,train_loss,full_valid_loss"
    assert csv.splitlines()[-1].startswith("32,")

    known = {model.id for model in asked.models.list()}
    assert known >= {"base", done.fine_tuned_model, *(p.fine_tuned_model_checkpoint for p in points)}
    for name in (done.fine_tuned_model, points[0].fine_tuned_model_checkpoint):
        for label, text in LABELS.items():
            answer = asked.chat.completions.create(
                model=name, messages=[{"role": "user", "content": f"{text} 3"}], max_tokens=8
            )
            assert answer.choices[0].message.content == label
    assert [job.id for job in asked.fine_tuning.jobs.list(metadata={"who": "me"})] == [job.id]
    assert list(asked.fine_tuning.jobs.list(metadata={"who": "you"})) == []


def test_preferences_are_learned_and_a_model_is_trained_on(address: str, tmp_path: Path) -> None:
    asked = client(address)
    pairs = upload(asked, preferences(), tmp_path)
    job = asked.fine_tuning.jobs.create(
        model="base", training_file=pairs,
        method={"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 1, "batch_size": 4, "beta": 0.2}}},
    )  # fmt: skip
    done = over(asked, job.id)
    assert done.status == "succeeded", done.error
    assert done.method.dpo.hyperparameters.beta == 0.2
    further = asked.fine_tuning.jobs.create(
        model=done.fine_tuned_model, training_file=pairs,
        method={"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 1, "batch_size": 8}}},
    )  # fmt: skip
    assert over(asked, further.id).status == "succeeded"
    with pytest.raises(openai.BadRequestError, match="cannot be fine-tuned here by the method 'supervised'"):
        asked.fine_tuning.jobs.create(model=done.fine_tuned_model, training_file=pairs)


@pytest.mark.parametrize(
    ("rows", "method", "part"),
    [
        (["{"], "supervised", "line 1 is no JSON"),
        ([*chats(2), {"messages": [{"role": "user", "content": "x"}]}], "supervised", "line 3"),
        ([{"messages": [{"role": "user", "content": "x"}, {"role": "tool", "content": "y"}]}], "supervised", "role"),
        (preferences(2), "supervised", '"type": "dpo"'),
        (chats(2), "dpo", '"type": "supervised"'),
        ([""], "supervised", "no row"),
        ([{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y", "weight": 0}]}],
         "supervised", "weight 1"),
    ],
)  # fmt: skip
def test_a_broken_file_fails_the_job_with_its_line(
    address: str, tmp_path: Path, rows: list[Any], method: str, part: str
) -> None:
    asked = client(address)
    job = asked.fine_tuning.jobs.create(
        model="base", training_file=upload(asked, rows, tmp_path), method={"type": method}
    )
    done = over(asked, job.id)
    assert (done.status, done.error.code, done.error.param) == ("failed", "invalid_training_file", "training_file")
    assert part in done.error.message


def test_wrong_words_are_refused(address: str, tmp_path: Path) -> None:
    asked = client(address)
    rows = upload(asked, chats(2), tmp_path)
    jobs = asked.fine_tuning.jobs
    with pytest.raises(openai.NotFoundError, match="Did you mean 'base'"):
        jobs.create(model="bas", training_file=rows)
    with pytest.raises(openai.BadRequestError, match="there is no file"):
        jobs.create(model="base", training_file="../../etc/passwd")
    with pytest.raises(openai.BadRequestError, match="suffix"):
        jobs.create(model="base", training_file=rows, suffix="../x")
    with pytest.raises(openai.BadRequestError, match="n_epochs"):
        jobs.create(model="base", training_file=rows, hyperparameters={"n_epochs": 51})
    with pytest.raises(openai.BadRequestError, match="not served"):
        jobs.create(model="base", training_file=rows, extra_body={"trainingfile": "x"})
    for name in ("ftjob-none", "..%2f..%2fjobs.sqlite"):
        with pytest.raises(openai.NotFoundError):
            jobs.retrieve(name)
        with pytest.raises(openai.NotFoundError):
            asked.files.content(name)
    with pytest.raises(openai.BadRequestError, match="only 'fine-tune'"):
        asked.files.create(file=b"{}", purpose="batch")
    assert asked.files.delete(rows).deleted
    with pytest.raises(openai.NotFoundError):
        asked.files.retrieve(rows)


def test_a_job_is_cancelled(address: str, tmp_path: Path) -> None:
    asked = client(address)
    rows = upload(asked, chats(), tmp_path)
    job = asked.fine_tuning.jobs.create(model="base", training_file=rows, hyperparameters={"n_epochs": 50})
    waiting = asked.fine_tuning.jobs.create(model="base", training_file=rows, hyperparameters={"n_epochs": 1})
    with pytest.raises(openai.ConflictError):
        asked.files.delete(rows)
    assert asked.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    assert over(asked, waiting.id).status == "succeeded"
    assert asked.fine_tuning.jobs.retrieve(job.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError, match="is over"):
        asked.fine_tuning.jobs.cancel(waiting.id)


def test_a_job_outlives_a_killed_server(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    words = ("--model", tiny("llama"), "--folder", tmp_path / "served")
    first = ServerProcess(*words)
    asked = client(first.address)
    rows = upload(asked, chats(), tmp_path)
    method = {"n_epochs": 12, "batch_size": 2}
    job = asked.fine_tuning.jobs.create(model="base", training_file=rows, seed=1, hyperparameters=method)
    while not list(asked.fine_tuning.jobs.checkpoints.list(job.id)):
        time.sleep(0.02)
    first.end(signal.SIGKILL)
    with server(*words) as address:
        asked = client(address)
        before = asked.fine_tuning.jobs.retrieve(job.id)
        assert before.status in ("queued", "running")
        done = over(asked, job.id)
        assert done.status == "succeeded", done.error
        points = list(asked.fine_tuning.jobs.checkpoints.list(job.id, limit=100))
        assert [point.step_number for point in points] == list(range(96, 0, -8))
        assert any(e.level == "warn" for e in asked.fine_tuning.jobs.list_events(job.id, limit=100))
        answer = asked.chat.completions.create(
            model=done.fine_tuned_model, messages=[{"role": "user", "content": "I was billed twice 0"}], max_tokens=8
        )
        assert answer.choices[0].message.content == "billing"
    models = {"base": ServedModel(LocalBackend().weights(str(tiny("llama"))))}  # the next server offers it again
    with TestClient(app(models, {"local": LocalBackend()}, folder=tmp_path / "served")) as next_server:
        known = {model["id"] for model in next_server.get("/v1/models").json()["data"]}
    assert known == {"base", done.fine_tuned_model, *(point.fine_tuned_model_checkpoint for point in points)}


def test_a_folder_has_one_server(tmp_path: Path) -> None:
    from whichway.errors import UserError
    from whichway.ship.fine_tuning.job_store import JobStore

    first = JobStore(tmp_path)
    (tmp_path / "x").write_text("{}")
    first.add_file("x", "fine-tune", tmp_path / "x")
    with pytest.raises(UserError, match="another server"):
        JobStore(tmp_path)
    first.close()
    JobStore(tmp_path).close()
