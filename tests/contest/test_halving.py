"""Successive halving of learning rates: who goes on, what it costs, and that a survivor is not trained twice."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from contest_kit import make_components, settings_for, small_task

from whichway.contest import run
from whichway.contest.selection.successive_halving import RungScore, rank, rungs, successive_halving
from whichway.errors import BudgetSpent, WayFailed
from whichway.nouns import Budget, Candidate, Decoding, Prompt, Weights
from whichway.runs.folder import read_candidates, read_records
from whichway.ways._train import FOUR

SHARES = (0.3, 0.6, 0.8, 1.0)


def trial(name: str, reached: Counter[str], fails_at: int | None = None):
    def start():
        for checkpoint in range(4):
            if checkpoint == fails_at:
                raise WayFailed("diverged")
            reached[name] = max(reached[name], checkpoint + 1)
            yield Candidate(Prompt(name), Weights("fake", "fake"), Decoding(), note=name)

    return start


def stand(value: float, rows: int = 64) -> RungScore:
    right = round(value * rows)
    return RungScore("", value, (1.0,) * right + (0.0,) * (rows - right))


def thinned(names: str, standing, fails: dict[str, int] | None = None):
    reached: Counter[str] = Counter()
    trials = [trial(name, reached, (fails or {}).get(name)) for name in names]
    said: list[str] = []
    found = successive_halving(
        trials, SHARES, lambda c, share: replace(standing(c.note, share), name=c.note), said.append
    )
    return found, reached, said


@pytest.mark.parametrize(
    ("checkpoints", "wanted"),
    [(1, [(0, 1)]), (2, [(0, 2), (1, 1)]), (3, [(0, 2), (1, 1)]), (4, [(1, 2), (2, 1)]), (10, [(2, 2), (5, 1)])],
)
def test_rungs_are_the_first_checkpoints_behind_their_shares(checkpoints, wanted):
    assert rungs([(k + 1) / checkpoints for k in range(checkpoints)]) == wanted


def test_two_trials_are_settled_at_the_first_rung():
    found, reached, _ = thinned("ab", lambda name, share: stand((ord(name) - 96) / 5))
    assert (found.survivor, found.runs) == (1, pytest.approx(1.3))
    assert reached == {"a": 1, "b": 1}


@pytest.mark.parametrize(("names", "runs"), [("abc", 1.9), ("abcd", 2.2)])
def test_losers_are_left_at_their_rung_and_the_cost_is_2_2_runs_at_most(names, runs):
    found, reached, _ = thinned(names, lambda name, share: stand((ord(name) - 96) / 5))
    assert found.survivor == len(names) - 1
    assert found.runs == pytest.approx(runs)
    assert runs <= 2.2
    assert [reached[name] for name in names] == [1] * (len(names) - 2) + [2, 2]


def test_a_training_too_short_for_all_its_checkpoints_stands_by_its_last_one():
    def short(name: str):
        return lambda: iter([Candidate(Prompt(name), Weights("fake", "fake"), Decoding(), note=name)])

    found = successive_halving(
        [short("a"), short("b")], SHARES, lambda c, share: stand(float(c.note == "b")), lambda said: None
    )
    assert found.survivor == 1


def test_ties_go_to_the_trial_that_was_named_first():
    assert thinned("abc", lambda name, share: stand(0.5))[0].survivor == 0
    assert thinned("abc", lambda name, share: stand({"a": 31, "b": 30, "c": 32}[name] / 64))[0].survivor == 0


def test_who_goes_on_is_said_and_why_where_the_scores_alone_do_not_tell():
    values = {"a": 31, "b": 10, "c": 32, "d": 30}
    *_, said = thinned("abcd", lambda name, share: stand(values[name] / 64))
    assert said == ["go on: a and c (dev cannot tell a from the best)", "goes on: a (dev cannot tell a from the best)"]
    *_, said = thinned("abc", lambda name, share: stand({"a": 10, "b": 30, "c": 60}[name] / 64))
    assert said == ["go on: c and b", "goes on: c"]


def test_who_leads_clearly_at_the_second_rung_overtakes_the_first_named():
    def standing(name: str, share: float) -> RungScore:
        return stand(0.5 if share < 0.5 else {"a": 0.5, "b": 0.8}[name])

    assert thinned("abc", standing)[0].survivor == 1


def test_a_trial_that_fails_is_out_and_all_of_them_fail_the_way():
    found, _, said = thinned("abc", lambda name, share: stand(1.0), {"a": 0, "b": 1})
    assert found.survivor == 2
    assert said == ["diverged", "go on: b and c", "diverged", "goes on: c"]
    with pytest.raises(WayFailed, match="every rate"):
        thinned("ab", lambda name, share: stand(1.0), {"a": 0, "b": 0})


def test_an_empty_purse_leaves_the_leader():
    def standing(name: str, share: float):
        if share > 0.3:
            raise BudgetSpent("empty")
        return stand({"a": 0.1, "b": 0.3, "c": 0.2}[name])

    assert thinned("abc", standing)[0].survivor == 1

    def broke(name: str, share: float):
        raise BudgetSpent("empty")

    with pytest.raises(BudgetSpent):
        thinned("abc", lambda name, share: broke(name, share))


def test_two_standard_errors_are_a_tie_and_more_is_not():
    assert rank({0: stand(53 / 64), 1: stand(54 / 64)}) == [0, 1]
    assert rank({0: stand(51 / 64), 1: stand(54 / 64)}) == [0, 1]  # 3 rows differ: 1.8 standard errors
    assert rank({0: stand(50 / 64), 1: stand(54 / 64)}) == [1, 0]  # 4 rows: 2.05
    assert rank({0: stand(0.2), 1: stand(0.8), 2: stand(0.8)}) == [1, 2, 0]
    assert rank({0: stand(0.2), 1: stand(0.1), 2: stand(0.8)}) == [2, 0, 1]


@pytest.fixture(scope="module")
def searched(tmp_path_factory) -> tuple[Path, Counter]:
    """A contest that searches four rates, and how many checkpoints the backend was asked to train."""
    place = tmp_path_factory.mktemp("searched")
    task = small_task(120, 100, 60)
    components = make_components(task)
    asked: Counter = Counter()

    class Counting(type(components.backends["fake"])):
        def train(self, job, folder, adapter):
            for index, made in enumerate(super().train(job, folder, adapter)):
                asked[job.options["factor"], job.seed, index] += 1
                yield made

    components = replace(components, backends={**components.backends, "fake": Counting()})
    ways = {"prompt_plain": {}, "tune_lora": {"factors": FOUR}}
    run(task, components, folder=place / "r", settings=settings_for(place, ways))
    return place, asked


def test_only_the_best_rate_is_trained_for_every_seed(searched):
    _place, asked = searched
    furthest = Counter()
    for factor, seed, index in asked:
        furthest[factor, seed] = max(furthest[factor, seed], index + 1)
    whole = {key: steps for key, steps in furthest.items() if steps == 4}
    assert len({factor for factor, _ in whole}) == 1
    assert {seed for _, seed in whole} == {0, 1, 2}
    assert sorted(furthest.values()) == [1, 1, 2, 4, 4, 4]


def test_the_saving_is_told_and_the_books_hold_each_checkpoint_once(searched):
    place, _ = searched
    told = json.loads((place / "r" / "race.json").read_text())
    (training,) = told["trainings"]
    assert (training["way"], training["trials"], training["full_runs"]) == ("tune_lora", 4, 4)
    assert training["runs"] == pytest.approx(2.2)
    assert told["rung_evaluations"] == 6 * 100
    dev = [r for r in read_records(place / "r") if r.split == "dev"]
    assert len(dev) < told["evaluations"]  # the survivor's rows at its rungs are those of the race
    ledger = [json.loads(line) for line in (place / "r" / "ledger.jsonl").open()]
    trained = [line for line in ledger if line["what"] == "train"]
    assert len(trained) == 1 + 1 + 2 + 3 * 4
    assert len({line["key"] for line in trained}) == len(trained)
    calls = sum(line["calls"] for line in ledger if line["who"] == "tune_lora" and line["what"] == "score")
    tuned = {c for c, (made, _) in read_candidates(place / "r").items() if made.way == "tune_lora"}
    plain = {c for c, (made, _) in read_candidates(place / "r").items() if made.way == "prompt_plain"}
    assert calls == sum(r.candidate not in plain for r in dev) >= sum(r.candidate in tuned for r in dev)


def test_a_purse_that_ends_in_the_search_still_gives_a_candidate(tmp_path):
    task = small_task(120, 100, 60)
    settings = replace(settings_for(tmp_path, {"tune_lora": {"factors": FOUR}}), budget=Budget(calls=250))
    verdict = run(task, make_components(task), folder=tmp_path / "r", settings=settings).verdict
    assert verdict.standings[0].status == "ok"
    assert verdict.standings[0].seeds == 1


@pytest.mark.parametrize(("rows", "epochs"), [(20, 100 / 3), (120, 100 / 15), (1600, 4.0)])
def test_few_rows_are_passed_over_until_a_hundred_steps_are_taken(rows, epochs):
    from whichway.ways import tune_full

    asked = []

    class Bench:
        base, seeds, until = Weights("fake", "fake"), (0,), None
        has = staticmethod(lambda kind: True)
        halve = staticmethod(lambda trials, shares: 0)

        def train(self, kind, start, prompt, examples, seed, **options):
            asked.append(options)
            return iter(())

    practice = replace(small_task(60, 20, 20).train_dev_view(), train=small_task(60, 20, 20).train[:1] * rows)
    assert list(tune_full.adapt(practice, Bench(), tune_full.Options())) == []
    assert [options["epochs"] for options in asked] == [epochs]
