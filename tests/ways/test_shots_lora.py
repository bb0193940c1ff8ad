"""`both_shots_lora` from rows to verdict: what is shown to whom, what is trained, what ships."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_tune_ways import SMALL, here, hold, labelled, written  # noqa: F401  # `here` is a fixture

from whichway.backends import local
from whichway.engine.model import load
from whichway.engine.train import trainer
from whichway.nouns import Example, Prompt, Shot
from whichway.prompts import row_shots
from whichway.prompts.ask import questions
from whichway.prompts.template import messages
from whichway.runs.folder import read_candidates, read_records
from whichway.tasks.leave_out import left_out

TINY = {**SMALL, "batch": 5, "rank": 4, "checkpoints": 2, "factors": (1.0,), "encoder": "words"}


@pytest.fixture
def jobs(monkeypatch):
    """The trainings that are started."""
    seen = []
    honest = trainer.TrainingRun.__init__

    def heard(self, model, job, *more, **named):
        seen.append(job)
        honest(self, model, job, *more, **named)

    monkeypatch.setattr(trainer.TrainingRun, "__init__", heard)
    return seen


def candidates(place):
    return [candidate for candidate, _ in read_candidates(place / "run").values()]


def shown(turns):
    """The examples in some messages: (text, answer)."""
    said = [turn for turn in turns if turn.role != "system"]
    return [(said[n].content, said[n + 1].content) for n in range(0, len(said) - 1, 2)]


def test_every_row_is_trained_behind_its_own_examples_and_asked_behind_them(here, jobs, tiny, tmp_path):  # noqa: F811
    task = labelled()
    verdict = hold(task, tmp_path, tiny("llama"), {"both_shots_lora": {**TINY, "counts": (3,)}})
    assert verdict.standings[0].status == "ok", verdict.standings[0].reason
    (job,) = {job.id: job for job in jobs}.values()
    assert job.options["targets"] == "all"
    gold = {e.text: e.target for e in task.train}
    for example, row in zip(task.train, job.rows, strict=True):
        examples = shown(row.messages)
        assert row.messages[-1].content == example.text
        assert len(examples) == 3
        assert all(gold[text] == answer for text, answer in examples)
        assert example.text not in dict(examples)
    (candidate, *_) = candidates(tmp_path)
    assert {shot.text for shot in candidate.prompt.pool} == set(gold)
    asked = questions(candidate, task.dev[0].text, task.labels)[0].messages
    assert len(shown(asked)) == 3
    # the same row is rendered to the same token ids when it is trained and when it is asked
    renderer = load.load(tiny("llama")).renderer
    for example, row in zip(task.train[:5], trainer.encode(load.load(tiny("llama")), job), strict=False):
        assert row.prompt == renderer.prompt_ids([messages(candidate.prompt, example.text)])[0]
        assert len(row.earlier) == 3


def test_free_text_is_trained_and_written(here, tiny, tmp_path):  # noqa: F811
    more = {**TINY, "counts": (2,), "max_tokens": 8}
    verdict = hold(written(), tmp_path, tiny("llama"), {"both_shots_lora": more})
    assert verdict.standings[0].status == "ok", verdict.standings[0].reason
    assert all(c.decoding.mode == "generate" for c in candidates(tmp_path))


def test_numbers_of_examples_and_rates_are_searched_together(here, tiny, tmp_path):  # noqa: F811
    more = {**TINY, "counts": (1, 3), "factors": (1.0, 0.5), "epochs": 2}
    hold(labelled(), tmp_path, tiny("llama"), {"both_shots_lora": more})
    log = (tmp_path / "run" / "ways" / "both_shots_lora" / "log").read_text()
    for told in ("1 examples at 1 × the usual rate", "3 examples at 0.5 × the usual rate"):
        assert told in log


def test_a_rerun_trains_nothing_again(here, tiny, tmp_path):  # noqa: F811
    hold(labelled(), tmp_path, tiny("llama"), {"both_shots_lora": TINY})
    before = len(here)
    records = read_records(tmp_path / "run")
    hold(labelled(), tmp_path, tiny("llama"), {"both_shots_lora": TINY})
    assert len(here) == before
    assert read_records(tmp_path / "run") == records


def test_examples_are_cut_until_the_longest_row_fits_the_context(here, jobs, tiny, tmp_path, monkeypatch):  # noqa: F811
    honest = local.LocalBackend.fill
    monkeypatch.setattr(local.LocalBackend, "fill", lambda self, *more: 1.6 * honest(self, *more))
    long = " ".join(["where is my parcel"] * 9)
    task = labelled()
    task = replace(task, train=tuple(replace(e, input={"text": f"{e.text} {long}"}) for e in task.train))
    hold(task, tmp_path, tiny("llama"), {"both_shots_lora": {**TINY, "counts": (8,)}})
    (candidate, *_) = candidates(tmp_path)
    assert 0 < candidate.prompt.shot_characters < 2400
    model = load.load(tiny("llama"))
    rows = trainer.encode(model, jobs[0])
    assert len(rows) == len(task.train)
    assert max(len(row.prompt) + len(row.answer) for row in rows) * 1.6 <= model.context + 1
    assert {len(shown(row.messages)) for row in jobs[0].rows} != {8}
    assert "do not fit" in (tmp_path / "run" / "ways" / "both_shots_lora" / "log").read_text()


def test_other_backends_train_it_too(tmp_path):
    verdict = hold(labelled(), tmp_path, "fake", {"both_shots_lora": {"encoder": "words"}})
    assert verdict.standings[0].status == "ok", verdict.standings[0].reason


def test_a_single_row_has_no_examples(tmp_path, tiny):
    one = replace(labelled(), train=labelled().train[:1])
    verdict = hold(one, tmp_path, tiny("llama"), {"both_shots_lora": TINY})
    assert verdict.standings[0].status == "failed"
    assert "fewer than two" in verdict.standings[0].reason


# What a row is not shown


def test_copies_near_copies_and_the_rows_group_are_left_out():
    long = "my parcel number 4711 did not arrive at the door on monday"
    rows = [
        Example({"t": "Where is it?"}, "a"),
        Example({"t": "where is it"}, "a"),
        Example({"t": long}, "b"),
        Example({"t": f"{long}s"}, "b"),
        Example({"t": "refund me"}, "c", group="x"),
        Example({"t": "a bill please"}, "d", group="x"),
        Example({"t": "nothing like the others"}, "d"),
    ]
    found = left_out(rows)
    assert found["Where is it?"] == {"where is it"}
    assert found[long] == {f"{long}s"}
    assert found[f"{long}s"] == {long}
    assert found["refund me"] == {"a bill please"}
    assert found["nothing like the others"] == frozenset()


def test_a_training_row_is_not_shown_its_group(here, jobs, tiny, tmp_path):  # noqa: F811
    task = labelled()
    rows = tuple(replace(e, group=f"customer {n // 3}") for n, e in enumerate(task.train))
    hold(replace(task, train=rows), tmp_path, tiny("llama"), {"both_shots_lora": {**TINY, "counts": (4,)}})
    groups = {e.text: e.group for e in rows}
    for example, row in zip(rows, jobs[0].rows, strict=True):
        examples = shown(row.messages)
        assert len(examples) == 4
        assert example.group not in {groups[text] for text, _ in examples}


def test_examples_for_which_there_is_no_room_are_left_out_the_least_similar_first():
    shots = [Shot("x" * 30, "far"), Shot("y" * 10, "mid"), Shot("z" * 20, "near")]
    assert [s.answer for s in row_shots.fitting(shots, 0)] == ["far", "mid", "near"]
    assert [s.answer for s in row_shots.fitting(shots, 40)] == ["mid", "near"]
    assert [s.answer for s in row_shots.fitting(shots, 24)] == ["near"]
    assert [s.answer for s in row_shots.fitting(shots, 15)] == ["mid"]
    assert row_shots.fitting(shots, 3) == ()
    prompt = Prompt(objective="?", pool=tuple(shots), nearest=3)
    assert replace(prompt, shot_characters=0).content == prompt.content
    assert len(shown(messages(replace(prompt, shot_characters=40), f"{'z' * 20} {'y' * 10}"))) == 2
