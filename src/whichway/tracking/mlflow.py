"""MLflow: an experiment for the task, a run for each way, with the report's files where the store takes files."""

from __future__ import annotations

from typing import Any

from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from whichway.errors import OptionError
from whichway.tracking import Experiment, TrackedWay

SUMMARY = "runs at MLflow; --where URI, default MLFLOW_TRACKING_URI"
NEEDS = "mlflow"
RUN, WAY = "whichway.run", "whichway.way"  # tags
LONGEST = 500  # characters of a parameter
BATCH = 1000  # metrics of one request


def track(experiment: Experiment, where: str) -> str:
    """Hand over each way; one that is there already is deleted first, because parameters cannot be changed."""
    try:
        client = MlflowClient(tracking_uri=where or None)
        known = client.get_experiment_by_name(experiment.task)
        place = known.experiment_id if known else client.create_experiment(experiment.task)
        for old in client.search_runs([place], f"tags.`{RUN}` = '{experiment.id}'"):
            client.delete_run(old.info.run_id)
        for way in experiment.ways:
            _write(client, place, way, experiment)
    except MlflowException as error:
        raise OptionError(f"MLflow at {where or 'its default place'} cannot be used: {error}") from error
    return f"experiment {experiment.task} at {client.tracking_uri}"


def _write(client: Any, place: str, way: TrackedWay, experiment: Experiment) -> None:
    tags = {RUN: experiment.id, WAY: way.name, **{f"whichway.{key}": text for key, text in experiment.facts.items()}}
    run = client.create_run(place, run_name=way.name, tags=tags).info
    metrics = [Metric(name, value, run.start_time, 0) for name, value in way.metrics.items()]
    for step, (usd, seconds) in enumerate(way.spent):
        metrics.append(Metric("spent_usd", usd, run.start_time, step))
        metrics.append(Metric("spent_seconds", seconds, run.start_time, step))
    parameters = [Param(key, text[:LONGEST]) for key, text in way.parameters.items()]
    client.log_batch(run.run_id, params=parameters)
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run.run_id, metrics=metrics[start : start + BATCH])
    if way.name == experiment.facts["choice"]:
        for path in experiment.files:
            client.log_artifact(run.run_id, str(path))
    client.set_terminated(run.run_id, "FAILED" if way.parameters["status"] == "failed" else "FINISHED")
