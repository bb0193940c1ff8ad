"""The prompting ways in a contest: shots of every kind, thoughts and votes, frameworks and the spread over forms."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from contest_kit import make_components, settings_for, small_task

from whichway.app.configure import family, ways
from whichway.backends.fake import FakeBackend, FakeSession, uniform
from whichway.contest import Components, Outcome, run
from whichway.errors import WayFailed
from whichway.nouns import MetricSpec, Reply, Request, Task
from whichway.report import html
from whichway.runs.folder import read_candidates, read_records


class Thinker(FakeBackend):
    """Writes thoughts; six texts in ten are right, one has no answer, the others are wrong in many ways."""

    def __init__(self, gold: dict[str, str], labels: Sequence[str]) -> None:
        super().__init__()
        self.gold, self.labels, self.asked = gold, labels, Counter[str]()

    def open(self, weights: Any, adapter: Any) -> Any:
        backend = self

        class Session(FakeSession):
            def generate(self, requests: Sequence[Request]) -> list[Reply]:
                return [self._reply(r, backend.think(r), {}) for r in requests]

        found = super().open(weights, adapter)
        session = found.enter_result
        found.enter_result = Session(session.weights, session.learned, session.options, session.world)
        return found

    def think(self, request: Request) -> str:
        """What is written to a row."""
        content = request.messages[-1].content
        row = next(text for text in self.gold if content.endswith(text))
        self.asked[row] += 1
        chance = uniform(f"{row}/{request.decoding.temperature}/{request.repeat}")
        if chance < 0.1:
            return "I do not know what to say"
        others = [label for label in self.labels if label != self.gold[row]]
        said = self.gold[row] if chance < 0.7 else others[int(1e6 * chance) % len(others)]
        return f"It could be {others[0]}.\nAnswer: {said.upper()}."


def contest(tmp_path: Path, task: Task, components: Components, **ways: dict[str, Any]) -> Outcome:
    modules = {name: importlib.import_module(f"whichway.ways.{name}") for name in ways}
    settings = replace(settings_for(tmp_path, ways), seeds=(0, 1))
    return run(task, replace(components, ways=modules), folder=tmp_path / "run", settings=settings)


@pytest.fixture
def task() -> Task:
    return small_task(120, 40, 60)


def thinking(task: Task) -> tuple[Components, Thinker]:
    backend = Thinker({e.text: e.target for e in (*task.train, *task.dev, *task.test)}, task.labels)
    components = make_components(task)
    return replace(components, backends={**components.backends, "fake": backend}), backend


def test_votes_are_read_counted_and_paid(tmp_path: Path, task: Task) -> None:
    components, backend = thinking(task)
    options = {"votes": (1, 9)}
    outcome = contest(tmp_path, task, replace(components), prompt_reason=options)
    found = {c.decoding.votes: key for key, (c, _) in read_candidates(tmp_path / "run").items()}
    (line,) = outcome.verdict.standings
    assert line.candidates == (found[9],)
    assert line.score is not None
    assert line.score > 0.9  # nine texts of which six in ten are right
    test = [r for r in read_records(tmp_path / "run") if r.candidate == found[9] and r.split == "test"]
    assert len(test) == len(task.test)
    assert all(r.text in task.labels and r.why.startswith("[") for r in test if r.outcome == "ok")
    assert max(backend.asked[e.text] for e in task.test) == 9
    words = len(test[0].why.splitlines()[1:])
    assert words
    assert test[0].tokens_out > 9 * 4


def test_a_text_without_an_answer_is_unparsed_not_wrong(tmp_path: Path, task: Task) -> None:
    components, _ = thinking(task)
    outcome = contest(tmp_path, task, components, prompt_reason={"votes": (1,)})
    (line,) = outcome.verdict.standings
    test = [r for r in read_records(tmp_path / "run") if r.split == "test"]
    unread = [r for r in test if r.outcome == "unparsed"]
    assert line.unparsed == pytest.approx(len(unread) / len(test))
    assert 0 < len(unread) < len(test) / 3
    assert {(r.score, r.why) for r in unread} == {(None, "no 'Answer:' with an answer after it")}


def test_a_rerun_asks_nothing_again(tmp_path: Path, task: Task) -> None:
    components, backend = thinking(task)
    contest(tmp_path, task, components, prompt_reason={"votes": (3,)})
    before, files = backend.asked.copy(), (tmp_path / "run" / "verdict.json").read_bytes()
    again = contest(tmp_path, task, components, prompt_reason={"votes": (3,)})
    assert backend.asked == before
    assert again.paid_seconds == 0
    assert (tmp_path / "run" / "verdict.json").read_bytes() == files


@pytest.mark.parametrize("kind", ["diverse", "contrastive", "knn"])
def test_shots_of_each_kind_come_from_train_for_each_seed(kind: str, tmp_path: Path, task: Task) -> None:
    options = {"kinds": (kind,), "counts": (4, 8), "orders": ("drawn", "reversed")}
    outcome = contest(tmp_path, task, make_components(task), prompt_plain={}, prompt_shots=options)
    scores = {line.way: line.score for line in outcome.verdict.standings if line.status == "ok"}
    candidates = [c for c, _ in read_candidates(tmp_path / "run").values() if c.way == "prompt_shots"]
    prompts = [c.prompt for c in candidates]
    train = {(e.text, e.target) for e in task.train}
    assert {(s.text, s.answer) for p in prompts for s in (*p.shots, *p.pool)} <= train
    assert {c.seed for c in candidates} == {0, 1}
    if kind == "knn":
        assert {(p.nearest, len(p.shots)) for p in prompts} == {(4, 0), (8, 0)}
        assert scores["prompt_shots"] > scores["prompt_plain"]
    else:
        assert len(candidates) == 2 * 2 * 2
        assert any(p.shots == q.shots[::-1] for p in prompts for q in prompts if p != q)
    if kind == "contrastive":
        assert all(a.answer != b.answer for p in prompts for a, b in zip(p.shots[::2], p.shots[1::2], strict=True))


def test_shots_as_they_come_are_chosen_for_each_row_too_and_free_text_has_random_ones(task: Task) -> None:
    way = importlib.import_module("whichway.ways.prompt_shots")
    bench = SimpleNamespace(
        base=make_components(task).base, seeds=(0,), encoder=lambda word: None, say=lambda message: None
    )
    free = replace(task, labels=(), metric=MetricSpec("exact_match"))
    for asked, fixed in ((task, "balanced"), (free, "random")):
        found = list(way.adapt(asked.train_dev_view(), bench, way.Options(calibrate=0)))
        assert [(c.prompt.nearest, len(c.prompt.shots)) for c in found] == [(0, 4), (4, 0), (0, 12), (12, 0)]
        assert all(fixed in c.note for c in found if not c.prompt.nearest)


def test_contrastive_shots_want_a_confusion(tmp_path: Path, task: Task) -> None:
    way = importlib.import_module("whichway.ways.prompt_shots")

    class Right:
        base, seeds = make_components(task).base, (0,)

        def ask(self, candidate: Any, examples: Any) -> list[Reply]:
            return [Reply(e.target) for e in examples]

    with pytest.raises(WayFailed, match="confuses no labels"):
        list(way.adapt(task.train_dev_view(), Right(), way.Options(kinds=("contrastive",), calibrate=0)))


def test_the_spread_over_forms_is_in_verdict_and_report(tmp_path: Path, task: Task) -> None:
    outcome = contest(tmp_path, task, make_components(task), prompt_plain={}, prompt_framework={})
    (found,) = outcome.verdict.formats
    assert (found.way, found.forms, found.rows) == ("prompt_framework", 11, len(task.dev))
    assert found.low <= found.high
    assert sorted(dict(found.scores)) == sorted({c.prompt.form.name for c in frameworks(tmp_path)})
    told = next(s for s in outcome.verdict.sentences if "alone moves prompt_framework" in s.text)
    assert told.values["forms"] == 11
    page = html.write(tmp_path / "run").read_text(encoding="utf-8")
    assert page.count("Form alone") == 1  # the section
    assert page.count("The form of the prompt alone moves") == 1
    assert all(name in page for name in dict(found.scores))


def frameworks(tmp_path: Path) -> list[Any]:
    return [c for c, _ in read_candidates(tmp_path / "run").values() if c.way == "prompt_framework"]


def test_all_prompt_names_every_prompting_way() -> None:
    known = ways()
    assert set(family("all-prompt", known)) == {name for name in known if name.startswith("prompt_")}
    assert {"prompt_reason", "prompt_role"} < set(family("all-prompt", known))
    assert family("prompt_plain", known) == ["prompt_plain"]
    assert family("all-promt", known) == ["all-promt"]  # no such way: refused where ways are looked up
