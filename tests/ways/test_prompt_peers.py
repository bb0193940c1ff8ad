"""GEPA and MIPROv2 on our bench (skipped where they are not installed), and the endpoint they ask."""

from __future__ import annotations

import builtins
import json
from pathlib import Path

import pytest
from bench_way import BenchWay

from whichway.app import configure as front
from whichway.contest import Components, Settings, run
from whichway.errors import OptionError
from whichway.nouns import Budget, Candidate, Decoding, Example, Message, MetricSpec, Prompt, Shot, Task
from whichway.prompts.template import messages
from whichway.runs.folder import read_candidates
from whichway.tasks import metrics
from whichway.ways._endpoint import Endpoint, OptimizerBudgetSpent, content, post

SAID = {"billing": "charged card invoice", "delivery": "parcel late courier"}


def task() -> Task:
    rows = [
        Example({"text": f"{word} please {i}"}, label)
        for i in range(40)
        for label, said in SAID.items()
        for word in said.split()[: 1 + i % 3]
    ]
    spec = MetricSpec("accuracy")
    return Task("peers", "Which team?", tuple(rows[:60]), tuple(rows[60:120]), tuple(rows[120:]), spec, tuple(SAID))


def contest(place: Path, way: str | object, calls: int | None, seeds: tuple[int, ...] = (0,)):
    one, backends = task(), front.backends()
    ways = front.ways() if isinstance(way, str) else {"probe": way}
    components = Components(backends, ways, metrics.load(one.metric), backends["fake"].weights("fake"))
    name = way if isinstance(way, str) else "probe"
    settings = Settings({name: {}}, place / ".cache", seeds=seeds, budget=Budget(calls=calls))
    return run(one, components, folder=place / "run", settings=settings)


def test_the_endpoint_answers_as_the_bench_does_and_the_purse_pays(tmp_path):
    told = {}

    def work(task, bench):
        prompt = Prompt(objective="Which team?", labels=task.labels, shots=(Shot("a card", "billing"),))
        candidate, row = Candidate(prompt, bench.base, Decoding()), task.dev[0]

        def job(url: str):
            choice = {"choice": list(task.labels)}
            known = post(url, messages(prompt, row.text), structured_outputs=choice, metadata={"row": row.id})
            told["known"], told["again"] = known, post(url, messages(prompt, row.text), structured_outputs=choice)
            told["written"] = post(url, [Message("user", "Say it in a few words")], max_tokens=5)
            return bench.spent.calls

        told["spent"] = Endpoint(task, bench).run(job)
        told["record"] = bench.score(candidate, [row])[0]
        told["after"] = bench.spent.calls
        return candidate

    contest(tmp_path, BenchWay(work), 100)
    assert content(told["known"]) == content(told["again"]) == told["record"].text
    assert told["known"]["score"] == told["record"].score
    assert told["again"]["score"] is None
    assert content(told["written"])
    assert told["spent"] == told["after"] == 2  # asked again, and scored by the contest: bought once


def test_an_empty_purse_is_402_and_a_broken_chat_is_told(tmp_path):
    told = {}

    def work(task, bench):
        def job(url: str):
            for k in range(50):
                post(url, [Message("user", f"question {k}")])

        def broken(url: str):
            post(url, [Message("assistant", "I begin")])

        with pytest.raises(OptimizerBudgetSpent):
            Endpoint(task, bench, calls=5).run(job)
        told["spent"] = bench.spent.calls
        with pytest.raises(Exception, match="turns that no prompt has"):
            Endpoint(task, bench).run(broken)
        return Candidate(Prompt(objective="x", labels=task.labels), bench.base, Decoding())

    contest(tmp_path, BenchWay(work), 400)
    assert told["spent"] == 5


@pytest.mark.parametrize(("way", "extra"), [("prompt_gepa", "gepa"), ("prompt_mipro", "dspy")])
def test_without_the_package_the_extra_is_named(way, extra, monkeypatch):
    real = builtins.__import__

    def no(name, *rest, **more):
        if name.split(".")[0] == extra:
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", no)
    with pytest.raises(OptionError, match=rf"whichway\[{extra}\]"):
        front.ways()[way].need()


@pytest.mark.parametrize(("way", "needs"), [("prompt_gepa", ("gepa",)), ("prompt_mipro", ("dspy", "optuna"))])
@pytest.mark.parametrize("calls", [200, 900])
def test_a_peer_runs_pays_and_ends_with_the_best_so_far(way, needs, calls, tmp_path):
    for package in needs:
        pytest.importorskip(package)
    outcome = contest(tmp_path, way, calls)
    standing = outcome.verdict.standings[0]
    assert standing.status == "ok", standing.reason
    spent = json.loads((tmp_path / "run" / "ways" / way / "status.json").read_text())
    assert 20 < spent["calls_fit"] <= calls
    ((candidate, _),) = read_candidates(tmp_path / "run").values()
    assert candidate.prompt.labels == tuple(SAID)
    assert candidate.decoding == Decoding(max_tokens=128)
    held_out = {e.text for e in (*task().dev, *task().test)}
    assert not held_out & {shot.text for shot in candidate.prompt.shots}
    ends = ("stopped as its calls were spent", "ended by itself", "metric calls")
    assert any(end in candidate.note for end in ends)
