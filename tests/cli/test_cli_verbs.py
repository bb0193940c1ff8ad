"""The verbs, in this process, with the fake model."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from cli_kit import QUICK, TEAMS, TWO_WAYS, table, tickets, whichway

from whichway.app.way_options import settings_of, value_of
from whichway.cli import listing
from whichway.runs.folder import read_records, read_rows

Streams = pytest.CaptureFixture[str]
KEYS = {
    *("way", "kind", "seed", "score", "low", "high", "dev_score", "rows", "unparsed", "seconds_fit"),
    *("seconds_per_row", "tokens_in", "tokens_out", "usd", "status"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and one finished run, with all default ways."""
    place = tmp_path_factory.mktemp("cli")
    tickets(place)
    words = ["--data", place / "tickets.csv", *QUICK, "--seeds", "2", "--set", "tune_head.epochs=1"]
    assert whichway("run", *words, "--out", place / "run") == 0
    return place


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def again(place: Path, *more: object) -> list[object]:
    words = ["--data", place / "tickets.csv", *QUICK, "--seeds", "2", "--set", "tune_head.epochs=1"]
    return ["run", *words, "--out", place / "run", *more]


def test_help_lists_every_verb(capsys: Streams) -> None:
    assert whichway("--help") == 0
    told = capsys.readouterr().out
    verbs = (
        "advise breakeven check compare copy curves demo doctor grade init label lint models plan predict prepare "
        "report run serve ship track try tuning verdict web"
    )
    assert set(listing()) == set(verbs.split())
    assert all(f"  {name}" in told and text in told for name, text in listing().items())


@pytest.mark.parametrize("verb", sorted(listing()))
def test_each_verb_explains_itself(verb: str, capsys: Streams) -> None:
    assert whichway(verb, "--help") == 0
    assert f"whichway {verb}" in capsys.readouterr().out
    assert whichway("help", verb) == 0


@pytest.mark.parametrize("port", [-1, 70000])
def test_a_port_that_does_not_exist_is_refused(port: int, capsys: Streams) -> None:
    assert whichway("serve", "--model", "fake", "--port", port) == 2
    assert "Invalid value for '--port'" in capsys.readouterr().err


def test_a_server_that_others_can_reach_wants_a_key(monkeypatch: pytest.MonkeyPatch, capsys: Streams) -> None:
    monkeypatch.delenv("WHICHWAY_API_KEY", raising=False)
    assert whichway("serve", "--model", "fake", "--host", "0.0.0.0") == 2
    assert "--api-key" in capsys.readouterr().err


def test_version(capsys: Streams) -> None:
    import whichway as package

    assert whichway("--version") == 0
    assert capsys.readouterr().out == f"whichway {package.__version__}\n"


def test_second_run_pays_nothing_and_writes_equal_bytes(place: Path, capsys: Streams) -> None:
    before = {name: (place / "run" / name).read_bytes() for name in ("verdict.json", "report.html", "records.jsonl")}
    assert whichway(*again(place)) == 0
    told = capsys.readouterr()
    assert "Paid by this start: 0.0 s, $0.0000" in told.out
    assert all(line.startswith("warning: ") for line in told.err.splitlines())  # no progress
    assert {name: (place / "run" / name).read_bytes() for name in before} == before


def test_json_is_one_object_with_the_promised_keys(place: Path, capsys: Streams) -> None:
    assert whichway(*again(place, "--json")) == 0
    told = capsys.readouterr()
    found: dict[str, Any] = json.loads(told.out)
    assert told.out.count("\n") == 1
    assert {"verdict", "choice", "reasons", "margin", "run", "candidates"} <= set(found)
    assert all(set(line) >= KEYS for line in found["candidates"])
    assert found["run"] == str(place / "run")
    assert {line["way"] for line in found["candidates"]} >= {"base_tfidf", "prompt_shots", "tune_head"}


def test_json_scores_are_those_of_the_records(place: Path, capsys: Streams) -> None:
    whichway(*again(place, "--json"))
    found = json.loads(capsys.readouterr().out)
    test_rows = [row["id"] for row in read_rows(place / "run") if row["split"] == "test"]
    for line in found["candidates"]:
        scores = [r.score for r in read_records(place / "run") if r.candidate == line["id"] and r.split == "test"]
        assert line["rows"] == len(test_rows) == len(scores)
        assert line["score"] == pytest.approx(sum(s or 0 for s in scores) / len(scores))
        assert line["low"] <= line["score"] <= line["high"]


