"""A row is read once: the second way that asks for a rendering forwards no token, and finds the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from whichway.backends.local import LocalBackend, backend
from whichway.engine.model import load
from whichway.engine.model.activation_store import FILE, ActivationStore
from whichway.engine.model.decoder import Decoder
from whichway.engine.train import adapter_check, trainer
from whichway.engine.train.frozen_states import FrozenStates
from whichway.engine.train.probe import Prober
from whichway.nouns import Decoding, Message, Request, TrainJob, TrainRow

HEAD = Message("system", "Which team should handle this?")
LABELS = ("billing", "shipping")
ROWS = tuple(
    TrainRow((HEAD, Message("user", f"{word} {'again ' * (n % 3)}{n}")), label)
    for n in range(6)
    for word, label in (("refund", "billing"), ("parcel", "shipping"))
)
ASKS = [Request(row.messages, Decoding(), LABELS) for row in ROWS]
CLOSE = 2e-5  # of numbers about 1, between a row alone and in company


class Counter:
    tokens = 0


@pytest.fixture
def forwarded(monkeypatch) -> Counter:
    """Counts the tokens that go into a model."""
    counter, embed = Counter(), Decoder.embed

    def counted(self, ids, positions):
        counter.tokens += len(ids)
        return embed(self, ids, positions)

    monkeypatch.setattr(Decoder, "embed", counted)
    return counter


def keeping(tmp_path: Path, heads=((HEAD,),), states: bool = True) -> LocalBackend:
    door = backend()
    door.keep(tmp_path, heads, states)
    return door


@contextmanager
def opened(door: LocalBackend, tiny, kind="llama") -> Iterator:
    with door.open(door.weights(str(tiny(kind))), None) as session:
        yield session


def close(a, b) -> None:
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=CLOSE, rtol=CLOSE)


def table(replies):
    return [[reply.scores[label] for label in LABELS] for reply in replies]


def counts(replies):
    return [(r.tokens_in, r.tokens_cached, r.tokens_out) for r in replies]


# --- zero-shot and probe


@pytest.mark.parametrize("kind", ["llama", "gemma", "gpt2"])
def test_a_probe_finds_what_zero_shot_has_read(tiny, tmp_path, forwarded, kind):
    with opened(backend(), tiny, kind) as bare:
        plain = bare.choose(ASKS)
        wanted, wanted_counts = Prober(bare.model, None).features(ASKS)
    with opened(keeping(tmp_path), tiny, kind) as session:
        shared = session.choose(ASKS)
        before = forwarded.tokens
        features, replies = Prober(session.model, None, session.reads).features(ASKS)
    assert forwarded.tokens == before
    close(table(shared), table(plain))
    close(features, wanted)
    assert counts(shared) == counts(plain)
    assert counts(replies) == counts(wanted_counts)  # charged as if read anew
    assert all(reply.seconds > 0 for reply in replies)


def test_the_same_rendering_under_another_decoding_is_read_once(tiny, tmp_path, forwarded):
    other = [replace(ask, decoding=Decoding(max_tokens=7)) for ask in ASKS]
    with opened(keeping(tmp_path), tiny) as session:
        first, before = session.choose(ASKS), forwarded.tokens
        again = session.choose(other)
        assert forwarded.tokens == before
        assert [r.scores for r in again] == [r.scores for r in first]
        assert counts(again) == counts(first)
        assert [r.seconds for r in again] == [r.seconds for r in first]
        fewer = session.choose([replace(ask, labels=("billing", "sales")) for ask in ASKS])
        assert forwarded.tokens > before  # other labels are another question
        assert {label for reply in fewer for label in reply.scores} == {"billing", "sales"}


def test_renderings_that_nobody_else_reads_are_not_kept(tiny, tmp_path):
    with opened(keeping(tmp_path, heads=()), tiny) as session:
        session.choose(ASKS)
    with opened(backend(), tiny) as bare:
        wanted = bare.choose(ASKS)
        assert wanted == [replace(reply, seconds=w.seconds) for reply, w in zip(bare.choose(ASKS), wanted, strict=True)]
    assert not kept_keys(tmp_path)


def kept_keys(folder: Path) -> set[str]:
    store = ActivationStore(folder / FILE)
    assert store._db is not None
    keys = {key for (key,) in store._db.execute("SELECT key FROM kept")}
    store.close()
    return keys


def test_states_are_kept_only_where_a_training_goes_on_from_them(tiny, tmp_path):
    sizes = {}
    for states in (False, True):
        with opened(keeping(tmp_path / str(states), states=states), tiny) as session:
            session.choose(ASKS)
        sizes[states] = len(kept_keys(tmp_path / str(states)))
    assert sizes == {False: 2 * len(ASKS), True: 3 * len(ASKS) + 1}  # scores and features; states, the prefix's once


def test_rows_read_alone_and_in_company_are_the_same(tiny, tmp_path, forwarded):
    with opened(keeping(tmp_path / "one"), tiny) as session:
        alone = [session.choose([ask])[0] for ask in ASKS]
        some, _ = Prober(session.model, None, session.reads).features(ASKS[3:7])
    with opened(keeping(tmp_path / "all"), tiny) as session:
        together = session.choose(ASKS)
        every, _ = Prober(session.model, None, session.reads).features(ASKS)
    close(table(alone), table(together))
    close(some, every[3:7])


def test_a_call_of_known_and_new_rows(tiny, tmp_path, forwarded):
    with opened(backend(), tiny) as bare:
        wanted = bare.choose(ASKS)
    with opened(keeping(tmp_path), tiny) as session:
        session.choose(ASKS[:5])
        before = forwarded.tokens
        mixed = session.choose([*ASKS[3:], ASKS[0]])
        assert forwarded.tokens > before
    close(table(mixed), table([*wanted[3:], wanted[0]]))


def test_two_trainings_of_a_probe_read_their_rows_once(tiny, tmp_path, forwarded):
    door = keeping(tmp_path / "trainings")
    base = door.weights(str(tiny("llama")))
    (first,) = door.train(TrainJob("probe", base, ROWS, LABELS, 0), tmp_path / "trainings" / "a", None)
    before = forwarded.tokens
    some = tuple(reversed(ROWS[2:]))  # as another fold would have them
    (second,) = door.train(TrainJob("probe", base, some, LABELS, 0), tmp_path / "trainings" / "b", None)
    assert forwarded.tokens == before
    assert second.work["read"][0] == pytest.approx(first.work["read"][0] * 10 / 12, rel=0.2)
    assert second.tokens > 0


# --- the frozen layers of a training


def encoded(model, kind: str, rows=ROWS):
    job = TrainJob(kind, backend().weights(str(model.folder)), rows, LABELS, 0, {})
    return adapter_check.shared(trainer.encode(model, job))


def states_below(model, kind, folder: Path, rows=ROWS, first=1) -> tuple[FrozenStates, list]:
    inside, prefix = encoded(model, kind, rows)
    return FrozenStates.of(model, inside, prefix, first, folder), inside


def forget_files(folder: Path) -> None:
    """What a contest deletes when it ends; what is kept by row stays."""
    for file in (folder / "states").glob("*"):
        file.unlink()


@pytest.mark.parametrize("kind", ["head", "top"])
def test_frozen_layers_are_read_once_for_all_folds(tiny, tmp_path, forwarded, kind):
    model = load.load(tiny("llama"))
    whole, rows = states_below(model, kind, tmp_path / "a")
    before = forwarded.tokens
    assert before > 0
    forget_files(tmp_path)
    again, _ = states_below(model, kind, tmp_path / "b")
    assert forwarded.tokens == before
    assert torch.equal(again(rows), whole(rows))
    assert again.read == pytest.approx(whole.read)
    part, some = states_below(model, kind, tmp_path / "c", ROWS[2:])
    assert forwarded.tokens == before
    close(part(some), own_states(whole, some, part))


def own_states(whole: FrozenStates, rows, like: FrozenStates) -> np.ndarray:
    """The states of some rows as the frozen layers of all have them, where both share a prefix."""
    assert len(whole.prefix) == len(like.prefix)
    return whole(rows).numpy()


@pytest.mark.parametrize("before_it", ["zero-shot", "probe"])
def test_frozen_layers_go_on_from_what_others_have_read(tiny, tmp_path, forwarded, before_it):
    door = keeping(tmp_path)
    base = door.weights(str(tiny("llama")))
    if before_it == "probe":
        list(door.train(TrainJob("probe", base, ROWS, LABELS, 0), tmp_path / "probe", None))
    else:
        with door.open(base, None) as session:
            session.choose(ASKS)
    before, model = forwarded.tokens, door._base(base)
    shared, rows = states_below(
        model, "head", tmp_path / "head"
    )  # the upper half: what is in front of the middle layer
    assert forwarded.tokens == before
    anew, _ = states_below(model, "head", tmp_path / "elsewhere" / "head")
    assert forwarded.tokens > before
    close(shared(rows), anew(rows))
    assert shared.read[0] == anew.read[0]


def test_a_training_learns_the_same_from_kept_states(tiny, tmp_path):
    door = keeping(tmp_path / "shared")
    base = door.weights(str(tiny("llama")))
    list(door.train(TrainJob("probe", base, ROWS, LABELS, 0), tmp_path / "shared" / "probe", None))
    job = TrainJob("head", base, ROWS, LABELS, 0, {"share": 0.5, "epochs": 2, "batch": 4, "rate": 0.01})
    kept = list(door.train(job, tmp_path / "shared" / "head", None))
    alone = list(backend().train(job, tmp_path / "alone" / "head", None))
    close([a.loss for a in kept], [a.loss for a in alone])
    assert [a.work["read"][0] for a in kept] == [a.work["read"][0] for a in alone]


# --- answers of what was trained at the top


TRAINED = [("head", {"share": 0.5}), ("top", {"layers": 1}), ("top_full", {"layers": 1})]


def answered(door: LocalBackend, weights, place: Path, forwarded: Counter):
    with door.open(weights, place / weights.adapter) as session:
        before = forwarded.tokens
        replies = session.choose(ASKS)
        return session, replies, forwarded.tokens - before


@pytest.mark.parametrize(("kind", "options"), TRAINED)
def test_later_checkpoints_answer_from_what_the_first_has_read(tiny, tmp_path, forwarded, kind, options):
    door = keeping(tmp_path)
    base = door.weights(str(tiny("llama")))
    job = TrainJob(kind, base, ROWS[:4], LABELS, 0, {**options, "epochs": 2, "batch": 2, "rate": 0.01})
    first, second = door.train(job, tmp_path / "t", None)
    session, replies, tokens = answered(door, first.weights, tmp_path / "t", forwarded)
    assert session.frozen is not None
    assert session.frozen.first == 1
    assert tokens > 0
    session, later, tokens = answered(door, second.weights, tmp_path / "t", forwarded)
    assert tokens == len(session.prefix.ids)  # what all share is computed for each; of the rows nothing is
    bare = backend()
    for adapter, got in ((first, replies), (second, later)):
        session, wanted, _ = answered(bare, adapter.weights, tmp_path / "t", forwarded)
        assert session.frozen is None
        close(table(got), table(wanted))
        assert counts(got) == counts(wanted)


def test_rows_that_a_head_was_trained_on_are_known_when_they_are_tested(tiny, tmp_path, forwarded):
    door = keeping(tmp_path)
    base = door.weights(str(tiny("llama")))
    states_below(door._base(base), "head", tmp_path / "seen")  # as another fold has read them
    job = TrainJob("head", base, ROWS[:4], LABELS, 0, {"share": 0.5, "epochs": 1, "batch": 2})
    *_, made = door.train(job, tmp_path / "t", None)
    session, _, tokens = answered(door, made.weights, tmp_path / "t", forwarded)
    assert tokens == len(session.prefix.ids)


@pytest.mark.parametrize(("kind", "options"), [("lora", {}), ("bias", {}), ("full", {})])
def test_what_was_trained_all_over_has_no_frozen_layers(tiny, tmp_path, forwarded, kind, options):
    door = keeping(tmp_path)
    base = door.weights(str(tiny("llama")))
    *_, made = door.train(TrainJob(kind, base, ROWS[:4], LABELS, 0, {**options, "max_steps": 2}), tmp_path / "t", None)
    session, _, tokens = answered(door, made.weights, tmp_path / "t", forwarded)
    assert session.frozen is None
    assert tokens > 0
