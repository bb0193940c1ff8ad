"""The tuning ways on tiny real models, from rows to verdict: search cost, early stopping, the target, preferences."""

from __future__ import annotations

import importlib
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from whichway.app.configure import encoder_of
from whichway.backends import local
from whichway.backends.classical import ClassicalBackend
from whichway.backends.encoder import EncoderBackend
from whichway.backends.fake import FakeBackend
from whichway.contest import Components, Settings, run
from whichway.contest.dry_run.simulate import estimate
from whichway.engine.train import run_job, trainer
from whichway.errors import ModelError, OptionError
from whichway.nouns import Decoding, Example, Message, MetricSpec, Request, Task, Weights
from whichway.runs.folder import read_candidates, read_race, read_records
from whichway.tasks import metrics
from whichway.ways._train import FOUR, TrainingOptions

WORDS = ("amber", "birch", "cedar", "dahlia", "elm", "fig", "ginger", "hazel", "iris", "jasmine", "kale", "lilac")
SAID = {"billing": "I was billed twice", "bill": "send me the bill", "shipping": "where is my parcel"}


def texts():
    return (" ".join(three) for three in itertools.permutations(WORDS, 3))


def labelled(train: int = 30, dev: int = 30, test: int = 30) -> Task:
    words = texts()
    pairs = [(f"{next(words)}: {said}", label) for _ in range(60) for label, said in SAID.items()]
    rows = [Example({"text": text}, label) for text, label in pairs][: train + dev + test]
    labels = tuple(sorted(SAID))
    return Task("tiny", "Which team?", tuple(rows[:train]), tuple(rows[train : train + dev]),
                tuple(rows[train + dev :]), MetricSpec("accuracy", {"labels": list(labels)}), labels)  # fmt: skip


def written(metric: str = "token_f1") -> Task:
    """Free text: the answer is a short sentence that depends on the row."""
    said = {"billing": "refund the second payment", "bill": "send the bill again", "shipping": "ask the courier"}
    task = labelled()
    parts = [tuple(replace(e, target=said[e.target]) for e in part) for part in (task.train, task.dev, task.test)]
    return replace(task, train=parts[0], dev=parts[1], test=parts[2], labels=(), metric=MetricSpec(metric))


def preferred(**options: Any) -> Task:
    """Each row wants the polite answer."""
    task = labelled()
    parts = [
        tuple(replace(e, target="Sorry about that parcel.", rejected="Open the settings page.") for e in part)
        for part in (task.train, task.dev, task.test)
    ]
    metric = MetricSpec("preference", options)
    return replace(task, train=parts[0], dev=parts[1], test=parts[2], labels=(), metric=metric)


@pytest.fixture
def here(monkeypatch):
    """Train in this process, and count the steps."""
    steps: list[tuple[str, Any, int]] = []
    honest = trainer.TrainingRun._step

    def counted(self):
        steps.append((self.job.kind, self.job.options.get("factor"), self.job.seed))
        return honest(self)

    monkeypatch.setattr(trainer.TrainingRun, "_step", counted)
    monkeypatch.setattr(
        local, "_train_apart", lambda model, job, folder, adapter, *more: run_job.train(model, job, folder, adapter)
    )
    return steps


def hold(task: Task, place: Path, base: str | Path, ways: dict[str, dict[str, Any]], **settings: Any):
    all_backends = {"local": local.LocalBackend(), "classical": ClassicalBackend(), "fake": FakeBackend(),
             "encoder": EncoderBackend()}  # fmt: skip
    found = {name: importlib.import_module(f"whichway.ways.{name}") for name in ways}
    start = all_backends["fake" if str(base).startswith("fake") else "local"].weights(str(base))
    words = {o["teacher"]: all_backends["local"].weights(o["teacher"]) for o in ways.values() if o.get("teacher")}
    components = Components(all_backends, found, metrics.load(task.metric), start,
                  encoder_of=lambda word: encoder_of(word, all_backends), words=words)  # fmt: skip
    said = {"seeds": (0,), "race": False, **settings}
    return run(task, components, folder=place / "run", settings=Settings(ways, place / ".cache", **said)).verdict


