"""The verbs that recompute from a finished run or run nothing: verdict, breakeven, compare, curves, advise."""

import json
import shutil
from pathlib import Path

import pytest
from cli_kit import table, tickets, whichway

from whichway.cli import units
from whichway.errors import OptionError

GOLDEN = Path(__file__).parents[1] / "verdict" / "golden" / "run"
POINTS = [
    (way, str(seed), str(n), f"{score + 0.01 * seed:.3f}")
    for way, scores in (("prompt", (0.6, 0.62, 0.64)), ("head", (0.4, 0.6, 0.8)))
    for seed in range(3)
    for n, score in zip((16, 64, 256), scores, strict=True)
]


@pytest.fixture
def run(tmp_path):
    shutil.copytree(GOLDEN, tmp_path / "run")
    return tmp_path / "run"


def printed(capsys, *words):
    assert whichway(*words) == 0
    return capsys.readouterr().out


# --- verdict


def test_verdict_says_that_it_came_to_the_same_bytes(run, capsys):
    assert "the same, byte for byte" in printed(capsys, "verdict", run)
    assert printed(capsys, "verdict", run, "--json") == (run / "verdict.json").read_text(encoding="utf-8")


def test_verdict_with_another_margin_writes_only_when_asked(run, capsys):
    before = (run / "verdict.json").read_bytes()
    assert "another one (--write replaces it)" in printed(capsys, "verdict", run, "--margin", "0.45")
    assert (run / "verdict.json").read_bytes() == before
    assert not (run / "report.html").exists()
    printed(capsys, "verdict", run, "--margin", "0.45", "--write")
    assert json.loads((run / "verdict.json").read_text())["margin"] == 0.45
    assert (run / "report.html").exists()


def test_verdict_takes_volume_horizon_and_the_cost_of_a_wrong_answer(run, capsys):
    words = ("verdict", run, "--json", "--volume", "60000/month", "--months", "12", "--wrong-answer-costs", "0.5")
    told = json.loads(printed(capsys, *words))
    assert told["volume"] == pytest.approx(60000 * 12 / 365)
    assert told["break_even"]["days"] == pytest.approx(365)
    assert told["break_even"]["wrong_answer_usd"] == 0.5


def test_verdict_slices_by_a_named_column(run, capsys):
    assert whichway("verdict", run, "--slice", "nothing") == 2
    assert "no column 'nothing' to slice by" in capsys.readouterr().err


def test_verdict_of_no_run(tmp_path, capsys):
    assert whichway("verdict", tmp_path) == 2
    assert "plan.json is missing" in capsys.readouterr().err


# --- breakeven


def test_breakeven_answers_without_a_model(run, capsys):
    out = printed(capsys, "breakeven", run, "--volume", "2000/day", "--wrong-answer-costs", "0.5", "--months", "12")
    assert "over 12 months, a wrong answer at $0.50" in out
    assert "At 2,000 requests a day over 12 months:" in out
    assert "What each assumption does to it" in out


def test_breakeven_as_json_with_hosting_labels_prices(run, tmp_path, capsys):
    book = tmp_path / "mine.yaml"
    book.write_text(
        "as_of: 2026-01-02\nmachine_usd_per_hour: 1\nentries:\n  big: {new: 1, cached: 0.1, out: 4}\n", encoding="utf-8"
    )
    words = (
        "--label-costs",
        "0.2",
        "--hosting",
        "tune_lora=3",
        "--price",
        "prompt_shots=big",
        "--prices",
        book,
        "--json",
    )
    told = json.loads(printed(capsys, "breakeven", run, *words))
    plain = json.loads(printed(capsys, "breakeven", run, "--json"))
    assert (told["first"], told["second"]) == ("prompt_shots", "tune_lora")
    assert told["fixed_second"] == pytest.approx(10 * plain["fixed_second"] + 0.2 * 72 + 3 * 365)
    assert told["unit_first"] > 10 * plain["unit_first"]
    assert told["unit_second"] == pytest.approx(10 * plain["unit_second"])  # the file's machine costs ten times as much


