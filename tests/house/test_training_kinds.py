"""One table of training kinds: every room that knows kinds reads it."""

import dataclasses

import pytest

from whichway.backends.classical import ClassicalBackend
from whichway.backends.encoder import EncoderBackend
from whichway.backends.fake import FakeBackend
from whichway.backends.local import LocalBackend
from whichway.backends.openai import OpenAIBackend
from whichway.engine.train.trainer import default_rate
from whichway.errors import OptionError
from whichway.nouns import Message as M
from whichway.nouns import TrainJob, TrainRow
from whichway.ship.forms.whole_folder import trained_place
from whichway.training_kinds import KINDS, FullOptions, TrainingKind, kinds_of, stored_as

ALL = (LocalBackend, EncoderBackend, ClassicalBackend, OpenAIBackend)


def test_each_backend_trains_the_kinds_of_its_own():
    found = {backend.name: backend().trains() for backend in ALL}
    assert found == {name: kinds_of(name) for name in found}
    assert set().union(*found.values()) == set(KINDS)


def test_a_kind_is_known_everywhere_by_its_row_alone(monkeypatch, tmp_path):
    @dataclasses.dataclass(frozen=True, slots=True)
    class WarmOptions(FullOptions):
        warmth: float = 1.0

    kind = TrainingKind("warm", "local", WarmOptions, "adapter", times=3.0, pairs=True)
    monkeypatch.setitem(KINDS, "warm", kind)
    fake = FakeBackend()
    assert "warm" in LocalBackend().trains() & fake.trains()
    assert trained_place("warm") == "adapter"
    assert stored_as("warm", "adapter")
    assert default_rate(2000, "warm") == pytest.approx(3 * 5e-4)
    rows = tuple(TrainRow((M("user", text),), answer) for text, answer in (("a", "x"), ("a", "y")))
    job = TrainJob("warm", fake.weights("fake"), rows, ("x", "y"), 0, {"warmth": 2.0})
    (made,) = fake.train(job, tmp_path, None)
    assert made.weights.kind == "warm"
    with pytest.raises(OptionError, match="no option 'warmht'"):
        next(fake.train(dataclasses.replace(job, options={"warmht": 2.0}), tmp_path, None))


def test_versions_and_rates_of_the_kinds_stay():
    """They decide digests and numbers of trainings in caches: raised on purpose only."""
    trained = ("lora", "full", "top", "top_full", "bias", "soft_prompt", "dpo", "head")
    assert {name: kind.version for name, kind in KINDS.items()} == {n: 3 if n in trained else 1 for n in KINDS}
    assert {name: kind.times for name, kind in KINDS.items() if kind.times != 1} == {
        "full": 0.1, "top_full": 0.1, "bias": 2.0, "soft_prompt": 20.0, "dpo": 0.1, "encoder_full": 0.1,
        "encoder_full_multi_label": 0.1,
    }  # fmt: skip
