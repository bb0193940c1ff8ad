"""Macro-F1: F1 of each label, averaged over labels, so that rare labels count as much as frequent ones."""

from __future__ import annotations

from whichway.tasks.metrics._closed import Closed, Options

__all__ = ["Metric", "Options"]


class Metric(Closed):
    """Rows score 0 or 1; the verdict's statistics turn answers and targets into macro-F1."""

    name = "macro_f1"
    aggregate = "macro_f1"