SMALL = {"epochs": 2, "steps": 1, "batch": 10}
WAYS = [
    ("tune_lora", {"variant": "dora"}, "lora"),
    ("tune_lora", {"variant": "pissa", "rank": 4}, "lora"),
    ("tune_head", {}, "head"),
    ("tune_head", {"init": "logistic"}, "head"),
    ("tune_bias", {}, "bias"),
    ("tune_soft_prompt", {"tokens": 4}, "soft_prompt"),
    ("both_prompt_then_lora", {}, "lora"),
    ("both_distill", {"keep": 0.0}, "lora"),
    ("both_shots_lora", {"counts": (2,), "encoder": "words"}, "lora"),
]


IDS = [f"{name}-{'-'.join(map(str, more.values()))}" for name, more, _ in WAYS]


@pytest.mark.parametrize(("name", "more", "kind"), WAYS, ids=IDS)
def test_a_way_goes_from_rows_to_a_verdict(here, tiny, tmp_path, name, more, kind):
    verdict = hold(labelled(), tmp_path, tiny("llama"), {name: {**SMALL, **more}})
    (standing,) = verdict.standings
    assert standing.status == "ok", standing.reason
    found = [candidate for candidate, _ in read_candidates(tmp_path / "run").values()]
    assert {c.weights.kind for c in found} == {kind}
    assert len({c.weights.adapter for c in found}) == 4  # one a checkpoint
    assert (tmp_path / "run" / "ways" / name / "adapters").is_dir()


# The search


@pytest.mark.parametrize("name", ["tune_lora", "tune_full"])
def test_four_rates_cost_at_most_two_point_two_whole_runs(here, tiny, tmp_path, name):
    ways = {name: {"epochs": 4, "steps": 1, "batch": 6, "factors": FOUR}}
    verdict = hold(labelled(60, 30, 30), tmp_path, tiny("llama"), ways, race=True)
    assert verdict.standings[0].status == "ok"
    whole = 4 * 60 // 6
    assert len({factor for _, factor, _ in here}) == 4
    assert whole < len(here) <= 2.2 * whole
    (search,) = read_race(tmp_path / "run")["trainings"]
    assert search["runs"] * whole == pytest.approx(len(here), abs=3)


def test_rates_are_spaced_by_their_logarithms_and_the_default_takes_the_likeliest_two():
    factors = sorted(FOUR)
    ratios = [b / a for a, b in itertools.pairwise(factors)]
    assert max(ratios) / min(ratios) < 1.02
    assert TrainingOptions().factors == FOUR[:2]


def test_patience_stops_a_training_that_gets_no_better(here, tiny, tmp_path):
    """The best checkpoint of a stopped training is still the one that is kept."""
    ways = {"tune_lora": {**SMALL, "epochs": 16, "rate": 1e-7, "checkpoints": 8, "patience": 2}}
    verdict = hold(labelled(), tmp_path, tiny("llama"), ways)
    assert verdict.standings[0].status == "ok"
    assert len(here) == round(0.4 * 48)  # to the third checkpoint: the first is best, two more are waited for
    log = (tmp_path / "run" / "ways" / "tune_lora" / "log").read_text()
    assert "no better for 2 checkpoints" in log


def test_until_stops_a_training_that_is_good_enough(here, tiny, tmp_path):
    ways = {"tune_lora": {**SMALL, "epochs": 16, "rate": 0.01, "checkpoints": 8}}
    until = hold(labelled(), tmp_path / "a", tiny("llama"), ways, until=0.6)
    stopped = len(here)
    assert until.standings[0].dev_score >= 0.6
    assert stopped < 48
    log = (tmp_path / "a" / "run" / "ways" / "tune_lora" / "log").read_text()
    assert "has reached 0.6" in log
    assert json.loads((tmp_path / "a" / "run" / "plan.json").read_text())["until"] == 0.6
    here.clear()
    hold(labelled(), tmp_path / "b", tiny("llama"), ways)
    assert len(here) == 48


