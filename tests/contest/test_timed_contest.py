"""A contest against the clock: what is bought first, what stands when it ends, and how it goes on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from contest_kit import make_components, settings_for, small_task

from whichway.app.open_results import results_of
from whichway.backends.fake import FakeBackend
from whichway.contest import run
from whichway.contest.clock import Clock
from whichway.contest.dry_run.simulate import FILE, estimate, estimate_json
from whichway.errors import ClockEnded, PlanMismatch
from whichway.runs import folder as folder_files
from whichway.runs.run import Run
from whichway.tasks.folds import cut

WAYS = ("base_majority", "base_tfidf", "prompt_plain", "prompt_shots", "tune_lora")
FEW = ("base_majority", "base_tfidf", "prompt_plain", "tune_lora")
SECONDS = 0.05  # of an answer of the fake model


class World:
    """A fake model whose seconds pass on a clock of their own."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.now, self.base = 0.0, f"fake:seconds={seconds}"

    def components(self, task):
        components = make_components(task, self.base)
        return replace(components, backends={**components.backends, "fake": Passing(self)})

    def clock(self, minutes: float | None) -> Clock:
        return Clock(minutes, lambda: self.now)


class Passing(FakeBackend):
    def __init__(self, world: World) -> None:
        super().__init__()
        self._world, self.watch = world, None

    def expect(self) -> None:
        pass

    def open(self, weights, adapter):
        with super().open(weights, adapter) as session:
            return Spending(session, self._world)

    def train(self, job, folder, adapter):
        before = 0.0
        for made in super().train(job, folder, adapter):
            for _ in range(20):
                self._world.now += (made.seconds - before) / 20
                if self.watch:
                    self.watch({"step": 1, "steps": 2, "loss": 1.0, "tokens_per_second": 1.0, "seconds_left": 1.0})
            before = made.seconds
            yield made


class Spending:
    def __init__(self, session, world: World) -> None:
        self._session, self._world = session, world

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def choose(self, requests):
        replies = self._session.choose(requests)
        self._world.now += sum(reply.seconds for reply in replies)
        return replies


def hold(place: Path, minutes: float | None, *, folds: int = 0, listener=None, world=None, probe=True, ways=WAYS):
    world = world or World()
    task = small_task(90, 40, 60)
    if folds:
        task = cut(replace(task, foldable=True), folds)
    components = world.components(task)
    settings = replace(settings_for(place, {name: {} for name in ways}), seeds=(0, 1), minutes=minutes)
    files = {}
    if probe and not (place / "run").exists():
        files = {FILE: estimate_json(estimate(task, make_components(task, world.base), settings, lambda event: None))}
    return run(
        task, components, folder=place / "run", settings=settings, listener=listener, beside_plan=files,
        clock=world.clock(minutes),
    )  # fmt: skip


def test_a_long_enough_clock_buys_everything(tmp_path):
    outcome = hold(tmp_path, 1000)
    assert outcome.verdict.missing == ()
    assert {s.way: s.seeds for s in outcome.verdict.standings} == {
        "base_majority": 1, "base_tfidf": 1, "prompt_plain": 1, "prompt_shots": 2, "tune_lora": 2,
    }  # fmt: skip
    bought = [tuple(pair) for pair in outcome.run.clock["bought"]]
    assert bought.index(("search", "prompt_shots")) < bought.index(("seed", "prompt_shots"))  # its few settings failed
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert plan["timed"]
    assert "options" not in plan


def test_one_minute_of_a_slow_model_says_something_true_and_how_unsure(tmp_path):
    world = World(0.4)
    outcome = hold(tmp_path, 1.5, world=world)
    verdict = outcome.verdict
    assert world.now <= 1.1 * 90
    tried = {s.way for s in verdict.standings}
    assert {"base_majority", "base_tfidf"} <= tried
    assert "tune_lora" not in tried
    left = {one.way for one in verdict.missing if one.what == "way"}
    assert left == set(WAYS) - tried
    assert "Not tried for want of time" in verdict.headline
    assert all(0 <= one.chance <= 1 for one in verdict.missing if one.what == "way")
    assert any("tune_lora was not tried" in sentence for sentence in verdict.would_decide)
    again = Run(tmp_path / "run").verdict
    assert again == verdict


