"""A finished run at MLflow, Weights & Biases and TensorBoard; each library where it is installed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import whichway.tracking as tracking
from whichway.app.track import track
from whichway.cli import main
from whichway.errors import OptionError
from whichway.runs.run import Run
from whichway.tracking import experiment_of, names, tracker_of

ROWS = "text,label\n" + "".join(f"row number {k} of {'a' if k % 3 else 'b'},{'ab'[k % 3 == 0]}\n" for k in range(90))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    place = tmp_path_factory.mktemp("tracked")
    (place / "d.csv").write_text(ROWS)
    words = ["run", "--data", str(place / "d.csv"), "--model", "fake", "--ways", "prompt_plain,tune_lora", "--out"]
    assert main([*words, str(place / "run"), "--no-progress", "--folds", "1"]) == 0
    return place / "run"


def library(name: str) -> Any:
    """A tracker, or a skipped test where its library is missing."""
    try:
        return tracker_of(name)
    except OptionError as error:
        pytest.skip(str(error))


def test_an_experiment_holds_what_the_folder_says(folder: Path):
    experiment, run = experiment_of(Run(folder)), Run(folder)
    assert [way.name for way in experiment.ways] == [standing.way for standing in run.verdict.standings]
    for way, standing in zip(experiment.ways, run.verdict.standings, strict=True):
        assert way.metrics["score"] == standing.score
        assert way.spent[-1][0] == pytest.approx(sum(line["usd"] for line in run.ledger if line["who"] == way.name))
        assert way.parameters["kind"] == standing.kind
        assert "reason" not in way.metrics
    assert experiment.facts["choice"] == run.verdict.choice
    assert [path.name for path in experiment.files] == ["verdict.json", "plan.json", "report.html"]


def test_unknown_trackers_missing_libraries_and_unfinished_runs_are_refused(folder: Path, tmp_path: Path, monkeypatch):
    assert names() == ["mlflow", "tensorboard", "wandb"]
    with pytest.raises(OptionError, match="Did you mean 'mlflow'"):
        track(folder, "mlfow")
    honest = tracking.importlib.import_module

    def without(name: str) -> Any:
        if name.endswith("wandb"):
            raise ImportError("no module named wandb")
        return honest(name)

    monkeypatch.setattr(tracking, "importlib", SimpleNamespace(import_module=without))
    with pytest.raises(OptionError, match=r"pip install 'whichway\[wandb\]'"):
        track(folder, "wandb")
    words = ["run", "--data", str(folder.parent / "d.csv"), "--model", "fake", "--out", str(tmp_path / "r")]
    assert main([*words, "--track", "wandb"]) == 2
    assert not (tmp_path / "r").exists(), "nothing was begun"


def test_a_run_hands_itself_over_and_stays_done_where_that_fails(folder: Path, monkeypatch, capsys):
    seen = []

    def hand_over(experiment, where):
        seen.append((experiment.id, where))
        raise OptionError("nobody answers.")

    monkeypatch.setattr(tracking, "tracker_of", lambda name: SimpleNamespace(track=hand_over))
    words = ["run", "--data", str(folder.parent / "d.csv"), "--model", "fake", "--ways", "prompt_plain,tune_lora"]
    assert main([*words, "--out", str(folder), "--folds", "1", "--track", "tensorboard"]) == 0
    assert seen == [(experiment_of(Run(folder)).id, "")]
    assert "was not tracked: nobody answers. Later: whichway track" in " ".join(capsys.readouterr().err.split())


def test_tensorboard(folder: Path, tmp_path: Path):
    library("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):
        track(folder, "tensorboard", str(tmp_path / "board"))
    experiment = experiment_of(Run(folder))
    for way in experiment.ways:
        events = EventAccumulator(str(tmp_path / "board" / f"{experiment.task}-{experiment.id[:8]}" / way.name))
        events.Reload()
        assert [e.value for e in events.Scalars("verdict/score")] == [pytest.approx(way.metrics["score"])]
        assert [e.value for e in events.Scalars("spent/usd")] == pytest.approx([usd for usd, _ in way.spent])


def test_mlflow(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # no server, no database
    library("mlflow")
    from mlflow.tracking import MlflowClient

    place = (tmp_path / "ml").as_uri()
    for _ in range(2):
        track(folder, "mlflow", place)
    experiment, client = experiment_of(Run(folder)), MlflowClient(tracking_uri=place)
    known = client.get_experiment_by_name(experiment.task)
    runs = {run.data.tags["whichway.way"]: run for run in client.search_runs([known.experiment_id])}
    assert len(client.search_runs([known.experiment_id])) == len(experiment.ways) == len(runs)
    for way in experiment.ways:
        assert runs[way.name].data.metrics["score"] == way.metrics["score"]
        assert runs[way.name].data.params["kind"] == way.parameters["kind"]
        series = client.get_metric_history(runs[way.name].info.run_id, "spent_usd")
        assert [point.value for point in series] == [usd for usd, _ in way.spent]
    choice = runs[experiment.facts["choice"]].info.run_id
    assert {file.path for file in client.list_artifacts(choice)} == {"verdict.json", "plan.json", "report.html"}


@pytest.mark.slow
def test_wandb(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    library("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    assert track(folder, "wandb", "ours").startswith("project ours")
    experiment = experiment_of(Run(folder))
    kept = [path.name for path in (tmp_path / "wandb").glob("offline-run-*")]
    for way in experiment.ways:
        assert sum(name.endswith(f"{experiment.id[:8]}-{way.name}") for name in kept) == 1
