"""A cascade after its contest: predicted, served and shipped, it answers as recorded and says which stage did."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ship_kit import TEXTS, WORDS, standalone
from starlette.testclient import TestClient

import whichway as ww
from whichway.app.configure import backends
from whichway.app.predict import answers
from whichway.nouns import Deferral, Example, to_json
from whichway.prompts.deferral import log_odds
from whichway.runs.run import Run
from whichway.ship import CheckOptions, pick, served_models, ship
from whichway.ship.forms import Export
from whichway.ship.parity import Reference, check_joint
from whichway.ship.serve import app


@pytest.fixture(scope="module")
def run(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> ww.Run:
    """A short prompt that is asked first, then a long one; the threshold is set so that both answer."""
    folder = tmp_path_factory.mktemp("cascade")
    triples = itertools.permutations(WORDS, 3)
    labelled = (list(TEXTS.items()) * 24)[:72]
    rows = [{"text": f"{' '.join(next(triples))}: {text}", "label": label} for label, text in labelled]
    shots = {"kinds": ["knn"], "counts": [2], "encoder": "words", "calibrate": 0}
    ways = {
        "prompt_plain": {"layouts": ["user"]},
        "prompt_shots": shots,
        "both_cascade": {"cheap": "prompt_plain", "dear": "prompt_shots"},
    }
    ww.run(rows, model=tiny("llama"), ways=ways, out=folder / "run", seeds=1, probe=False, folds=1)
    return halved(folder / "run")


def halved(folder: Path) -> Any:
    """The run with a threshold under which half of the test rows are deferred; few rows may choose all or none."""
    path = folder / "ways" / "both_cascade" / "candidates.jsonl"
    run = Run(folder)
    cascade = run.finalists("both_cascade")[0]
    source = pick(run, cascade.id)
    rows = [Example(row.input, "") for row in run.test]
    odds = sorted(log_odds(line["scores"]) or 0.0 for line in answers(source.stages[0], rows))
    least = 0.5
    middle = 0.5 * (odds[len(odds) // 2 - 1] + odds[len(odds) // 2])
    assert cascade.deferral is not None
    new = replace(cascade, deferral=Deferral(cascade.deferral.to, least, 1.0, -middle))
    text = path.read_text(encoding="utf-8")
    line = next(json.loads(one) for one in text.splitlines() if json.loads(one)["finalist"])
    line |= {"id": new.id, "candidate": to_json(new)}
    path.write_text(json.dumps(line) + "\n", encoding="utf-8")
    verdict = (folder / "verdict.json").read_text(encoding="utf-8")
    (folder / "verdict.json").write_text(verdict.replace(cascade.id, new.id), encoding="utf-8")
    return ww.Run(folder)


def inputs(run: Run) -> list[str]:
    return [row.text for row in run.test]


def test_predict_says_which_stage_answered(run: ww.Run) -> None:
    lines = run.answer(inputs(run), way="both_cascade")
    assert {line["stage"] for line in lines} == {1, 2}
    first = run.answer(inputs(run), way="prompt_plain")
    second = run.answer(inputs(run), way="prompt_shots")
    for line, one, two in zip(lines, first, second, strict=True):
        assert line["answer"] == (one if line["stage"] == 1 else two)["answer"]
        assert "stage" not in one


def test_it_is_served_under_a_model_id_with_the_usage_of_both_stages(run: ww.Run) -> None:
    offers = served_models.of_run(run)
    lines = run.answer(inputs(run), way="both_cascade")
    with TestClient(app(offers, backends())) as client:
        for text, line in zip(inputs(run), lines, strict=True):
            body = {"model": "both_cascade", "messages": [{"role": "user", "content": text}]}
            answer = client.post("/v1/chat/completions", json=body).json()
            assert answer["choices"][0]["message"]["content"] == line["answer"]
            stages = pick(run, way="both_cascade").candidate.stages
            assert answer["system_fingerprint"] == f"stage {line['stage']} of 2, {stages[line['stage'] - 1].id}"
            ways = ("prompt_plain", "prompt_shots")[: line["stage"]]
            each = [client.post("/v1/chat/completions", json={**body, "model": way}).json()["usage"] for way in ways]
            assert answer["usage"]["prompt_tokens"] == sum(usage["prompt_tokens"] for usage in each)
        plain = client.post("/v1/chat/completions", json={**body, "model": "prompt_plain"}).json()
        assert "system_fingerprint" not in plain
        streamed = client.post("/v1/chat/completions", json={**body, "stream": True}).text
        assert '"system_fingerprint": "stage ' in streamed


def test_the_shipped_folder_answers_alone(run: ww.Run, tmp_path: Path) -> None:
    run.ship(tmp_path / "winner", way="both_cascade", check=False)
    listed = json.loads((tmp_path / "winner" / "manifest.json").read_text(encoding="utf-8"))
    assert {"README.md", "use.py", "stage_1/use.py", "stage_2/use.py", "stage_2/prompt.txt"} <= set(listed["files"])
    winner = standalone(tmp_path / "winner")
    for number in (1, 2):
        place = json.loads((tmp_path / "winner" / f"stage_{number}" / "manifest.json").read_text(encoding="utf-8"))
        assert "deferrals" not in place
    lines = run.answer(inputs(run), way="both_cascade")
    assert [winner.staged(text) for text in inputs(run)] == [(line["answer"], line["stage"]) for line in lines]
    card = (tmp_path / "winner" / "README.md").read_text(encoding="utf-8")
    assert "## Stages" in card
    assert "threshold 0.5" in card
    run.ship(tmp_path / "winner", way="both_cascade", check=False)  # it is ours to replace


def test_the_check_starts_the_stages_and_the_whole(run: ww.Run, tmp_path: Path) -> None:
    """The thresholds are the cascade's own: a stage that answers what the other should is found."""
    done = ship(run, tmp_path / "winner", way="both_cascade", backends=backends(), check=CheckOptions(8))
    assert [report.part for report in done.checks] == ["stage_1", "stage_2", "use.py"]
    whole = done.checks[-1]
    assert (whole.status, whole.rows, whole.agree) == ("ok", 8, 8), whole
    stored = json.loads((tmp_path / "winner" / "parity.json").read_text(encoding="utf-8"))
    assert [part["part"] for part in stored] == ["stage_1", "stage_2", "use.py"]
    reference = Reference(Export(pick(run, way="both_cascade"), run, backends()), CheckOptions(8))
    place = tmp_path / "winner" / "manifest.json"
    facts = json.loads(place.read_text(encoding="utf-8"))
    facts["deferrals"][0]["least"] = 0.0
    place.write_text(json.dumps(facts), encoding="utf-8")
    wrong = check_joint("folder", tmp_path / "winner", reference)
    assert wrong.status == "failed"
    assert "answered by another stage" in wrong.problems[0]
    assert "0 of 8 rows went to a later stage" in wrong.notes
    (tmp_path / "winner" / "stage_2" / "use.py").write_text("Winner = None")
    facts["deferrals"][0]["least"] = 1.0
    place.write_text(json.dumps(facts), encoding="utf-8")
    assert "cannot be started" in check_joint("folder", tmp_path / "winner", reference).problems[0]


def test_a_cascade_answers_to_no_prompt_file(run: ww.Run, tmp_path: Path) -> None:
    with pytest.raises(ww.UserError, match="it is a cascade of two candidates"):
        run.ship(tmp_path / "pf", format="promptfoo", way="both_cascade")


def test_the_page_says_what_each_stage_answered(run: ww.Run) -> None:
    from whichway.report import prompt

    cascade = pick(run, way="both_cascade").candidate
    verdict = replace(run.verdict, choice="both_cascade", candidate=cascade.id)
    first, second = prompt.stages(cascade, run.with_verdict(verdict))
    assert (first.least, second.least) == (0.5, None)
    assert first.candidate == cascade.stages[0]
