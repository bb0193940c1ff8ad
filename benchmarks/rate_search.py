"""Which of four learning rates does a search pick that may not train them all, and what does its pick lose?

Every (task, rate, seed) is trained in full once, by the engine, with its weights looked at on the way: as they are
("latest"), and averaged over the latest steps ("averaged"). Policies are then replayed on what was seen: successive
halving with rungs at other places, judged by one or the other, by accuracy or by loss. A policy's loss is the test
accuracy of the best rate (in the mean over seeds, known in hindsight) less that of its pick.

    python benchmarks/rate_search.py --tasks TASKS

TASKS: a folder of JSON lines with `input` and `target`. Goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from whichway.backends.local import LocalBackend
from whichway.contest.selection.successive_halving import tied
from whichway.engine.train.checkpoint import read_adapter
from whichway.engine.train.trainer import TrainingRun
from whichway.nouns import Adapter, Decoding, Example, MetricSpec, Request, Task, TrainJob, TrainRow
from whichway.prompts.plain import base_prompt
from whichway.prompts.template import messages
from whichway.training_kinds import LoraOptions

PRIOR = (1.6, 0.63, 4.0, 0.25)  # the likeliest to be the best first
FACTORS = sorted(PRIOR)
SHARES = (0.25, 0.3, 0.5, 0.6, 1.0)
RULES = {  # name -> (what judges, what breaks ties, standard errors that are a tie)
    "both": ("right", "nats", 1.0),
    "both, 2": ("right", "nats", 2.0),
    "prior": ("right", "prior", 1.0),
    "prior, 2": ("right", "prior", 2.0),
    "prior, 3": ("right", "prior", 3.0),
    "accuracy": ("right", "right", 0.0),
    "loss": ("nats", "nats", 0.0),
}
SPAN = 0.1  # of the steps: time constant of the average
TRAIN, DEV, TEST = 320, 150, 400
EPOCHS, BATCH = 5.0, 16
HEAD = """# Which learning rate a search picks, and what its pick loses

`python benchmarks/rate_search.py --tasks TASKS`: the embedded model, LoRA, {train} training rows, {steps} steps, judged
on {dev} dev rows; the pick's value is its whole run on {test} test rows, {seeds} seeds. Rates are factors of the rule
of thumb. "Both": accuracy, and the loss among those within a standard error of the best (or two); "prior": the earliest
of {prior} among those within one, two or three. "Lost": to the rate that is best in hindsight. Tasks: rows of
evaluation sets that no other table tests on.
"""


class Watched(TrainingRun):
    """A training that saves its weights at `SHARES`: as they are, and averaged."""

    def _step(self) -> float:
        loss = super()._step()
        vector = self.trainable.tensors["masters"]
        self.mean.lerp_(vector.data, 1 / min(self.at.step, max(1.0, SPAN * self.total)))
        for share in SHARES:
            if self.at.step == max(1, round(self.total * share)):
                self.found[f"{share} raw"] = self._kept("raw")
                latest = vector.data.clone()
                vector.data.copy_(self.mean)
                self.trainable.refresh()
                self.found[f"{share} mean"] = self._kept("mean")
                vector.data.copy_(latest)
                self.trainable.refresh()
        return loss

    @cached_property
    def mean(self) -> Any:
        """Of the trained numbers."""
        return self.trainable.tensors["masters"].data.clone()

    @cached_property
    def found(self) -> dict[str, str]:
        """Digests of adapters by share and kind."""
        return {}

    def _kept(self, kind: str) -> str:
        key, self.key = self.key, self.key + kind
        loss, trained, done = self.at.loss, self.at.trained, list(self.at.done)
        name = self._checkpoint()
        self.at.loss, self.at.trained, self.at.done, self.key = loss, trained, done, key
        return name


def task_of(path: Path) -> Task:
    """A file's rows, split."""
    rows = {
        r["input"]: Example({"text": r["input"]}, r["target"]) for r in map(json.loads, path.open(encoding="utf-8"))
    }
    drawn = sorted(rows.values(), key=lambda e: e.id)[: TRAIN + DEV + TEST]
    labels = tuple(sorted({e.target for e in drawn}))
    train, dev, test = drawn[:TRAIN], drawn[TRAIN : TRAIN + DEV], drawn[TRAIN + DEV :]
    metric = MetricSpec("accuracy", {"labels": list(labels)})
    return Task(path.stem, "Choose the right label.", tuple(train), tuple(dev), tuple(test), metric, labels)


def scores(door: LocalBackend, task: Task, rows: Sequence[Example], adapter: Adapter, place: Path) -> list[list[float]]:
    """(right or not, nats of the right label) for each row."""
    prompt = base_prompt(task.train_dev_view())
    requests = [Request(messages(prompt, e.text), Decoding(), task.labels) for e in rows]
    found = []
    with door.open(adapter.weights, place / str(adapter.weights.adapter)) as session:
        for e, reply in zip(rows, session.choose(requests), strict=True):
            given = np.array([reply.scores[label] for label in task.labels])
            nats = float(np.logaddexp.reduce(given) - given[task.labels.index(e.target)])
            found.append([float(reply.text == e.target), nats])
    return found


