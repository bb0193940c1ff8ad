"""Shots by a sentence encoder at the bench: who pays for vectors, what a row's seconds hold, what is estimated."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contest_kit import make_components, settings_for, small_task

from whichway.contest import Components, run
from whichway.contest.bench import RunBench
from whichway.contest.dry_run.simulate import estimate
from whichway.contest.open_books import open_ledger
from whichway.contracts import Embedding
from whichway.nouns import Candidate, Decoding, Prompt, Task, Weights
from whichway.prompts.shots import shot
from whichway.runs.folder import read_candidates, read_records
from whichway.runs.run import Run

ENCODER = Weights("letters", "some/letters", "abc123")
SHOTS = {"prompt_shots": {"kinds": ["knn"], "counts": [2, 4], "encoder": "letters", "calibrate": 0}}


class Letters:
    """An encoder that counts letters, half a second a text."""

    name, version = "letters", "1"

    def __init__(self) -> None:
        self.read: list[str] = []

    def embed(self, weights: Weights, texts: Sequence[str]) -> list[Embedding]:
        self.read += texts
        counts = [[1.0 + text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts]
        return [Embedding(np.array(c, np.float32) / np.linalg.norm(c).astype(np.float32), 3, 0.5) for c in counts]

    def files(self, weights: Weights) -> Path:
        raise AssertionError


def components_with(task: Task, letters: Letters) -> Components:
    components = make_components(task)
    ways = {**components.ways, "prompt_search": importlib.import_module("whichway.ways.prompt_search")}
    return replace(
        components, backends={**components.backends, "letters": letters}, ways=ways,
        encoder_of=lambda word: ENCODER if word == "letters" else None,
    )  # fmt: skip


def ledger(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "ledger.jsonl").open()]


def test_each_text_is_read_and_charged_once_and_a_rerun_pays_nothing(tmp_path: Path) -> None:
    task, letters, settings = small_task(60, 30, 20), Letters(), settings_for(tmp_path, SHOTS)
    settings = replace(settings, seeds=(0,))
    run(task, components_with(task, letters), folder=tmp_path / "r", settings=settings)
    texts = {e.text for e in (*task.train, *task.dev, *task.test) if len(e.text) <= 240}
    assert len(letters.read) == len(set(letters.read)) <= 110
    assert texts & {e.text for e in task.test} <= set(letters.read)
    lines = ledger(tmp_path / "r")
    embedded = [line for line in lines if line["what"] == "embed"]
    assert embedded
    assert all(line["calls"] == 0 for line in embedded)
    vectors = [line for line in lines if line["calls"] == 0]
    assert sum(line["seconds"] for line in vectors) == pytest.approx(0.5 * len(letters.read))
    crossed = [line for line in vectors if line["what"] == "test"]
    assert sum(line["seconds"] for line in crossed) == pytest.approx(0.5 * len({e.text for e in task.test}))
    before = (tmp_path / "r" / "ledger.jsonl").read_bytes(), (tmp_path / "r" / "verdict.json").read_bytes()
    again = run(task, components_with(task, letters), folder=tmp_path / "r", settings=settings)
    assert again.paid_seconds == 0
    assert len(letters.read) == len(set(letters.read))
    assert ((tmp_path / "r" / "ledger.jsonl").read_bytes(), (tmp_path / "r" / "verdict.json").read_bytes()) == before
    versions = json.loads((tmp_path / "r" / "plan.json").read_text())["versions"]
    assert versions["encoder letters"] == "abc123"


def test_a_rows_seconds_hold_the_encoders(tmp_path: Path) -> None:
    """Whoever serves the prompt has to read each row with the encoder too."""
    task, letters = small_task(60, 30, 20), Letters()
    settings = replace(settings_for(tmp_path, SHOTS), seeds=(0,))
    run(task, components_with(task, letters), folder=tmp_path / "r", settings=settings)
    by_words = {"prompt_shots": {**SHOTS["prompt_shots"], "encoder": "words"}}
    run(task, components_with(task, letters), folder=tmp_path / "w", settings=replace(settings, ways=by_words))
    mine, words = (
        [r.seconds for r in read_records(tmp_path / name) if r.split == "test"] for name in ("r", "w")
    )  # fmt: skip
    assert len(mine) == len(words) > 0
    assert np.mean(mine) == pytest.approx(np.mean(words) + 0.5, abs=0.05)


def test_where_the_encoder_is_not_here_words_do_and_the_plan_says_so(tmp_path: Path) -> None:
    task, letters = small_task(60, 30, 20), Letters()
    settings = replace(settings_for(tmp_path, {"prompt_shots": {"kinds": ["knn"], "counts": [2]}}), seeds=(0,))
    run(task, components_with(task, letters), folder=tmp_path / "r", settings=settings)
    assert letters.read == []
    assert json.loads((tmp_path / "r" / "plan.json").read_text())["versions"]["encoder default"] == "not here"
    log = (tmp_path / "r" / "ways" / "prompt_shots" / "log").read_text()
    assert "the default sentence encoder is not on this machine" in log
    assert all(c.prompt.encoder is None for c, _ in read_candidates(tmp_path / "r").values())


def test_trained_rows_see_the_shots_that_answered_rows_see_and_never_themselves(tmp_path: Path) -> None:
    task, letters = small_task(60, 30, 20), Letters()
    components, seen = components_with(task, letters), []
    fake = components.backends["fake"]

    class Watched(type(fake)):  # type: ignore[misc]
        def train(self, job: Any, folder: Path, adapter: Path | None) -> Any:
            seen.append(job)
            return super().train(job, folder, adapter)

    components = replace(components, backends={**components.backends, "fake": Watched()})
    prompt = Prompt("Which?", pool=tuple(map(shot, task.train)), nearest=3, encoder=ENCODER)
    with open_ledger(tmp_path, components, settings_for(tmp_path, SHOTS), lambda event: None) as lines_of_ledger:
        bench = RunBench(lines_of_ledger, "tune_lora", task.train_dev_view())
        list(bench.train("lora", bench.base, prompt, task.train, 0, epochs=1, rate=1e-3))
        asked = bench._answers.questions(Candidate(prompt, bench.base, Decoding()), task.train[0])
    for example, row in zip(task.train, seen[0].rows, strict=True):
        assert row.messages == bench.render(prompt, example.text)
        assert example.text not in [message.content for message in row.messages[:-1]]
    assert asked[0].messages == seen[0].rows[0].messages


def test_nearest_shots_of_the_search_go_by_the_encoder(tmp_path: Path) -> None:
    task, letters = small_task(60, 30, 20), Letters()
    others = ["add_sentence", "balanced", "contrast", "drop_sentence", "fewer", "forms", "gloss", "layouts", "order"]
    options = {"encoder": "letters", "proposer": "none", "rounds": 1, "without": [*others, "swap_sentences"]}
    settings = replace(settings_for(tmp_path, {"prompt_search": options}), seeds=(0,))
    components = components_with(task, letters)
    with open_ledger(tmp_path, components, settings, lambda event: None) as lines_of_ledger:
        bench = RunBench(lines_of_ledger, "prompt_search", task.train_dev_view())
        way = components.ways["prompt_search"]
        list(way.adapt(task.train_dev_view(), bench, way.Options(**options)))
    assert set(letters.read) >= {e.text for e in task.dev}


def test_an_estimate_holds_the_encoders_seconds(tmp_path: Path) -> None:
    task, letters = small_task(80, 60, 40), Letters()
    settings = replace(settings_for(tmp_path, SHOTS), seeds=(0,))
    found = estimate(task, components_with(task, letters), settings, lambda event: None)
    assert len(letters.read) < 80
    run(task, components_with(task, letters), folder=tmp_path / "run", settings=settings)
    actual = Run(tmp_path / "run").seconds["prompt_shots"]
    assert actual / 1.2 < found.ways["prompt_shots"].seconds < actual * 1.2
