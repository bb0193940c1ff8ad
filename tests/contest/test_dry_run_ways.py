"""Every way that can be found is simulated, also those that are written tomorrow: it ends as in the contest."""

from __future__ import annotations

import time

import pytest
from contest_kit import settings_for, small_task

from whichway.app import configure as front
from whichway.contest import Components, run
from whichway.contest.dry_run.simulate import estimate
from whichway.contracts import combines
from whichway.runs.run import Run
from whichway.tasks import metrics

EXTRAS = {"prompt_gepa": "gepa", "prompt_mipro": "dspy"}  # ways that are optional, and what they need


@pytest.mark.parametrize("name", sorted(front.ways()))
def test_a_way_is_simulated_and_takes_about_as_long(name, tmp_path, monkeypatch):
    # Backends that really compute are timed by what this thread computes, whatever else the machine does.
    monkeypatch.setattr(time, "perf_counter", time.thread_time)
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name])
    task = small_task(60, 40, 40)
    backends = front.backends()
    components = Components(backends, front.ways(), metrics.load(task.metric), backends["fake"].weights("fake"))
    parts = {"cheap": ("base_tfidf",), "dear": ("prompt_plain",)} if combines(components.ways[name]) else {}
    others = {way: {} for ways in parts.values() for way in ways}
    settings = settings_for(tmp_path, {**others, name: parts})
    found = estimate(task, components, settings, lambda event: None).ways[name]
    outcome = run(task, components, folder=tmp_path / "run", settings=settings)
    standing = next(s for s in outcome.verdict.standings if s.way == name)
    if found.reason or standing.status == "failed":
        assert bool(found.reason) == (standing.status == "failed"), (found.reason, standing.reason)
        return
    actual = Run(tmp_path / "run").seconds[name]
    if max(found.seconds, actual) > 0.1:
        assert actual / 2 < found.seconds < actual * 2
