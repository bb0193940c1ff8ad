"""TensorBoard: a folder of event files for each way, under a folder of the run."""

from __future__ import annotations

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from whichway.tracking import Experiment, TrackedWay

SUMMARY = "event files for TensorBoard; --where FOLDER, default tensorboard"
NEEDS = "tensorboard"
EVENTS = "events.out.tfevents.*"


def track(experiment: Experiment, where: str) -> str:
    """Write the event files anew."""
    folder = Path(where or "tensorboard") / f"{experiment.task}-{experiment.id[:8]}"
    for way in experiment.ways:
        _write(folder / way.name, way, experiment)
    return f"{folder}; see it with: tensorboard --logdir {folder.parent}"


def _write(folder: Path, way: TrackedWay, experiment: Experiment) -> None:
    for old in folder.glob(EVENTS):
        old.unlink()
    with SummaryWriter(str(folder)) as out:
        for name, value in way.metrics.items():
            out.add_scalar(f"verdict/{name}", value, 0)
        for step, (usd, seconds) in enumerate(way.spent):
            out.add_scalar("spent/usd", usd, step)
            out.add_scalar("spent/seconds", seconds, step)
        facts = {**way.parameters, **experiment.facts}
        out.add_text("about", "\n".join(f"- {key}: {value}" for key, value in facts.items()))
