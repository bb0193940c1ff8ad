"""The Python API: rows in memory, arguments, messages that speak of arguments, what a run holds; docs/python.md."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas
import pytest

import whichway as ww
from whichway.app.python_words import python_words
from whichway.nouns import Record
from whichway.runs.folder import read_lines
from whichway.tasks.memory import examples_of, table_of

DOCS = Path(__file__).parents[2] / "docs" / "python.md"
TEAMS = {
    "billing": ("charged twice", "refund my card", "the invoice is wrong"),
    "delivery": ("parcel late", "where is my package", "courier lost it"),
    "account": ("cannot log in", "reset password", "change email"),
}
WORDS = ("amber", "birch", "cedar", "dahlia", "elm", "fig", "ginger", "hazel", "iris", "jasmine", "kale", "lilac")
QUICK: dict[str, Any] = {
    "model": "fake",
    "ways": ["base_majority", "prompt_plain", "prompt_shots"],
    "seeds": 1,
    "probe": False,
}


def tickets(count: int = 60) -> list[tuple[str, str]]:
    pairs = [(one, two) for one in WORDS for two in WORDS if one != two]
    asked = [(text, team) for team, texts in TEAMS.items() for text in texts] * count
    return [(f"{a} {b} {text} {b} {a}", team) for (text, team), (a, b) in zip(asked, pairs[:count], strict=False)]


def dicts() -> list[dict[str, str]]:
    return [{"text": text, "team": team} for text, team in tickets()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ww.Run:
    return ww.run(dicts(), out=tmp_path_factory.mktemp("porch") / "run", **QUICK)


# --- importing


def test_the_import_is_lazy_and_names_what_it_lists():
    code = (
        "import sys, whichway as ww; ww.Budget, ww.UserError; print({'torch', 'numpy', 'pydantic'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "set()"
    for name in ww.__all__:
        assert getattr(ww, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'rnu'"):
        _ = ww.rnu  # type: ignore[attr-defined]


# --- rows in memory


class Labels:
    names = ("billing", "delivery", "account")


class DataSet:
    """As a datasets.Dataset shows itself: rows with class numbers, names in the features."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows, self.column_names = rows, list(rows[0])
        self.features = {"text": SimpleNamespace(dtype="string"), "team": Labels()}

    def __iter__(self) -> Any:
        return iter(self.rows)


def test_every_kind_of_rows_gives_the_same_task():
    want = ww.check(dicts()).task
    numbered = [{"text": text, "team": Labels.names.index(team)} for text, team in tickets()]
    texts, teams = zip(*tickets(), strict=True)
    for data in (pandas.DataFrame(dicts()), DataSet(numbered)):
        task = ww.check(data).task
        assert (task.test, task.labels, task.name) == (want.test, want.labels, want.name)
    for data in ((texts, teams), (list(texts), pandas.Series(teams)), (pandas.Series(texts), list(teams))):
        task = ww.check(data, target="label").task
        assert [e.text for e in task.test] == [e.text for e in want.test]


def test_rows_of_several_splits_stay_where_they_are():
    rows = dicts()
    task = ww.check({"train": rows[:30], "validation": pandas.DataFrame(rows[30:40]), "test": rows[40:]}).task
    assert [len(part) for part in (task.train, task.dev, task.test)] == [30, 10, 20]
    assert task.test[0].origin == "test:0"


def test_missing_values_and_numbers_become_text():
    frame = pandas.DataFrame({"a": ["x", None], "n": [1, 2], "f": [0.5, float("nan")], "label": ["p", "q"]})
    rows = [row.fields for row in table_of(frame).rows]
    assert rows == [{"a": "x", "n": "1", "f": "0.5", "label": "p"}, {"a": "", "n": "2", "f": "", "label": "q"}]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (["a", "b"], "data:0: a row must be a dict, this is of type str"),
        (5, "data of type int cannot be read"),
        ([], "no rows"),
        ((["a"], ["p", "q"]), "X has 1 row and y has 2"),
        ({"trian": []}, r"train, dev and test as keys, not \['trian'\]"),
        ([{"text": "a", "label": "b"}] * 3, "3 rows. At least 12"),
    ],
)
def test_rows_that_are_none_are_refused(data: Any, message: str):
    with pytest.raises(ww.DataError, match=message):
        ww.check(data)