def test_the_best_checkpoint_is_kept_not_the_last(here, tiny, tmp_path):
    """A rate that ruins the model in the end: what is kept is what dev found best (mlx-lm PR 1665)."""
    ways = {"tune_lora": {**SMALL, "epochs": 12, "rate": 0.02, "checkpoints": 6}}
    verdict = hold(labelled(), tmp_path, tiny("llama"), ways)
    found = read_candidates(tmp_path / "run")
    best = max(facts["dev_score"] for _, facts in found.values())
    (kept,) = verdict.standings[0].candidates
    assert found[kept][1]["dev_score"] == best


# Both halves


def test_prompt_then_lora_trains_under_the_best_prompt_and_stands_beside_its_halves(here, tiny, tmp_path):
    small = {**SMALL, "epochs": 16, "rate": 0.01}
    ways = {"prompt_plain": {}, "prompt_shots": {"counts": (2,)}, "tune_lora": small, "both_prompt_then_lora": small}
    verdict = hold(labelled(), tmp_path, tiny("llama"), ways)
    found = [candidate for candidate, _ in read_candidates(tmp_path / "run").values()]
    both = {json.dumps(c.prompt.shots) + c.prompt.layout for c in found if c.way == "both_prompt_then_lora"}
    assert len(both) == 1
    log = (tmp_path / "run" / "ways" / "both_prompt_then_lora" / "log").read_text()
    assert "best of" in log
    measured = {s.way for s in verdict.standings if s.status == "ok"}
    assert {"prompt_plain", "tune_lora", "both_prompt_then_lora"} <= measured
    assert any("both_prompt_then_lora" in (p.first, p.second) for p in verdict.pairs)
    assert {s.way for s in verdict.standings} == set(ways)


def test_distillation_learns_only_what_the_metric_finds_good(here, tmp_path):
    """The double answers by word counts: what it gets wrong under the best prompt is not learned from."""
    verdict = hold(labelled(), tmp_path, "fake", {"both_distill": {"rate": 1e-3}})
    assert verdict.standings[0].status == "ok"
    taught = [r for r in read_records(tmp_path / "run") if r.split == "train"]
    right = sum(r.score == 1.0 for r in taught)
    log = (tmp_path / "run" / "ways" / "both_distill" / "log").read_text()
    assert f"answered {right} of {len(taught)} rows" in log
    assert len(taught) < 30  # the shots of its prompt are not asked
    learned = sorted((tmp_path / ".cache" / "trainings").glob("*/*/learned.json"), key=lambda p: p.stat().st_size)
    answers = dict(json.loads(learned[-1].read_text()))
    gold = {e.text: e.target for e in labelled().train}
    assert len(answers) == right
    assert all(gold[text] == answer for text, answer in answers.items())


def test_a_teacher_that_is_never_right_fails_the_way(tmp_path):
    verdict = hold(written("exact_match"), tmp_path, "fake:mute=1", {"both_distill": {}})
    (standing,) = verdict.standings
    assert standing.status == "failed"
    assert "only 0 of" in standing.reason
    assert "training rows" in standing.reason


def test_another_model_can_be_the_teacher(here, tiny, tmp_path):
    more = {**SMALL, "rate": 0.01, "keep": 0.0, "teacher": str(tiny("qwen2"))}
    (standing,) = hold(labelled(), tmp_path, tiny("llama"), {"both_distill": more}).standings
    assert (standing.status, bool(standing.candidates)) == ("ok", True)


def test_a_way_that_makes_no_prompts_is_refused(tmp_path):
    for name, told in (("tune_lora", "makes no prompts"), ("prompt_shuts", "there is no way")):
        with pytest.raises(OptionError, match=told):
            hold(labelled(), tmp_path / name, "fake", {"both_prompt_then_lora": {"prompts": (name,)}})


# A sentence encoder


def test_an_encoder_that_is_named_is_fitted_and_answers_alike_in_batches(tiny, tmp_path):
    verdict = hold(labelled(), tmp_path, "fake", {"base_encoder": {"model": str(tiny("llama"))}})
    (standing,) = verdict.standings
    assert standing.status == "ok", standing.reason
    assert standing.score > 0.5
    (place,) = (tmp_path / "run" / "ways" / "base_encoder" / "adapters").iterdir()
    door = EncoderBackend()
    weights = replace(door.weights(str(tiny("llama"))), adapter=place.name, kind="encoder")
    asked = [Request((Message("user", e.text),), Decoding(), labelled().labels) for e in labelled().test]
    with door.open(weights, place) as session:
        together = session.choose(asked)
        for one, reply in zip(asked[:5], together[:5], strict=True):
            assert session.choose([one])[0].scores == pytest.approx(reply.scores, abs=1e-4)


