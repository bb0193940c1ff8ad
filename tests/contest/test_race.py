"""The race on score matrices, and in whole contests on the test double."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from contest_kit import make_components, settings_for, small_task

from whichway.contest import run
from whichway.contest.selection.race import Entry, OutOfBudget, Rules, finalist, looks, race, shuffled
from whichway.nouns import Candidate, Decoding, Example, MetricSpec, Prompt, Weights
from whichway.runs.folder import read_candidates, read_records

WAYS = {
    "base_majority": {},
    "prompt_plain": {},
    "prompt_shots": {"counts": (4, 8)},
    "tune_lora": {"factors": (1.0,), "checkpoints": 4},
}


def entrant(way: str, number: int, seed: int = 0) -> Entry:
    weights = Weights("fake", "fake")
    return Entry(Candidate(Prompt(objective=f"{way} {number}"), weights, Decoding(), way=way, seed=seed))


def held(entries: list[Entry], scores: np.ndarray, **rules) -> list:
    """Race rows of a matrix; what each look did."""
    at = {id(e): row for e, row in zip(entries, scores, strict=True)}
    told = []
    n = scores.shape[1]
    given = Rules(**{"looks": looks(n), "margin": 0.01, "alpha": 0.05, **rules})

    def answer(entry: Entry, rows: int) -> None:
        entry.scores += at[id(entry)][entry.rows : rows].tolist()

    race(entries, given, answer, told.append)
    return told


@pytest.mark.parametrize(
    ("rows", "wanted"), [(20, (20,)), (47, (24, 47)), (151, (38, 76, 151)), (880, (28, 55, 110, 220, 440, 880))]
)
def test_looks_are_halves_of_halves(rows, wanted):
    assert looks(rows) == wanted
    assert looks(rows, racing=False) == (rows,)


def test_the_order_has_clusters_in_one_piece_and_does_not_depend_on_the_file():
    rows = [Example({"text": f"row {i}"}, "x", group=f"g{i % 20}") for i in range(100)]
    order = shuffled(rows)
    assert order == shuffled(rows[::-1])
    changes = sum(a.group != b.group for a, b in itertools.pairwise(order))
    assert changes == 19
    for look in looks(order)[:-1]:
        assert order[look].group != order[look - 1].group


def test_who_is_shown_worse_gets_no_more_rows_and_still_has_a_finalist():
    rng = np.random.default_rng(0)
    entries = [entrant("good", 0), entrant("bad", 0), entrant("bad", 1)]
    scores = (rng.random((3, 400)) < [[0.9], [0.2], [0.25]]).astype(float)
    held(entries, scores)
    good, *bad = entries
    assert good.drop is None
    for entry in bad:
        assert entry.drop.why == "shown worse"
        assert entry.drop.high < -0.01
        assert entry.rows == entry.drop.rows <= 100
        assert entry.drop.leader == good.candidate.id
    assert finalist(bad, Rules((400,), 0.01, 0.05)) in bad


def test_a_group_of_like_candidates_is_halved_twice_and_the_settled_rest():
    entries = [entrant("a", k) for k in range(4)] + [entrant("b", 0)]
    scores = np.tile(np.arange(160) % 2, (5, 1)).astype(float)
    scores[3, 10] = 1.0  # the last of its group is the best by a hair
    told = held(entries, scores)
    assert [look.rows for look in told] == [40, 80]
    assert [e.rows for e in entries] == [80, 40, 40, 80, 40]
    assert [e.drop.why if e.drop else None for e in entries] == ["halved", "halved", "halved", None, None]
    assert finalist(entries[:4], Rules((160,), 0.01, 0.05)) is entries[3]


def test_finalists_of_several_seeds_answer_all_rows_as_one_of_them_will_ship():
    entries = [entrant("a", k, seed) for seed in (0, 1) for k in (0, 1)]
    held(entries, np.tile(np.arange(160) % 2, (4, 1)).astype(float))
    assert [e.rows for e in entries] == [160, 40, 160, 40]


def checkpoints(rights: list[int], rows: int = 160, training: str = "t") -> tuple[list[Entry], np.ndarray]:
    """Checkpoints of one training, each right on its first so many rows of every 20."""
    entries = [replace(entrant("a", k), training=training, step=k + 1) for k in range(len(rights))]
    return entries, np.array([np.arange(rows) % 20 < right for right in rights], dtype=float)


@pytest.mark.parametrize(
    ("rights", "picked"),
    [
        ([10, 10, 10, 10], 3),  # alike: the last one
        ([8, 11, 10, 10], 1),  # 5 points, of which the error is 1.7
        ([8, 10, 12, 10], 2),
        ([14, 8, 8, 8], 0),  # known by heart early
    ],
)
def test_of_one_trainings_checkpoints_the_latest_within_an_error_of_the_best_is_kept(rights, picked):
    entries, scores = checkpoints(rights)
    held(entries, scores)
    assert finalist(entries, Rules((160,), 0.01, 0.05)) is entries[picked]
    assert entries[picked].drop is None


@pytest.mark.parametrize("rows", [24, 50, 100, 150, 200, 256])
def test_a_checkpoint_one_row_below_the_best_is_a_tie_which_the_later_wins(rows):
    rules = Rules((rows,), 0.01, 0.05, value=lambda e, n: sum(e.scores[:n]) / n)
    for right in range(rows):
        entries, _ = checkpoints([0, 0])
        entries[0].scores = [1.0] * (right + 1) + [0.0] * (rows - right - 1)
        entries[1].scores = [1.0] * right + [0.0] * (rows - right)
        assert finalist(entries, rules) is entries[1]
    for entry in entries:
        entry.training = ""  # candidates that have nothing to do with each other
    assert finalist(entries, rules) is entries[0]


def test_where_the_metric_is_no_mean_over_rows_the_best_checkpoint_is_kept():
    entries, scores = checkpoints([10, 10])
    for entry, row in zip(entries, scores, strict=True):
        entry.scores += row.tolist()
    better = {id(entries[0]): 0.8, id(entries[1]): 0.5}
    rules = Rules((160,), 0.01, 0.05, value=lambda e, n: better[id(e)], sequence=False)
    assert finalist(entries, rules) is entries[0]


def test_when_a_later_checkpoint_takes_the_leaders_place_the_others_are_compared_with_it():
    entries, _ = checkpoints([0, 0], rows=320)
    others = [entrant("b", k) for k in range(4)]
    right = np.tile(np.arange(320) % 2, (6, 1)).astype(float)
    right[0, [2, 4]] = 1.0  # the earlier checkpoint leads
    right[1, 2] = 1.0  # the later one is within an error of it
    right[2:, 1] = 0.0
    held([*entries, *others], right)
    assert entries[0].drop.why == "halved"
    assert entries[1].drop is None
    live = [e for e in others if e.drop is None]
    assert entries[1].rows >= max(e.rows for e in live)


def test_checkpoints_of_another_training_are_no_later_ones():
    entries, scores = checkpoints([10, 10])
    other, _ = checkpoints([10, 10], training="u")
    for entry, row in zip([*entries, *other], [*scores, *scores], strict=True):
        entry.scores += row.tolist()
    assert finalist([*entries, *other], Rules((160,), 0.01, 0.05)) is entries[1]


def test_a_contest_keeps_the_later_of_checkpoints_that_dev_cannot_tell_apart(tmp_path):
    task = small_task(120)
    components = make_components(task, skill={"lora": 0.6}, correlation=0.2)
    given = settings_for(tmp_path, {"tune_lora": {"factors": (1.0,), "checkpoints": 6}})
    folder = tmp_path / "run"
    run(task, components, folder=folder, settings=replace(given, seeds=tuple(range(6)), race=False))
    dev: dict[str, dict[str, float]] = {}
    for record in read_records(folder):
        if record.split == "dev":
            dev.setdefault(record.candidate, {})[record.example] = record.score
    lines = [json.loads(line) for line in (folder / "ways/tune_lora/candidates.jsonl").read_text().splitlines()]
    later = 0
    for seed in range(6):
        own = [line for line in lines if line["candidate"]["seed"] == seed]
        scores = np.array([[dev[line["id"]][e.id] for e in task.dev] for line in own])
        best = int(scores.mean(1).argmax())
        gaps = scores[best] - scores
        ties = gaps.mean(1) <= gaps.std(1, ddof=1) / len(task.dev) ** 0.5
        assert [line["finalist"] for line in own].index(True) == max(np.flatnonzero(ties), default=best)
        later += max(np.flatnonzero(ties)) > best
    assert later


def test_a_way_that_must_stop_keeps_what_it_has():
    entries = [entrant("poor", 0), entrant("poor", 1), entrant("rich", 0, 0), entrant("rich", 1, 1)]

    def answer(entry: Entry, rows: int) -> None:
        if entry.candidate.way == "poor" and rows > 40:
            raise OutOfBudget
        entry.scores += [1.0] * (rows - entry.rows)

    race(entries, Rules(looks(160), 0.01, 0.05), answer, lambda look: None)
    assert [e.rows for e in entries] == [40, 40, 160, 160]
    assert finalist(entries[:2], Rules((160,), 0.01, 0.05)) is entries[0]


@pytest.mark.parametrize("rows", [200, 800])
def test_the_best_is_rarely_shown_worse_over_all_looks_together(rows):
    """Twelve equal candidates with correlated rows; the first stands for the best."""
    rng, wrong, worlds = np.random.default_rng(rows), 0, 300
    for _ in range(worlds):
        entries = [entrant("a", k, seed=k) for k in range(12)]  # a seed each: no halving, and nobody rests
        latent = 0.7 * rng.normal(size=rows) + 0.7 * rng.normal(size=(12, rows))
        held(entries, (latent < 0.5).astype(float), margin=0.0)
        wrong += entries[0].drop is not None
    assert wrong / worlds <= 0.05


def test_clusters_count_as_one_observation():
    """Rows that repeat each other thirty times say no more than one of them: nobody is dropped early."""
    pattern = np.array([1.0] * 9 + [0.0])
    good, bad = np.repeat(pattern, 16), np.repeat(1 - pattern, 16)
    groups = tuple(f"g{i // 16}" for i in range(160))
    alone, tied = ([entrant("good", 0), entrant("bad", 0)] for _ in range(2))
    held(alone, np.array([good, bad]))
    held(tied, np.array([good, bad]), groups=groups)
    assert alone[1].drop is not None
    assert tied[1].drop is None


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> tuple[Path, object, object]:
    """The same contest with and without racing."""
    place = tmp_path_factory.mktemp("both")
    task = small_task(200, 160, 120)
    settings = settings_for(place, WAYS)
    raced = run(task, make_components(task), folder=place / "raced", settings=settings)
    plain = run(task, make_components(task), folder=place / "plain", settings=replace(settings, race=False))
    return place, raced, plain


def test_racing_saves_rows_and_keeps_the_verdict(both):
    place, raced, plain = both
    assert (raced.verdict.answer, raced.verdict.choice) == (plain.verdict.answer, plain.verdict.choice)
    told = json.loads((place / "raced" / "race.json").read_text())
    assert not (place / "plain" / "race.json").exists()
    assert told["looks"] == [40, 80, 160][: told["rounds"]]
    assert told["full_evaluations"] == told["candidates"] * 160
    assert told["evaluations"] < 0.6 * told["full_evaluations"]


def test_race_json_agrees_with_the_records(both):
    place, _raced, _ = both
    told = json.loads((place / "raced" / "race.json").read_text())
    dev = [r for r in read_records(place / "raced") if r.split == "dev"]
    rows = {c: sum(r.candidate == c for r in dev) for c in {r.candidate for r in dev}}
    assert sum(rows.values()) == told["evaluations"]
    assert told["dropped"]
    for drop in told["dropped"]:
        assert rows[drop["candidate"]] == drop["after_rows"]
        assert (drop["why"] == "shown worse") == (drop["high"] is not None and drop["high"] < -0.01)
    found = read_candidates(place / "raced")
    assert all(facts["dev_rows"] <= rows[c] for c, (_, facts) in found.items())


def test_every_way_still_crosses_the_whole_test_split(both):
    place, raced, plain = both
    assert [s.rows for s in raced.verdict.standings] == [120] * len(WAYS)
    finalists = {c for s in raced.verdict.standings for c in s.candidates}
    test = [r for r in read_records(place / "raced") if r.split == "test"]
    assert len(test) == 120 * len(finalists)
    assert {s.way: s.seeds for s in raced.verdict.standings} == {s.way: s.seeds for s in plain.verdict.standings}


def test_a_raced_rerun_pays_nothing_and_changes_no_byte(both):
    place, _, _ = both
    files = ("race.json", "verdict.json", "records.jsonl", "ledger.jsonl", "ways/prompt_shots/candidates.jsonl")
    before = [(place / "raced" / name).read_bytes() for name in files]
    task = small_task(200, 160, 120)
    again = run(task, make_components(task), folder=place / "raced", settings=settings_for(place, WAYS))
    assert again.paid_seconds == 0
    assert [(place / "raced" / name).read_bytes() for name in files] == before


def test_macro_f1_is_halved_but_nobody_is_shown_worse(tmp_path):
    task = replace(small_task(200, 160, 120), metric=MetricSpec("macro_f1"))
    run(task, make_components(task), folder=tmp_path / "r", settings=settings_for(tmp_path, WAYS))
    told = json.loads((tmp_path / "r" / "race.json").read_text())
    assert {drop["why"] for drop in told["dropped"]} == {"halved"}


def test_a_way_that_breaks_in_the_race_fails_alone(tmp_path):
    task = small_task(200, 160, 120)
    components = make_components(task)

    class Fragile(type(components.backends["fake"])):
        def open(self, weights, adapter):
            if weights.kind == "lora" and self.count > 4:
                raise RuntimeError("lost the device")
            self.count += weights.kind == "lora"
            return super().open(weights, adapter)

    fragile = Fragile()
    fragile.count = 0
    components = replace(components, backends={**components.backends, "fake": fragile})
    ways = {"prompt_plain": {}, "tune_lora": {"factors": (1.0,)}}
    settings = replace(settings_for(tmp_path, ways), seeds=(0,))
    by_way = {s.way: s for s in run(task, components, folder=tmp_path / "r", settings=settings).verdict.standings}
    assert "lost the device" in by_way["tune_lora"].reason
    assert by_way["prompt_plain"].score is not None


def test_the_verdict_knows_how_many_dev_rows_picked_a_finalist(both):
    place, raced, _ = both
    found = read_candidates(place / "raced")
    finalist_rows = {made.way: facts["dev_rows"] for made, facts in found.values() if facts["finalist"]}
    assert {s.way: s.dev_rows for s in raced.verdict.selections} == finalist_rows
    assert min(finalist_rows.values()) < 160
