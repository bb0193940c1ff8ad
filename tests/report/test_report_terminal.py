from __future__ import annotations

import io
from pathlib import Path

import pytest
import sample
from rich.console import Console

from whichway.report import formatting
from whichway.report.html import write
from whichway.report.terminal import show
from whichway.runs.run import read


def shown(folder: Path, width: int) -> str:
    out = io.StringIO()
    show(folder, Console(file=out, width=width, color_system=None, force_terminal=False))
    return out.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return sample.make(tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("width", [80, 120])
def test_numbers_are_whole(folder, width):
    text = shown(folder, width)
    assert "…" not in text
    assert "\x1b" not in text
    table = text.split("╭")[0]
    assert all(len(line) <= width for line in text.splitlines()[:-1])
    for s in read(folder).verdict.standings:
        line = next(line for line in table.splitlines() if s.way in line)
        assert formatting.seconds(s.seconds_fit) in line
        if s.score is None:
            assert "failed" in line
        else:
            interval = f"{formatting.points(s.low)}–{formatting.points(s.high)}"
            for number in (
                formatting.points(s.score),
                interval,
                formatting.points(s.dev_score),
                formatting.usd(s.usd_per_1000),
            ):
                assert number in line
    assert f"> {read(folder).verdict.choice}" in table


@pytest.mark.parametrize("width", [80, 120])
def test_verdict_with_its_sentences(folder, width):
    text = shown(folder, width)
    flat = " ".join(text.replace("│", " ").split())
    verdict = read(folder).verdict
    assert formatting.ANSWERS[verdict.answer].rstrip(".") in text
    for sentence in (*verdict.reasons, *verdict.dissent, *verdict.would_decide):
        assert sentence in flat


def test_path_of_the_report_in_one_piece(folder):
    path = write(folder)
    assert shown(folder, 80).splitlines()[-1] == f"Report: {path}"


def test_brackets_are_no_markup(tmp_path):
    odd = sample.Made("prompt_odd", "prompt", 0.5, 1, 1.0, 0.1, (1, 1, 1), note="[bold]8 shots[/x]")
    ways = [*sample.WAYS[:2], odd]
    assert "[bold]8 shots[/x]" in shown(sample.make(tmp_path, rows=20, ways=ways), 140)


def test_all_failed(tmp_path):
    text = shown(sample.make(tmp_path, rows=10, ways=sample.hopeless()), 80)
    assert text.count("failed") >= 7
    assert "Undecided" in text


@pytest.mark.parametrize("width", [50, 60, 70])
def test_a_narrow_terminal_keeps_names_scores_and_prices(folder, width):
    table = shown(folder, width).split("╭")[0]
    assert all(len(line) <= width for line in table.splitlines())
    for s in read(folder).verdict.standings:
        line = next(line for line in table.splitlines() if s.way in line)
        assert ("failed" if s.score is None else formatting.points(s.score)) in line
        assert s.score is None or formatting.usd(s.usd_per_1000) in line