def test_json_of_macro_f1_and_of_a_failed_way(place: Path, capsys: Streams) -> None:
    words = ["run", "--data", place / "tickets.csv", *QUICK, "--metric", "macro_f1", "--seeds", "1", "--json"]
    words += ["--ways", "prompt_plain,tune_lora", "--set", "tune_lora.rate=5", "--out", "run"]
    assert whichway(*words) == 0
    lines = {line["way"]: line for line in json.loads(capsys.readouterr().out)["candidates"]}
    assert lines["tune_lora"]["status"] == "failed"
    assert lines["tune_lora"]["score"] is None
    assert "diverged" in lines["tune_lora"]["reason"]
    assert 0 <= lines["prompt_plain"]["low"] <= lines["prompt_plain"]["score"] <= lines["prompt_plain"]["high"] <= 1


def test_progress_goes_to_standard_error(here: Path, capsys: Streams) -> None:
    assert whichway("run", "--data", tickets(here), "--model", "fake", *TWO_WAYS, "--json") == 0
    told = capsys.readouterr()
    json.loads(told.out)
    assert "prompt_plain: dev" in told.err
    assert (here / "runs" / "tickets" / "verdict.json").exists()
    assert (here / "runs" / ".cache").is_dir()


def test_dry_run_and_plan_write_nothing(here: Path, capsys: Streams) -> None:
    words = ["--data", tickets(here), "--model", "fake", "--ways", "tune_lora", "--set", "tune_lora.rank=8"]
    words += ["--budget-seconds", "30", "--no-probe"]
    assert whichway("run", *words, "--dry-run") == 0
    told = capsys.readouterr().out
    assert whichway("plan", *words) == 0
    assert capsys.readouterr().out == told
    assert "rank=8" in told
    assert "30 seconds" in told
    assert "can show" in told
    assert [p.name for p in here.iterdir()] == ["tickets.csv"]


def test_check_shows_splits_labels_and_notes(here: Path, capsys: Streams) -> None:
    assert whichway("check", "--data", tickets(here), "--split", "50/25/25") == 0
    told = capsys.readouterr().out
    assert all(team in told for team in TEAMS)
    assert "input: text; target: team" in told


def test_check_says_what_a_run_tests_on_as_the_plan_does(here: Path, capsys: Streams) -> None:
    assert whichway("check", "--data", tickets(here)) == 0
    told = capsys.readouterr().out
    rows = len((here / "tickets.csv").read_text().splitlines()) - 1
    assert f"tested    all {rows} rows, each once, in 5 folds (whichway run --folds 1: the " in told
    shown = told.partition("can show")[2].partition("\n")[0].strip()
    assert shown.startswith("a difference of ")
    assert whichway("check", "--data", tickets(here), "--model", "embedded") == 0
    shown = capsys.readouterr().out.partition("can show")[2].partition("\n")[0].strip()
    assert whichway("plan", "--data", tickets(here), "--model", "embedded", "--no-probe") == 0
    assert f"can show    {shown}\n" in capsys.readouterr().out  # one number for the same rows
    assert "only large differences" not in told
    (here / "task.yaml").write_text("data: tickets.csv\nfolds: 1\n")
    assert whichway("check", "task.yaml") == 0
    told = capsys.readouterr().out
    assert "test rows of this split\n" in told
    assert "only large differences" in told


def test_budget_of_the_task_file_and_flags_meet(here: Path, capsys: Streams) -> None:
    tickets(here)
    (here / "task.yaml").write_text("data: tickets.csv\nbudget: {calls: 7}\nmodel: fake\nways: [prompt_plain]\n")
    assert whichway("plan", "task.yaml", "--budget-usd", "2") == 0
    told = capsys.readouterr().out
    assert "2 usd or 7 calls" in told
    assert "base_tfidf" not in told


