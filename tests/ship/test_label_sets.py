"""Rows with several labels: word counts and encoders answer with sets, thresholds come from training rows alone."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ship_kit import contest, manifest, recorded, standalone

import whichway as ww
from whichway import label_sets
from whichway.app.configure import backends
from whichway.engine.train import one_vs_rest
from whichway.errors import OptionError, WayFailed
from whichway.nouns import Decoding, Message, Request, TrainJob, TrainRow
from whichway.ship import served_models

WORDS = {"billing": "invoice charged card", "delivery": "parcel courier late", "login": "password account reset"}
_FILLING = "please help with this today because our customer asked again and nothing went right here"
FILLING = _FILLING.split()


def rows(count: int = 150, empty: bool = True) -> list[tuple[str, str]]:
    """Texts with a word of each of their labels, and the labels as one text."""
    draw, pairs = random.Random(3), []
    for n in range(count):
        labels = sorted(draw.sample(sorted(WORDS), draw.choice((0, 1, 1, 2, 2, 3) if empty else (1, 1, 2))))
        words = [draw.choice(WORDS[label].split()) for label in labels] + draw.sample(FILLING, 6)
        draw.shuffle(words)
        pairs.append((f"{' '.join(words)} {n}", label_sets.spelled(labels, list(WORDS))))
    return pairs


def data(folder: Path, empty: bool = True) -> Path:
    lines = [json.dumps({"text": text, "label": [] if label == "none" else label.split(", ")})
             for text, label in rows(empty=empty)]  # fmt: skip
    (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder / "rows.jsonl"


@pytest.mark.parametrize("labels", [("a", "b"), ("a, or b", "c")])
@pytest.mark.parametrize("chosen", [(), (0,), (0, 1)])
def test_a_set_is_read_as_it_is_spelled(labels: tuple[str, ...], chosen: tuple[int, ...]) -> None:
    row = tuple(labels[n] for n in chosen)
    assert label_sets.parsed(label_sets.spelled(row, labels), labels) == row


def test_a_label_called_none_is_a_label() -> None:
    assert label_sets.parsed("none", ("none", "a")) == ("none",)


def test_the_threshold_is_the_best_one_and_of_equals_the_nearest_to_a_half() -> None:
    chance = np.array([[0.9, 0.3], [0.8, 0.1], [0.2, 0.35], [0.1, 0.05]])
    wanted = np.array([[True, True], [True, False], [False, True], [False, False]])
    for exact in (False, True):
        score, at = one_vs_rest.best_threshold(chance, wanted, 0, exact)
        assert score == 1.0
        assert 0.27 < at <= 0.3  # of 0.22 to 0.30, which are right on every row
    assert one_vs_rest.best_threshold(chance, wanted, 0, False)[0] > one_vs_rest._score(chance >= 0.5, wanted, False)


def test_a_label_is_always_given_where_every_training_row_has_one() -> None:
    chance = np.array([[0.1, 0.2], [0.9, 0.8]])
    assert one_vs_rest.chosen_labels(chance, 0.5, 1).tolist() == [[False, True], [True, True]]
    assert one_vs_rest.chosen_labels(chance, 0.5, 0).tolist() == [[False, False], [True, True]]


@pytest.mark.parametrize("dense", [True, False])
def test_labels_that_all_rows_or_none_have_are_learned_as_that(dense: bool) -> None:
    from scipy.sparse import csr_matrix

    features = np.eye(24)[np.arange(48) % 24]
    answers = ["always, odd" if n % 2 else "always" for n in range(48)]
    sets = one_vs_rest.LabelSets.of(answers, ("always", "never", "odd"))
    assert sets.labels == ("always", "odd")  # no row teaches the other one
    matrix: Any = features if dense else csr_matrix(features)
    head, loss = one_vs_rest.fit(matrix, sets, (1.0, 10.0), False, 3, 0)
    assert head.answers(head(matrix)) == answers
    assert loss < 0.3


def test_rows_without_any_label_are_refused() -> None:
    with pytest.raises(WayFailed, match="No training row has a label"):
        one_vs_rest.fit(np.eye(4), one_vs_rest.LabelSets.of(["none"] * 4, ("a",)), (1.0,), False, 3, 0)


@pytest.mark.parametrize("way", ["base_tfidf", "base_encoder", "tune_encoder"])
@pytest.mark.parametrize("empty", [True, False])
def test_a_way_answers_with_sets_ships_and_is_taken_up_again(
    way: str, empty: bool, encoder: Path, tmp_path: Path
) -> None:
    brief = {"rate": 0.003, "epochs": 2, "steps": 1, "checkpoints": 1} if way == "tune_encoder" else {}
    own = {} if way == "base_tfidf" else {"model": str(encoder), **brief}
    path = data(tmp_path, empty)
    run = contest(path, "fake", {way: own})
    before = {path.name: path.read_bytes() for path in run.path.glob("*.json*")}
    contest(path, "fake", {way: own})  # nothing is asked or trained again
    assert {path.name: path.read_bytes() for path in run.path.glob("*.json*")} == before
    records = [r for r in run.all_records if r.split == "test"]
    assert all(r.outcome == "ok" for r in records)
    texts = {r.text for r in records}
    assert any(", " in text for text in texts)
    assert ("none" in texts) <= empty
    assert run.verdict.standings[0].score > (0.8 if way == "base_tfidf" else 0.3)
    winner = run.ship(tmp_path / "winner", way=way, check=False)
    facts = manifest(winner)
    kinds = {"base_tfidf": "tfidf", "base_encoder": "encoder", "tune_encoder": "encoder_full"}
    assert facts["weights"]["kind"] == f"{kinds[way]}_multi_label"
    assert "at least the threshold" in (winner / "README.md").read_text()
    answers = recorded(run, facts["candidate"])
    assert run.predict(list(answers), way=way) == list(answers.values())
    if own:
        assert (winner / "encoder" / "model.safetensors").is_file()
        use = standalone(winner)
        assert {text: use(text) for text in answers} == answers
    offer = served_models.of_run(run)["winner"]
    assert offer.labels == ()
    with backends().need(offer.weights.backend).open(offer.weights, offer.adapter) as session:
        requests = [Request((Message("user", text),), Decoding("generate")) for text in answers]
        assert [reply.text for reply in session.generate(requests)] == list(answers.values())


def test_the_threshold_follows_the_measure_and_never_the_test_rows(tmp_path: Path) -> None:
    """With `exact` another one may be best; other test rows leave it as it is."""
    door = backends().need("classical")
    trained = [TrainRow((Message("user", text),), label) for text, label in rows()]

    def part(options: dict[str, Any], where: str) -> dict[str, Any]:
        job = TrainJob("tfidf_multi_label", door.weights("tfidf"), tuple(trained), (), 0, options)
        (adapter,) = door.train(job, tmp_path / where, None)
        facts: dict[str, Any] = json.loads((tmp_path / where / str(adapter.weights.adapter) / "tfidf.json").read_text())
        return facts

    plain = part({"labels": sorted(WORDS)}, "a")
    exact = part({"labels": sorted(WORDS), "exact": True}, "b")
    assert plain["answers"] == exact["answers"] == sorted(WORDS)
    assert 0 < plain["threshold"] < 1
    assert plain["least"] == 0
    with pytest.raises(OptionError, match="label"):
        part({"lables": []}, "c")


def test_the_estimate_names_both_ways_and_the_default_ways_hold_the_encoder(encoder: Path, tmp_path: Path) -> None:
    from whichway import tasks
    from whichway.app import configure
    from whichway.contest import Components
    from whichway.tasks import metrics

    data(tmp_path)
    task = tasks.load(tasks.from_flags(data=tmp_path / "rows.jsonl"))
    assert task.train_dev_view().multi_labels == tuple(sorted(WORDS))
    known = backends()
    fake = known["fake"].weights("fake")
    here = Components(known, configure.ways(), metrics.load(task.metric), fake, encoder_of=lambda word: fake)
    assert "base_encoder" in configure.default_ways(task, here)
    free = replace(task, metric=replace(task.metric, name="token_f1", options={}))
    assert "base_encoder" not in configure.default_ways(free, here)
    ways = {"base_tfidf": {}, "base_encoder": {"model": str(encoder)}}
    preview = ww.plan(tmp_path / "rows.jsonl", model="fake", ways=ways, probe=True)
    assert preview.estimate is not None
    assert set(preview.estimate.ways) == set(ways)
