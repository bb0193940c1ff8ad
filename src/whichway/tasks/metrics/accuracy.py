"""Accuracy: the share of rows answered with the right label."""

from __future__ import annotations

from whichway.tasks.metrics._closed import Closed, Options

__all__ = ["Metric", "Options"]


class Metric(Closed):
    """Share of right labels."""

    name = "accuracy"
    title = "Accuracy"
