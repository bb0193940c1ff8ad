"""The screen of a contest against the clock: standings with intervals, what is running, the time left."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from whichway.cli.progress import ProgressScreen
from whichway.cli.standings import StandingsView
from whichway.events import PurchaseBegan, StandingsChanged
from whichway.nouns import Standing, Verdict


def verdict() -> Verdict:
    empty = dict.fromkeys(Standing.__dataclass_fields__)
    line = Standing(**{**empty, "way": "tune_head", "status": "ok", "score": 0.775, "low": 0.715, "high": 0.826,
                       "rows": 187, "seeds": 2, "folds": 1})  # fmt: skip
    lines = (line, replace(line, way="base_tfidf", score=0.514, low=0.448, high=0.578, seeds=1),
             replace(line, way="prompt_shots", status="failed", score=None))  # fmt: skip
    known = {"standings": lines, "choice": "tune_head", "confidence": 0.95, "sureness": "leaning"}
    return Verdict(**{**dict.fromkeys(Verdict.__dataclass_fields__), **known})


def test_the_clock_counts_down_beside_what_is_running():
    now = [100.0]
    view = StandingsView(lambda: now[0])
    assert view.status == ""
    assert view.table() is None
    assert view.begins(PurchaseBegan("seed", "tune_head", 60.0, 151.0)) == (
        "2:31 left, now another seed of tune_head, about 1:00"
    )
    now[0] += 30
    assert view.status == "2:01 left, now another seed of tune_head, about 1:00"
    line = view.changes(StandingsChanged(verdict(), 90.0))
    assert line == "1:30 left, leaning: tune_head 77.5 (71.5–82.6); base_tfidf 51.4 (44.8–57.8)"
    assert view.status == "1:30 left"
    now[0] += 500
    assert view.status == "0:00 left"
    assert view.begins(PurchaseBegan("fold", "", 10.0, None)) == "now another fold, about 0:10"


def test_a_terminal_shows_the_standings_above_the_bars():
    screen, out = ProgressScreen(), io.StringIO()
    screen(PurchaseBegan("way", "tune_lora", 60.0, 151.0))
    screen(StandingsChanged(verdict(), 120.0))
    screen(PurchaseBegan("way", "prompt_shots", 60.0, 120.0))
    Console(file=out, width=100).print(screen._shown())
    shown = out.getvalue()
    assert "So far: leaning" in shown
    assert "> tune_head" in shown
    assert "71.5–82.6" in shown
    assert "2:00 left, now prompt_shots" in shown
    assert shown.index("tune_head") < shown.index("left") < shown.index("starting")
