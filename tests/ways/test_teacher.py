"""A teacher labels rows that nobody did; the student learns from them, pays for them, and falls back without them."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from teacher_kit import hold, log, small_task, spends

from whichway.backends.fake import FakeBackend
from whichway.contest.dry_run.simulate import estimate
from whichway.contracts import follow_nothing
from whichway.errors import OptionError
from whichway.nouns import Budget, Candidate, Decoding, Prompt, Reply
from whichway.runs.folder import read_candidates, read_records
from whichway.tasks.folds import cut
from whichway.ways._spending import affordable
from whichway.ways._teacher import chosen, least_confidence, mean_score

QUICK = {"epochs": 1, "steps": 0, "factors": (1.6,), "checkpoints": 1}
TFIDF = {"teacher": "base_tfidf", "student": "tune_head", **QUICK}


def reply(text: str, **scores: float) -> Reply:
    return Reply(text, scores=scores)


def test_the_vote_counts_probabilities_and_unread_answers_count_nothing():
    one, two = reply("a", a=-0.1, b=-2.4), reply("b", a=-1.6, b=-0.2)
    answer = chosen([one, two], ("a", "b"))
    assert answer is not None
    assert (answer.text, answer.member) == ("a", 0)
    assert answer.confidence == pytest.approx((0.909 + 0.198) / 2, abs=0.01)
    alone = chosen([reply("a"), reply("nonsense"), reply("a")], ("a", "b"))
    assert alone is not None
    assert alone.confidence == pytest.approx(2 / 3)
    assert chosen([reply("nonsense"), Reply("", finish="error", error="too long")], ("a", "b")) is None


def test_texts_agree_by_their_words():
    answers = [reply("send the bill again"), reply("send the bill"), reply("ask a courier")]
    best = chosen(answers, ())
    assert best is not None
    assert best.text in ("send the bill again", "send the bill")
    assert chosen([reply("alone")], ()) is not None
    assert chosen([Reply("cut sho", finish="length")], ()) is None


def test_the_threshold_leaves_out_answers_that_are_wrong_and_keeps_all_where_it_tells_nothing():
    sure, unsure = [(0.9, 1.0)] * 20, [(0.4, 0.0)] * 20
    least = least_confidence([*sure, *unsure], chance=0.25)
    assert 0.4 < least <= 0.9
    assert mean_score([*sure, *unsure], least) == 1.0
    assert least_confidence([(0.6, 1.0), (0.6, 0.0)] * 20, chance=0.5) == 0.0, "the same confidence tells nothing"
    assert least_confidence([(n / 40, 1.0) for n in range(40)], chance=0.5) == 0.0, "all are right"
    assert least_confidence([(0.9, 1.0), (0.1, 0.0)], chance=0.5) == 0.0, "two rows show nothing"
    assert least_confidence([], chance=0.5) == 0.0


@pytest.mark.parametrize(("limit", "enough"), [(None, True), (10, True), (5, False)])
def test_a_piece_of_work_must_leave_the_reserve(limit: int | None, enough: bool):
    assert affordable(Budget(calls=limit), Budget(1.0, 1.0, 3), Budget(calls=2)) is enough


def test_a_student_learns_from_rows_that_another_way_labelled(tmp_path: Path):
    verdict = hold(small_task(), tmp_path, {"base_tfidf": {}, "tune_head": QUICK, "both_distill": TFIDF}).verdict
    told = log(tmp_path)
    assert "teacher base_tfidf: 1 voting" in told
    notes = {c.note.partition(":")[0] for c, f in read_candidates(tmp_path / "run").values() if c.way == "both_distill"}
    assert "tune_head, labelled rows alone" in notes
    assert any("rows that base_tfidf labelled" in note for note in notes)
    assert "on dev against" in told
    standing = {s.way: s for s in verdict.standings}
    assert standing["both_distill"].status == "ok"
    dev = {way: s.dev_score for way, s in standing.items()}
    assert dev["both_distill"] >= dev["tune_head"], "never below the same training on the labelled rows alone"


def test_what_the_student_is_trained_on(tmp_path: Path):
    task = small_task()
    hold(task, tmp_path, {"both_distill": {**TFIDF, "confidence": 0.01}})
    learned = [json.loads(path.read_text()) for path in (tmp_path / ".cache" / "trainings").glob("*/*/learned.json")]
    longest = max(learned, key=len)
    texts = {text for text, _ in longest}
    assert texts >= {row.text for row in task.unlabelled[:5]}
    assert not texts & {row.text for row in (*task.dev, *task.test)}
    assert all(answer in task.labels for _, answer in longest)
    assert {text: answer for text, answer in longest if text in {e.text for e in task.train}} == {
        e.text: e.target for e in task.train
    }


def test_the_teachers_bill_is_the_students_and_a_rerun_pays_nothing(tmp_path: Path):
    options = {"tune_head": QUICK, "both_distill": {**TFIDF, "teacher": "prompt_shots"}}
    first = hold(small_task(), tmp_path, options)
    asked = [line for line in spends(tmp_path) if line["what"] == "ask"]
    assert sum(line["calls"] for line in asked) >= len(small_task().unlabelled)
    fit = {s.way: s.usd_fit for s in first.verdict.standings}
    assert fit["both_distill"] > fit["tune_head"] + sum(line["usd"] for line in asked) * 0.99
    again = hold(small_task(), tmp_path, options)
    assert again.paid_seconds == 0
    assert again.verdict == first.verdict


def test_it_labels_as_far_as_its_budget_goes_and_keeps_what_training_takes(tmp_path: Path):
    task = small_task(unlabelled=200)
    options = {**TFIDF, "teacher": "prompt_shots"}
    free = hold(task, tmp_path / "free", {"both_distill": options})
    calls = sum(line["calls"] for line in spends(tmp_path / "free"))
    hold(task, tmp_path / "capped", {"both_distill": options}, budget=Budget(calls=calls - 120))
    told = log(tmp_path / "capped")
    assert "of 200 rows are labelled: what is left of the budget is for training on them" in told
    spent = sum(line["calls"] for line in spends(tmp_path / "capped") if line["what"] != "test")
    assert spent <= calls - 120
    assert free.verdict.standings[0].status == "ok"
    notes = [c.note for c, _ in read_candidates(tmp_path / "capped" / "run").values()]
    assert any("labelled:" in note for note in notes), "the student is trained on what was labelled"


def test_a_budget_that_pays_for_no_teacher_leaves_the_labelled_rows_alone(tmp_path: Path):
    options = {**TFIDF, "teacher": "", "prompts": ("prompt_plain",)}
    verdict = hold(small_task(), tmp_path, {"both_distill": options}, budget=Budget(calls=31)).verdict
    assert verdict.standings[0].status == "ok"
    finalists = [c.note for c, facts in read_candidates(tmp_path / "run").values() if facts["finalist"]]
    assert finalists
    assert all("labelled rows alone" in note for note in finalists)


def test_a_teacher_that_is_worse_labels_nothing(tmp_path: Path):
    hold(small_task(train=60), tmp_path, {"both_distill": {**TFIDF, "teacher": "base_majority"}})
    told = log(tmp_path)
    assert "it needs no such teacher" in told
    assert "the student of the labelled rows alone stands" in told


class Misled(FakeBackend):
    """A model that answers the rows of no split wrongly."""

    def __init__(self, wrong: frozenset[str]) -> None:
        super().__init__()
        self.wrong = wrong

    def open(self, weights: Any, adapter: Any) -> Any:
        manager = super().open(weights, adapter)
        wrong = self.wrong

        class Session:
            def __enter__(self) -> Any:
                inner = manager.__enter__()

                def choose(requests: Any) -> list[Reply]:
                    replies = inner.choose(requests)
                    return [
                        replace(r, text="billing", scores={"billing": 0.0, "account": -9.0, "delivery": -9.0})
                        if q.messages[-1].content in wrong
                        else r
                        for q, r in zip(requests, replies, strict=True)
                    ]

                return SimpleNamespace(choose=choose, generate=inner.generate)

            def __exit__(self, *error: object) -> None:
                manager.__exit__(*error)

        return Session()


def test_a_student_that_was_misled_does_not_ship(tmp_path: Path):
    task = small_task(train=60, unlabelled=120)
    options = {**TFIDF, "teacher": "prompt_shots", "confidence": 0.01}
    misled = Misled(frozenset(row.text for row in task.unlabelled))
    hold(task, tmp_path, {"both_distill": options, "tune_head": QUICK}, misled)
    assert "do not help, " in log(tmp_path)
    assert "the student of the labelled rows alone stands" in log(tmp_path)
    finalists = [
        c.note
        for c, facts in read_candidates(tmp_path / "run").values()
        if facts["finalist"] and c.way == "both_distill"
    ]
    assert all("labelled rows alone" in note for note in finalists)


@pytest.mark.parametrize("student", ["tune_lora", "tune_probe", "base_tfidf"])
def test_any_way_that_is_trained_can_be_the_student(student: str, tmp_path: Path):
    verdict = hold(small_task(), tmp_path, {"both_distill": {**TFIDF, "student": student}}).verdict
    assert verdict.standings[0].status == "ok", verdict.standings[0].reason


def test_written_answers_are_taught_as_well(tmp_path: Path):
    task = small_task()
    said = {"billing": "refund the payment", "delivery": "ask the courier", "account": "reset the password"}
    parts = [tuple(replace(e, target=said[e.target]) for e in part) for part in (task.train, task.dev, task.test)]
    from whichway.nouns import MetricSpec

    task = replace(task, train=parts[0], dev=parts[1], test=parts[2], labels=(), metric=MetricSpec("token_f1"))
    verdict = hold(task, tmp_path, {"both_distill": {"prompts": ("prompt_shots",), **QUICK}}).verdict
    assert verdict.standings[0].status == "ok", verdict.standings[0].reason
    assert "labelled rows are kept" in log(tmp_path)


def test_with_folds_each_fold_has_its_teacher_and_all_rows_make_what_ships(tmp_path: Path):
    task = cut(replace(small_task(), foldable=True), 3)
    verdict = hold(task, tmp_path, {"both_distill": TFIDF, "base_majority": {}}).verdict
    standing = next(s for s in verdict.standings if s.way == "both_distill")
    assert standing.status == "ok", standing.reason
    assert standing.rows == len(task.train) + len(task.dev) + len(task.test)
    told = log(tmp_path)
    assert all(f"fold {n} of 3: teacher base_tfidf" in told for n in (1, 2, 3))
    if "on all rows: trained on" in told:
        assert "rows that a teacher labelled or wrote" in told or "labelled rows alone" in told


def test_without_unlabelled_rows_the_long_prompt_is_distilled_as_before(tmp_path: Path):
    task = replace(small_task(), unlabelled=())
    hold(task, tmp_path / "a", {"both_distill": QUICK})
    assert "rows well enough to learn from" in log(tmp_path / "a")
    verdict = hold(task, tmp_path / "b", {"both_distill": {**QUICK, "teacher": "tune_head"}}).verdict
    assert "name a file of them with --unlabelled" in verdict.standings[0].reason


def test_a_teacher_that_is_no_model_of_the_contest_is_the_users_mistake(tmp_path: Path):
    with pytest.raises(OptionError, match="the contest has no model 'big'"):
        hold(small_task(), tmp_path, {"both_distill": {**TFIDF, "teacher": "big"}})


def test_the_estimate_counts_the_teacher_and_both_trainings(tmp_path: Path):
    from whichway.app.configure import ways
    from whichway.backends.classical import ClassicalBackend
    from whichway.contest import Components, Settings
    from whichway.tasks import metrics

    task, fake = small_task(), FakeBackend()
    components = Components(
        {"fake": fake, "classical": ClassicalBackend()}, ways(), metrics.load(task.metric), fake.weights("fake")
    )
    options: dict[str, Any] = {"tune_head": QUICK, "both_distill": {**TFIDF, "teacher": "prompt_shots"}}
    settings = Settings(options, tmp_path / ".cache", seeds=(0,))
    said = estimate(task, components, settings, follow_nothing).ways
    actual = hold(task, tmp_path / "real", options, race=True).verdict
    took = {s.way: s.seconds_fit for s in actual.standings}
    assert said["both_distill"].reason == ""
    assert said["both_distill"].seconds > 2 * said["tune_head"].seconds
    assert 0.5 < said["both_distill"].seconds / took["both_distill"] < 2


def test_against_the_clock_teacher_and_student_are_bought_as_one_piece(tmp_path: Path):
    options = {"base_majority": {}, "both_distill": {**TFIDF, "factors": (1.6, 0.63)}}
    verdict = hold(small_task(), tmp_path, options, minutes=60.0, seeds=(0, 1), race=True).verdict
    standing = next(s for s in verdict.standings if s.way == "both_distill")
    assert standing.status == "ok", standing.reason
    assert standing.seeds == 2
    assert "teacher base_tfidf" in log(tmp_path)


def test_records_hold_no_unlabelled_row(tmp_path: Path):
    task = small_task()
    hold(task, tmp_path, {"both_distill": TFIDF})
    known = {e.id for e in (*task.train, *task.dev, *task.test)}
    assert {record.example for record in read_records(tmp_path / "run")} <= known


def test_the_way_itself_says_what_teaches():
    module = importlib.import_module("whichway.ways.both_distill")
    fields = module.Options.__dataclass_fields__
    assert fields["teacher"].metadata["teacher"]
    assert fields["student"].metadata["student"]
    assert Candidate(Prompt(), FakeBackend().weights("fake"), Decoding()).id