def test_init_finds_the_columns_and_check_accepts_it(here: Path, capsys: Streams) -> None:
    tickets(here)
    assert whichway("init", "tickets.csv") == 0
    text = (here / "task.yaml").read_text()
    assert 'input: "text"' in text
    assert 'target: "team"' in text
    assert whichway("check", "task.yaml") == 0
    capsys.readouterr()
    assert whichway("init", "tickets.csv") == 2
    assert "exists already" in capsys.readouterr().err
    assert (here / "task.yaml").read_text() == text


def test_init_without_clear_columns_names_the_choices(here: Path) -> None:
    table(here / "odd.csv", [("alpha", "beta", "gamma"), ("a", "b", "c")])
    assert whichway("init", "odd.csv") == 0
    assert "a column of: alpha, beta, gamma" in (here / "task.yaml").read_text()
    assert whichway("init", "--out", "plain.yaml") == 0


def test_report_rebuilds_equal_bytes(place: Path, capsys: Streams) -> None:
    page = place / "run" / "report.html"
    before = page.read_bytes()
    page.unlink()
    assert whichway("report", place / "run") == 0
    assert page.read_bytes() == before
    assert f"Report: {page}" in capsys.readouterr().out.replace("\n", "")
    other = place / "elsewhere.html"
    assert whichway("report", place / "run", "--out", other) == 0
    assert other.read_bytes() == before
    assert capsys.readouterr().out.splitlines()[-1] == f"Report: {other}"


@pytest.mark.parametrize("way", ["base_tfidf", "prompt_shots", "tune_head"])
def test_predict_repeats_the_recorded_answers(place: Path, way: str, capsys: Streams) -> None:
    rows = {row["id"]: row for row in read_rows(place / "run") if row["split"] == "test"}
    Path("rows.jsonl").write_text("".join(json.dumps({"text": row["text"]}) + "\n" for row in rows.values()))
    assert whichway("predict", place / "run", "rows.jsonl", "--way", way, "--out", "answers.jsonl") == 0
    answers = [json.loads(line) for line in Path("answers.jsonl").read_text().splitlines()]
    whichway("ship", place / "run", "--way", way)
    key = json.loads(Path("winner/manifest.json").read_text())["candidate"]
    recorded = {r.example: r.text for r in read_records(place / "run") if r.candidate == key and r.split == "test"}
    assert [line["answer"] for line in answers] == [recorded[example] for example in rows]
    assert all(set(line["scores"]) == set(TEAMS) for line in answers)


@pytest.mark.parametrize(
    "text", ["refund my card\n\nparcel late\n", '{"text": "refund my card"}\n{"text": "parcel late"}']
)
def test_predict_reads_standard_input(place: Path, text: str, capsys: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert whichway("predict", place / "run") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["input"] for line in lines] == [{"text": "refund my card"}, {"text": "parcel late"}]


def test_predict_names_the_line_of_bad_input(place: Path, capsys: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"text": "a"}\n{"txt": "b"}\n'))
    assert whichway("predict", place / "run") == 2
    assert "standard input:2: the field 'text' is missing" in capsys.readouterr().err
    table(Path("other.csv"), [("a", "b"), ("1", "2")])
    assert whichway("predict", place / "run", "other.csv") == 2


def test_ship_writes_the_winner(place: Path, capsys: Streams) -> None:
    assert whichway("ship", place / "run", "--out", "gone/out") == 0
    assert Path("gone/out/manifest.json").exists()
    assert "manifest.json" in capsys.readouterr().out


def test_doctor_looks_at_everything(capsys: Streams) -> None:
    code = whichway("doctor")
    told = capsys.readouterr().out
    assert code in (0, 1)
    for part in ("python", "torch", "cores", "memory", "bf16", "disk", "write access", "embedded model"):
        assert part in told
    assert ("Not ready" in told) == (code == 1)


def test_demo_ends_with_the_verdict_and_the_next_step(
    place: Path, capsys: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "task.yaml").write_text("data: tickets.csv\n")
    monkeypatch.setattr("whichway.cli.verbs.demo.find", lambda name: place / "task.yaml")
    assert whichway("demo", *QUICK, *TWO_WAYS) == 0
    told = capsys.readouterr().out
    assert "runs/demo/report.html" in told
    assert told.rstrip().endswith("Next: whichway run --data your.csv")


