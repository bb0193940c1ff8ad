"""Forgetting: measured on plain text where a backend can read it, said where it cannot, never in a budget."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import pytest
from contest_kit import make_components, settings_for, small_task

from whichway.backends.fake import FakeBackend
from whichway.contest import run
from whichway.contest.forgetting import MOST, packaged, passages
from whichway.errors import DataError
from whichway.nouns import Reply
from whichway.report import html
from whichway.runs.folder import read_candidates, read_lines, read_status, read_verdict

WAYS = ("prompt_plain", "tune_lora")


@dataclass(frozen=True)
class ReadingSession:
    """Answers as the fake does, and reads: a base loses 4 nats a word, a trained model half a nat more."""

    inner: Any
    trained: bool

    def choose(self, requests):
        return self.inner.choose(requests)

    def generate(self, requests):
        return self.inner.generate(requests)

    def read(self, texts):
        loss = 4.5 if self.trained else 4.0
        words = [len(text.split()) for text in texts]
        return [Reply("", tokens_in=n, seconds=0.01, scores={"nats": loss * n}) for n in words]


class Reading(FakeBackend):
    asked = 0

    def open(self, weights, adapter):
        with super().open(weights, adapter) as inner:
            Reading.asked += 1
            return nullcontext(ReadingSession(inner, weights.adapter is not None))

    def train(self, job, folder, adapter):
        for made in super().train(job, folder, adapter):
            yield replace(made, peak_bytes=123_000_000)


def contest(place, backend, folder="run", **more):
    task = small_task(60, 20, 40)
    components = make_components(task)
    components = replace(components, backends={**components.backends, "fake": backend})
    settings = replace(settings_for(place, {way: {} for way in WAYS}), seeds=(0,), **more)
    return run(task, components, folder=place / folder, settings=settings)


def test_loss_before_and_after_size_and_peak_memory_stand_in_verdict_and_page(tmp_path):
    found = contest(tmp_path, Reading()).verdict.forgetting
    assert [f.way for f in found] == ["tune_lora"]
    assert (found[0].before, found[0].after) == (4.0, 4.5)
    assert found[0].tokens == len(packaged().split())
    assert found[0].peak_bytes == 123_000_000
    assert found[0].bytes > 0
    verdict = read_verdict(tmp_path / "run")
    assert verdict.forgetting == found
    page = html.write(tmp_path / "run").read_text(encoding="utf-8")
    assert "What fine-tuning made it forget" in page
    assert "+0.500" in page
    assert "123 MB" in page
    assert any("tune_lora 4.00 to 4.50 nats a token (0.50 more)" in reason for reason in verdict.reasons)


def test_reading_is_in_the_ledger_but_in_no_purse(tmp_path):
    contest(tmp_path, Reading())
    lines = [line for line in read_lines(tmp_path / "run" / "ledger.jsonl") if line["what"] == "forgetting"]
    assert {line["who"] for line in lines} == {"tune_lora"}
    spent = sum(line["seconds"] for line in lines)
    assert spent == pytest.approx(2 * 0.01 * len(passages(None)))
    fit = read_status(tmp_path / "run", "tune_lora")["seconds_fit"]
    ledger = list(read_lines(tmp_path / "run" / "ledger.jsonl"))
    others = [line for line in ledger if line["what"] not in ("forgetting", "test")]
    assert fit == pytest.approx(sum(line["seconds"] for line in others if line["who"] == "tune_lora"))
    trained = [line for line in others if line["what"] == "train"]
    assert all(line["peak_bytes"] == 123_000_000 and line["bytes"] > 0 for line in trained)
    facts = [facts for c, facts in read_candidates(tmp_path / "run").values() if c.way == "tune_lora"]
    assert all(f["peak_bytes"] == 123_000_000 for f in facts)


def test_a_second_folder_reads_nothing_again_and_its_verdict_is_equal(tmp_path):
    contest(tmp_path, Reading())
    first = (tmp_path / "run" / "verdict.json").read_bytes()
    asked = Reading.asked
    contest(tmp_path, Reading(), "other")
    assert (tmp_path / "other" / "verdict.json").read_bytes() == first
    assert Reading.asked == asked
    html.write(tmp_path / "run")
    html.write(tmp_path / "other")
    assert (tmp_path / "other" / "report.html").read_bytes() == (tmp_path / "run" / "report.html").read_bytes()


def test_a_backend_that_cannot_read_is_said(tmp_path):
    found = contest(tmp_path, FakeBackend()).verdict.forgetting
    assert found[0].before is None
    assert "cannot read plain text" in found[0].why
    assert "not measured" in html.write(tmp_path / "run").read_text(encoding="utf-8")


def test_the_users_own_text_is_read_and_stands_in_the_plan(tmp_path):
    (tmp_path / "mine.txt").write_text("One two three.\n\nFour five.", encoding="utf-8")
    found = contest(tmp_path, Reading(), general=tmp_path / "mine.txt").verdict.forgetting
    assert found[0].tokens == 5
    (tmp_path / "none.txt").write_text(" \n", encoding="utf-8")
    with pytest.raises(DataError, match="empty"):
        passages(tmp_path / "none.txt")
    with pytest.raises(DataError, match="gone"):
        contest(tmp_path, Reading(), "third", general=tmp_path / "gone.txt")


def test_the_text_that_comes_along_is_a_few_thousand_words_and_is_read_whole():
    text = packaged()
    assert 2500 < len(text.split()) < 6000
    assert "".join("".join(passages(None)).split()) == "".join(text[:MOST].split())
