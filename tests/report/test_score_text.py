"""Scores are spelled once, by the metric's kind, for page, terminal, notebook and the verdict's sentences."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
import sample
from rich.console import Console

import whichway as ww
from whichway.report import breakeven, curves, formatting, terminal
from whichway.report.formatting import SHARES, ScoreText
from whichway.report.html import render
from whichway.report.plot import Scale
from whichway.runs.run import Run
from whichway.verdict.explain.number_format import score_format

PLAIN = ScoreText(score_format(True))


@pytest.mark.parametrize(("scores", "value", "span", "across", "signed", "zero", "size", "tick"), [
    (SHARES, "75.2", "44.8–57.9", "−5.1 to 12.3", "−2.1", "0.0", "2.1 points", "80"),
    (PLAIN, "0.752", "0.448–0.579", "−0.051 to 0.123", "−0.021", "0.000", "0.021", "0.8"),
])  # fmt: skip
def test_each_kind_has_one_spelling(scores, value, span, across, signed, zero, size, tick):
    assert scores.value(0.7523) == value
    assert scores.span(0.448, 0.579) == span
    assert scores.span(-0.051, 0.123) == across
    assert scores.signed(-0.021) == signed
    assert (scores.signed(0.0), scores.signed(-0.0001)) == (zero, zero)
    assert scores.size(-0.021) == size
    assert scores.tick(0.8) == tick
    assert {scores.value(None), scores.signed(None), scores.size(None)} == {formatting.NOTHING}


def test_a_bare_score_is_that_of_the_sentences():
    for scores in (SHARES, PLAIN):
        assert scores.value(-0.0712) == scores.format.bare(-0.0712)
        assert scores.format.score(0.7523).removesuffix(" %") == scores.value(0.7523)


@pytest.fixture
def correlation(tmp_path: Path) -> Path:
    """A run whose metric is written in plain numbers."""
    folder = sample.make(tmp_path, rows=80)
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    (folder / "plan.json").write_text(json.dumps({**plan, "metric_plain": True, "metric_title": "MCC"}))
    return folder


def test_page_terminal_and_notebook_agree_on_a_correlation(correlation):
    run, out = Run(correlation), io.StringIO()
    page = " ".join(render(run).split())
    terminal.show(run, Console(file=out, width=160))
    notebook = ww.read_run(correlation)
    for line in run.verdict.standings:
        if line.score is None:
            continue
        score, interval = PLAIN.value(line.score), PLAIN.span(line.low, line.high)
        assert re.search(rf"{score} +{interval}", out.getvalue())
        assert re.search(rf"<b><a [^>]*>{score}</a></b> <small> ?{interval}", page)
        assert f"{score}  {interval}" in notebook._repr_html_()
        assert f"<title>{line.way}: {score} ({interval})" in page
    choice = next(s for s in run.verdict.standings if s.way == run.verdict.choice)
    assert f"{choice.way} {PLAIN.value(choice.score)}" in repr(notebook)
    assert "points of 100" not in page
    assert f"the margin of ±{PLAIN.value(run.verdict.margin)} inside which" in page
    table = page.split('<table class="forest">')[1].split("</table>")[0]
    assert 'data-label="Difference"' in table
    assert not re.search(r"<b>[+−]?\d+\.\d</b>", table)


def test_axes_and_curves_speak_as_the_table_does(correlation):
    assert [tick.text for tick in Scale(0.0, 1.0).ticks(PLAIN)] == ["0", "0.25", "0.5", "0.75", "1"]
    assert [tick.text for tick in Scale(0.0, 1.0).ticks()] == ["0", "25", "50", "75", "100"]
    verdict = Run(correlation).verdict
    first = verdict.curves[0].points[0]
    plain, shares = (
        "\n".join(curves.lines(verdict.curves, verdict.crossovers, 0.95, scores=scores)) for scores in (PLAIN, SHARES)
    )
    assert PLAIN.value(first.score) in plain
    assert SHARES.value(first.score) in shares
    assert SHARES.value(first.score) not in plain


def test_means_that_differ_in_their_last_bits_read_alike():
    for rows in (40, 200, 2000):
        for right in range(rows + 1):
            score, summed = right / rows, sum([1 / rows] * right)
            assert SHARES.value(score) == SHARES.value(summed)
            assert SHARES.signed(-score) in (f"−{SHARES.value(score)}", "0.0")
            assert PLAIN.value(score) == PLAIN.value(summed)
    assert (SHARES.value(0.3805), SHARES.value(0.38049)) == ("38.1", "38.0")


def test_volumes_have_no_exponent():
    assert [breakeven.figures(x) for x in (1250.4, 3.21, 0.0018, 9e-06)] == ["1,250", "3.2", "0.0018", "under 0.0001"]
