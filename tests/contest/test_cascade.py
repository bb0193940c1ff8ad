"""A cascade in a contest: priced by row, cross-validated on dev, charged for its parts, made anew of all rows."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from contest_kit import make_components, settings_for, small_task

from whichway.contest import Components, Settings, run
from whichway.contest.dry_run.simulate import estimate
from whichway.errors import OptionError
from whichway.nouns import Budget, Candidate, Deferral, Record, Task, from_json, to_json
from whichway.runs.run import Run
from whichway.tasks.folds import cut

NAMED = {"cheap": "base_tfidf", "dear": "prompt_plain", "refits": 0}
WAYS = {"base_tfidf": {}, "prompt_plain": {}, "both_cascade": NAMED}


def parts(task: Task, seconds: float = 0.5, skill: float = 0.9) -> Components:
    """Word counts are cheap; the prompt is dear, and right on nine rows of ten."""
    components = make_components(task, f"fake:seconds={seconds}", {"zero": skill, "shots": skill, "lora": skill})
    cascade = importlib.import_module("whichway.ways.both_cascade")
    return replace(components, ways={**components.ways, "both_cascade": cascade})


def hold(place: Path, ways=WAYS, task: Task | None = None, **more) -> Run:
    task = task or small_task(120, 60, 60)
    settings = replace(settings_for(place, ways), **more)
    return run(task, parts(task), folder=place / "run", settings=settings).run


def records_of(run: Run, candidate: str, split: str) -> dict[str, Record]:
    return {r.example: r for r in run.all_records if r.candidate == candidate and r.split == split}


@pytest.fixture(scope="module")
def held(tmp_path_factory) -> Run:
    return hold(tmp_path_factory.mktemp("cascade"))


def finalist(run: Run, way: str) -> Candidate:
    return run.finalists(way)[0]


def test_each_row_is_answered_by_one_stage_and_priced_by_those_that_were_asked(held):
    cascade = finalist(held, "both_cascade")
    cheap, dear = finalist(held, "base_tfidf"), finalist(held, "prompt_plain")
    assert [stage.weights for stage in cascade.stages] == [cheap.weights, dear.weights]
    assert cascade.deferral.to.id == dear.id
    own, first, second = (records_of(held, c.id, "test") for c in (cascade, cheap, dear))
    assert {r.stage for r in own.values()} == {0, 1}  # some rows are deferred, and some are not
    for row, record in own.items():
        if record.stage == 0:
            assert (record.text, record.usd) == (first[row].text, pytest.approx(first[row].usd))
        else:
            assert (record.text, record.score) == (second[row].text, second[row].score)
            assert record.usd == pytest.approx(first[row].usd + second[row].usd)
            assert record.seconds == pytest.approx(first[row].seconds + second[row].seconds)
            assert record.tokens_in == first[row].tokens_in + second[row].tokens_in


def test_it_costs_less_than_the_dear_way_and_more_to_make_than_both(held):
    standings = {s.way: s for s in held.verdict.standings}
    share = sum(r.stage for r in records_of(held, finalist(held, "both_cascade").id, "test").values()) / 60
    assert standings["both_cascade"].usd_per_1000 == pytest.approx(
        standings["base_tfidf"].usd_per_1000 + share * standings["prompt_plain"].usd_per_1000, rel=1e-6
    )
    statuses = held.statuses
    fits = {name: statuses[name]["usd_fit"] for name in WAYS}
    assert fits["both_cascade"] >= fits["base_tfidf"] + fits["prompt_plain"]
    assert statuses["both_cascade"]["random"] is False  # both parts are the same for all seeds


def test_parts_are_listed_in_the_ledger_and_paid_by_nobody_twice(held):
    lines = [line for line in held.ledger if line["who"] == "both_cascade" and line["what"] == "parts"]
    assert len(lines) == 2
    assert all(line["paid_usd"] == 0 for line in lines)
    assert held.seconds["both_cascade"] < sum(line["seconds"] for line in lines)  # a wait that is nobody's


def test_dev_rows_are_answered_by_what_the_other_dev_rows_gave(held):
    cascade = finalist(held, "both_cascade")
    line = next(e for e in held.entries["both_cascade"] if e.finalist)
    dev = records_of(held, cascade.id, "dev")
    assert len(dev) == 60
    assert line.facts["dev_score"] == pytest.approx(sum(r.points for r in dev.values()) / 60)
    thresholds = {c for c in {r.candidate for r in held.all_records if r.split == "dev"} if c not in held.known}
    assert len(thresholds) >= 2  # those of the parts of dev


def test_a_rerun_buys_nothing_and_decides_the_same(held):
    before = {path.name: path.read_bytes() for path in held.path.iterdir() if path.is_file()}
    place = held.path.parent
    again = hold(place)
    assert again.paid == held.paid
    assert {name: (held.path / name).read_bytes() for name in before} == before


def test_a_candidate_keeps_its_id_and_comes_back_from_json(held):
    cascade = finalist(held, "both_cascade")
    text = json.dumps(to_json(cascade))
    assert from_json(Candidate, json.loads(text)) == cascade
    alone = replace(cascade, deferral=None)
    assert "deferral" not in to_json(alone)
    assert alone.id == finalist(held, "base_tfidf").id
    assert len({cascade.id, alone.id, replace(cascade, deferral=replace(cascade.deferral, least=0.5)).id}) == 3


def test_a_chain_of_three_asks_in_turn(held):
    cascade = finalist(held, "both_cascade")
    chain = replace(cascade, deferral=Deferral(cascade, 0.5))
    assert [stage.deferral for stage in chain.stages] == [None] * 3
    assert chain.stages[1:] == cascade.stages


def test_without_names_the_best_on_dev_is_the_dear_one(tmp_path):
    ways = {name: {} for name in ("base_majority", "base_tfidf", "prompt_plain", "prompt_shots")}
    ways["both_cascade"] = {"refits": 0}
    run = hold(tmp_path, ways)
    cascade = finalist(run, "both_cascade")
    dev = {s.way: s.dev_score for s in run.verdict.standings if s.way != "both_cascade"}
    assert cascade.deferral.to.way == max(dev, key=lambda way: dev[way])
    assert cascade.weights.kind in ("tfidf", "majority")


def test_it_comes_last_wherever_it_is_named(tmp_path):
    run = hold(tmp_path, dict(reversed(WAYS.items())))
    assert run.statuses["both_cascade"]["status"] == "ok"
    assert next(iter(run.finalists("both_cascade"))).deferral is not None


@pytest.mark.parametrize(("ways", "why"), [
    ({"both_cascade": {}}, "fewer ended at a candidate"),
    ({"base_tfidf": {}, "both_cascade": {}}, "fewer ended at a candidate"),
    ({**WAYS, "both_cascade": {"cheap": "tune_head"}}, "both_cascade.cheap names tune_head, which is no other way"),
    ({**WAYS, "both_cascade": {"dear": "base_tfidf"}}, "no other way costs"),
])  # fmt: skip
def test_it_says_why_it_cannot_work(tmp_path, ways, why):
    run = hold(tmp_path, ways)
    assert run.statuses["both_cascade"]["status"] == "failed"
    assert why in run.statuses["both_cascade"]["reason"]


def test_written_answers_have_no_confidence(tmp_path):
    task = replace(small_task(60, 20, 20), labels=())
    run = hold(tmp_path, task=task)
    assert "closed set of labels" in run.statuses["both_cascade"]["reason"]


def test_its_purse_pays_for_its_parts(tmp_path):
    free = hold(tmp_path / "free").statuses
    calls = free["prompt_plain"]["calls_fit"] + 1  # enough for each part, not for both
    run = hold(tmp_path / "capped", budget=Budget(calls=int(calls)))
    assert run.statuses["prompt_plain"]["status"] == "ok"
    assert "the budget of both_cascade is spent" in run.statuses["both_cascade"]["reason"]


def test_options_are_checked():
    cascade = importlib.import_module("whichway.ways.both_cascade")
    from whichway.contest.plan import fill_options

    with pytest.raises(OptionError, match=r"both_cascade\.parts"):
        fill_options("both_cascade", cascade, {"parts": 1})


def test_in_folds_every_row_tests_once_and_what_ships_is_made_of_all_rows(tmp_path):
    task = cut(small_task(120, 60, 60), 3)
    ways = {**WAYS, "both_cascade": {"refits": 0}}
    run = hold(tmp_path, ways, task, seeds=(0, 1, 2))
    standing = next(s for s in run.verdict.standings if s.way == "both_cascade")
    assert (standing.status, standing.folds, standing.rows) == ("ok", 3, 240)
    parts_ = [line for line in run.ledger if line["who"] == "both_cascade" and line["what"] == "parts"]
    fits = {name: run.statuses[name] for name in ways}
    assert sum(line["usd"] for line in parts_) <= fits["base_tfidf"]["usd_fit"] + fits["prompt_plain"]["usd_fit"]
    if run.verdict.choice == "both_cascade":
        assert "thresholds" in run.refits["both_cascade"]["how"]


def test_the_estimate_counts_it(tmp_path):
    task = small_task(120, 60, 60)
    settings: Settings = settings_for(tmp_path, WAYS)
    components = replace(make_components(task, "fake:seconds=0.5"), ways=parts(task).ways)
    amounts = estimate(task, components, settings, lambda event: None).ways
    assert {name: amount.reason for name, amount in amounts.items()} == dict.fromkeys(WAYS, "")
    assert 0 < amounts["both_cascade"].seconds < amounts["base_tfidf"].seconds + amounts["prompt_plain"].seconds


@pytest.mark.parametrize("folds", [0, 3])
def test_against_the_clock_it_is_bought_after_its_parts(tmp_path, folds):
    task = small_task(120, 60, 60)
    task = cut(replace(task, foldable=True), folds) if folds else task
    ways = {**WAYS, "tune_lora": {"epochs": 1, "steps": 1}, "both_cascade": {"cheap": ["base_tfidf"], "refits": 0}}
    run = hold(tmp_path, ways, task, minutes=100.0, seeds=(0, 1))
    bought = [tuple(pair) for pair in run.clock["bought"]]
    first = [way for what, way in bought if what == "way"]
    assert first[-1] == "both_cascade"
    assert set(first) == set(ways)
    assert run.statuses["both_cascade"]["status"] == "ok"
    assert run.verdict.missing == ()
    again = hold(tmp_path, ways, task, minutes=100.0, seeds=(0, 1))
    assert again.clock["bought"] == run.clock["bought"]
    assert again.verdict == run.verdict
    lines = [(line["who"], line["what"], line["key"]) for line in again.ledger]
    assert len(set(lines)) == len(lines)


def test_seeds_of_a_part_are_seeds_of_the_cascade(tmp_path):
    options = {"dear": "tune_lora", "refits": 0}
    ways = {"base_tfidf": {}, "tune_lora": {"epochs": 1, "steps": 1}, "both_cascade": options}
    run = hold(tmp_path, ways, seeds=(0, 1, 2))
    standing = next(s for s in run.verdict.standings if s.way == "both_cascade")
    assert standing.seeds == 3
    assert run.statuses["both_cascade"]["random"] is True
    dear = {c.seed: c.id for c in run.finalists("tune_lora")}
    assert {c.seed: c.deferral.to.id for c in run.finalists("both_cascade")} == dear


def test_few_dev_rows_are_helped_by_training_rows(held, tmp_path):
    run = hold(tmp_path, {**WAYS, "both_cascade": {**NAMED, "refits": 3}})
    cascade, alone = finalist(run, "both_cascade"), finalist(held, "both_cascade")
    assert cascade.deferral.to == alone.deferral.to
    assert (cascade.deferral.slope, cascade.deferral.intercept) != (alone.deferral.slope, alone.deferral.intercept)
    refits = [line for line in run.ledger if line["who"] == "both_cascade" and line["what"] == "train"]
    assert len(refits) == 3
    trained = [r for r in run.all_records if r.split == "train"]
    assert len({r.example for r in trained}) == len(trained) == 120


def test_across_models_each_stage_has_its_own(tmp_path):
    task = small_task(90, 40, 40)
    components = parts(task)
    big = components.backends["fake"].weights("fake:seconds=2")
    components = replace(components, models={"small": components.base, "big": big})
    ways = {"base_tfidf": {}, "prompt_plain@small": {}, "prompt_plain@big": {}}
    ways["both_cascade"] = {"cheap": "base_tfidf", "dear": "prompt_plain@big", "refits": 0}
    outcome = run(task, components, folder=tmp_path / "run", settings=settings_for(tmp_path, ways))
    cascade = outcome.run.finalists("both_cascade")[0]
    assert [stage.weights.base for stage in cascade.stages] == ["tfidf", "fake:seconds=2"]
    assert cascade.deferral.to.way == "prompt_plain@big"
    line = next(s for s in outcome.verdict.standings if s.way == "both_cascade")
    assert (line.model, line.status) == ("", "ok")