def test_breakeven_of_another_machine_and_other_ways(run, capsys):
    plain = json.loads(printed(capsys, "breakeven", run, "--json", "--ways", "prompt_plain,tune_lora"))
    dear = json.loads(
        printed(capsys, "breakeven", run, "--json", "--ways", "prompt_plain,tune_lora", "--price-per-hour", "1")
    )
    assert dear["unit_first"] == pytest.approx(10 * plain["unit_first"])
    assert dear["fixed_second"] == pytest.approx(10 * plain["fixed_second"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--volume", "many"), "write it as 2000/day"),
        (("--hosting", "tune_lora"), "write it as WAY=VALUE"),
        (("--hosting", "tune_lore=2"), "Did you mean 'tune_lora'?"),
        (("--hosting", "tune_lora=much"), "'much' is no number"),
        (("--ways", "prompt_plain"), "name two ways"),
        (("--ways", "prompt_plain,tune_full"), "no result of 'tune_full'"),
        (("--price", "tune_lora=gpt-4o-mi"), "Did you mean 'gpt-4o-mini'?"),
        (("--price", "tune_lora=x", "--prices", "nowhere.yaml"), "nowhere.yaml is missing"),
    ],
)
def test_breakeven_tells_what_is_wrong(run, capsys, words, told):
    assert whichway("breakeven", run, *words) == 2
    assert told in capsys.readouterr().err


def test_a_price_file_of_another_form_is_refused_with_the_place(run, tmp_path, capsys):
    book = tmp_path / "mine.yaml"
    book.write_text("as_of: 2026-01-02\nmachine_usd_per_hour: 1\nentries:\n  big: {new: 1, out: 4}\n", encoding="utf-8")
    assert whichway("breakeven", run, "--price", "tune_lora=big", "--prices", book) == 2
    assert "mine.yaml: entries.big.cached" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2000", 2000),
        ("2,000/day", 2000),
        ("1.5/s", 129600),
        ("60 per hour", 1440),
        ("7/week", 1),
        ("365/year", 1),
        ("2/min", 2880),
    ],
)
def test_volumes_as_people_write_them(text, value):
    assert units.per_day(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "0", "-3/day", "5/fortnight", "day", "1.2.3"])
def test_volumes_that_are_none(text):
    with pytest.raises(OptionError, match="write it as"):
        units.per_day(text)


# --- compare


