"""A model writes new rows: what it is asked, what is read off, what is left out, and what the student makes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from teacher_kit import WORDS, hold, log, small_task, spends

from whichway.backends.fake import FakeBackend
from whichway.contest.bench import RunBench
from whichway.contest.dry_run.simulate import estimate
from whichway.contracts import follow_nothing
from whichway.nouns import Budget, Example, Reply, Task
from whichway.runs.folder import read_candidates
from whichway.tasks.folds import cut
from whichway.ways._writer import plain, questions, rows_of, writer

QUICK = {"epochs": 1, "steps": 0, "factors": (1.6,), "checkpoints": 1}
SYNTH = {**QUICK, "student": "tune_head", "prompts": ("prompt_plain",)}


def bare(**sizes: int) -> Task:
    return replace(small_task(**sizes), unlabelled=())


def test_questions_take_every_label_in_turn_and_differ():
    task = bare()
    asked = questions(task, per_label=20, per_call=5, shown=3)
    assert [q.label for q in asked[:3]] == list(task.labels)
    assert len(asked) == 4 * len(task.labels)
    assert len({q.row.text for q in asked}) == len(asked), "no question twice"
    first = asked[0].row.text
    assert f'whose answer is "{task.labels[0]}"' in first
    assert task.ask in first
    own = [e.text for e in task.train if e.target == task.labels[0]]
    shown = [line.removeprefix("- ") for line in first.splitlines() if line.startswith("- ")]
    assert len(shown) == 3
    assert set(shown) <= set(own)
    assert not any(e.text in q.row.text for q in asked for e in (*task.dev, *task.test)), "shown rows are training rows"
    assert questions(task, 20, 5, 3) == asked, "the same every time"


def test_rows_are_read_off_lines():
    task = bare()
    said = (
        "Here are five inputs:\n1. amber birch cedar refund price\n- “dahlia elm fig refund receipt”\n\n"
        "* ginger hazel iris payment price\n3) kale\n(4) lilac amber elm invoice payment and then some that is cut"
    )
    texts = [cells["text"] for cells in rows_of(said, "length", task)]
    assert texts == [
        "amber birch cedar refund price", "dahlia elm fig refund receipt", "ginger hazel iris payment price"
    ]  # fmt: skip
    assert len(rows_of(said, "stop", task)) == 4
    assert rows_of("x" * 5000, "stop", task) == []


def test_rows_of_several_fields_are_objects():
    train = tuple(Example({"subject": "late parcel", "body": f"where is it {n}"}, "a") for n in range(3))
    task = replace(bare(), train=train, labels=("a", "b"))
    asked = questions(task, 1, 1, 2)
    assert [q.label for q in asked] == ["a"], "no question about a label without rows"
    assert "keys subject, body" in asked[0].row.text
    said = '{"subject": "parcel", "body": "it is late again"}\n{"subject": "no body"}\nnonsense\n[1]'
    assert rows_of(said, "stop", task) == [{"subject": "parcel", "body": "it is late again"}]


def test_the_answer_has_room_for_its_rows():
    task = bare()
    one, five = (writer(task, FakeBackend().weights("fake"), 0.8, count).decoding for count in (1, 5))
    assert five.max_tokens >= 4 * one.max_tokens
    assert five.samples
    assert plain("The  Lamp, is DARK!") == "the lamp is dark"


class Author(FakeBackend):
    """A model that writes rows for the label that it is asked for, and some copies of rows that it must not know."""

    def __init__(self, copies: tuple[str, ...] = (), wrong: bool = False) -> None:
        super().__init__()
        self.copies, self.wrong, self.asked = copies, wrong, 0

    def open(self, weights: Any, adapter: Any) -> Any:
        from teacher_kit import TOPICS

        manager, author = super().open(weights, adapter), self

        class Session:
            def __enter__(self) -> Any:
                inner = manager.__enter__()

                def generate(requests: Any) -> list[Reply]:
                    replies = []
                    for request in requests:
                        author.asked += 1
                        text, n = request.messages[-1].content, author.asked
                        label = next((one for one in TOPICS if f'answer is "{one}"' in text), "billing")
                        topic = TOPICS["billing" if author.wrong else label]
                        lines = [
                            f"{WORDS[n % 12]} {WORDS[(n + k + 5) % 12]} {topic[k % 6]} {topic[(k + n) % 6]} {n}"
                            for k in range(3)
                        ]
                        reply = "\n".join([*lines, *author.copies])
                        replies.append(Reply(reply, 40, 0, 30, seconds=0.01))
                    return replies

                return SimpleNamespace(choose=inner.choose, generate=generate)

            def __exit__(self, *error: object) -> None:
                manager.__exit__(*error)

        return Session()


def test_written_rows_are_learned_from_and_copies_of_any_split_are_left_out(tmp_path: Path):
    task = bare()
    tested = (task.test[0].text, task.test[1].text.upper(), task.test[2].text + ".")
    copies = (*tested, task.dev[0].text, task.train[0].text)
    hold(task, tmp_path, {"both_synth": {**SYNTH, "per_label": 10, "mix": (1.0,)}}, Author(copies))
    told = log(tmp_path, "both_synth")
    assert "nearly copies of 1 training, 1 dev and 3 test rows" in told
    assert "new rows are labelled as they were meant" in told
    learned = [json.loads(path.read_text()) for path in (tmp_path / ".cache" / "trainings").glob("*/*/learned.json")]
    texts = {text for rows in learned for text, _ in rows}
    assert len(texts) > len(task.train), "written rows were trained on"
    held_out = {plain(e.text) for e in (*task.dev, *task.test)}
    assert not {plain(text) for text in texts} & held_out


def test_what_is_written_as_one_label_and_read_as_another_is_left_out(tmp_path: Path):
    hold(bare(), tmp_path, {"both_synth": {**SYNTH, "per_label": 10}}, Author(wrong=True))
    told = log(tmp_path, "both_synth")
    left = int(told.partition(" new rows are labelled")[0].rpartition(" of ")[0].rpartition("\n")[2])
    written = int(told.partition(" new rows are labelled")[0].rpartition(" ")[2])
    assert left <= written / 2, "rows of two labels in three come back as another"


def test_dev_chooses_the_share_and_the_student_is_never_below_the_labelled_rows_alone(tmp_path: Path):
    options = {"tune_head": QUICK, "both_synth": {**SYNTH, "per_label": 10, "mix": (1.0, 0.3)}}
    verdict = hold(bare(), tmp_path, options, Author()).verdict
    dev = {s.way: s.dev_score for s in verdict.standings}
    assert dev["both_synth"] >= dev["tune_head"]
    told = log(tmp_path, "both_synth")
    assert told.count("written rows: dev") == 2
    assert "seed 0: written rows" in told


def test_a_model_that_writes_nothing_leaves_the_labelled_rows_alone(tmp_path: Path):
    verdict = hold(bare(), tmp_path, {"both_synth": {**SYNTH, "per_label": 3}}).verdict
    assert verdict.standings[0].status == "ok"
    finalists = [c.note for c, facts in read_candidates(tmp_path / "run").values() if facts["finalist"]]
    assert finalists


def test_a_rerun_pays_nothing_and_the_writer_is_in_the_price(tmp_path: Path):
    options = {"both_synth": {**SYNTH, "per_label": 10}, "tune_head": QUICK}
    first = hold(bare(), tmp_path, options, Author())
    again = hold(bare(), tmp_path, options, Author())
    assert again.paid_seconds == 0
    assert again.verdict == first.verdict
    fit = {s.way: s.usd_fit for s in first.verdict.standings}
    asked = sum(line["usd"] for line in spends(tmp_path, "both_synth") if line["what"] == "ask")
    assert fit["both_synth"] > fit["tune_head"] + 0.99 * asked > fit["tune_head"]


def test_a_budget_ends_the_writing_and_leaves_the_training(tmp_path: Path):
    task = bare()
    options = {"both_synth": {**SYNTH, "per_label": 400, "per_call": 1, "mix": (1.0,)}}
    verdict = hold(task, tmp_path, options, Author(), budget=Budget(calls=400)).verdict
    assert verdict.standings[0].status == "ok"
    assert "questions are put to the writer" in log(tmp_path, "both_synth")
    assert sum(line["calls"] for line in spends(tmp_path, "both_synth") if line["what"] != "test") <= 400
    assert "0 of 0 new rows" not in log(tmp_path, "both_synth")


def test_folds_and_the_estimate(tmp_path: Path):
    from whichway.app.configure import ways
    from whichway.backends.classical import ClassicalBackend
    from whichway.contest import Components, Settings
    from whichway.tasks import metrics

    task, author = cut(replace(bare(), foldable=True), 3), Author()
    options: Any = {"both_synth": {**SYNTH, "per_label": 5}}
    components = Components(
        {"fake": author, "classical": ClassicalBackend()}, ways(), metrics.load(task.metric), author.weights("fake")
    )
    said = estimate(task, components, Settings(options, tmp_path / ".cache", race=False), follow_nothing).ways
    assert said["both_synth"].reason == ""
    assert said["both_synth"].seconds > 0
    verdict = hold(task, tmp_path, options, author, seeds=(0, 1, 2)).verdict
    assert verdict.standings[0].status == "ok", verdict.standings[0].reason
    assert verdict.standings[0].rows == len(task.train) + len(task.dev) + len(task.test)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"labels": ()}, "rows are written for labels"), ({}, "tune_head is a way, and a model is needed")],
)
def test_what_cannot_be_written_is_said(change: dict[str, Any], reason: str, tmp_path: Path):
    task = replace(bare(), **change)
    verdict = hold(task, tmp_path, {"both_synth": {**SYNTH, "teacher": "tune_head"}}).verdict
    assert reason in verdict.standings[0].reason


def test_the_bench_tells_copies_by_split_without_showing_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    task, heard = bare(), []
    honest = RunBench.near_copies

    def listening(self: RunBench, texts: Any) -> Any:
        texts_of_all = [task.test[0].text + "!", task.dev[0].text, task.train[0].text, "quite another text"]
        heard.append(honest(self, texts_of_all))
        return honest(self, texts)

    monkeypatch.setattr(RunBench, "near_copies", listening)
    hold(task, tmp_path, {"both_synth": {**SYNTH, "per_label": 3}}, Author())
    assert heard[0] == ["test", "dev", "train", None]
