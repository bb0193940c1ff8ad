"""Contract tests: every way, backend and metric that can be found is run, also those that are written tomorrow."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest

import whichway
from whichway.app import configure as front
from whichway.contest import Components, Settings, run
from whichway.contracts import Way
from whichway.errors import ModelError, OptionError, WhichwayError
from whichway.nouns import (
    Candidate,
    Decoding,
    Example,
    Message,
    MetricSpec,
    Prompt,
    Request,
    Score,
    Task,
    TrainJob,
    TrainRow,
    from_json,
    to_json,
)
from whichway.runs.folder import read_candidates
from whichway.tasks import metrics

WAYS = sorted(front.ways())
BACKENDS = sorted(front.backends())
NEEDS = {  # what a way cannot do without
    "both_cascade": "made of two other ways of the contest",
    "base_encoder": "encoder is not on this machine",
    "tune_encoder": "encoder is not on this machine",
    "tune_dpo": "chosen and a rejected",
}


def tiny_task(labels: bool = True) -> Task:
    words = {"billing": "charged card invoice", "delivery": "parcel late courier"}
    rows = [
        Example({"text": f"{word} number {i}"}, label)
        for i in range(15)
        for label, said in words.items()
        for word in said.split()[: 1 + i % 3]
    ]
    spec = MetricSpec("accuracy" if labels else "token_f1")
    return Task(
        "tiny",
        "Which?",
        tuple(rows[:30]),
        tuple(rows[30:45]),
        tuple(rows[45:]),
        spec,
        ("billing", "delivery") if labels else (),
    )


def test_the_listing_is_the_registry():
    files = {p.stem for p in (Path(whichway.__file__).parent / "ways").glob("[a-z]*.py")}
    assert files <= set(WAYS)
    assert {"local", "fake", "classical"} <= set(BACKENDS)


def configured(way):
    plain = json.loads(json.dumps(to_json(way.Options())))
    return from_json(way.Options, plain)


@pytest.mark.parametrize("name", WAYS)
def test_a_way_keeps_the_contract(name):
    way = front.ways()[name]
    assert isinstance(way, Way)
    assert way.KIND in ("baseline", "prompt", "fine-tune", "both")
    assert isinstance(way.RANDOM, bool)
    for option in dataclasses.fields(way.Options):
        assert option.metadata["help"], f"{name}.{option.name} has no help text"
    assert dataclasses.is_dataclass(way.Options)
    assert way.Options.__dataclass_params__.frozen
    assert configured(way) == way.Options()  # what a task file holds makes the same options again


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("labels", [True, False])
def test_a_way_runs_on_the_double_and_repeats(name, labels, tmp_path):
    try:
        getattr(front.ways()[name], "need", lambda: None)()
    except OptionError as missing:
        pytest.skip(str(missing))  # an optional extra
    task = tiny_task(labels)
    backends = front.backends()
    components = Components(backends, front.ways(), metrics.load(task.metric), backends["fake"].weights("fake"))
    outcomes = []
    for folder in ("a", "b"):  # two caches: the way itself has to repeat
        settings = Settings({name: {}}, tmp_path / folder / ".cache", seeds=(0, 1))
        outcomes.append(run(task, components, folder=tmp_path / folder / "run", settings=settings).verdict)
    standing = outcomes[0].standings[0]
    if standing.status == "failed":
        assert not labels or name in NEEDS
        assert len(standing.reason) > 10
        assert "an error inside the way" not in standing.reason, standing.reason  # a fault of ours is no refusal
        assert NEEDS.get(name, "") in standing.reason
        return
    assert standing.candidates == outcomes[1].standings[0].candidates
    assert standing.score == outcomes[1].standings[0].score
    assert standing.seeds == (2 if front.ways()[name].RANDOM else 1)
    for name_, (candidate, facts) in read_candidates(tmp_path / "a" / "run").items():
        assert candidate.id == name_
        assert from_json(Candidate, json.loads(json.dumps(to_json(candidate)))) == candidate
        assert 0 <= facts["dev_score"] <= 1


@pytest.mark.parametrize("labels", [True, False])
def test_a_fault_inside_a_way_is_no_refusal(labels, tmp_path, monkeypatch):
    def broken(task, bench, options):
        yield {}["planted"]

    monkeypatch.setattr(front.ways()["prompt_plain"], "adapt", broken)
    with pytest.raises(AssertionError, match="KeyError: 'planted'" if not labels else ""):
        test_a_way_runs_on_the_double_and_repeats("prompt_plain", labels, tmp_path)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_refuses_an_unknown_base_with_advice(name):
    backend = front.backends()[name]
    assert backend.name == name
    assert backend.version
    with pytest.raises((ModelError, OptionError)) as error:
        backend.weights("/no/such/model/anywhere")
    assert len(str(error.value)) > 20


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_trains_what_it_says_and_answers_in_order(name, tmp_path, request):
    backend = front.backends()[name]
    if name == "openai":
        pytest.skip("its trainings want a service: tests/backends/test_tune_hosted.py")
    base = {"fake": "fake", "classical": "tfidf"}.get(name) or str(request.getfixturevalue("tiny")("llama"))
    rows = [
        TrainRow((Message("user", f"{w} {i}"),), label)
        for i in range(6)
        for w, label in (("late parcel", "b"), ("card", "a"))
    ]
    for kind in sorted(backend.trains()):
        plain = name == "classical" or kind in ("probe", "encoder", "encoder_multi_label", "hosted")
        options = {} if plain else {"epochs": 1.0, "checkpoints": 1, "rate": 1e-2}
        start = backend.weights("majority" if kind == "majority" else base)
        adapters = list(
            backend.train(TrainJob(kind, start, tuple(rows), ("a", "b"), 0, options), tmp_path / kind, None)
        )
        assert adapters, kind
        last = adapters[-1].weights
        assert last.kind == kind
        assert (tmp_path / kind / str(last.adapter)).is_dir()
        asked = [
            Request((Message("user", text),), Decoding(), ("a", "b")) for text in ("late parcel 1", "card 9", "card 2")
        ]
        with backend.open(last, tmp_path / kind / str(last.adapter)) as session:
            replies = session.choose(asked)
            for reply, one in zip(replies, asked, strict=True):
                assert session.choose([one])[0].scores == pytest.approx(reply.scores, abs=1e-4), kind
        assert all(r.text in ("a", "b") and r.seconds >= 0 for r in replies)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_refuses_unknown_training_options(name, tmp_path, request, monkeypatch):
    program = tmp_path / "bin" / "vllm"  # is looked for when a model is named, and started when it is asked
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    backend = front.backends()[name]
    kind = next(iter(sorted(backend.trains())), "lora")  # one that trains nothing refuses every training
    base = {"fake": "fake", "classical": "majority", "openai": "openai:model"}.get(name) or str(
        request.getfixturevalue("tiny")("llama")
    )
    base = f"vllm:{base}" if name == "vllm" else base
    rows = tuple(TrainRow((Message("user", f"x {i}"),), "ab"[i % 2]) for i in range(4))
    job = TrainJob(kind, backend.weights(base), rows, ("a", "b"), 0, {"learning_rat": 1.0})
    with pytest.raises(OptionError):
        list(backend.train(job, tmp_path, None))


@pytest.mark.parametrize("name", sorted(metrics.names()))
def test_a_metric_gives_one_to_the_answer_itself_and_no_more_to_another(name, tmp_path):
    if name == "python_function":
        (tmp_path / "mine.py").write_text("def right(prediction, target):\n    return prediction == target\n")
        metric, good, bad = metrics.load(MetricSpec(name, {"function": f"{tmp_path}/mine.py:right"})), "yes", "no"
    else:
        labels = {"labels": ["yes", "no"]}
        given = {"labels": labels, "checks": {"must_contain": ["yes"]}}
        metric = metrics.load(MetricSpec(name, given.get("labels" if "labels" in metrics.options(name) else name, {})))
        good, bad = {"json_fields": ('{"a": 1}', '{"a": 2}'), "numeric": ("7", "8")}.get(name, ("yes", "no"))
    example = Example({"text": "?"}, good)
    right, wrong = metric(example, good), metric(example, bad)
    assert isinstance(right, Score)
    assert right.value == pytest.approx(1.0)
    assert wrong.value is not None
    assert wrong.value < 1.0
    if metric.aggregate != "mean":  # the best answers score 1 and wrong ones less, whatever a resample holds
        targets = np.array([0, 1, 0, 1])
        best, worst = (np.log(np.eye(2)[t] + 0.1) if metric.needs_scores else t for t in (targets, 1 - targets))
        weights = np.array([[1.0, 1, 1, 1], [2, 1, 0, 1], [0, 2, 2, 0]])
        assert metric.aggregate(targets, best, weights) == pytest.approx(1.0)
        assert (metric.aggregate(targets, worst, weights) < 0.5).all()
        assert (metric.aggregate(targets, worst, weights) >= metric.lowest).all()
    assert metric.normal(good) == metric.normal(f" {good} ".strip())


def test_errors_have_one_root():
    assert issubclass(OptionError, WhichwayError)
    assert Prompt().protected == ("labels",)


def test_the_encoder_is_a_default_way_where_it_is_at_hand_and_tuned_once_for_several_models():
    task, backends = tiny_task(), front.backends()
    fake = backends["fake"].weights("fake")
    components = Components(backends, front.ways(), metrics.load(task.metric), fake)
    assert "base_encoder" not in front.default_ways(task, components)
    here = dataclasses.replace(components, encoder_of=lambda word: fake)
    names = front.default_ways(task, here)
    assert names[names.index("base_tfidf") + 1] == "base_encoder"
    assert names[-1] == "tune_head"
    written = front.default_ways(tiny_task(labels=False), here)
    assert "base_encoder" not in written
    assert written[-1] == "tune_lora"
    two = dataclasses.replace(here, models={"a": fake, "b": fake})
    found = front.contestants(["prompt_plain", "tune_encoder", "tune_lora"], front.ways(), two)
    assert found == ["tune_encoder", "prompt_plain@a", "tune_lora@a", "prompt_plain@b", "tune_lora@b"]


def test_an_encoder_that_would_have_to_be_fetched_is_not_at_hand(tmp_path, encoder):
    all_backends = front.backends()
    assert front.encoder_of("default", all_backends) is None
    assert front.encoder_of("minilm", all_backends) is None
    assert front.encoder_of("words", all_backends) is None
    assert front.encoder_of(str(encoder), all_backends).base == str(encoder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="no sentence encoder"):
        front.encoder_of(str(tmp_path / "empty"), all_backends)
