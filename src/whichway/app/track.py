"""A run handed to a tracker: MLflow, Weights & Biases, TensorBoard."""

from __future__ import annotations

from pathlib import Path


def track(folder: Path, name: str, where: str = "") -> str:
    """Hand a finished run to a tracker.

    Args:
        folder: of the run.
        name: of the tracker.
        where: the tracker's word for the place; "": its default.

    Returns:
        Where it can be seen, for a reader.

    Raises:
        UserError: the run is not finished, the tracker is not known, or its library or its place cannot be used.
    """
    from whichway.runs.run import read
    from whichway.tracking import experiment_of, tracker_of

    tracker = tracker_of(name)
    return tracker.track(experiment_of(read(folder)), where)
