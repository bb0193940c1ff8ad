"""Events: frozen dataclasses that inform and never control."""

import dataclasses
from dataclasses import replace

import pytest
from contest_kit import make_components, settings_for, small_task

from whichway.contest import run
from whichway.contest.dry_run.simulate import SimulatedBackend, SimulatedRun, SimulatedSession, estimate
from whichway.events import EVENTS, ProbeBegan, WaySaid


def test_every_event_has_a_name_of_its_own():
    assert len({event.name for event in EVENTS}) == len(EVENTS)
    assert all(event.name and dataclasses.is_dataclass(event) for event in EVENTS)
    said = WaySaid("prompt_plain", "hello")
    assert said.facts == dataclasses.asdict(said) == {"way": "prompt_plain", "message": "hello"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        said.way = "other"


def test_who_listens_changes_nothing(tmp_path):
    """The same estimate and the same run, whether anybody listens or the listener throws its events away."""
    task = small_task(60, 20, 30)
    ways = {"prompt_plain": {}, "prompt_shots": {}, "tune_lora": {}}
    found = []
    for number, listener in enumerate((lambda event: None, [].append)):
        place = tmp_path / str(number)
        settings = replace(settings_for(place, ways), seeds=(0,))
        components = make_components(task)
        amounts = estimate(task, components, settings, listener).ways
        run(task, components, folder=place / "run", settings=settings, listener=listener)
        found.append((
            {name: amount.disk_bytes for name, amount in amounts.items()},
            {name: amount.memory_bytes is not None for name, amount in amounts.items()},
            (place / "run" / "verdict.json").read_bytes(),
        ))  # fmt: skip
    assert found[0] == found[1]


def test_a_dry_run_is_told_the_way_and_the_rows(tmp_path):
    task, heard = small_task(60, 20, 30), []
    settings = replace(settings_for(tmp_path, {"prompt_plain": {}, "tune_lora": {}}), seeds=(0,))
    estimate(task, make_components(task), settings, heard.append)
    probed = {(event.way, event.what) for event in heard}
    assert {type(event) for event in heard} == {ProbeBegan}
    assert ("tune_lora", "training (lora)") in probed
    assert ("prompt_plain", "training (lora)") not in probed
    fields = {field.name for field in dataclasses.fields(SimulatedRun)}
    assert not fields & {"way", "gold"}
    assert {"way"} <= {field.name for field in dataclasses.fields(SimulatedSession)}
    assert not hasattr(SimulatedRun, "hear")
    assert not hasattr(SimulatedBackend, "hear")
