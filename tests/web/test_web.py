"""The live page over finished runs, and over runs that it starts, stops, resumes and clones."""

from __future__ import annotations

import json

import pytest
from starlette.testclient import TestClient
from web_kit import BASE, NASTY, TOKEN, client, data, hold, wait

from whichway.app.event_log import line_of, logged, read_events
from whichway.app.run_form import arguments_of, keep_upload
from whichway.app.run_jobs import RunJobs
from whichway.errors import DataError, OptionError, UserError
from whichway.events import CandidateEntered, WaySaid
from whichway.web.site import site


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with two finished runs, made by the command itself."""
    folder = tmp_path_factory.mktemp("runs")
    source = data(folder.parent / f"{folder.name}.csv", nasty=NASTY)
    for name, ways in (("one", "base_majority,prompt_plain"), ("two", "base_majority,base_tfidf")):
        hold(source, folder / name, ways, "--events", folder / f"{name}.events")
    return folder


def upload(page, path):
    with path.open("rb") as file:
        answer = page.post("/new", files={"file": (path.name, file)})
    assert answer.status_code == 200, answer.text
    return answer


# Who may come in


def test_only_the_token_opens_it(runs):
    page = TestClient(site(runs, TOKEN), base_url=BASE)
    assert page.get("/").status_code == 403
    assert page.get("/", params={"token": "wrong"}).status_code == 403
    answer = page.get("/", params={"token": TOKEN})
    assert answer.status_code == 200
    assert TOKEN not in str(answer.url)
    assert page.get("/").status_code == 200


def test_other_hosts_and_other_sites_are_refused(runs):
    page = client(runs)
    assert page.get("/", headers={"host": "evil.example:8123"}).status_code == 403
    for origin in ("http://evil.example", "", "null", "http://127.0.0.1:9"):
        assert page.post("/runs/one/stop", headers={"origin": origin}).status_code == 403


def test_every_page_has_a_strict_policy(runs):
    page = client(runs)
    for path in ("/", "/runs/one", "/new", "/assets/live.js", "/nothing", "/runs/..%2f..", "/compare"):
        answer = page.get(path)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


# Runs that are there


def test_the_list_has_every_run_with_its_verdict(runs):
    text = client(runs).get("/").text
    assert text.count('<span class="state s-finished">') == 2
    assert 'href="/runs/one"' in text
    assert 'href="/runs/two"' in text


def test_a_finished_run_shows_its_standings_and_its_report(runs):
    page = client(runs)
    text = page.get("/runs/one").text
    assert "prompt_plain" in text
    assert "on test rows" in text
    report = page.get("/runs/one/report")
    assert report.text == (runs / "one" / "report.html").read_text(encoding="utf-8")
    assert "frame-ancestors 'none'" in report.headers["content-security-policy"]
    assert "sha256-" in report.headers["content-security-policy"]


def test_what_comes_from_data_is_escaped(runs):
    page = client(runs)
    for path in ("/", "/runs/one", "/runs/two", "/compare?first=one&second=two"):
        assert NASTY not in page.get(path).text
    missing = page.get("/runs/%3Cscript%3Ealert(1)")
    assert missing.status_code == 400
    assert page.get("/runs/%2e%2e").status_code in (400, 404)
    assert "<script>alert" not in missing.text


def test_two_runs_are_compared(runs):
    page = client(runs)
    text = page.get("/compare", params={"first": "one", "second": "two", "two": "base_majority"}).text
    assert "Paired on 18 test rows" in text or "Paired on" in text
    assert page.get("/compare", params={"first": "one", "second": "none"}).status_code == 400


def test_a_stream_gives_every_event_once_from_any_place(runs):
    page = client(runs)

    def events(after):
        text = page.get("/runs/one/events", params={"after": after}).text
        parts = [part.split("\n") for part in text.strip().split("\n\n")]
        lines = [json.loads(p[2].removeprefix("data: ")) for p in parts if p[1:2] == ["event: log"]]
        ids = [int(p[0].removeprefix("id: ")) for p in parts if p[0].startswith("id: ")]
        return [line for group in lines for line in group], ids

    ledger = (runs / "one" / "ledger.jsonl").read_bytes()
    whole, ids = events(0)
    assert len(whole) == ledger.count(b"\n")
    assert ids[-1] == len(ledger)
    half = ledger.index(b"\n") + 1
    assert events(half)[0] == whole[1:]
    assert events(len(ledger))[0] == []


# The event file


def test_an_event_file_has_a_line_for_each_event_and_survives_a_kill(tmp_path):
    path, heard = tmp_path / "events.jsonl", []
    with logged(heard.append, path) as listener:
        for k in range(5):
            listener(WaySaid("prompt_plain", f"line {k}"))
    assert len(heard) == 5
    first = read_events(path)
    assert [line["text"] for line in first.lines] == [f"line {k}" for k in range(5)]
    with path.open("a") as out:
        out.write('{"half": ')
    again = read_events(path, first.offset)
    assert again.lines == ()
    assert again.offset == first.offset
    with logged(heard.append, path) as listener:
        listener(WaySaid("prompt_plain", "after"))
    assert "after" in [line["text"] for line in read_events(path, first.offset).lines]


def test_a_candidate_is_named_in_the_file():
    assert line_of(CandidateEntered("tune_head", "", 0, 0.5, 25, 100, "abc"))["candidate"] == "abc"


# Forms


def test_a_form_amounts_to_arguments(tmp_path):
    found = keep_upload(tmp_path, "../../tickets.csv", data(tmp_path / "t.csv").read_bytes())
    assert found.path.parent.parent == tmp_path / ".web" / "uploads"
    assert found.input == ("text",)
    assert found.target == "team"
    choices = {"input": ["text"], "target": "team", "ask": "-x?", "ways": ["base_majority"], "minutes": "2",
               "race": False, "seeds": "2", "private": True, "folds": ""}  # fmt: skip
    said = arguments_of(found, choices)
    assert "--ask=-x?" in said
    assert "--no-race" in said
    assert "--private" in said
    assert "--seeds=2" in said
    assert "--minutes=2" in said
    assert not any(word.startswith("--folds") for word in said)
    for wrong in ({"target": "text"}, {"target": "none"}, {"input": []}, {"confidence": "2"}, {"folds": "2"}):
        with pytest.raises(OptionError):
            arguments_of(found, choices | wrong)


def test_a_file_that_cannot_be_read_is_not_kept(tmp_path):
    with pytest.raises(DataError, match=r"x\.csv"):
        keep_upload(tmp_path, "x.csv", b"")
    assert list((tmp_path / ".web" / "uploads").iterdir()) == []
    page = client(tmp_path)
    assert page.post("/new", files={"file": ("x.exe", b"MZ")}).status_code == 400
    assert page.post("/new").status_code in (400, 403)


def test_names_of_runs_stay_inside_the_folder(tmp_path):
    jobs = RunJobs(tmp_path)
    for name in ("..", "../x", "a/b", "", ".web", "-x"):
        with pytest.raises(UserError):
            jobs.start(name, [], {})


# Runs that the page starts


def test_a_run_is_started_from_a_file_watched_stopped_resumed_and_cloned(tmp_path):
    runs = tmp_path / "runs"
    page = client(runs)
    form = upload(page, data(tmp_path / "tickets.csv"))
    assert 'value="text" checked' in form.text
    assert "<option selected>team</option>" in form.text
    values = {"input": ["text"], "target": "team", "ask": "Which team?", "name": "first", "race": "on",
              "model": "fake:delay=0.2", "ways": ["base_majority", "prompt_plain"], "folds": "1"}  # fmt: skip
    wrong = page.post(form.url.path, data=values | {"confidence": "7"})
    assert wrong.status_code == 400
    assert 'role="alert"' in wrong.text
    live = page.post(form.url.path, data=values)
    assert live.url.path == "/runs/first"
    assert "Stop; what is done is kept" in live.text
    jobs = RunJobs(runs)
    log = jobs.folder("first") / "events.jsonl"
    wait(lambda: "dev rows" in (log.read_text() if log.exists() else ""))
    assert page.post(form.url.path, data=values).status_code == 400  # there is such a run
    stopped = page.post("/runs/first/stop")
    wait(lambda: not jobs.running(jobs.find("first")))
    stopped = page.get("/runs/first")
    assert "Resume" in stopped.text
    assert "interrupted; saved" in stopped.text
    # another page, as after a restart of the first, goes on with it
    other = client(runs)
    other.post("/runs/first/resume")
    wait(lambda: (runs / "first" / "verdict.json").exists() and not jobs.running(jobs.find("first")))
    done = other.get("/runs/first").text
    assert '<span class="state s-finished">finished</span>' in done
    assert jobs.find("first").starts == 2
    clone = other.get("/runs/first/clone").text
    assert 'name="name" required value="first-2"' in clone
    assert 'value="fake:delay=0.2"' in clone
    stream = other.get("/runs/first/events").text
    assert "the verdict:" in stream
    assert "event: end" in stream


def test_a_run_that_fails_says_why(tmp_path):
    jobs = RunJobs(tmp_path)
    jobs.start("bad", ["--data=nothing.csv"], {})
    wait(lambda: not jobs.running(jobs.find("bad")))
    text = client(tmp_path).get("/runs/bad").text
    assert "error: " in text
    assert "nothing.csv" in text
    assert "s-failed" in text
