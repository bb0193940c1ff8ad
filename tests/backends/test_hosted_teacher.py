"""A teacher behind an API: in the contest beside its student, under the student's cap, never sent private rows."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from endpoint_kit import KEY, LABELS, WORDS, Endpoint, serving, shelf
from hosted_kit import PRICE, QUICK, schedule, until_finished
from hosted_kit import small_task as hosted_task

import whichway as ww
from whichway.app.configure import ways
from whichway.backends.classical import ClassicalBackend
from whichway.backends.fake import FakeBackend
from whichway.backends.openai import OpenAIBackend
from whichway.contest import Components, Outcome, Settings, run
from whichway.contest.dry_run.simulate import estimate
from whichway.contracts import follow_nothing
from whichway.errors import EndpointError, OptionError
from whichway.nouns import Budget, Example, Task
from whichway.runs.folder import read_candidates, read_lines
from whichway.tasks.metrics import load

STUDENT = {"epochs": 1, "steps": 0, "factors": (1.6,), "checkpoints": 1, "student": "tune_head"}
TEACH = {**STUDENT, "teacher": "there", "prompts": ("prompt_plain",), "agree": 1}
CONTEST = {"prompt_plain@there": {}, "both_distill@small": TEACH}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAKE_KEY", KEY)
    return tmp_path


def task_of(count: int = 40) -> Task:
    words = list(WORDS)
    bare = tuple(Example({"text": f"note {n} on the {words[n % 3]}, please"}, "") for n in range(count))
    return replace(hosted_task(6, 10, 12), unlabelled=bare)


@dataclass
class Taught:
    """A contest of a hosted teacher and a student on the double."""

    place: Path
    task: Task
    cap: float | None = None
    private: bool = False

    def parts(self) -> tuple[Components, Settings]:
        backend, fake = OpenAIBackend(QUICK), FakeBackend()
        models = {"small": fake.weights("fake"), "there": backend.weights("there")}
        all_backends: Any = {"openai": backend, "fake": fake, "classical": ClassicalBackend()}
        components = Components(
            all_backends, ways(), load(self.task.metric), models["small"], models=models, prices={"there": PRICE}
        )
        settings = Settings(
            CONTEST, self.place / ".cache", Budget(usd=self.cap), private=self.private, seeds=(0,), race=False
        )
        return components, settings

    def hold(self) -> Outcome:
        components, settings = self.parts()
        return run(self.task, components, folder=self.place / "run", settings=settings)

    @property
    def ledger(self) -> list[dict[str, Any]]:
        return list(read_lines(self.place / "run" / "ledger.jsonl"))


def test_the_teacher_is_paid_once_and_stands_in_the_students_price(place: Path) -> None:
    endpoint, contest = Endpoint(), Taught(place, task_of())
    with serving(endpoint) as address:
        shelf(place, address)
        verdict = contest.hold().verdict
        calls = endpoint.calls
        again = contest.hold()
    assert endpoint.calls == calls == len(set(endpoint.delivered)), "no question was asked twice"
    assert again.paid_usd == 0
    standing = {s.way: s for s in verdict.standings}
    assert {s.status for s in standing.values()} == {"ok"}
    asked = [line for line in contest.ledger if line["who"] == "both_distill@small" and line.get("way")]
    bill = sum(line["usd"] for line in asked)
    assert len([line for line in asked if line["what"] == "ask"]) >= len(contest.task.unlabelled)
    assert standing["both_distill@small"].usd_fit >= bill > 0
    assert sum(line["paid_usd"] for line in contest.ledger if line.get("way")) == pytest.approx(endpoint.bill_usd)
    notes = [c.note for c, _ in read_candidates(place / "run").values() if c.way == "both_distill@small"]
    assert any("rows that there labelled" in note for note in notes)
    student = [c for c, _ in read_candidates(place / "run").values() if "there labelled" in c.note]
    assert all(c.weights.backend == "fake" for c in student)


@pytest.mark.parametrize("cap", [0.0002, 0.0008, 0.0015, 0.003, 0.006])
def test_no_cap_is_passed_whatever_it_is(cap: float, place: Path) -> None:
    endpoint, contest = Endpoint(), Taught(place, task_of(80), cap=cap)
    with serving(endpoint) as address:
        shelf(place, address)
        verdict = contest.hold().verdict
    for way in CONTEST:
        listed = sum(line["usd"] for line in contest.ledger if line["who"] == way)
        paid = sum(line["paid_usd"] for line in contest.ledger if line["who"] == way)
        assert listed <= cap + 1e-12, f"{way}: list price {listed} of {cap}"
        assert paid <= cap + 1e-12
    assert endpoint.bill_usd <= 2 * cap, "a cap for each way"
    status = {s.way: s.status for s in verdict.standings}
    assert status["both_distill@small"] == "ok", "the labelled rows alone are always there"


def test_a_key_that_is_revoked_midway_stops_saved_and_goes_on(place: Path) -> None:
    endpoint, contest = Endpoint(), Taught(place, task_of())
    with serving(endpoint) as address:
        shelf(place, address)
        endpoint.fault = lambda number: setattr(endpoint, "key", None) if number == 70 else None
        with pytest.raises(EndpointError):
            contest.hold()
        before = len(endpoint.delivered)
        endpoint.key, endpoint.fault = KEY, lambda number: None
        contest.hold()
    assert before > 0
    assert len(endpoint.delivered) == len(set(endpoint.delivered)), "nothing was asked twice"


def faulty(seed: int, place: Path) -> None:
    """A contest under a cap while the endpoint misbehaves, until it is finished."""
    cap = (0.0006, 0.0015, 0.004, None)[seed % 4]
    endpoint = Endpoint(fault=schedule(seed, (0.05, 0.15, 0.3)[seed % 3]))
    contest = Taught(place, task_of(40), cap=cap)
    with serving(endpoint) as address:
        shelf(place, address, timeout_seconds=0.5, concurrency=8)
        until_finished(contest.hold)
    lines = contest.ledger
    assert len({line["key"] for line in lines}) == len(lines), "a line stands twice"
    paid = {way: sum(line["paid_usd"] for line in lines if line["who"] == way) for way in CONTEST}
    assert cap is None or max(paid.values()) <= cap + 1e-12
    hosted = sum(line["paid_usd"] for line in lines if line.get("way"))
    assert hosted >= endpoint.bill_usd - 1e-9, "the books hold at least the bill"


@pytest.mark.parametrize("seed", range(2))
def test_random_faults(seed: int, place: Path) -> None:
    faulty(seed, place)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 42))
def test_many_random_faults(seed: int, place: Path) -> None:
    faulty(seed, place)


def test_private_rows_never_reach_it(place: Path) -> None:
    endpoint = Endpoint()
    rows = [(e.text, e.target) for e in (*hosted_task(20, 20, 20).train, *hosted_task(20, 20, 20).test)]
    (place / "t.csv").write_text("text,team\n" + "".join(f'"{text}",{label}\n' for text, label in rows))
    (place / "more.csv").write_text("text\n" + "".join(f'"{row.text}"\n' for row in task_of().unlabelled))
    said = {"model": "fake", "unlabelled": "more.csv", "ways": {"both_distill": {"teacher": "there"}}, "probe": False}
    with serving(endpoint) as address:
        shelf(place, address)
        with pytest.raises(OptionError, match="there lies behind an API"):
            ww.run("t.csv", private=True, spend=True, **said)
        contest = Taught(place, task_of(), private=True)
        with pytest.raises(OptionError, match="there lies behind an API"):
            contest.hold()
    assert endpoint.calls == 0


def test_a_teacher_joins_the_contest_with_its_prompts_and_its_price_is_said_before(place: Path) -> None:
    endpoint = Endpoint()
    words = ("amber", "birch", "cedar", "dahlia", "elm", "fig", "ginger", "hazel", "iris", "jasmine")
    rows = [(f"{a} {b} about my {list(WORDS)[n % 3]} {b} {a}", list(WORDS.values())[n % 3])
            for n, (a, b) in enumerate((a, b) for a in words for b in words if a < b)]  # fmt: skip
    (place / "t.csv").write_text("text,team\n" + "".join(f"{text},{label}\n" for text, label in rows))
    (place / "more.csv").write_text("text\n" + "".join(f'"{row.text}"\n' for row in task_of().unlabelled))
    with serving(endpoint) as address:
        shelf(place, address)
        ways_said: Any = {"both_distill": {"teacher": "there", **STUDENT}, "base_majority": {}}
        said = {"model": "fake", "unlabelled": "more.csv", "ways": ways_said, "folds": 1, "seeds": 1}
        preview = ww.plan("t.csv", probe=True, **said)
        assert endpoint.calls == 0
        assert list(preview.plan.ways) == [
            "base_majority", "both_distill@fake", "prompt_plain@there", "prompt_shots@there"
        ]  # fmt: skip
        assert list(preview.plan.models) == ["fake", "there"]
        assert preview.estimate is not None
        assert preview.estimate.ways["both_distill@fake"].tokens_in > 0
        with pytest.raises(OptionError, match="Say spend=True"):
            ww.run("t.csv", **said)
        assert endpoint.calls == 0
        finished = ww.run("t.csv", spend=True, **said)
    standing = {s.way for s in finished.verdict.standings if s.status == "ok"}
    assert standing >= {"both_distill@fake", "prompt_plain@there"}
    assert json.loads((finished.path / "plan.json").read_text())["unlabelled"]["rows"] == 40


def test_the_estimate_names_the_teachers_money(place: Path) -> None:
    with serving(Endpoint()) as address:
        shelf(place, address)
        contest = Taught(place, task_of())
        components, settings = contest.parts()
        said = estimate(contest.task, components, settings, follow_nothing).ways
        contest.hold()
    actual = sum(line["usd"] for line in contest.ledger if line["who"] == "both_distill@small" and line.get("way"))
    amount = said["both_distill@small"]
    assert amount.tokens_in > 0
    assert amount.usd_low / 2 <= actual <= amount.usd_high
    assert set(LABELS) == set(contest.task.labels)