def test_compare_is_paired_where_rows_coincide(run, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    rows = [json.loads(line) for line in (other / "rows.jsonl").open(encoding="utf-8")]
    gone = {row["id"] for row in rows if row["split"] == "test"}
    gone = set(sorted(gone)[:10])
    keep(other / "rows.jsonl", lambda row: row["id"] not in gone)
    out = printed(capsys, "compare", run, other, "--way", "prompt_plain,tune_lora")
    assert "Paired on 50 test rows that both runs have (60 and 50)." in out
    keep(other / "rows.jsonl", lambda row: True, lambda row: {**row, "id": "x" + row["id"]})
    keep(other / "records.jsonl", lambda row: True, lambda row: {**row, "example": "x" + row["example"]})
    told = json.loads(printed(capsys, "compare", run, other, "--way", "tune_lora", "--json"))
    assert (told["shared"], told["paired"]) == (0, False)
    assert told["low"] < told["difference"] < told["high"]


def keep(path, wanted, changed=lambda row: row):
    rows = [json.loads(line) for line in path.open(encoding="utf-8")]
    path.write_text("".join(json.dumps(changed(row)) + "\n" for row in rows if wanted(row)), encoding="utf-8")


def test_compare_of_a_run_with_itself_is_nothing(run, capsys):
    told = json.loads(printed(capsys, "compare", run, run, "--json"))
    assert (told["difference"], told["wins"], told["losses"], told["unlike"]) == (0.0, 0, 0, [])


def test_compare_refuses_a_way_that_is_not_there(run, capsys):
    assert whichway("compare", run, run, "--way", "tune_lore") == 2
    assert "Did you mean 'tune_lora'?" in capsys.readouterr().err


# --- curves


def test_curves_of_a_table(tmp_path, capsys):
    file = table(tmp_path / "runs.csv", [("way", "seed", "n", "score"), *POINTS])
    out = printed(capsys, "curves", file)
    assert "head overtakes prompt between" in out
    assert "o head  x prompt" in out
    told = json.loads(printed(capsys, "curves", file, "--json", "--aggregate", "max"))
    assert told["aggregate"] == "max"
    assert [p["score"] for c in told["curves"] if c["way"] == "head" for p in c["points"]] == pytest.approx(
        [0.42, 0.62, 0.82]
    )
    assert told["crossovers"][0]["second"] == "head"


def test_curves_of_a_run_and_as_a_page(run, tmp_path, capsys):
    page = tmp_path / "curves.html"
    printed(capsys, "curves", run, "--ways", "prompt_shots,tune_lora", "--html", page)
    first = page.read_text(encoding="utf-8")
    assert "<svg" in first
    assert "http" not in first.replace("http-equiv", "")
    printed(capsys, "curves", run, "--ways", "prompt_shots,tune_lora", "--html", page)
    assert page.read_text(encoding="utf-8") == first


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([("way", "seed", "n")], "runs.csv:1: there is no column score"),
        ([("way", "seed", "n", "score"), ("a", "0", "8", "71")], "runs.csv:2: score is 71; give it between −1 and 1"),
        ([("way", "seed", "n", "score"), ("a", "0", "8", ".5"), ("a", "x", "8", ".5")], "runs.csv:3: seed is 'x'"),
        ([("way", "seed", "n", "score"), ("a", "0", "-8", ".5")], "runs.csv:2: n is '-8'; give a whole number"),
        ([("way", "seed", "n", "score"), ("", "0", "8", ".5")], "runs.csv:2: way is empty"),
        ([("way", "seed", "n", "score"), ("a", "0", "8", "nan")], "runs.csv:2: score is nan"),
        ([("way", "seed", "n", "score"), *[("a", "0", "8", ".5")] * 2], "runs.csv:3: a, seed 0, n 8 stands there"),
        ([("way", "seed", "n", "score")], "runs.csv has no runs"),
    ],
)  # fmt: skip
def test_a_table_at_fault_is_named_with_file_and_line(tmp_path, capsys, lines, told):
    assert whichway("curves", table(tmp_path / "runs.csv", lines)) == 2
    assert told in capsys.readouterr().err


def test_no_table_and_unknown_ways(tmp_path, capsys):
    assert whichway("curves", tmp_path / "none.csv") == 2
    assert "none.csv is missing" in capsys.readouterr().err
    file = table(tmp_path / "runs.csv", [("way", "seed", "n", "score"), *POINTS])
    assert whichway("curves", file, "--ways", "head,promt") == 2
    assert "Did you mean 'prompt'?" in capsys.readouterr().err
    assert whichway("curves", tmp_path) == 2
    assert "Run the contest with --curve" in capsys.readouterr().err


# --- advise


def test_advise_on_data(tmp_path, capsys):
    out = printed(capsys, "advise", "--data", tickets(tmp_path), "--changes", "weekly")
    assert "prompting is the better bet" in out
    assert "[arXiv 2103.08493]" in out
    assert "Your test rows can show a gap of" in out
    assert "Run first: base_tfidf, prompt_plain, prompt_shots" in out


def test_advise_without_anything_has_no_opinion(capsys):
    assert "No opinion" in printed(capsys, "advise")


def test_advise_estimates_from_a_finished_run(run, capsys):
    out = printed(capsys, "advise", "--rows", "400", "--like", run)
    assert f"scaled by rows from {run}" in out
    assert "tune_lora" in out


def test_advise_asks_on_a_terminal(monkeypatch, capsys):
    answers = iter(("cl", "many", "300", "", "", "", "", "", ""))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.prompt", lambda *words, **more: next(answers))
    out = printed(capsys, "advise")
    assert "'many' is no number" in out
    assert "300 rows: in the range" in out
    assert "Classification is where" in out


def test_advise_is_calibrated_on_finished_runs(run, capsys):
    out = printed(capsys, "advise", "--calibrate", run)
    assert "said fine-tune" in out or "said prompt" in out
    told = json.loads(printed(capsys, "advise", "--calibrate", run, "--json"))
    assert len(told["runs"]) == 1
