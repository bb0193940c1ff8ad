from __future__ import annotations

import json

import pytest
import sample

import whichway as ww
from whichway.nouns import Prompt
from whichway.report import formatting
from whichway.report.data_card import data_card
from whichway.report.facts import facts
from whichway.report.failures import failure_groups
from whichway.report.html import render
from whichway.report.markdown import markdown, plain
from whichway.report.prompt_differences import prompt_differences, slot_differences, word_differences
from whichway.report.reproduce import reproduction
from whichway.runs.run import read


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read(sample.make(tmp_path_factory.mktemp("run")))


def test_markdown_says_what_the_page_says(run):
    text, page = markdown(run), " ".join(render(run).split())
    assert text.startswith(f"# {formatting.title(run.verdict)}\n")
    for sentence in (*run.verdict.reasons, *run.verdict.dissent):
        assert f"- {plain(sentence)}\n" in text
    for standing in run.verdict.standings:
        assert f"{plain(standing.way)}" in text
        assert formatting.points(standing.score) in text
    known = facts(run)
    assert f"{formatting.signed(known['gain']['difference'])}" in text
    assert f"{formatting.signed(known['gain']['difference'])}<small>" in page
    assert known["gain"]["over"] == "prompt_shots"
    assert markdown(run) == text


def test_facts_are_json_with_every_number_of_the_verdict(run):
    known = json.loads(json.dumps(facts(run), allow_nan=False))
    assert known["choice"] == run.verdict.choice == "tune_lora"
    assert [w["way"] for w in known["ways"]] == [s.way for s in run.verdict.standings]
    assert len(known["differences"]) == len(run.verdict.pairs)
    assert known["data"]["files"] == ["tickets.csv"]
    assert known["reproduce"]["digests"][0] == ["plan.json, SHA-256", run.plan_sha256]


@pytest.mark.parametrize("text", ["a|b", "<script>", "*bold* _it_ `code` [x](y)", "# no\nheading", "\\"])
def test_nothing_of_the_data_is_markup_in_markdown(text):
    safe = plain(text)
    assert "\n" not in safe
    assert "<" not in safe
    for mark in "|*_`[]#":
        assert all(safe[k - 1] == "\\" for k, c in enumerate(safe) if c == mark)


def test_runs_without_a_score_have_reports_too(tmp_path):
    run = read(sample.make(tmp_path, rows=10, ways=sample.hopeless()))
    assert "failed: the model answers with an empty text" in markdown(run)
    assert facts(run)["gain"] is None
    assert failure_groups(run) == []


def test_differences_give_both_prompts_back():
    before, after = "Which team handles it?", "Which team, of twelve, should handle it?\nOne word."
    pieces = word_differences(before, after)
    assert "".join(text for change, text in pieces if change != "new") == before
    assert "".join(text for change, text in pieces if change != "gone") == after
    slots = list(slot_differences(Prompt("ask"), Prompt("ask", role="You sort mail.")))
    assert [(slot.slot, slot.pieces) for slot in slots] == [("role", (("new", "You sort mail."),))]


def test_prompts_are_compared_with_the_plain_one(run):
    differences = {d.way: d for d in prompt_differences(run)}
    assert set(differences) == {"prompt_shots", "tune_lora", "tune_probe"}
    assert {d.against for d in differences.values()} == {"prompt_plain"}
    assert "role" in {slot.slot for slot in differences["prompt_shots"].slots}
    page = render(run)
    assert "<ins>You sort messages for the support desk of an electronics shop.</ins>" in page


def test_the_data_card_counts_the_rows(run):
    card = data_card(run)
    assert card.rows == tuple((s, run.plan.rows[s], run.plan.splits[s]) for s in ("train", "dev", "test"))
    assert sum(label.test for label in card.labels) == 150
    assert sum(label.share for label in card.labels) == pytest.approx(1)
    lengths = sorted(len(row.text) for row in run.test)
    assert (card.lengths[0], card.lengths[3]) == (lengths[0], lengths[-1])
    assert card.columns == ("message",)


def test_the_command_names_what_the_plan_fixes(run):
    command = reproduction(run).command
    for part in ("--data tickets.csv", "--input message", "--metric accuracy", "--seeds 3", "--budget-seconds 900",
                 "--volume 2000", "--margin 0.02", "--model small-llama"):  # fmt: skip
        assert part in command.replace(" \\\n  ", " ")
    assert "/home/somebody" not in command
    assert "--set prompt_plain.balanced=true" in reproduction(run).options


def test_the_file_that_is_asked_for_says_the_form(run, tmp_path):
    finished = ww.read_run(run.path)
    assert finished.report(tmp_path / "a.md").read_text(encoding="utf-8") == markdown(run)
    assert json.loads((finished.report(tmp_path / "a.json")).read_text(encoding="utf-8"))["choice"] == "tune_lora"
    assert finished.report(tmp_path / "a.html").read_text(encoding="utf-8") == render(run)


def test_rows_alike_by_an_encoder_are_read_from_the_run_folder(tmp_path):
    run = read(sample.make(tmp_path, rows=150))
    before = render(run)
    rows = run.test
    chosen = run.choice
    wrong = [sum(r.points for r in run.answers(chosen, row.id)) < 1.5 for row in rows]
    others = [k for k, fails in enumerate(wrong) if not fails]
    alike = [k for k, fails in enumerate(wrong) if fails] + others[:2]
    codes = [0 if k in alike else 1 + k % 2 for k in range(len(rows))]
    (tmp_path / "clusters.json").write_text(json.dumps({"encoder": "mine", "revision": "1", "codes": [codes]}))
    again = read(tmp_path)
    assert "cluster" in {g.group.by for g in failure_groups(again)}
    assert render(again) != before
    assert render(read(tmp_path)) == render(again)


def test_a_number_leads_to_its_rows(run):
    page = render(run)
    for query in ('{"wrong":["tune_lora"]}', '{"flips":"tune_lora"}', '{"better":["tune_lora","prompt_shots"]}'):
        assert f'data-rows="{query.replace(chr(34), "&#34;")}"' in page
