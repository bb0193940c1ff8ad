"""Weights & Biases: a project for the task, a group for the run, a run for each way."""

from __future__ import annotations

import wandb

from whichway.errors import OptionError
from whichway.tracking import Experiment, TrackedWay

SUMMARY = "runs at Weights & Biases; --where PROJECT, default the task's name; WANDB_MODE=offline keeps them here"
NEEDS = "wandb"


def track(experiment: Experiment, where: str) -> str:
    """Hand over each way, under an id that follows from the run, so that it is there once."""
    project = where or experiment.task
    try:
        for way in experiment.ways:
            _write(project, way, experiment)
    except wandb.Error as error:
        raise OptionError(f"Weights & Biases cannot be used: {error}") from error
    return f"project {project}, group {experiment.id[:8]}"


def _write(project: str, way: TrackedWay, experiment: Experiment) -> None:
    name = f"{experiment.id[:8]}-{way.name}".replace("@", "-").replace("~", "-")
    facts = {**way.parameters, **experiment.facts}
    group = experiment.id[:8]
    with wandb.init(
        project=project, id=name, name=way.name, group=group, config=facts, resume="allow", reinit="finish_previous"
    ) as run:
        for step, (usd, seconds) in enumerate(way.spent):  # steps that are there already are left as they are
            run.log({"spent/usd": usd, "spent/seconds": seconds}, step=step)
        run.summary.update(dict(way.metrics))
        if way.name == experiment.facts["choice"]:
            for path in experiment.files:
                run.save(str(path), base_path=str(path.parent), policy="now")
