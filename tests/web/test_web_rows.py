"""The rows of a finished run on the live page, with thumbs and corrections."""

from __future__ import annotations

import pytest
from web_kit import NASTY, client, data, hold_here

from whichway.app.feedback import read_rows
from whichway.app.run import prepare
from whichway.app.run_rows import AT_ONCE, RunRows
from whichway.app.run_task import spec_of_run
from whichway.errors import OptionError, UserError
from whichway.runs.run import Run
from whichway.ship.feedback.feedback_log import read_feedback

PLACE = "/runs/one/rows"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    return hold_here(data(place / "tickets.csv", 180, NASTY), place / "one", ("base_majority", "prompt_plain"))


def test_rows_are_filtered_and_paged(folder):
    rows = RunRows(folder)
    whole = rows.page("all", "", 1)
    assert whole.count == len(Run(folder).test) > AT_ONCE
    assert len(whole.rows) == AT_ONCE
    assert whole.pages == -(-whole.count // AT_ONCE)
    assert len(rows.page("all", "", 99).rows) == whole.count - AT_ONCE * (whole.pages - 1)
    some = rows.page("all", "DELIVERY number", 1)
    assert 0 < some.count < whole.count
    assert all("delivery" in row.text for row in some.rows)
    wrong = rows.page("wrong", "", 1)
    assert wrong.count == sum(row.wrong for row in rows.rows)
    with pytest.raises(OptionError, match="Did you mean 'wrong'"):
        rows.page("wrang", "", 1)
    with pytest.raises(UserError):
        RunRows(folder.parent / "none")


def test_the_page_shows_them_escaped(folder):
    page = client(folder.parent)
    text = page.get(PLACE, params={"find": NASTY, "show": "all"}).text
    assert NASTY not in text
    assert text.count('class="row-view"') == AT_ONCE
    assert "After" in text
    assert page.get(PLACE, params={"page": "2"}).status_code == 200
    assert "No row fits" in page.get(PLACE, params={"find": "nothing like it"}).text
    assert page.get(PLACE, params={"show": "x"}).status_code == 400
    assert page.get("/runs/none/rows").status_code == 400


def test_a_correction_of_a_row_is_written_and_never_trained_on(folder):
    page = client(folder.parent)
    view = RunRows(folder).rows[0]
    other = next(label for label in ("billing", "delivery", "account") if label != view.gold)
    body = {"completion_id": f"row {view.number} prompt_plain", "thumbs": "down", "answer": other}
    given = page.post(f"{PLACE}/feedback", json=body)
    assert given.status_code == 200, given.text
    line = read_feedback(folder / "serve" / "feedback.jsonl")[-1]
    assert (line.way, line.target, line.corrected) == ("prompt_plain", other, True)
    assert line.input == {"text": view.text}
    assert line.candidate == Run(folder).finalists("prompt_plain")[0].id
    assert line.answer == next(one.text for one in view.answers if one.way == "prompt_plain")
    with pytest.raises(UserError, match="its input is a row of the data already"):
        read_rows(folder, prepare(spec_of_run(Run(folder))).task)
    for wrong in ({**body, "answer": "no label"}, {**body, "completion_id": "row 1 none"}, {"thumbs": "up"}):
        assert page.post(f"{PLACE}/feedback", json=wrong).status_code in (400, 404)
    assert page.post(f"{PLACE}/feedback", content=b"[]").status_code == 400
