"""The run folder: one from before the move opens, resumes and ships; each file is read once for verdict and report."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import whichway as ww
from whichway.app.open_results import results_of
from whichway.cli import main
from whichway.runs.folder import json_text
from whichway.runs.run import Run

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "verdict" / "golden" / "run"
RUN = ("run", "task.yaml", "--seeds", "2", "--no-probe", "--no-progress", "--out", "run", "--cache", "cache")


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a task, its run and the run's cache, written before the code moved."""
    with zipfile.ZipFile(HERE / "before_the_move.zip") as packed:
        packed.extractall(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- a run from before the move


LATER = {"sureness", "odds", "runner_up"}  # what a verdict says since then


def without_later(text: str) -> str:
    """A verdict as it was written then."""
    return json.dumps({key: value for key, value in json.loads(text).items() if key not in LATER}, indent=2)


def test_an_old_run_opens_and_gives_its_verdict_byte_for_byte(old: Path):
    run = ww.read_run(old / "run")
    assert run.verdict.choice == "tune_lora"
    written = (old / "run" / "verdict.json").read_text(encoding="utf-8")
    assert without_later(json_text(results_of(run).verdict())) == without_later(written)
    assert run.report().is_file()


def same_place(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old run's own versions: another Python is another plan, and rightly so."""
    plan = json.loads((old / "run" / "plan.json").read_text(encoding="utf-8"))
    monkeypatch.setattr("whichway.contest.plan._versions", lambda components, ways: plan["versions"])


def test_an_old_run_resumes_with_nothing_paid(old: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    same_place(old, monkeypatch)
    before = {p: p.read_bytes() for p in sorted((old / "run").rglob("*")) if p.is_file()}
    assert main(list(RUN)) == 0
    assert "Paid by this start: 0.0 s, $0.0000." in capsys.readouterr().out
    after = {p: p.read_bytes() for p in sorted((old / "run").rglob("*")) if p.is_file() and p.name != "report.html"}
    verdict = old / "run" / "verdict.json"
    assert without_later(after.pop(verdict).decode()) == without_later(before.pop(verdict).decode())
    assert after == before


def test_an_old_run_ships_and_answers(old: Path):
    run = ww.read_run(old / "run")
    for way in ("prompt_shots", "tune_lora"):
        assert (run.ship(old / way, way=way, check=False) / "manifest.json").is_file()
        (first, *_) = run.finalists(way)
        texts = {row.id: row.text for row in run.test}
        recorded = {texts[e]: records[0].text for (c, e), records in run.test_records.items() if c == first.id}
        assert run.predict(list(recorded), candidate=first.id) == list(recorded.values())


# --- each file once


class Opens:
    """Counts how often each file below a folder is opened for reading, while it is on."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.on, self.counts = str(folder.resolve()), False, Counter[str]()
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[object, ...]) -> None:
        if not self.on or event != "open" or not isinstance(args[0], str):
            return
        mode, flags = args[1], args[2]
        reads = "r" in mode and "+" not in mode if isinstance(mode, str) else not int(flags or 0) & 3  # type: ignore[call-overload]
        path = os.path.abspath(args[0])  # noqa: PTH100 - nothing that opens files
        if reads and path.startswith(self.folder + os.sep) and os.path.isfile(path):  # noqa: PTH113
            self.counts[os.path.relpath(path, self.folder)] += 1


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_verdict_and_report_read_each_file_at_most_once(old: Path, monkeypatch, capsys, more: tuple[str, ...]):
    same_place(old, monkeypatch)
    opens = Opens(old / "run")
    make: Callable[..., None] = Run.__init__

    def begin(self: Run, path: Path) -> None:  # the run is read for its verdict when all ways have crossed
        opens.on = True
        make(self, path)

    monkeypatch.setattr(Run, "__init__", begin)
    assert main([*RUN, *more]) == 0
    opens.on = False
    assert set(opens.counts.values()) == {1}, opens.counts
    wanted = {"plan.json", "rows.jsonl", "records.jsonl", "ledger.jsonl", "race.json"}
    wanted |= {
        f"ways/{way}/{name}"
        for way in ("prompt_plain", "prompt_shots", "tune_lora")
        for name in ("status.json", "candidates.jsonl")
    }
    assert wanted <= set(opens.counts)


def test_a_second_reading_is_counted(old: Path):
    opens = Opens(old / "run")
    opens.on = True
    for _ in range(2):
        _ = Run(old / "run").plan, Run(old / "run").verdict
    opens.on = False
    assert opens.counts == {"plan.json": 2, "verdict.json": 2}


def test_a_finished_run_is_read_once_for_all_that_is_asked_of_it(old: Path, monkeypatch: pytest.MonkeyPatch):
    opens = Opens(old / "run")
    opens.on = True
    run = ww.read_run(old / "run")
    run.records()
    run.report(old / "page.html")
    run.ship(old / "winner", check=False)
    _ = run.best, run.finalists("tune_lora"), repr(run), run._repr_html_()
    results_of(run).verdict(margin=0.2)
    opens.on = False
    assert set(opens.counts.values()) == {1}, opens.counts


# --- the golden folder through the same class


def test_the_golden_run_gives_its_verdict_through_the_class():
    run = Run(GOLDEN)
    text = (GOLDEN / "verdict.json").read_text(encoding="utf-8")
    assert json_text(results_of(run).verdict()) == text
    assert json_text(run.verdict) == text


def test_another_verdict_leaves_the_run_as_it_is(old: Path):
    run = Run(old / "run")
    other = run.with_verdict(results_of(run).verdict(margin=0.4))
    assert other.verdict.margin == 0.4
    assert run.verdict.margin != 0.4
    assert other.record_file is run.record_file


def test_a_damaged_file_is_named_with_its_line(old: Path):
    path = old / "run" / "ledger.jsonl"
    path.write_text("{}\n{broken\n", encoding="utf-8")
    with pytest.raises(ww.UserError, match=r"ledger\.jsonl:2 is damaged"):
        _ = Run(old / "run").ledger
