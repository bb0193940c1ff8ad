"""SIGKILL in the middle of a training, of a checkpoint's write, of the search: the rerun goes on and ends equal."""

from __future__ import annotations

import sys

import pytest
from kill_kit import SPOTS, left_by, start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks")
FULL = [(spot, count) for spot in SPOTS for count in (1, 2, 4)]
FULL += [("the line of a checkpoint", 3), ("the search for a rate", 3)]
QUICK = [("a training step", 7), ("the write of the state", 9)]  # beside one run that is killed at every place in turn


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory) -> dict[str, str]:
    """What a run leaves that nobody kills."""
    import whichway.engine.train.trainer  # noqa: F401  (imported once, for all forks)

    place = tmp_path_factory.mktemp("whole")
    assert start(place, tiny("llama")) == 0
    return left_by(place)


def killed_and_run_again(place, model, spot, count):
    assert start(place, model, spot, count) == -9
    assert not (place / "r" / "verdict.json").exists()
    assert start(place, model) == 0
    return left_by(place)


def test_two_runs_that_nobody_kills_are_equal(whole, tiny, tmp_path):
    assert start(tmp_path, tiny("llama")) == 0
    assert left_by(tmp_path) == whole
    assert {"verdict.json", "records.jsonl"} <= whole.keys()
    assert sum(name.endswith(".safetensors") for name in whole) == 4


@pytest.mark.parametrize(("spot", "count"), QUICK, ids=[f"{s}-{n}" for s, n in QUICK])
def test_killed_once_it_ends_equal(whole, tiny, tmp_path, spot, count):
    assert killed_and_run_again(tmp_path, tiny("llama"), spot, count) == whole


def test_killed_at_every_place_in_turn_it_ends_equal(whole, tiny, tmp_path):
    """One run that never gets far: killed at each place, each time from where it stood."""
    for spot in SPOTS:
        start(tmp_path, tiny("llama"), spot, 2)
    assert start(tmp_path, tiny("llama")) == 0
    assert left_by(tmp_path) == whole


@pytest.mark.slow
@pytest.mark.parametrize(("spot", "count"), FULL, ids=[f"{s}-{n}" for s, n in FULL])
def test_killed_anywhere_it_ends_equal(whole, tiny, tmp_path, spot, count):
    assert killed_and_run_again(tmp_path, tiny("llama"), spot, count) == whole