def test_more_minutes_go_on_and_pay_only_for_the_rest(tmp_path):
    world = World(0.1)
    first = hold(tmp_path, 1, world=world, ways=FEW)
    assert first.verdict.missing
    spent = world.now
    second = hold(tmp_path, 500, world=world, ways=FEW)
    assert second.verdict.missing == ()
    whole = World(0.1)
    hold(tmp_path / "other", 501, world=whole, ways=FEW)
    assert world.now == pytest.approx(whole.now, rel=0.02)
    assert second.paid_seconds == pytest.approx(world.now - spent, rel=0.1)
    lines = [json.loads(line) for line in (tmp_path / "run" / "ledger.jsonl").open()]
    assert len({line["key"] for line in lines}) == len(lines)
    same = hold(tmp_path, 500, world=world, ways=FEW)
    assert same.paid_seconds == 0
    assert same.verdict == second.verdict


def test_folds_count_when_they_are_whole(tmp_path):
    world = World(0.1)
    first = hold(tmp_path, 0.55, folds=3, world=world, ways=FEW)
    assert world.now <= 1.1 * 33
    seen = Run(tmp_path / "run")
    counted = seen.clock["folds"]
    assert counted < 3
    assert ["way", "prompt_plain"] in seen.clock["bought"]
    assert first.verdict.rows == len([row for row in seen.rows if row.fold is not None and row.fold < counted])
    assert any(one.what == "fold" for one in first.verdict.missing)
    last = hold(tmp_path, 2000, folds=3, world=world, ways=FEW)
    assert last.verdict.missing == ()
    assert last.verdict.folds == 3
    assert last.verdict.rows == 190


def test_ctrl_c_leaves_a_verdict_from_what_stands(tmp_path):
    def stop(event):
        if event.name == "training":
            raise KeyboardInterrupt

    outcome = hold(tmp_path, 500, listener=stop, ways=FEW)
    assert outcome.interrupted
    assert (tmp_path / "run" / "verdict.json").exists()
    assert {s.way for s in outcome.verdict.standings} >= {"base_majority", "base_tfidf", "prompt_plain"}
    assert "tune_lora" in {one.way for one in outcome.verdict.missing}
    assert not hold(tmp_path, 500, ways=FEW).interrupted


def test_without_a_probe_kinds_are_guessed(tmp_path):
    outcome = hold(tmp_path, 500, probe=False, ways=FEW)
    assert outcome.verdict.missing == ()


def test_a_run_without_a_clock_is_not_continued_against_one(tmp_path):
    task = small_task(90, 40, 60)
    settings = settings_for(tmp_path, {"base_majority": {}, "prompt_plain": {}})
    run(task, make_components(task), folder=tmp_path / "run", settings=settings)
    finished = run(task, make_components(task), folder=tmp_path / "run", settings=replace(settings, minutes=1))
    assert finished.paid_seconds == 0
    (tmp_path / "run" / "verdict.json").unlink()
    with pytest.raises(PlanMismatch, match="begun without --minutes, and goes on without: leave --minutes out"):
        run(task, make_components(task), folder=tmp_path / "run", settings=replace(settings, minutes=1))


@pytest.mark.parametrize("folds", [0, 3])
def test_whatever_moment_a_process_is_killed_at_a_verdict_stands(tmp_path, monkeypatch, folds):
    """Each file that the run renames into place leaves a folder that may be the last one."""
    states, honest = [], folder_files.os.replace

    def watched(source, goal):
        honest(source, goal)
        states.append(tmp_path / f"state-{len(states)}")
        if (tmp_path / "run").exists():
            shutil.copytree(tmp_path / "run", states[-1])

    with monkeypatch.context() as patch:
        patch.setattr(folder_files.os, "replace", watched)
        hold(tmp_path, 5, folds=folds, world=World(0.05), ways=("base_majority", "prompt_plain", "tune_lora"))
    answered, before = 0, 0
    for state in states:
        if not list(state.glob("ways/*/status.json")):
            continue
        verdict = results_of(state).verdict()
        assert verdict.standings
        assert not {one.way for one in verdict.missing if one.what == "way"} & {s.way for s in verdict.standings}
        assert verdict.folds >= before or not folds
        answered, before = answered + 1, verdict.folds
    assert answered > 5
    assert Run(states[-1]).clock["folds"] == folds


def test_a_run_against_the_clock_goes_on_without_one(tmp_path):
    world = World(0.2)
    assert hold(tmp_path, 0.5, world=world, ways=FEW).verdict.missing
    assert hold(tmp_path, None, world=world, ways=FEW).verdict.missing == ()


def test_a_clock_refuses_only_while_work_is_done():
    now = [0.0]
    clock = Clock(1, lambda: now[0])
    now[0] = 100.0
    clock.check()
    with pytest.raises(ClockEnded), clock.working():
        clock.check()
    assert Clock(None).left is None
