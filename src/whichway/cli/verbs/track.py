"""Hand a finished run to MLflow, Weights & Biases or TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option


def track(
    run: Annotated[Path, Argument(help="A finished run folder.")],
    to: Annotated[str, Option("--to", help="The tracker: mlflow, wandb or tensorboard.")],
    where: Annotated[
        str, Option("--where", help="A folder (tensorboard), an address (mlflow), a project (wandb); default: its own.")
    ] = "",
) -> None:
    """Hand a finished run to a tracker: a run for each way, with its options, numbers and spending. Again: anew."""
    from whichway.app.track import track as hand_over

    print(f"Tracked: {hand_over(run, to, where)}")
