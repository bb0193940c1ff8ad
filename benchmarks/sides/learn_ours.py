"""Our side of `learn.py`: reads the same JSON job; each step is a turn."""

import json
import os
import sys
import time
from pathlib import Path

from turns import Turns, memory

turns = Turns()
started = time.perf_counter()
job = json.loads(Path(sys.argv[1]).read_text())
os.environ["OMP_NUM_THREADS"] = str(job["threads"])

import whichway.engine  # noqa: E402, F401, I001  (before torch: it says how threads wait)
import torch  # noqa: E402

from whichway.engine.train import trainer  # noqa: E402
from whichway.engine.model import load  # noqa: E402
from whichway import training_kinds  # noqa: E402
from whichway.engine.model import throughput  # noqa: E402
from whichway.engine.train.adapter_check import Encoded  # noqa: E402
from whichway.nouns import Message, TrainJob, TrainRow, Weights  # noqa: E402

torch.set_num_threads(job["threads"])
model = load.load(Path(job["model"]))
rows = []
for row in job["rows"]:
    size = row["mask"].index(1)
    rows.append(Encoded(row["ids"][:size], row["ids"][size:]))


class InOrder(trainer.TrainingRun):
    """The rows as the job gives them, not shuffled, and its rates."""

    def _batch(self, step):
        return self.rows[step * self.settings.batch :][: self.settings.batch]

    def _factor(self, step):
        return job["factors"][step - 1]

    def _checkpoint(self):
        sys.exit(0)


trainer.encode = lambda *_: rows
told = tuple(TrainRow((Message("user", str(n)),), "x") for n in range(len(rows)))
given = {"batch": job["batch"], "rate": job["rate"], "max_steps": job["steps"], "epochs": 1, "checkpoints": 1}
task = TrainJob("lora", Weights("local", job["model"]), told, (), job["seed"], given)
clock = {"seconds": 0.0}


def watch(now):
    """A step has ended: tell, and wait for the next turn."""
    turns.tell(seconds=turns.taken(), loss=now.loss, memory=memory(), cpu=turns.cpu())
    turns.wait()


given = training_kinds.options(training_kinds.LoraOptions, task.options)
run = InOrder(model, task, given, Path(job["folder"]), None, watch)
kind = next(model.module.parameters()).dtype
turns.tell(
    load=time.perf_counter() - started,
    format=str(kind).removeprefix("torch."),
    rate=throughput.product_rate(kind, 1000, 1000, 30),
)
turns.wait()
for _ in run.steps():
    pass
