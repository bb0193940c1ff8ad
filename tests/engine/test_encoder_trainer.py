"""A sentence encoder trained with its head: learns, resumes as if never stopped, is proved live, fails in the open."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from whichway.backends.encoder import EncoderBackend
from whichway.engine.train import encoder_trainer
from whichway.errors import AdapterNotLive, OptionError, WayFailed
from whichway.nouns import Adapter, Decoding, Message, Request, TrainJob, TrainRow

TEXTS = {
    "billing": ("I was billed twice", "refund the payment please", "a payment was billed to my card"),
    "shipping": ("where is my parcel", "the parcel was sent two weeks ago", "my parcel never came"),
}
ROWS = tuple(
    TrainRow((Message("user", f"{text} {n}"),), label)
    for n in range(6)
    for label, texts in TEXTS.items()
    for text in texts
)
OPTIONS: dict[str, Any] = {"epochs": 4, "batch": 8, "rate": 3e-3, "checkpoints": [0.5, 1]}


@pytest.fixture
def door(encoder: Path) -> EncoderBackend:
    return EncoderBackend()


def job_of(door: EncoderBackend, encoder: Path, **options: Any) -> TrainJob:
    given = {name: value for name, value in {**OPTIONS, **options}.items() if value is not None}
    return TrainJob("encoder_full", door.weights(str(encoder)), ROWS, tuple(TEXTS), 0, given)


def trained(door: EncoderBackend, job: TrainJob, folder: Path) -> list[Adapter]:
    folder.mkdir(exist_ok=True)
    return list(door.train(job, folder, None))


def answers(door: EncoderBackend, made: Adapter, folder: Path) -> tuple[list[str], np.ndarray[Any, Any]]:
    asked = [Request(row.messages, Decoding("choose"), tuple(TEXTS)) for row in ROWS]
    with door.open(made.weights, folder / str(made.weights.adapter)) as session:
        replies = session.choose(asked)
    return [reply.text for reply in replies], np.array([[reply.scores[label] for label in TEXTS] for reply in replies])


@pytest.mark.parametrize("more", [{}, {"contrastive": 0.4}, {"init": "zeros"}])
def test_it_learns_the_rows_and_leaves_the_base_as_it_was(
    more: dict[str, Any], door: EncoderBackend, encoder: Path, tmp_path: Path
) -> None:
    job = job_of(door, encoder, **more)
    before = door.embed(job.weights, ["my parcel"])[0].vector
    told: list[Any] = []
    door.watch = told.append
    half, last = trained(door, job, tmp_path / "t")
    assert (half.step, last.step, last.epoch) == (10, 20, 4.0)
    assert (told[-1]["step"], told[-1]["steps"], told[-1]["seconds_left"]) == (20, 20, 0.0)
    assert last.weights.kind == "encoder_full"
    assert last.bytes > 10_000
    said, _ = answers(door, last, tmp_path / "t")
    assert np.mean([answer == row.answer for answer, row in zip(said, ROWS, strict=True)]) > 0.9
    assert np.array_equal(before, door.embed(job.weights, ["my parcel"])[0].vector)
    again = trained(door, job, tmp_path / "t")
    assert again == [half, last]


@pytest.mark.parametrize("more", [{}, {"contrastive": 0.4}])
def test_a_training_that_was_stopped_goes_on_as_if_it_was_not(
    more: dict[str, Any], door: EncoderBackend, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder_trainer, "STATE_SECONDS", 0.0)
    job = job_of(door, encoder, **more)
    whole = trained(door, job, tmp_path / "whole")[-1]
    (tmp_path / "cut").mkdir()

    class Killed(Exception):
        pass

    for at in (3, 13):

        def kill(now: Any, at: int = at) -> None:
            if now.step == at:
                raise Killed

        monkeypatch.setattr(door, "_teller", lambda kill=kill: kill)
        with pytest.raises(Killed):
            trained(door, job, tmp_path / "cut")
    steps: list[int] = []
    monkeypatch.setattr(door, "_teller", lambda: lambda now: steps.append(now.step))
    resumed = trained(door, job, tmp_path / "cut")[-1]
    assert steps[0] == 13
    assert resumed.weights == whole.weights
    one, two = (
        (tmp_path / name / str(whole.weights.adapter) / "model.safetensors").read_bytes() for name in ("whole", "cut")
    )
    assert one == two


def test_the_trained_and_the_answered_row_are_the_same_tokens(
    door: EncoderBackend, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whichway.engine.model.sentence_encoder import Encoder

    seen: list[str] = []
    fed = Encoder.fed

    def watched(self: Encoder, texts: Sequence[str]) -> Any:
        found = fed(self, texts)
        for ids, mask in zip(found["input_ids"].tolist(), found["attention_mask"].tolist(), strict=True):
            seen.append(str([i for i, m in zip(ids, mask, strict=True) if m]))
        return found

    monkeypatch.setattr(Encoder, "fed", watched)
    made = trained(door, job_of(door, encoder), tmp_path / "t")[-1]
    training, seen[:] = set(seen), []
    answers(door, made, tmp_path / "t")
    assert set(seen) == training
    assert len(training) == len(ROWS)


def test_a_part_that_changes_nothing_or_answers_differently_stops_the_run(
    door: EncoderBackend, encoder: Path, tmp_path: Path
) -> None:
    made = trained(door, job_of(door, encoder), tmp_path / "t")[-1]
    part = tmp_path / "t" / str(made.weights.adapter)
    shutil.copyfile(encoder / "model.safetensors", part / "model.safetensors")
    with pytest.raises(AdapterNotLive, match="changes nothing"):
        EncoderBackend().open(made.weights, part)
    head = next(iter(door.train(replace(job_of(door, encoder), kind="encoder", options={}), tmp_path, None)))
    part = tmp_path / str(head.weights.adapter)
    EncoderBackend().open(head.weights, part)
    live = json.loads((part / "live.json").read_text())
    live["scores"][0] = live["scores"][0][::-1]
    (part / "live.json").write_text(json.dumps(live))
    with pytest.raises(AdapterNotLive, match="does not answer as when it was saved"):
        EncoderBackend().open(head.weights, part)


def test_failures_are_failures_of_the_way(
    door: EncoderBackend, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WayFailed, match="diverged at step"):
        trained(door, job_of(door, encoder, rate=1e30, epochs=20), tmp_path / "a")
    one = replace(job_of(door, encoder), rows=ROWS[:2])
    with pytest.raises(WayFailed, match="at least two labels"):
        trained(door, one, tmp_path / "b")
    with pytest.raises(OptionError, match="contrastiv"):
        trained(door, job_of(door, encoder, contrastiv=0.1), tmp_path / "c")
    with pytest.raises(OptionError, match="contrastive"):
        trained(door, job_of(door, encoder, contrastive=1.0), tmp_path / "d")
    monkeypatch.setattr(encoder_trainer, "_BYTES", 10**12)
    with pytest.raises(WayFailed, match="GB of memory"):
        trained(door, job_of(door, encoder), tmp_path / "e")


def test_when_memory_runs_out_the_pieces_get_smaller_and_the_step_stays(
    door: EncoderBackend, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder_trainer.EncoderRun, "_drawn", lambda self: nullcontext())  # without dropout
    whole = answers(door, trained(door, job_of(door, encoder, epochs=1), tmp_path / "a")[-1], tmp_path / "a")[1]
    piece: Callable[..., float] = encoder_trainer.EncoderRun._piece

    def small(self: Any, rows: Sequence[int], of: int, warming: bool) -> float:
        if len(rows) > 4:
            raise MemoryError
        return piece(self, rows, of, warming)

    monkeypatch.setattr(encoder_trainer.EncoderRun, "_piece", small)
    made = trained(door, job_of(door, encoder, epochs=1), tmp_path / "b")[-1]
    assert np.allclose(answers(door, made, tmp_path / "b")[1], whole, atol=1e-3)
    monkeypatch.setattr(encoder_trainer.EncoderRun, "_piece", lambda *args: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(WayFailed, match="does not fit into memory"):
        trained(door, job_of(door, encoder, epochs=1), tmp_path / "c")


def test_training_the_seen_tokens_alone_gives_the_weights_of_training_all(
    door: EncoderBackend, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.numpy import load_file

    job = job_of(door, encoder)
    seen = trained(door, job, tmp_path / "seen")[-1]
    monkeypatch.setattr(encoder_trainer, "SeenVocabulary", lambda model, ids: SimpleNamespace(whole=nullcontext))
    every = trained(door, job, tmp_path / "all")[-1]
    one, two = (
        load_file(tmp_path / name / str(made.weights.adapter) / "model.safetensors")
        for name, made in (("seen", seen), ("all", every))
    )
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert np.allclose(tensor, two[name], atol=1e-4), name
    base = load_file(encoder / "model.safetensors")["embeddings.word_embeddings.weight"]
    moved = np.abs(one["embeddings.word_embeddings.weight"] - base).max(1) > 0
    assert 10 < moved.sum() < len(base)
