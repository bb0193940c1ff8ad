"""The search in whole contests on the test double: caps, resume, honest endings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from whichway.app import configure as front
from whichway.backends.fake import FakeBackend, World
from whichway.contest import Components, Settings, run
from whichway.errors import OptionError
from whichway.nouns import Budget, Example, MetricSpec, Reply, Task
from whichway.runs.folder import read_candidates, read_records
from whichway.tasks import metrics

SAID = {
    "billing": "charged card invoice refund twice payment",
    "delivery": "parcel late courier van doorstep waiting",
    "sales": "offer seats upgrade trial price quote",
}


def task(rows: int = 240, labels: bool = True) -> Task:
    """Rows whose words tell the label, so that nearest shots help a model that counts words."""
    made = []
    for i in range(rows):
        label = list(SAID)[i % 3]
        words = SAID[label].split()
        made.append(Example({"text": f"{words[i % 6]} {words[(i * 5 + 1) % 6]} please {i * 7919 % 1000}"}, label))
    third = rows // 3
    spec = MetricSpec("accuracy" if labels else "exact_match")
    parts = tuple(made[:third]), tuple(made[third : 2 * third]), tuple(made[2 * third :])
    return Task("search", "Which team?", *parts, spec, tuple(SAID) if labels else ())


def contest(place: Path, limit: int | None, backend: FakeBackend | None = None, labels: bool = True, **options):
    one = task(labels=labels)
    backends = {**{name: front.backends()[name] for name in ("fake", "classical")}, "fake": backend or FakeBackend()}
    components = Components(backends, front.ways(), metrics.load(one.metric), backends["fake"].weights("fake"))
    seeds = options.pop("seeds", (0,))
    budget = options.pop("budget", Budget(calls=limit))
    settings = Settings({"prompt_search": options}, place / ".cache", seeds=seeds, budget=budget)
    return run(one, components, folder=place / "run", settings=settings)


def status(place: Path) -> dict:
    return json.loads((place / "run" / "ways" / "prompt_search" / "status.json").read_text())


def log(place: Path) -> str:
    return (place / "run" / "ways" / "prompt_search" / "log").read_text()


@pytest.mark.parametrize("calls", [150, 400, 800])
def test_the_cap_on_calls_is_hard_and_named(calls, tmp_path):
    outcome = contest(tmp_path, calls)
    assert outcome.verdict.standings[0].status == "ok"
    assert status(tmp_path)["calls_fit"] <= calls
    assert f"stopped at the cap of {calls} calls" in log(tmp_path)
    assert ("calls, at most" in log(tmp_path)) == (calls > 150)  # progress with what is to come


def test_it_finds_a_gain_that_is_there_and_tells_how_sure_it_is(tmp_path):
    outcome = contest(tmp_path, 900)
    plain = contest(tmp_path / "plain", 900, without=("nearest_shots", "balanced", "contrast", "gloss"))
    assert outcome.verdict.standings[0].score > plain.verdict.standings[0].score
    note = outcome.verdict.standings[0].note
    assert "dev +" in note
    assert "standard error" in note


def test_no_gain_is_no_gain_and_the_starting_prompt_stays(tmp_path):
    one = task()
    gold = {e.text: e.target for e in (*one.train, *one.dev, *one.test)}
    world = FakeBackend(World(gold, {"zero": 0.5, "shots": 0.5}, correlation=1.0))  # nothing makes a difference
    contest(tmp_path, 600, world)
    assert "no gain found" in log(tmp_path)
    ((candidate, _),) = read_candidates(tmp_path / "run").values()
    assert candidate.note.startswith("starting prompt; no gain found")
    assert candidate.prompt.objective == "Which team?"
    assert not candidate.prompt.nearest


def test_when_nobody_helps_every_proposer_stalls(tmp_path):
    one = task()
    gold = {e.text: e.target for e in (*one.train, *one.dev, *one.test)}
    contest(tmp_path, None, FakeBackend(World(gold, {"zero": 0.7, "shots": 0.2})), patience=1, calls=5000)
    assert "every proposer stalled" in log(tmp_path) or "no gain found" in log(tmp_path)
    assert status(tmp_path)["calls_fit"] <= 5000


def test_seeds_share_the_purse_and_repeat(tmp_path):
    contest(tmp_path / "a", 900, seeds=(0, 1, 2))
    contest(tmp_path / "b", 900, seeds=(0, 1, 2))
    found = [read_candidates(tmp_path / name / "run") for name in "ab"]
    assert sorted(found[0]) == sorted(found[1])
    assert {c.seed for c, _ in found[0].values()} <= {0, 1, 2}
    assert status(tmp_path / "a")["calls_fit"] <= 900
    assert log(tmp_path / "a") == log(tmp_path / "b")


class Killed(KeyboardInterrupt):
    """A kill in the middle."""


class Fragile(FakeBackend):
    """Dies after some calls."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after, self.asked = after, 0

    def open(self, weights, adapter):
        self.asked += 1
        if self.asked > self.after:
            raise Killed
        return super().open(weights, adapter)


