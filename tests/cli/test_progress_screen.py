"""The progress screen: a line for each event, and bars that end where the work ends."""

from __future__ import annotations

import math

from whichway.cli.progress import ProgressScreen
from whichway.events import EVENTS, CheckpointSaved, TrainingBegan, VerdictMade, WayBegan


def test_the_screen_shows_all_but_the_verdict_which_has_a_page_of_its_own():
    assert [event for event in EVENTS if not hasattr(ProgressScreen, f"_{event.name}")] == [VerdictMade]


def test_the_bar_ends_where_the_training_ends():
    screen = ProgressScreen()
    screen(WayBegan("tune_lora", 0, 1))
    screen(TrainingBegan("tune_lora", "lora", 25.0, 100))
    screen(CheckpointSaved("tune_lora", "lora", 12.5, 1.0))
    (bar,) = screen._bars.tasks
    assert (bar.completed, bar.total) == (50, 100)
    assert math.isclose(bar.percentage, 50)