def test_values_of_set() -> None:
    words = ["a.b=1", "a.c=1e-4", "a.d=true", "a.e=x y", "a.f=1,2.5", "a.g=none", "a.h=p=q"]
    found = {option: value for _, option, value in settings_of(words)}
    assert found == {"b": 1, "c": 1e-4, "d": True, "e": "x y", "f": [1, 2.5], "g": None, "h": "p=q"}
    assert value_of("[1,2]") == [1, 2]


def test_bars_follow_a_contest(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from whichway import events
    from whichway.cli.progress import ProgressScreen

    shown = io.StringIO()
    plain = Console(file=shown, force_terminal=True, color_system=None, width=120)
    monkeypatch.setattr("rich.console.Console", lambda **_: plain)
    with ProgressScreen() as follow:
        follow(events.WayBegan("tune_lora", 0, 1))
        follow(events.TrainingBegan("tune_lora", "lora", 4.0, 100))
        follow(events.CheckpointSaved("tune_lora", "lora", 0.5, 1.25))
        follow(events.RowsAnswered("tune_lora", "score", 64, 100))
        follow(events.CandidateEntered("tune_lora", "rate [1]", 0, 0.5, 25, 100))
        follow(events.WayRefused("tune_lora", "diverged"))
        follow(events.Event())
    told = shown.getvalue()
    assert "tune_lora: dev 0.500 on 25 rows (rate [1]), seed 0" in told
    assert "failed: diverged" in told


def test_plan_tells_of_race_curve_and_repeats(here: Path, capsys: Streams) -> None:
    words = ["plan", "--data", tickets(here, 640), *QUICK[:2], *TWO_WAYS]
    assert whichway(*words, "--curve", "8,16", "--repeats", "3") == 0
    told = capsys.readouterr().out
    assert "race        after" in told
    assert "curve       8, 16 training rows" in told
    assert "repeats     3" in told
    assert whichway(*words, "--no-race") == 0
    assert "race        none" in capsys.readouterr().out
    assert whichway(*words, "--curve", "8,many") == 2
    assert "--curve 8,many" in capsys.readouterr().err


def test_curve_and_no_race_reach_the_run(here: Path, capsys: Streams) -> None:
    task = here / "task.yaml"
    tickets(here)
    keys = ("data: tickets.csv", "target: team", "model: fake", "curve: [8, 16]", "ways: [base_majority, prompt_plain]")
    task.write_text("\n".join(keys))
    assert whichway("run", task, "--no-progress", "--no-race", "--seeds", "2", "--out", "r") == 0
    sizes = [json.loads(line)["n"] for line in Path("r/curves.jsonl").read_text().splitlines()]
    assert {8, 16} < set(sizes)
    assert not Path("r/race.json").exists()
    assert json.loads(Path("r/plan.json").read_text())["race"] is False


def test_several_models_are_tried_each_and_named(tmp_path, capsys):
    models = ("--model", "fake", "--model", "fake:seconds=0.002")
    words = ("--data", tickets(tmp_path), "--out", tmp_path / "run", "--ways", "base_majority,prompt_plain,tune_lora")
    assert whichway("run", *words, *models, "--no-progress", "--seeds", 1, "--set", "tune_lora.rank=4") == 0
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    names = ["base_majority", "prompt_plain@fake", "tune_lora@fake"]
    names += ["prompt_plain@fake-seconds-0.002", "tune_lora@fake-seconds-0.002"]
    assert sorted(plan["ways"]) == sorted(names)
    assert plan["ways"]["tune_lora@fake"]["rank"] == 4
    capsys.readouterr()
    only = ("--ways", "prompt_plain,tune_lora@fake", "--set", "tune_lora@fake.rank=2")
    assert whichway("plan", "--data", tickets(tmp_path), *models, *only) == 0
    told = capsys.readouterr().out
    assert "tune_lora@fake-seconds" not in told
    assert "rank=2" in told
    assert whichway("ship", tmp_path / "run", "--out", tmp_path / "won", "--way", "tune_lora@fake") == 0
    twice = ("--model", "fake", "--model", "fake")
    assert whichway("plan", "--data", tickets(tmp_path), *twice) == 2