def test_what_is_no_encoder_is_refused_with_advice(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"no config\.json"):
        EncoderBackend().weights(str(tmp_path / "empty"))
    with (
        EncoderBackend().open(Weights("encoder", "x"), None) as session,
        pytest.raises(ModelError, match="only after a head"),
    ):
        session.choose([])


def test_a_trained_encoder_competes_over_seeds_and_its_rates_are_thinned_out(encoder, tmp_path):
    options = {"model": str(encoder), "epochs": 2, "steps": 1, "factors": (4.0, 16.0)}
    ways = {"tune_encoder": options, "base_majority": {}}
    verdict = hold(labelled(), tmp_path, "fake", ways, seeds=(0, 1))
    by = {s.way: s for s in verdict.standings}
    assert by["tune_encoder"].status == "ok", by["tune_encoder"].reason
    assert (by["tune_encoder"].kind, by["tune_encoder"].seeds) == ("fine-tune", 2)
    assert by["tune_encoder"].score > by["base_majority"].score
    ledger = [json.loads(line) for line in (tmp_path / "run" / "ledger.jsonl").open()]
    assert sum(line["what"] == "train" and line["who"] == "tune_encoder" for line in ledger) >= 6
    versions = json.loads((tmp_path / "run" / "plan.json").read_text())["versions"]
    assert versions[f"encoder {encoder}"] == EncoderBackend().weights(str(encoder)).revision
    assert versions["encoder"] == EncoderBackend().version


def test_an_estimate_knows_what_training_an_encoder_takes(encoder, tmp_path):
    all_backends = {"fake": FakeBackend(), "encoder": EncoderBackend()}
    ways = {"tune_encoder": importlib.import_module("whichway.ways.tune_encoder")}
    task, options = labelled(), {"tune_encoder": {"model": str(encoder), "epochs": 3, "steps": 1, "rate": 0.003}}
    components = Components(all_backends, ways, metrics.load(task.metric), all_backends["fake"].weights("fake"),
                  encoder_of=all_backends["encoder"].weights)  # fmt: skip
    settings = Settings(options, tmp_path / ".cache", seeds=(0,))
    found = estimate(task, components, settings, lambda event: None)
    amount = found.ways["tune_encoder"]
    assert amount.reason == ""
    assert amount.seconds > 0
    assert amount.disk_bytes > 3 * (encoder / "model.safetensors").stat().st_size * 0.9
    assert amount.memory_bytes


# Preferences


@pytest.mark.parametrize("options", [{}, {"per_token": True}])
def test_preferences_are_learned_and_measured(here, tiny, tmp_path, options):
    ways = {"prompt_plain": {}, "tune_dpo": {**SMALL, "epochs": 8, "rate": 0.003}, "base_tfidf": {}, "tune_probe": {}}
    verdict = hold(preferred(**options), tmp_path, tiny("llama"), ways)
    by = {s.way: s for s in verdict.standings}
    assert by["tune_dpo"].status == "ok", by["tune_dpo"].reason
    assert by["tune_dpo"].score == 1.0
    assert by["tune_dpo"].score >= by["prompt_plain"].score
    assert by["base_tfidf"].status == by["tune_probe"].status == "failed"
    told = {r.text for r in read_records(tmp_path / "run")}
    assert told <= {"Sorry about that parcel.", "Open the settings page."}


