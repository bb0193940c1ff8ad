from __future__ import annotations

import io
from pathlib import Path

import pytest
import sample
from rich.console import Console

from whichway.report import formatting
from whichway.report.html import write
from whichway.report.terminal import TerminalLayout, show
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


def fitted(folder: Path, lines: int, plain: bool = False) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=80, height=24, color_system=None, force_terminal=True)
    show(folder, console, layout=TerminalLayout(plain, lines))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("lines", [14, 22, 30])
def test_on_a_small_terminal_the_verdict_fits_and_says_where_the_rest_is(folder, lines):
    write(folder)
    text, verdict = fitted(folder, lines), read(folder).verdict
    wrapped = len(text[-1]) // 80  # a path is not broken by us, the terminal does
    assert len(text) + wrapped <= lines
    flat = " ".join(" ".join(text).split())
    assert f"> {verdict.choice}" in flat
    assert formatting.title(verdict) in flat
    assert formatting.headline(verdict) in flat
    assert "whichway verdict" in flat
    assert text[-1].startswith("Report: ")


def test_what_fits_is_shown_whole(folder):
    assert fitted(folder, 200) == shown(folder, 80).splitlines()


def test_the_choice_is_shown_where_ways_are_left_out(tmp_path):
    ways = [sample.Made(f"tune_{k}", "fine-tune", 0.9, 1, 1.0, 0.1, (1, 1, 1)) for k in range(9)]
    folder = sample.make(tmp_path, rows=60, ways=[*ways, *sample.WAYS[:2]])
    text = fitted(folder, 14)
    assert sum(line.startswith("> ") for line in text) == 1
    assert len(text) + len(text[-1]) // 80 <= 14


def test_plain_text_has_neither_frames_nor_escapes(folder):
    text = "\n".join(fitted(folder, 200, plain=True))
    assert not set("╭│╰─━\x1b") & set(text)
    verdict = read(folder).verdict
    for sentence in (*verdict.reasons, *verdict.dissent, *verdict.would_decide):
        assert sentence in " ".join(text.split())