def test_inputs_of_several_fields_are_dicts():
    assert examples_of([{"a": 1, "b": "x"}], ("a", "b"))[0].input == {"a": "1", "b": "x"}
    with pytest.raises(ww.DataError, match="the fields a, b; give a dict"):
        examples_of(["x"], ("a", "b"))
    with pytest.raises(ww.DataError, match="data:1: the field 'b' is missing; there is a"):
        examples_of([{"a": 1, "b": 2}, {"a": 1}], ("a", "b"))


# --- arguments and messages


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"wys": ["x"]}, "there is no argument 'wys'. Did you mean 'ways'?"),
        ({"ways": ["prompt_plan"]}, "there is no way 'prompt_plan'. Did you mean 'prompt_plain'?"),
        ({"ways": {"prompt_plain": {"tempo": 1}}}, "way 'prompt_plain' has no option 'tempo'"),
        ({"seeds": 0}, "seeds: at least one seed is needed"),
        ({"curve": "8,x"}, "curve: write numbers of training rows with commas"),
        ({"confidence": 2}, "confidence: should be less than or equal to 0.999"),
        ({"minutes": 0}, "minutes: give a number above 0"),
        ({"budget": 5}, "budget=5: give a ww.Budget"),
        ({"target": "tem"}, "target column 'tem' is not there. Did you mean 'team'?"),
        ({"model": ["fake", "fake"]}, "model=fake is named twice."),
    ],
)
def test_arguments_that_do_not_fit_are_named_as_arguments(arguments: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(ww.UserError) as error:
        ww.run(dicts(), **{**QUICK, "out": tmp_path / "run", **arguments})
    assert message in str(error.value)
    assert "--" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_messages_of_the_command_line_are_put_into_pythons_words():
    said = {
        "Give another folder with --out, or the old one.": "Give another folder with out=..., or the old one.",
        "Say where the rows are: --data FILE, or": "Say where the rows are: data=FILE, or",
        "Run `whichway run` first.": "Run ww.run(...) first.",
        "name at least one with --ways.": "name at least one with ways=....",
        "--curve: write numbers": "curve: write numbers",
        "Where nothing can be fetched: --model embedded.": "Where nothing can be fetched: model=embedded.",
        "Use --data, --input and --target.": "Use data=..., input=... and target=....",
        "(8 MB): whichway models fetch small. Or": "(8 MB): fetch=True, or in a shell whichway models fetch small. Or",
        "Choose one with --candidate or --way.": "Choose one with candidate=... or way=....",
    }
    for flags, arguments in said.items():
        assert python_words(flags) == arguments


def test_options_and_budget_reach_the_plan(tmp_path: Path):
    given = {**QUICK, "seeds": (3, 5), "minutes": 2, "confidence": 0.9, "curve": [8], "race": False, "repeats": 2}
    preview = ww.plan(dicts(), **given, budget=ww.Budget(calls=50, seconds=120), out=tmp_path / "run")
    plan = preview.plan
    assert (plan.seeds, plan.confidence, plan.curve, plan.race, plan.repeats) == ((3, 5), 0.9, (8,), False, 2)
    assert (plan.budget.seconds, plan.budget.calls, plan.timed) == (120.0, 50, True)
    assert preview.estimate is None
    assert "budget      120 seconds or 50 calls for each way" in str(preview)


def test_a_task_runs_as_it_is_and_takes_run_options_only(tmp_path: Path):
    task = ww.check(dicts(), margin=0.05).task
    preview = ww.plan(task, **{**QUICK, "until": 0.9})
    assert (preview.plan.margin, preview.plan.until, preview.plan.model) == (0.05, 0.9, "fake")
    with pytest.raises(ww.OptionError, match="split: the task is read and split already"):
        ww.plan(task, split={"train": 0.5, "dev": 0.2, "test": 0.3})


def test_events_are_told(tmp_path: Path):
    heard: list[str] = []
    ww.run(
        dicts(),
        **{**QUICK, "ways": ["base_majority"]},
        out=tmp_path / "run",
        on_event=lambda event, _: heard.append(event),
    )
    assert heard[0] == "plan"
    assert heard[-1] == "verdict"


# --- a finished run


def test_a_run_holds_its_verdict_records_and_candidates(run: ww.Run):
    assert isinstance(run, ww.Run)
    assert (run.path / "report.html").is_file()
    records = run.records()
    assert isinstance(records, pandas.DataFrame)
    assert len(records) == len(list(read_lines(run.path / "records.jsonl")))
    assert {"way", "seed", *Record.__slots__} == set(records.columns)
    assert run.best is not None
    assert run.best.id == run.verdict.candidate
    assert [c.way for c in run.finalists("prompt_shots")] == ["prompt_shots"]
    with pytest.raises(ww.UserError, match="Did you mean 'prompt_shots'"):
        run.finalists("prompt_shot")
    assert run.verdict.choice is not None
    assert run.verdict.choice in repr(run)
    assert "<table>" in run._repr_html_()
    assert "prompt_plain" in run._repr_html_()


def test_records_are_rows_without_pandas(run: ww.Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    records = run.records()
    assert isinstance(records, list)
    assert records[0]["way"]


def test_predict_repeats_what_the_contest_recorded(run: ww.Run):
    for way in ("prompt_plain", "prompt_shots"):
        (finalist,) = run.finalists(way)
        texts = {row.id: row.text for row in run.test}
        recorded = {texts[e]: records[0].text for (c, e), records in run.test_records.items() if c == finalist.id}
        assert run.predict(list(recorded), way=way) == list(recorded.values())
    frame = pandas.DataFrame({"text": [row.text for row in run.test][:3]})
    assert run.predict(frame) == run.predict([{"text": text} for text in frame.text])
    assert set(run.answer(list(frame.text))[0]["scores"]) == set(TEAMS)
    with pytest.raises(ww.UserError, match="no way 'tune_lora'"):
        run.predict(["x"], way="tune_lora")


def test_ship_report_and_reading_again(run: ww.Run, tmp_path: Path):
    other = run.ship(tmp_path / "majority", way="base_majority", check=False)
    assert (other / "manifest.json").is_file()
    assert run.report(tmp_path / "page.html").read_text() == (run.path / "report.html").read_text()
    again = ww.read_run(run.path)
    assert again.verdict == run.verdict
    assert again.predict(["my parcel is late"]) == run.predict(["my parcel is late"])
    with pytest.raises(ww.OptionError, match=r"no form 'foldr'. Did you mean 'folder'"):
        run.ship(tmp_path / "x", format="foldr")
    with pytest.raises(ww.UserError, match=r"Run ww\.run\(\.\.\.\) first"):
        ww.read_run(tmp_path)


def test_two_runs_are_compared(run: ww.Run):
    found = ww.compare(run, run.path, ways=("prompt_plain", "prompt_shots"))
    assert found.paired
    assert found.shared == len(run.test)
    assert found.difference == pytest.approx(found.second.score - found.first.score)


def test_prompts_are_linted_as_text_file_and_slots(tmp_path: Path):
    text = "Do NOT be wrong!!! Classify the message.\n\n{{text}}"
    (tmp_path / "prompt.txt").write_text(text)
    found = ww.lint(text)
    assert found
    assert [f.id for f in ww.lint(tmp_path / "prompt.txt")] == [f.id for f in found]
    assert ww.lint(text, ignore=[found[0].id]) != found
    assert isinstance(ww.lint(ww.Prompt(objective="Classify the message.")), list)
    with pytest.raises(ww.OptionError, match=r"no argument 'modle'. Did you mean 'model'"):
        ww.lint(text, modle="x")


# --- the page


@pytest.mark.parametrize("model", ["fake", pytest.param("embedded", marks=pytest.mark.slow)])
def test_the_blocks_of_the_page_run(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.S)
    assert len(blocks[0].strip().splitlines()) <= 8
    space: dict[str, Any] = {"tickets": tickets()}
    for number, block in enumerate(blocks):
        block = block.replace('"embedded"', f'"{model}"')
        exec(compile(block, f"docs/python.md, block {number}", "exec"), space)
    assert (tmp_path / "winner" / "manifest.json").is_file()
    assert (tmp_path / "support.html").is_file()
