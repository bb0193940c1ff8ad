"""A real training that the clock, or Ctrl-C, ends: its state is saved, a verdict stands, the next start goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from contest_kit import make_components, settings_for, small_task

from whichway.backends.local import LocalBackend
from whichway.contest import run
from whichway.contest.clock import Clock
from whichway.errors import ClockEnded
from whichway.events import TrainingStep

WAYS = {"base_majority": {}, "prompt_plain": {"calibrate": 0}, "tune_lora": {"rate": 0.001, "epochs": 120, "batch": 4}}


@pytest.mark.slow
@pytest.mark.parametrize("end", [ClockEnded, KeyboardInterrupt])
def test_a_training_that_is_ended_goes_on_from_its_state(tiny, tmp_path: Path, end: type[BaseException]):
    task = small_task(40, 24, 24)
    backend = LocalBackend()
    components = make_components(task)
    weights = backend.weights(str(tiny("llama")))
    components = replace(components, backends={**components.backends, "local": backend}, base=weights)
    settings = replace(settings_for(tmp_path, WAYS), seeds=(0,), forgetting=False, minutes=60.0)
    steps: list[int] = []

    def stop(event):
        if isinstance(event, TrainingStep) and event.step < event.steps:
            steps.append(event.step)
            raise end

    ended = run(task, components, folder=tmp_path / "run", settings=settings, listener=stop, clock=Clock(60.0))
    assert steps
    assert ended.interrupted == (end is KeyboardInterrupt)
    assert {s.way for s in ended.verdict.standings} == {"base_majority", "prompt_plain"}
    assert [(one.what, one.way) for one in ended.verdict.missing] == [("way", "tune_lora")]
    heard: list[int] = []

    def hear(event):
        if isinstance(event, TrainingStep):
            heard.append(event.step)

    whole = run(task, components, folder=tmp_path / "run", settings=settings, listener=hear, clock=Clock(60.0))
    assert not whole.verdict.missing
    assert not heard or heard[0] > steps[0]  # none of its steps again
    assert {s.way for s in whole.verdict.standings} == set(WAYS)
