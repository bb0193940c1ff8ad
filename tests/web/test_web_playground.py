"""The playground of a finished run: prompts are linted and scored beside the request."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml
from web_kit import NASTY, client, data, fields_of, hold_here, wait

from whichway.app.prompt_form import carried, filled, slots_of
from whichway.app.prompt_session import open_session
from whichway.app.run_playground import open_playground
from whichway.app.run_task import spec_of_run
from whichway.errors import OptionError, ProtectedPart
from whichway.nouns import Prompt, Shot
from whichway.runs.run import Run

PLACE = "/runs/one/playground"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    ways = ("base_majority", "prompt_plain", "prompt_shots")
    hold_here(data(folder / "tickets.csv", 200, NASTY), folder / "one", ways)
    return folder


@pytest.fixture(scope="module")
def page(runs):
    with client(runs) as browser:
        yield browser


def editor(page):
    """The playground's page, once it is open."""
    wait(lambda: page.get(f"{PLACE}/state").json()["ready"])
    text = page.get(PLACE).text
    assert "Score this prompt" in text
    return text


def trial(page, values):
    answer = page.post(f"{PLACE}/score", data=values)
    assert answer.status_code == 200, answer.text
    number = answer.json()["number"]
    return wait(lambda: (t := page.get(f"{PLACE}/trials/{number}").json())["state"] in ("done", "failed") and t)


def test_a_run_folder_says_where_its_rows_lie_also_after_both_were_moved(runs, tmp_path):
    spec = spec_of_run(Run(runs / "one"))
    assert spec.data.resolve() == (runs / "tickets.csv").resolve()
    assert (spec.input, spec.target, spec.model) == (("text",), "team", "fake")
    facts = json.loads((runs / "one" / "spec.json").read_text(encoding="utf-8"))
    assert "ways" not in facts["keys"]


def test_an_edit_is_scored_beside_the_prompt_that_it_came_from(page, runs):
    text = editor(page)
    hidden = fields_of(text)
    assert hidden["base"] == hidden["reference"]
    assert NASTY not in text
    assert "prompt_shots" in text
    first = trial(page, hidden)
    assert first["words"]["against"] == ""
    shots = page.get(PLACE, params={"start": start_of(text, "prompt_shots")}).text
    second = trial(page, fields_of(shots) | {"reference": hidden["reference"], "whole": "on"})
    assert "against the kept prompt" in second["words"]["against"]
    assert second["done"] == second["of"]
    assert "Rows that changed" in second["html"]
    assert NASTY not in second["html"]
    # the same numbers as the command line's
    run = Run(runs / "one")
    with open_session(spec_of_run(run), runs / ".cache", None, True) as session:
        candidate = next(c for c in run.finalists("prompt_shots"))
        result = session.trials.of(candidate.prompt, session.plain, whole=True)
        assert second["words"]["score"] == f"{100 * result.score:.1f}"
        assert f"{len(result.better)} row" in second["words"]["against"]


def start_of(text, name):
    line = next(line for line in text.split("<option ") if f">{name}" in line)
    return line.split('"')[1]


def test_lint_reads_what_is_typed(page):
    hidden = fields_of(editor(page))
    clean = page.post(f"{PLACE}/lint", data=hidden)
    assert clean.status_code == 200
    loud = "IMPORTANT!!! You MUST ALWAYS answer.\nBe brief."
    found = page.post(f"{PLACE}/lint", data=hidden | {"instructions": loud})
    assert found.text.count('class="finding') > clean.text.count('class="finding')
    assert "f-warn" in found.text or "f-info" in found.text
    broken = page.post(f"{PLACE}/lint", data=hidden | {"objective": "{% for x in y %}"})
    assert broken.status_code == 400
    assert page.post(f"{PLACE}/lint", data={"objective": "x"}).status_code == 400
    assert page.post(f"{PLACE}/lint", data=hidden | {"labels": "x"}).status_code == 400


def test_a_tried_prompt_is_saved_and_taken_up_again(page):
    hidden = fields_of(editor(page))
    tried = trial(page, hidden | {"objective": "Name the team.", "instructions": "One word.\n\nNo more."})
    file = page.get(f"{PLACE}/prompts/{tried['key']}.yaml")
    slots = yaml.safe_load(file.text)
    assert slots["objective"] == "Name the team."
    assert slots["instructions"] == ["One word.", "No more."]
    again = page.get(PLACE, params={"start": tried["key"], "reference": hidden["reference"]})
    assert "Name the team." in again.text
    assert page.get(PLACE, params={"start": "nothing"}).status_code == 400
    assert page.get(f"{PLACE}/trials/999").status_code == 400


def test_a_run_that_does_not_say_where_its_rows_lie_has_no_playground(runs):
    shutil.copytree(runs / "one", runs / "bare")
    (runs / "bare" / "spec.json").unlink()
    with client(runs) as browser:
        answer = browser.get("/runs/bare/playground")
        assert answer.status_code == 400
        assert "whichway try" in answer.text
        assert browser.get("/runs/none/playground").status_code == 400


def test_of_a_run_in_folds_no_worked_example_is_a_dev_row(tmp_path):
    source = data(tmp_path / "tickets.csv", 90)
    folder = hold_here(source, tmp_path / "folded", ("prompt_shots",), folds=None, seeds=None)
    assert Run(folder).plan.folds > 1
    playground = open_playground(tmp_path, "folded")
    assert playground.ready(60)
    assert playground.missing == 0
    dev = {row.text for row in playground._whole.session.data.practice.dev}
    for start in playground.starts:
        assert dev.isdisjoint(shot.text for shot in (*start.prompt.shots, *start.prompt.pool))
    number = playground.begin(playground.starts[0].prompt, playground.starts[0].prompt)
    assert wait(lambda: playground.trial(number).state == "done")
    playground.close()


def test_a_form_gives_its_prompt_back():
    prompt = Prompt(objective="a", instructions=("b", "c"), shots=(Shot("t", "x"),), labels=("x", "y"))
    values = {slot.name: slot.text for slot in slots_of(prompt)}
    assert filled(prompt, values) == prompt
    changed = filled(prompt, values | {"context": "See {{topic}}.", "instructions": "b\r\n\r\nd"})
    assert changed.variables == ("topic",)
    assert changed.instructions == ("b", "d")
    assert changed.shots == prompt.shots
    assert "1 worked example" in carried(prompt)
    with pytest.raises(OptionError):
        filled(prompt, {"layout": "user"})
    with pytest.raises(ProtectedPart):
        filled(Prompt(objective="a", protected=("objective",)), {"objective": "b"})
