"""The format of frozen weights' products: in the plan, in the jobs that it concerns, kept by a run that goes on."""

import dataclasses
import json
from pathlib import Path

import pytest
from contest_kit import make_components, settings_for, small_task

from whichway.backends.fake import FakeBackend
from whichway.contest import run
from whichway.contest.plan import settled_precision
from whichway.errors import PlanMismatch

WAYS = {
    "tune_lora": {"epochs": 1, "checkpoints": 1, "rate": 0.001},
    "tune_full": {"epochs": 1, "checkpoints": 1, "rate": 0.001},
}


class Rounding(FakeBackend):
    """A fake model that trains faster in int8, or as fast."""

    def __init__(self, gains):
        super().__init__()
        self.gains, self.asked = gains, []

    def rounds(self, weights):
        self.asked.append(weights.base)
        return self.gains


def components_of(task, backend):
    components = make_components(task)
    return dataclasses.replace(components, backends={**components.backends, "fake": backend})


def trainings(cache: Path) -> dict[str, str]:
    """Kind -> the precision that its jobs asked for."""
    done = (json.loads(file.read_text()) for file in cache.rglob("done.json"))
    return {facts["kind"]: facts["options"].get("precision", "") for facts in done}


def contest(place: Path, backend, precision="auto"):
    task = small_task(60, 20, 20)
    settings = dataclasses.replace(settings_for(place, WAYS), seeds=(0,), forgetting=False, precision=precision)
    return run(task, components_of(task, backend), folder=place / "run", settings=settings)


def test_a_new_run_takes_what_the_machine_gains_by_and_keeps_it(tmp_path):
    backend = Rounding(gains=True)
    contest(tmp_path, backend)
    assert json.loads((tmp_path / "run" / "plan.json").read_text())["precision"] == "int8"
    assert trainings(tmp_path / ".cache") == {"lora": "int8", "full": ""}
    assert backend.asked == ["fake"]
    backend = Rounding(gains=False)
    assert contest(tmp_path, backend).paid_seconds == 0  # it goes on as it began
    assert backend.asked == []
    with pytest.raises(PlanMismatch, match="precision"):
        contest(tmp_path, backend, precision="fp32")


@pytest.mark.parametrize("forced", [True, False])
def test_without_a_gain_or_when_told_so_nothing_is_said_of_it(tmp_path, forced):
    contest(tmp_path, Rounding(gains=forced), precision="fp32" if forced else "auto")
    assert "precision" not in json.loads((tmp_path / "run" / "plan.json").read_text())
    assert trainings(tmp_path / ".cache") == {"lora": "", "full": ""}


def test_a_run_that_was_begun_before_goes_on_without():
    backend = Rounding(gains=True)
    components = components_of(small_task(20, 10, 10), backend)
    assert settled_precision("auto", components, {"task": "t"}) == "fp32"
    assert settled_precision("auto", components, {"task": "t", "precision": "int8"}) == "int8"
    assert settled_precision("int8", components, {}) == "int8"
    assert backend.asked == []
    assert settled_precision("auto", components, {}) == "int8"


def test_a_backend_that_says_nothing_of_it_trains_as_before():
    assert settled_precision("auto", make_components(small_task(20, 10, 10)), {}) == "fp32"