@pytest.mark.parametrize("after", [2, 5, 9])
def test_a_killed_search_goes_on_where_it_was(after, tmp_path):
    with pytest.raises(Killed):
        contest(tmp_path / "killed", 500, Fragile(after))
    again = contest(tmp_path / "killed", 500)
    whole = contest(tmp_path / "whole", 500)
    assert again.verdict.standings[0].candidates == whole.verdict.standings[0].candidates
    assert status(tmp_path / "killed")["calls_fit"] == status(tmp_path / "whole")["calls_fit"]
    assert log(tmp_path / "killed") == log(tmp_path / "whole")
    assert again.paid_seconds < whole.paid_seconds


def test_a_rerun_is_free_and_changes_nothing(tmp_path):
    contest(tmp_path, 400)
    files = ("verdict.json", "records.jsonl", "ledger.jsonl", "ways/prompt_search/log")
    before = [(tmp_path / "run" / name).read_bytes() for name in files]
    assert contest(tmp_path, 400).paid_seconds == 0
    assert [(tmp_path / "run" / name).read_bytes() for name in files] == before


def test_dev_rows_never_get_into_a_prompt(tmp_path):
    contest(tmp_path, 900, seeds=(0, 1))
    held_out = {e.text for e in (*task().dev, *task().test)}
    for candidate, _ in read_candidates(tmp_path / "run").values():
        shown = {shot.text for shot in (*candidate.prompt.shots, *candidate.prompt.pool)}
        assert not shown & held_out
        assert candidate.prompt.labels == tuple(SAID)


class Writer(FakeBackend):
    """Writes instructions when it is asked to."""

    version = "writer"

    def __init__(self, text: str, finish: str = "stop") -> None:
        super().__init__()
        self.text, self.finish = text, finish

    def open(self, weights, adapter):
        outer, session = self, super().open(weights, adapter)

        class Sitting:
            def __enter__(self):
                self.inner = session.__enter__()
                return self

            def __exit__(self, *error):
                return session.__exit__(*error)

            def choose(self, requests):
                return self.inner.choose(requests)

            def generate(self, requests):
                return [Reply(outer.text, finish=outer.finish, seconds=0.001) for _ in requests]

        return Sitting()


@pytest.mark.parametrize(
    ("text", "finish", "why"),
    [("<reasoning>so</reasoning> Name the team.", "stop", "residue"), ("Name the team for", "length", "cut short")],
)
def test_a_rewrite_that_a_guard_refuses_is_told_in_the_log(text, finish, why, tmp_path):
    contest(tmp_path, 1200, Writer(text, finish))
    assert "a rewritten instruction was refused" in log(tmp_path)
    assert why in log(tmp_path)


def test_a_rewrite_races_like_any_other_proposal(tmp_path):
    others = tuple(sorted(set(front.ways()["prompt_search"].Options.__dataclass_fields__) and _ideas()))
    contest(tmp_path, 600, Writer("Name the team that should handle this message."), without=others)
    asked = {record.candidate for record in read_records(tmp_path / "run") if record.split == "dev"}
    assert len(asked) >= 2  # the start and the rewritten one, with their biases


def _ideas() -> list[str]:
    from whichway.search.mutations import mutations

    return list(mutations())


def test_free_text_is_searched_without_biases(tmp_path):
    outcome = contest(tmp_path, 500, labels=False)
    assert outcome.verdict.standings[0].status == "ok"
    assert status(tmp_path)["calls_fit"] <= 500


def test_a_cap_in_seconds_ends_it_with_the_best_so_far(tmp_path):
    outcome = contest(tmp_path, None, budget=Budget(seconds=0.5))
    assert outcome.verdict.standings[0].status == "ok"
    assert "stopped" in log(tmp_path)


@pytest.mark.parametrize("options", [{"batch": 0}, {"without": ("glos",)}, {"calls": 0}, {"proposer": "you"}])
def test_unfit_options_are_refused_with_advice(options, tmp_path):
    with pytest.raises(OptionError, match="prompt_search"):
        contest(tmp_path, 100, **options)


def test_unknown_writer_is_refused(tmp_path):
    with pytest.raises(Exception, match="nowhere"):
        contest(tmp_path, 2000, proposer="nowhere:model")


def test_a_metric_of_means_over_labels_can_be_searched(tmp_path):
    one = replace(task(), metric=MetricSpec("macro_f1"))
    backends = {name: front.backends()[name] for name in ("fake", "classical")}
    components = Components(backends, front.ways(), metrics.load(one.metric), backends["fake"].weights("fake"))
    settings = Settings({"prompt_search": {}}, tmp_path / ".cache", seeds=(0,), budget=Budget(calls=400))
    assert run(one, components, folder=tmp_path / "run", settings=settings).verdict.standings[0].status == "ok"