def measure(door: LocalBackend, task: Task, factor: float, seed: int) -> dict[str, Any]:
    """One training: dev scores at all looks, test scores at the end."""
    prompt = base_prompt(task.train_dev_view())
    rows = tuple(TrainRow(messages(prompt, e.text), e.target) for e in task.train)
    base = door.weights("embedded")
    job = TrainJob("lora", base, rows, task.labels, seed, {"factor": factor, "epochs": EPOCHS, "batch": BATCH})
    given = LoraOptions(factor=factor, epochs=EPOCHS, batch=BATCH)
    with tempfile.TemporaryDirectory() as folder, door.open(base, None):
        run = Watched(door._model, job, given, Path(folder), None)
        run.stops = {run.total}
        list(run.steps())
        adapters = {look: read_adapter(Path(folder) / name, base) for look, name in run.found.items()}
        dev = {look: scores(door, task, task.dev, found, Path(folder)) for look, found in adapters.items()}
        test = scores(door, task, task.test, adapters["1.0 raw"], Path(folder))
    return {"dev": dev, "test": statistics.mean(s for s, _ in test)}


Cells = dict[tuple[str, float, int], dict[str, Any]]


def halved(rungs: Sequence[tuple[float, int]], kind: str, by: str) -> Callable[[Cells, str, int], float]:
    """A policy: the factor that is left, from what one seed showed."""
    judge, breaker, errors = RULES[by]

    def pick(cells: Cells, task: str, seed: int) -> float:
        live = list(FACTORS)
        for share, keep in rungs:
            seen = {f: list(zip(*cells[task, f, seed]["dev"][f"{share} {kind}"], strict=True)) for f in live}
            right, nats = ({f: statistics.mean(seen[f][k]) for f in live} for k in (0, 1))
            worse = {"right": {f: -right[f] for f in live}, "nats": nats}
            worse["prior"] = {f: PRIOR.index(f) for f in live}
            best = min(live, key=lambda f: worse[judge][f])
            near = {f: errors and tied(right[best] - right[f], seen[best][0], seen[f][0], errors) for f in live}
            level = sorted((f for f in live if f == best or near[f]), key=lambda f: worse[breaker][f])
            live = [*level, *sorted(set(live) - set(level), key=lambda f: worse[judge][f])][:keep]
        return live[0]

    return pick


def cost(rungs: Sequence[tuple[float, int]]) -> float:
    """In whole runs, the survivor's own included."""
    total, live, at = 0.0, len(FACTORS), 0.0
    for share, keep in rungs:
        total, live, at = total + live * (share - at), keep, share
    return total + (1 - at)


POLICIES = {
    "at 1/4 and 1/2": ((0.25, 2), (0.5, 1)),
    "at 0.3 and 0.6": ((0.3, 2), (0.6, 1)),
    "at 0.3": ((0.3, 1),),
    "at 0.25 and 0.6": ((0.25, 2), (0.6, 1)),
    "all in full": ((1.0, 1),),
}


def table(cells: Cells, tasks: Sequence[str], seeds: Sequence[int]) -> list[str]:
    """Policies, what they cost, what they lose."""
    mean = {(t, f): statistics.mean(cells[t, f, s]["test"] for s in seeds) for t in tasks for f in FACTORS}
    best = {t: max(mean[t, f] for f in FACTORS) for t in tasks}
    lines = ["| rungs | judged | by | whole runs | lost, points | worst task |", "|---|---|---|---|---|---|"]

    def told(lost: dict[str, float]) -> str:
        worst = max(lost, key=lambda t: lost[t])
        return f"{100 * statistics.mean(lost.values()):.2f} | {100 * lost[worst]:.1f} ({worst}) |"

    for name, rungs in POLICIES.items():
        for kind, word in (("raw", "latest"), ("mean", "averaged")):
            for by in RULES:
                pick = halved(rungs, kind, by)
                lost = {t: statistics.mean(best[t] - mean[t, pick(cells, t, s)] for s in seeds) for t in tasks}
                lines.append(f"| {name} | {word} | {by} | {cost(rungs):.2f} | {told(lost)}")
    always = [(f, told({t: best[t] - mean[t, f] for t in tasks})) for f in FACTORS]
    lines += [f"| none: always {f:g} | | | 1.00 | {lost}" for f, lost in always]
    lines += ["", "| task | " + " | ".join(f"{f:g}" for f in FACTORS) + " |", "|---|" + "---|" * len(FACTORS)]
    lines += [f"| {t} | " + " | ".join(f"{100 * mean[t, f]:.1f}" for f in FACTORS) + " |" for t in tasks]
    if len(seeds) > 1:
        each = [statistics.variance([cells[t, f, s]["test"] for s in seeds]) for t in tasks for f in FACTORS]
        lines += ["", f"Seeds differ by {100 * statistics.mean(each) ** 0.5:.1f} points (standard deviation)."]
    return lines


def main() -> None:
    """Train what is missing, replay, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path("build/rate_search"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "rate_search.md")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    door, cells = LocalBackend(), Cells()
    tasks = [task_of(path) for path in sorted(args.tasks.glob("*.jsonl"))]
    for seed in range(args.seeds):
        for task in tasks:
            for factor in FACTORS:
                kept = args.work / f"{task.name}-{factor}-{seed}.json"
                if not kept.exists():
                    kept.write_text(json.dumps(measure(door, task, factor, seed)))
                    print(kept.stem, json.loads(kept.read_text())["test"], flush=True)
                cells[task.name, factor, seed] = json.loads(kept.read_text())
    lines = table(cells, [task.name for task in tasks], range(args.seeds))
    print("\n".join(lines))
    head = HEAD.format(
        train=TRAIN,
        dev=DEV,
        test=TEST,
        steps=round(EPOCHS * TRAIN / BATCH),
        seeds=args.seeds,
        prior=", ".join(f"{f:g}" for f in PRIOR),
    )
    args.out.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
