"""The page on which rows are labelled: its state, what it keeps, and who may use it."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from whichway.app.labelling.label_pool import PoolColumns, read_pool
from whichway.app.labelling.labelling_session import LabellingSession
from whichway.app.labelling.row_vectors import row_vectors
from whichway.web.label_pages import label_site

TOKEN = "a-token-for-tests"
BASE = "http://127.0.0.1:8124"
NASTY = "<script>alert(1)</script>"


@pytest.fixture
def session(tmp_path):
    path = tmp_path / f"{'<b>'}.csv"
    lines = [f'"{NASTY} ticket {k} about {word}"' for k, word in enumerate(("money", "parcels", "logins") * 10)]
    path.write_text("text\n" + "\n".join(lines) + "\n", encoding="utf-8")
    pool = read_pool(path, PoolColumns())
    vectors = row_vectors([row.text for row in pool.rows], "words")
    return LabellingSession(pool, vectors, tmp_path / "out.csv", ("money", "parcels"), "ann", background=False)


@pytest.fixture
def page(session):
    client = TestClient(label_site(session, TOKEN), base_url=BASE, headers={"origin": BASE})
    client.get("/", params={"token": TOKEN})
    return client


def test_only_the_token_opens_it_and_its_policy_is_strict(session, page):
    stranger = TestClient(label_site(session, TOKEN), base_url=BASE, headers={"origin": BASE})
    assert [stranger.get(path).status_code for path in ("/", "/state", "/assets/label.js")] == [403] * 3
    assert page.post("/act", json={}, headers={"origin": "http://evil.example"}).status_code == 403
    for path in ("/", "/state", "/assets/label.js", "/assets/label.css"):
        answer = page.get(path)
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]


def test_what_comes_from_data_is_no_markup(page):
    text = page.get("/").text
    assert "<b>.csv" not in text
    assert "&lt;b&gt;.csv" in text
    assert page.get("/state").headers["content-type"] == "application/json"


def test_a_row_is_labelled_and_the_next_one_comes(page, session):
    state = page.get("/state").json()
    assert [label["name"] for label in state["labels"]] == ["money", "parcels"]
    assert state["row"]["fields"][0]["name"] == "text"
    first = state["row"]["key"]
    said = {"action": "label", "row": first, "label": "logins"}
    following = page.post("/act", json=said).json()
    assert following["counts"]["labelled"] == 1
    assert following["row"]["key"] != first
    assert following["last"] == {"action": "label", "label": "logins", "text": state["row"]["fields"][0]["text"]}
    assert session.out.read_text(encoding="utf-8-sig").count("logins,") == 1
    twice = page.post("/act", json=said)
    assert twice.status_code == 400
    assert "Another row" in twice.json()["error"]
    assert twice.json()["row"]["key"] == following["row"]["key"]
    back = page.post("/act", json={"action": "undo"}).json()
    assert back["row"]["key"] == first
    assert back["counts"]["labelled"] == 0


@pytest.mark.parametrize("body", ["", "[]", "{", '{"action": "delete"}', '{"action": "label", "label": 3, "row": "x"}',
                                  '{"action": "label", "label": "' + "x" * 20_000 + '"}'])  # fmt: skip
def test_what_is_no_action_is_refused(page, body):
    answer = page.post("/act", content=body)
    assert answer.status_code == 400
    assert "no action" in answer.json()["error"]
    assert page.get("/state").json()["counts"]["labelled"] == 0


def test_all_rows_can_be_labelled(page):
    state = page.get("/state").json()
    while state["row"]:
        state = page.post("/act", json={"action": "label", "row": state["row"]["key"], "label": "money"}).json()
    assert state["counts"]["labelled"] == 30
    assert state["suggestion"] is None
