"""Feedback on served answers: written with its provenance, compared with the data, and learned from in a new run."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ship_kit import WORDS, contest, data
from starlette.testclient import TestClient

import whichway as ww
from whichway.app.feedback import read_rows, with_rows
from whichway.errors import UserError
from whichway.nouns import Example, MetricSpec, Task
from whichway.ship import served_models
from whichway.ship.feedback.drift import DataReference, answer_drift, input_drift, reference_of, thumb_drift
from whichway.ship.feedback.feedback_log import read_feedback
from whichway.ship.serve import app


@pytest.fixture(scope="module")
def run(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> ww.Run:
    return contest(data(tmp_path_factory.mktemp("feedback")), tiny("llama"), {"base_tfidf": {}, "base_majority": {}})


@pytest.fixture
def served(run: ww.Run, tmp_path: Path) -> Iterator[TestClient]:
    from whichway.app.configure import backends

    application = app(served_models.of_run(run), backends(), folder=tmp_path / "serve", run=run)  # type: ignore[arg-type]
    with TestClient(application) as client:
        yield client


def ask(client: TestClient, text: str, model: str = "base_tfidf", **more: Any) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
    answer: dict[str, Any] = client.post("/v1/chat/completions", json=body).json()
    return answer


def test_feedback_is_written_with_its_provenance(served: TestClient, run: ww.Run, tmp_path: Path) -> None:
    first, second = (ask(served, f"{word}: where is it") for word in WORDS[:2])
    up = served.post("/v1/feedback", json={"completion_id": first["id"], "thumbs": "up"})
    down = {"completion_id": second["id"], "thumbs": "down", "answer": "bill", "comment": "it is a bill"}
    assert up.status_code == served.post("/v1/feedback", json=down).status_code == 200
    lines = read_feedback(tmp_path / "serve" / "feedback.jsonl")
    assert [line.thumbs for line in lines] == ["up", "down"]
    assert lines[0].target == lines[0].answer == first["choices"][0]["message"]["content"]
    assert (lines[1].target, lines[1].corrected, lines[1].comment) == ("bill", True, "it is a bill")
    candidate = served_models.of_run(run)["base_tfidf"].candidate
    assert candidate is not None
    for line, answer in zip(lines, (first, second), strict=True):
        assert (line.completion, line.model, line.candidate) == (answer["id"], "base_tfidf", candidate.id)
        assert line.run == str(run.path)
        assert line.input == {"text": f"{WORDS[lines.index(line)]}: where is it"}
    summary = served.get("/v1/feedback").json()
    assert [summary[name] for name in ("rows", "up", "down", "corrected", "served")] == [2, 1, 1, 1, 2]
    assert summary["warnings"] == []


@pytest.mark.parametrize(
    ("body", "status", "part"),
    [
        ({"completion_id": "chatcmpl-none", "thumbs": "up"}, 404, "no such answer"),
        ({"thumbs": "up"}, 400, "completion_id"),
        ({"completion_id": "ID"}, 400, "thumbs"),
        ({"completion_id": "ID", "answer": "nonsense"}, 400, "one of"),
        ({"completion_id": "ID", "choice": 1, "thumbs": "up"}, 400, "choice"),
        ({"completion_id": "ID", "thumb": "up"}, 400, "Did you mean 'thumbs'"),
    ],
)
def test_wrong_feedback_is_refused(served: TestClient, body: dict[str, Any], status: int, part: str) -> None:
    name = ask(served, "where is it")["id"]
    own = {"completion_id": name} if body.get("completion_id") == "ID" else {}
    answer = served.post("/v1/feedback", json={**body, **own})
    assert answer.status_code == status
    assert part in answer.json()["error"]["message"]


def test_streamed_answers_take_feedback_too(served: TestClient) -> None:
    body = {"model": "base_tfidf", "messages": [{"role": "user", "content": "where is it"}], "stream": True}
    text = served.post("/v1/chat/completions", json=body).text
    name = json.loads(text.split("\n\n")[0].removeprefix("data: "))["id"]
    assert served.post("/v1/feedback", json={"completion_id": name, "thumbs": "down"}).status_code == 200


def drawn(seed: int, words: tuple[str, ...], count: int, size: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choice(words) for _ in range(rng.randint(size, 2 * size))) for _ in range(count)]


def reference(texts: list[str]) -> DataReference:
    rows = [SimpleNamespace(text=text) for text in texts]
    return reference_of(SimpleNamespace(rows=rows, test_records={}))  # type: ignore[arg-type]


def test_like_inputs_raise_no_warning_and_others_do() -> None:
    words = tuple(f"word{n}" for n in range(300))
    false = 0
    for seed in range(200):
        texts = drawn(seed, words, 150, 8)
        findings = input_drift(reference(texts[:100]), drawn(10_000 + seed, words, 80, 8))
        false += any(finding.warning for finding in findings)
    assert false <= 2
    data_rows = reference(drawn(1, words, 100, 8))
    longer, stranger = (
        input_drift(data_rows, drawn(2, words, 80, 20)),
        input_drift(data_rows, drawn(3, tuple(f"new{n}" for n in range(300)), 80, 8)),
    )
    assert "another length" in longer[0].warning
    assert "other words" in stranger[1].warning
    assert "100% of their words are new" in stranger[1].warning


def test_answers_and_thumbs_are_compared_with_the_test() -> None:
    before = Counter({"billing": 50, "shipping": 50})
    assert not answer_drift("winner", before, Counter({"billing": 28, "shipping": 32}))[0].warning
    [finding] = answer_drift("winner", before, Counter({"billing": 10, "shipping": 90}))
    assert "'billing' is 10% of them, not 50%" in finding.warning
    assert answer_drift("winner", before, Counter({"billing": 9})) == []
    assert not thumb_drift("winner", 0.8, 78, 22)[0].warning
    assert "up for 50% of 100" in thumb_drift("winner", 0.8, 50, 50)[0].warning


def example(text: str, target: str) -> Example:
    return Example({"text": text}, target)


TASK = Task(
    "t", "Which?", tuple(example(f"a{n}", "x") for n in range(3)), (example("dev row", "y"),),
    (example("test row", "x"),), MetricSpec("accuracy"), ("x", "y"),
)  # fmt: skip


def line(text: str, target: str | None, **more: Any) -> str:
    facts = {"id": "f", "created_at": 1, "completion": "c", "answered_at": 1, "run": "", "model": "m", "candidate": "k"}
    facts |= {"way": "w", "input": {"text": text}, "answer": "x", "thumbs": None, "target": target, "corrected": True}
    return json.dumps({**facts, **more})


def test_feedback_is_trained_on_and_never_tested_on(tmp_path: Path) -> None:
    lines = [
        line("new one", "x"), line("new one", "y"), line("new two", "x", corrected=False), line("Test  ROW", "y"),
        line("new three", None), line("new four", "z"), line("x", "x", input={}), "{broken",
    ]  # fmt: skip
    (tmp_path / "feedback.jsonl").write_text("\n".join(lines))
    feedback = read_rows(tmp_path, TASK)
    assert [(row.text, row.target) for row in feedback.rows] == [("new one", "y"), ("new two", "x")]
    assert (feedback.corrected, sum(feedback.left_out.values())) == (1, 4)
    more = with_rows(TASK, feedback)
    assert (more.train[3:], more.dev, more.test) == (feedback.rows, TASK.dev, TASK.test)
    (tmp_path / "feedback.jsonl").write_text(line("test row", "y"))
    with pytest.raises(UserError, match="is a row of the data already"):
        read_rows(tmp_path, TASK)
    with pytest.raises(UserError, match="no feedback"):
        read_rows(tmp_path / "elsewhere", TASK)