def test_likelier_is_the_whole_answers_log_probability(opened):
    import torch

    from whichway.engine.infer.session import InferenceSession

    model = opened("llama")
    answers = ("Sorry about that parcel.", "refund", "Open the settings page.")
    rows = [(Message("user", text),) for text in ("where is it", "I was billed twice, twice", "app")]
    for mode in ("likelier", "likelier_per_token"):
        asked = [Request(row, Decoding(mode), answers) for row in rows]
        for row, reply in zip(rows, InferenceSession(model, model.module).choose(asked), strict=True):
            (prompt,) = model.renderer.prompt_ids([row])
            wanted = {}
            for answer in answers:
                ids = list(model.renderer.answer_ids(answer))
                with torch.no_grad():
                    logits = model.module(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
                each = logits.gather(1, torch.tensor(ids)[:, None])
                wanted[answer] = float(each.mean() if mode == "likelier_per_token" else each.sum())
            assert reply.scores == pytest.approx(wanted, abs=1e-3)
            assert reply.text == max(wanted, key=wanted.__getitem__)


# Free text


def test_generation_trains_as_classification_does(here, tiny, tmp_path):
    """Answers are written by the tuned model and judged by the task's metric."""
    ways = {"prompt_plain": {"max_tokens": 24}, "tune_lora": {"epochs": 30, "steps": 1, "batch": 10, "max_tokens": 24}}
    verdict = hold(written(), tmp_path, tiny("llama"), ways)
    by = {s.way: s for s in verdict.standings}
    assert by["tune_lora"].status == "ok"
    assert by["tune_lora"].score > by["prompt_plain"].score + 0.3


def test_rates_that_dev_cannot_tell_apart_leave_the_likeliest(here, tiny, tmp_path):
    """All rates at zero on the metric: the search keeps what is known beforehand."""
    ways = {"tune_lora": {"epochs": 2, "steps": 1, "batch": 10, "max_tokens": 4, "factors": FOUR}}
    hold(written("exact_match"), tmp_path, tiny("llama"), ways)
    log = (tmp_path / "run" / "ways" / "tune_lora" / "log").read_text()
    rungs = [line for line in log.splitlines() if "dev " in line]
    assert all("dev 0.000" in line for line in rungs)
    told = [line.split(" × ")[0] for line in rungs]
    assert told == ["1.6", "0.63", "4", "0.25", "1.6", "0.63"]
    (kept,) = {c.note.split(" × ")[0] for c, _ in read_candidates(tmp_path / "run").values() if c.way == "tune_lora"}
    assert kept == "1.6"


def test_answers_without_an_end_are_told(here, tiny, tmp_path):
    """Nobody notices a model that never ends, unless its answers are counted (unsloth #416)."""
    hold(written(), tmp_path, tiny("llama"), {"prompt_plain": {"max_tokens": 3}})
    records = [r for r in read_records(tmp_path / "run") if r.split == "test"]
    cut = sum("cut off after 3 tokens" in r.why for r in records)
    assert cut > 0
    log = (tmp_path / "run" / "ways" / "prompt_plain" / "log").read_text()
    assert f"{cut} of 30 answers were cut off" in log


# Soups


def test_rates_are_searched_with_one_training_each_and_the_best_is_averaged(here, tiny, tmp_path, monkeypatch):
    given = []
    honest = run_job.train

    def noted(model, job, *more):
        given.append((job.options["factor"], job.options.get("soup")))
        yield from honest(model, job, *more)

    monkeypatch.setattr(run_job, "train", noted)
    verdict = hold(labelled(), tmp_path, tiny("llama"), {"tune_lora": {**SMALL, "factors": FOUR[:2], "soup": 2}})
    assert verdict.standings[0].status == "ok", verdict.standings[0].reason
    searched = {factor for factor, soup in given if soup is None}
    averaged = {factor for factor, soup in given if soup == 2}
    assert len(searched) > len(averaged) == 1
    assert averaged < searched


# Word dropout


@pytest.mark.parametrize(("labels", "asked", "share"), [(True, 0.1, 0.1), (True, 0.0, None), (False, 0.1, None)])
def test_words_are_left_out_where_answers_are_labels(here, tiny, tmp_path, monkeypatch, labels, asked, share):
    given = []
    honest = trainer.TrainingRun.__init__

    def noted(self, model, job, *more, **others):
        given.append(job.options.get("word_dropout"))
        honest(self, model, job, *more, **others)

    monkeypatch.setattr(trainer.TrainingRun, "__init__", noted)
    task = labelled() if labels else written()
    verdict = hold(task, tmp_path, tiny("llama"), {"tune_lora": {**SMALL, "word_dropout": asked}})
    assert verdict.standings[0].status == "ok", verdict.standings[0].reason
    assert set(given) == {share}
