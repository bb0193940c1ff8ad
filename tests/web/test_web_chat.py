"""Chat with two candidates of a run; each is proved to be what its pane says; thumbs go where the server's go."""

from __future__ import annotations

import json

import pytest
from web_kit import NASTY, client, data, hold_here, wait

from whichway.app.feedback import read_rows
from whichway.app.run import prepare
from whichway.app.run_task import spec_of_run
from whichway.backends import fake
from whichway.runs.run import Run
from whichway.ship.feedback.feedback_log import read_feedback

PLACE = "/runs/one/chat"
ROW = "amber kale delivery number 99999 that no row of the data has"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    ways = ("base_tfidf", "prompt_shots", "tune_lora")
    hold_here(data(folder / "tickets.csv", 90, NASTY), folder / "one", ways)
    return folder


@pytest.fixture
def page(runs):
    with client(runs) as browser:
        yield browser


def ask(page, model, text=ROW):
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return page.post(f"{PLACE}/completions", json=body)


def test_both_panes_say_who_answers(page, runs):
    run = Run(runs / "one")
    text = page.get(PLACE, params={"left": "tune_lora", "right": "base"}).text
    tuned = run.finalists("tune_lora")[0]
    assert f'data-candidate="{tuned.id}"' in text
    assert f"<code>{tuned.weights.adapter}</code>" in text
    assert "the model answers the messages as they are" in text
    assert NASTY not in text
    assert page.get(PLACE, params={"left": "none"}).status_code == 400
    assert page.get("/runs/none/chat").status_code == 400


def test_an_answer_names_the_candidate_that_gave_it(page, runs):
    page.get(PLACE)
    for way in ("tune_lora", "prompt_shots", "base_tfidf"):
        answer = ask(page, way)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-whichway-candidate"] == Run(runs / "one").finalists(way)[0].id
        assert answer.json()["choices"][0]["message"]["content"] == "delivery"
    assert ask(page, "base").headers["x-whichway-candidate"] == "base"
    assert ask(page, "nobody").status_code == 404


def test_a_trained_part_is_proved_by_asking_without_it(page):
    page.get(PLACE)
    tuned = page.get(f"{PLACE}/proof", params={"model": "tune_lora"}).text
    assert 'data-live="yes"' in tuned
    assert "6 of 6 rows answered as in the run" in tuned
    assert "Without it" in tuned
    assert NASTY not in tuned
    shots = page.get(f"{PLACE}/proof", params={"model": "prompt_shots"}).text
    assert 'data-live=""' in shots
    assert "no trained part" in shots
    assert "all that answers" in page.get(f"{PLACE}/proof", params={"model": "base_tfidf"}).text
    assert page.get(f"{PLACE}/proof", params={"model": "none"}).status_code == 400


def test_a_trained_part_that_is_ignored_is_found(page, monkeypatch):
    whole = fake.FakeBackend.open
    monkeypatch.setattr(fake.FakeBackend, "open", lambda self, weights, adapter: whole(self, weights, None))
    page.get(PLACE)
    text = page.get(f"{PLACE}/proof", params={"model": "tune_lora"}).text
    assert 'role="alert"' in text
    assert "changes nothing: the base answers" in text


def test_thumbs_and_corrections_are_what_a_run_with_feedback_reads(page, runs):
    page.get(PLACE)
    answer = ask(page, "tune_lora").json()
    name = answer["id"]
    given = page.post(f"{PLACE}/feedback", json={"completion_id": name, "thumbs": "down", "answer": "account"})
    assert given.status_code == 200, given.text
    wrong = page.post(f"{PLACE}/feedback", json={"completion_id": name, "answer": "no label"})
    assert wrong.status_code == 400
    assert "one of" in wrong.json()["error"]["message"]
    assert page.post(f"{PLACE}/feedback", json={"completion_id": "none", "thumbs": "up"}).status_code == 404
    folder = runs / "one"
    line = read_feedback(folder / "serve" / "feedback.jsonl")[-1]
    assert (line.thumbs, line.target, line.corrected, line.way) == ("down", "account", True, "tune_lora")
    assert line.run == str(folder)
    task = prepare(spec_of_run(Run(folder))).task
    rows = read_rows(folder, task)
    assert [(example.text, example.target) for example in rows.rows] == [(ROW, "account")]
    assert rows.corrected == 1
    assert json.loads((folder / "serve" / "feedback.jsonl").read_text().splitlines()[-1])["input"] == {"text": ROW}


def test_of_written_answers_the_texts_are_compared(runs):
    file = runs / "replies.csv"
    lines = [f"ticket {k * 37 % 101} about item {k % 7},Please send item {k % 7} again: order {k}." for k in range(90)]
    file.write_text("\n".join(["text,reply", *lines]), encoding="utf-8")
    hold_here(file, runs / "written", ("tune_lora",), target="reply", metric="token_f1")
    with client(runs) as browser:
        text = browser.get("/runs/written/chat/proof", params={"model": "tune_lora"}).text
    assert 'data-live="yes"' in text
    assert "3 of 3 rows answered as in the run" in text
    assert "answers are others" in text


def test_a_closed_chat_says_so(page):
    assert ask(page, "base").status_code == 400
    wait(lambda: page.get(PLACE).status_code == 200)
