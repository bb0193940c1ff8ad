"""A judge at the bench: metered, cached, refused for its own model; planted noise and liking are recovered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from contest_kit import settings_for

from whichway.backends.fake import FakeBackend, uniform
from whichway.contest import Components, Settings, run
from whichway.contest.judge import _read
from whichway.errors import OptionError
from whichway.nouns import Budget, Example, JudgeSpec, MetricSpec, Reply, Request, Task, Weights
from whichway.runs.folder import read_lines
from whichway.tasks.metrics import checks_of, load
from whichway.ways import prompt_plain

WORDS = ("amber", "birch", "cedar", "dahlia", "elm", "fig", "ginger", "hazel")
LEVELS = ("poor", "weak", "fair", "good", "excellent")
SPEC = JudgeSpec("planted", "Is it nice?", LEVELS, repeats=3)
CHECKS = MetricSpec("checks", {"words": {"min": 4}})
WAYS: dict[str, Any] = {"prompt_plain~0": {}, "prompt_plain~1": {"temperature": 1.0}}


class PlantedJudge:
    """Knows the true worth of a text (a hash of it), errs with chance `noise`, takes the first with chance `tilt`."""

    name, version = "planted", "1"

    def __init__(self, noise: float = 0.0, tilt: float = 0.0) -> None:
        self.noise, self.tilt, self.asked = noise, tilt, 0

    def weights(self, base: str) -> Weights:
        return Weights(self.name, base, "r1")

    def trains(self) -> frozenset[str]:
        return frozenset()

    def open(self, weights: Weights, adapter: Path | None) -> Any:
        return nullcontext(self)

    def choose(self, requests: Sequence[Request]) -> list[Reply]:
        self.asked += len(requests)
        return [Reply(self._pair(r) if "first" in r.labels else self._level(r), tokens_in=9, seconds=0.01)
                for r in requests]  # fmt: skip

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        self.asked += len(requests)
        return [Reply(f"I say {self._level(r)}!", seconds=0.01) for r in requests]

    def _level(self, request: Request) -> str:
        text = request.messages[-1].content.split("Answer: ")[1].split("\n")[0]
        listed = request.messages[0].content  # the levels in this judgement's order
        if uniform(f"noise/{text}/{request.repeat}/{listed}") < self.noise:
            return LEVELS[int(uniform(f"level/{text}/{request.repeat}") * len(LEVELS))]
        return LEVELS[int(uniform(f"worth/{text}") * len(LEVELS))]

    def _pair(self, request: Request) -> str:
        content = request.messages[-1].content
        first, second = content.split("First answer: ")[1].split("\n\nSecond answer: ")
        second = second.split("\n")[0]
        if uniform(f"tilt/{content}") < self.tilt:
            return "first"
        return "first" if uniform(f"worth/{first}") >= uniform(f"worth/{second}") else "second"


def open_task(inputs: int = 60, **more: Any) -> Task:
    texts = [" ".join(words) for words in permutations(WORDS, 6)][: inputs * 7 : 7]
    rows = tuple(Example({"text": text}, "") for text in texts)
    return Task("letters", "Write.", (), (), rows, CHECKS, checks=CHECKS, judge=replace(SPEC, **more))


def components_of(task: Task, judge: Any) -> Components:
    fake = FakeBackend()
    assert task.judge
    return Components(
        {"fake": fake, judge.name: judge}, dict.fromkeys(WAYS, prompt_plain), load(task.metric), fake.weights("fake"),
        checks=checks_of(task.checks), judge=judge.weights(task.judge.model),
    )  # fmt: skip


def settings_of(place: Path, **more: Any) -> Settings:
    return replace(settings_for(place, WAYS), repeats=3, **more)


def held(place: Path, judge: Any, task: Task | None = None, name: str = "run", **more: Any) -> Any:
    task = task or open_task()
    return run(task, components_of(task, judge), folder=place / name, settings=settings_of(place, **more))


@pytest.mark.parametrize(("noise", "tilt"), [(0.0, 0.0), (0.4, 0.3), (0.9, 1.0)])
def test_planted_noise_and_liking_are_recovered_through_a_contest(tmp_path: Path, noise: float, tilt: float) -> None:
    found = held(tmp_path, PlantedJudge(noise, tilt)).verdict.judgement
    keep = 1 - noise
    assert found.same_again == pytest.approx(keep**2 + (1 - keep**2) / 5, abs=0.09)
    assert found.first_place == pytest.approx(0.5 + tilt / 2, abs=0.1)
    assert found.first_low <= found.first_place <= found.first_high
    assert found.useful == (noise == 0)
    assert found.repeats == 3
    assert found.unread == 0


def test_the_judge_stands_beside_and_changes_no_choice(tmp_path: Path) -> None:
    judged, task = held(tmp_path, PlantedJudge()).verdict, open_task()
    plain = replace(task, judge=None)
    components = replace(components_of(task, PlantedJudge()), judge=None)
    alone = run(plain, components, folder=tmp_path / "alone", settings=settings_of(tmp_path)).verdict
    assert (judged.choice, judged.answer, judged.standings) == (alone.choice, alone.answer, alone.standings)
    assert alone.judgement is None
    assert not (tmp_path / "alone" / "judgements.jsonl").exists()


def test_it_is_metered_in_the_ledger_and_a_second_run_asks_nothing(tmp_path: Path) -> None:
    judge = PlantedJudge(0.3, 0.3)
    held(tmp_path, judge)
    lines = [line for line in read_lines(tmp_path / "run" / "ledger.jsonl") if line["who"] == "judge"]
    assert {line["what"] for line in lines} == {"judge"}
    assert sum(line["calls"] for line in lines) == judge.asked > 0
    assert sum(line["seconds"] for line in lines) == pytest.approx(0.01 * judge.asked)
    before = {n: (tmp_path / "run" / n).read_bytes() for n in ("verdict.json", "judgements.jsonl", "ledger.jsonl")}
    again = PlantedJudge(0.3, 0.3)
    assert held(tmp_path, again).paid_seconds == 0
    assert again.asked == 0
    assert {n: (tmp_path / "run" / n).read_bytes() for n in before} == before
    (tmp_path / "run" / "judgements.jsonl").unlink()
    held(tmp_path, again)
    assert {n: (tmp_path / "run" / n).read_bytes() for n in before} == before


def test_each_answer_is_judged_with_the_levels_in_another_order(tmp_path: Path) -> None:
    seen: set[str] = set()

    class Listening(PlantedJudge):
        def choose(self, requests: Sequence[Request]) -> list[Reply]:
            seen.update(r.messages[0].content.rpartition("Answer with one of: ")[2] for r in requests)
            return super().choose(requests)

    held(tmp_path, Listening(), open_task(8))
    assert len({text for text in seen if "poor" in text}) == 3


def test_an_empty_purse_ends_the_judge_and_not_the_contest(tmp_path: Path) -> None:
    outcome = held(tmp_path, PlantedJudge(), budget=Budget(seconds=0.9))
    assert outcome.verdict.choice
    lines = list(read_lines(tmp_path / "run" / "judgements.jsonl"))
    assert len([line for line in lines if line["what"] == "level"]) < 3 * 60 * 4


def test_a_judge_whose_word_is_drawn_is_read(tmp_path: Path) -> None:
    found = held(tmp_path, PlantedJudge(), open_task(20, temperature=1.0, pairs=False)).verdict.judgement
    assert found.unread == 0
    assert found.comparisons == 0
    assert found.first_place is None
    assert found.scores
    assert _read("Good, or fair?", LEVELS) == "good"
    assert _read("no idea", LEVELS) is None


def test_empty_answers_have_the_worst_level_and_lose(tmp_path: Path) -> None:
    task = open_task(20)
    components = components_of(task, PlantedJudge())
    mute = FakeBackend()
    components = replace(components, backends={**components.backends, "fake": mute}, base=mute.weights("fake:mute=1"))
    found = run(task, components, folder=tmp_path / "run", settings=settings_of(tmp_path)).verdict.judgement
    assert {score.score for score in found.scores} == {0.0}
    assert found.comparisons == 0


@pytest.mark.parametrize("itself", [False, True])
def test_the_model_under_trial_judges_only_where_the_user_says_so(tmp_path: Path, itself: bool) -> None:
    task = open_task(8, model="fake", itself=itself, pairs=False)
    components = replace(components_of(task, PlantedJudge()), judge=FakeBackend().weights("fake"))
    if itself:
        assert run(task, components, folder=tmp_path / "run", settings=settings_of(tmp_path)).verdict.judgement
        return
    with pytest.raises(OptionError, match="fake is a model under trial, and models like their own answers"):
        run(task, components, folder=tmp_path / "run", settings=settings_of(tmp_path))
    assert not (tmp_path / "run").exists()


def test_a_proposer_does_not_judge(tmp_path: Path) -> None:
    from whichway.contest.judge import refuse_judge

    task = open_task(8)
    settings = replace(settings_of(tmp_path), ways={"prompt_search": {"proposer": "planted"}})
    with pytest.raises(OptionError, match="planted is a proposer of this run"):
        refuse_judge(task, components_of(task, PlantedJudge()), settings)


def test_another_judge_is_another_plan(tmp_path: Path) -> None:
    held(tmp_path, PlantedJudge(), open_task(8))
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert plan["judge"]["rubric"] == "Is it nice?"
    assert plan["versions"]["judge"] == "planted r1"
