"""What a fine-tune is worth: our `tune_lora`, as a contest runs it, against TRL + PEFT at its own best.

Both sides get the same rows, the same prompt, the same four learning rates and as many epochs. TRL trains all four in
full and keeps the (rate, checkpoint) that is best on dev; ours thins the rates out by successive halving and keeps the
checkpoint that a contest keeps. The winner's rate is then trained from further seeds, once each and, for a column of
its own, as the mean of three trainings (`tune_lora.soup`). One ruler: TRL's adapters are read and scored by the same
engine as ours, on test rows that neither side saw. Goes on where it was stopped.

    python benchmarks/tune_trl.py --peers ../peers/bin/python --evals EVALS [--model smollm2 --sets trec6,nlupp_need]

EVALS: a folder of JSON lines with `input` and `target`; the example that comes along is measured without it.
The peers' environment: `python -m venv ../peers && ../peers/bin/pip install -r benchmarks/peers.txt`.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tune_trl_pages import HEAD, SHORT_HEAD

import whichway
from whichway import models
from whichway.backends.local import LocalBackend
from whichway.contest import Components, Settings, run
from whichway.contracts import Metric
from whichway.nouns import Decoding, Example, MetricSpec, Request, Task, to_json
from whichway.prompts.plain import base_prompt
from whichway.prompts.template import messages
from whichway.runs.folder import read_candidates, read_records
from whichway.tasks import metrics
from whichway.training_kinds import default_rate

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "pretraining"))

from sets import ASKS as SETS  # noqa: E402  (what is asked about the evaluation sets is said once)

ASKS = {"support": "Which team should handle this message?", **SETS}
OPEN = {"restaurant_slots"}
TRAIN, DEV, TEST = 192, 150, 500
EPOCHS, BATCH, CHECKPOINTS, SEEDS = 4, 8, 4, (0, 1, 2)
SOUP = 3  # trainings in the column of averages
SEARCHED = (1.6, 0.63, 4.0, 0.25)  # times the rule of thumb for the model's width; ties go to the earlier one
FACTORS = sorted(SEARCHED)
MORE = 75  # exit code: there is more to do


def examples_of(name: str, evals: Path) -> list[Example]:
    """Distinct rows of a set, in an order that depends on their content alone."""
    if name == "support":
        with (Path(whichway.__file__).parent / "examples" / "support" / "tickets.csv").open(encoding="utf-8") as file:
            rows = [Example({"text": r["text"]}, r["team"]) for r in csv.DictReader(file)]
    else:
        lines = (evals / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [Example({"input": r["input"]}, r["target"]) for r in map(json.loads, lines)]
    distinct = {e.text: e for e in rows}
    return sorted(distinct.values(), key=lambda e: e.id)


def task_of(name: str, evals: Path, most: int) -> Task:
    """A set's rows, split; `most`: test rows."""
    rows = examples_of(name, evals)[: TRAIN + DEV + most]
    train, dev, test = rows[:TRAIN], rows[TRAIN : TRAIN + DEV], rows[TRAIN + DEV :]
    labels = () if name in OPEN else tuple(sorted({e.target for e in rows}))
    metric = MetricSpec("json_fields") if name in OPEN else MetricSpec("accuracy", {"labels": list(labels)})
    return Task(name, ASKS[name], tuple(train), tuple(dev), tuple(test), metric, labels)


def rates(model: str) -> list[float]:
    """The four learning rates of both sides."""
    width = json.loads((models.find(model) / "config.json").read_text(encoding="utf-8"))["hidden_size"]
    return [factor * default_rate(width, "lora") for factor in FACTORS]


# Ours


def ours(
    task: Task, work: Path, door: LocalBackend, model: str, rate: float = 0.0, soup: int = 1, short: bool = False
) -> dict[str, Any]:
    """A contest with `tune_lora` alone; test scores, seed by seed and row by row.

    `rate` 0: searched, among the four rates or, where `short`, in the way's own manner. `short`: one seed.
    """
    given: dict[str, Any] = {"epochs": EPOCHS, "steps": 1, "batch": BATCH, "checkpoints": CHECKPOINTS}
    given |= {"rate": rate} if rate else {} if short else {"factors": SEARCHED, "soup": soup}
    way = importlib.import_module("whichway.ways.tune_lora")
    components = Components({"local": door}, {"tune_lora": way}, metrics.load(task.metric), door.weights(model))
    settings = Settings({"tune_lora": given}, work / ".cache", seeds=SEEDS[:1] if short else SEEDS, race=False)
    folder = work / ("fixed" if rate else "short" if short else "run" if soup == 1 else "soup")
    verdict = run(task, components, folder=folder, settings=settings).verdict
    finalists = verdict.standings[0].candidates
    scores = {(r.candidate, r.example): r.points for r in read_records(folder) if r.split == "test"}
    each = [[scores[candidate, e.id] for e in task.test] for candidate in finalists]
    notes = [c.note for key, (c, _) in read_candidates(folder).items() if key in finalists]
    return {"each": each, "notes": notes, "runs": 1.0 if rate else search_cost(folder, notes[0])}


def search_cost(folder: Path, kept: str) -> float:
    """In whole runs: how far each rate was trained, by the way's log; the one that was kept, to its end."""
    reached: dict[str, float] = {}
    for line in (folder / "ways" / "tune_lora" / "log").read_text(encoding="utf-8").splitlines():
        factor, found, rest = line.partition(" × the usual rate, ")
        if found:
            reached[factor] = max(reached.get(factor, 0.0), float(rest.partition(" epochs")[0]) / EPOCHS)
    return round(sum(reached.values()) - reached[kept.partition(" ×")[0]] + 1, 2)


def kept_ours(
    task: Task, work: Path, door: LocalBackend, args: argparse.Namespace, name: str, **given: Any
) -> dict[str, Any]:
    """The same, from an earlier start if it is there."""
    kept = work / f"{name}.json"
    if not kept.exists():
        kept.write_text(json.dumps(ours(task, work, door, args.model, **given)))
        if args.units is not None:
            sys.exit(MORE)
    return dict(json.loads(kept.read_text()))


# TRL


def theirs(task: Task, work: Path, args: argparse.Namespace, door: LocalBackend) -> dict[str, Any]:
    """TRL's best (rate, checkpoint) on dev, and its test scores, seed by seed and row by row."""
    searched = [(rate, SEEDS[0]) for rate in rates(args.model)]
    train_theirs(task, work, args, searched)
    found = {}
    for rate, seed in searched:
        for epoch, place in enumerate(adapters(work, rate, seed), 1):
            found[rate, epoch] = statistics.mean(scores_of(task, task.dev, place, door, work, args.model))
            print(f"{task.name}: TRL rate {rate:.2g}, checkpoint {epoch}: dev {found[rate, epoch]:.3f}", flush=True)
    rate, epoch = max(found, key=lambda key: found[key])
    seeds = SEEDS[: args.seeds]
    train_theirs(task, work, args, [(rate, seed) for seed in seeds[1:]])
    each = []
    for seed in seeds:
        places = adapters(work, rate, seed)
        dev = [statistics.mean(scores_of(task, task.dev, place, door, work, args.model)) for place in places]
        each.append(scores_of(task, task.test, places[dev.index(max(dev))], door, work, args.model))
    told = {f"{rate:.3g}, {epoch}": value for (rate, epoch), value in found.items()}
    return {"each": each, "rate": rate, "epoch": epoch, "dev": told}


def train_theirs(task: Task, work: Path, args: argparse.Namespace, runs: Sequence[tuple[float, int]]) -> None:
    """Let TRL train what is not there yet."""
    prompt = base_prompt(task.train_dev_view())
    rows = [
        {"prompt": to_json(messages(prompt, e.text)), "completion": [{"role": "assistant", "content": e.target}]}
        for e in task.train
    ]
    left = [run for run in runs if not (place_of(work, *run) / "done.json").exists()]
    if not left:
        return
    now = left if args.units is None else left[: args.units]
    job = {
        "model": str(models.find(args.model)), "threads": args.threads, "rows": rows, "epochs": EPOCHS, "batch": BATCH,
        "every": -(-EPOCHS * -(-len(rows) // BATCH) // CHECKPOINTS),
        "runs": [{"folder": str(place_of(work, rate, seed)), "rate": rate, "seed": seed} for rate, seed in now],
    }  # fmt: skip
    (work / "job.json").write_text(json.dumps(job))
    with (work / "trl.log").open("a") as log:
        command = [args.peers, str(HERE / "sides" / "tune_trl.py"), str(work / "job.json")]
        subprocess.run(command, check=True, stdout=log, stderr=log)
    if args.units is not None:
        sys.exit(MORE)


def place_of(work: Path, rate: float, seed: int) -> Path:
    """Where one of TRL's trainings lies."""
    return work / f"trl-{rate:.4g}-{seed}"


def adapters(work: Path, rate: float, seed: int) -> list[Path]:
    """TRL's checkpoints, in their order."""
    found = place_of(work, rate, seed).glob("checkpoint-*")
    return sorted(found, key=lambda place: int(place.name.rpartition("-")[2]))


def scores_of(
    task: Task, rows: Sequence[Example], place: Path, door: LocalBackend, work: Path, model: str
) -> list[float]:
    """Scores of a PEFT folder on rows, by our engine and the task's metric."""
    kept = work / "scores" / f"{place.parent.name}-{place.name}-{len(rows)}-{rows[0].id}.json"
    if kept.exists():
        return list(json.loads(kept.read_text()))
    weights = replace(door.weights(model), adapter=str(place), kind="lora")
    prompt, decoding = base_prompt(task.train_dev_view()), Decoding(task.train_dev_view().mode, 128)
    requests = [Request(messages(prompt, e.text), decoding, task.labels) for e in rows]
    metric: Metric = metrics.load(task.metric)
    with door.open(weights, place) as session:
        replies = session.choose(requests) if task.labels else session.generate(requests)
    scores = [metric(e, reply.text).value or 0.0 for e, reply in zip(rows, replies, strict=True)]
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(scores))
    return scores


# The table


def measured(name: str, args: argparse.Namespace, door: LocalBackend) -> dict[str, Any]:
    """Both sides of one set."""
    work: Path = args.work / name
    work.mkdir(parents=True, exist_ok=True)
    task = task_of(name, args.evals, args.test)
    print(f"{name}: {len(task.train)} train, {len(task.dev)} dev, {len(task.test)} test", flush=True)
    one = kept_ours(task, work, door, args, "short" if args.short else "ours", short=args.short)
    print(f"{name}: ours {mean_of(one):.3f} ({'; '.join(one['notes'])})", flush=True)
    if not args.short:
        mean = kept_ours(task, work, door, args, "soup", soup=SOUP)
        print(f"{name}: averaged {mean_of(mean):.3f} ({'; '.join(mean['notes'])})", flush=True)
    place = work / f"theirs-{args.seeds}.json"
    if not place.exists():
        place.write_text(json.dumps(theirs(task, work, args, door)))
    two = json.loads(place.read_text())
    best = f"rate {two['rate']:.2g}, checkpoint {two['epoch']}"
    print(f"{name}: TRL {mean_of(two):.3f} ({best})", flush=True)
    if args.short:
        return {"ours": one, "theirs": two}
    same = kept_ours(task, work, door, args, "fixed", rate=two["rate"])
    return {"ours": one, "soup": mean, "theirs": two, "fixed": same}


def mean_of(side: dict[str, Any]) -> float:
    """Mean score over seeds and rows."""
    return statistics.mean(statistics.mean(scores) for scores in side["each"])


def by_row(side: dict[str, Any]) -> list[float]:
    """Scores of the rows, mean over seeds."""
    return [statistics.mean(row) for row in zip(*side["each"], strict=True)]


def error(scores: Sequence[float]) -> float:
    """Standard error of a mean over rows."""
    return statistics.stdev(scores) / math.sqrt(len(scores))


def seed_variance(sides: Sequence[dict[str, Any]]) -> float:
    """Variance of a score between seeds, pooled.

    Two seeds tell little about it, seven sets' seeds do. The rows are the same for all seeds, so their sampling is no
    part of it.
    """
    several = [side["each"] for side in sides if len(side["each"]) > 1]
    return statistics.mean(statistics.variance([statistics.mean(s) for s in each]) for each in several)


@dataclass(frozen=True)
class Gap:
    """What one side has more than the other, rows paired."""

    mean: float
    rows: float  # standard error over rows
    whole: float  # over rows and seeds

    @classmethod
    def of(cls, ours: dict[str, Any], theirs: dict[str, Any], between: tuple[float, float]) -> Gap:
        """`between`: variance between seeds, of ours and of theirs."""
        gaps = [y - x for x, y in zip(by_row(theirs), by_row(ours), strict=True)]
        seeds = between[0] / len(ours["each"]) + between[1] / len(theirs["each"])
        return cls(statistics.mean(gaps), error(gaps), math.sqrt(error(gaps) ** 2 + seeds))

    @property
    def holds(self) -> tuple[bool, bool]:
        """Within one standard error, or above: by that over rows, by that over rows and seeds."""
        return self.mean >= -self.rows, self.mean >= -self.whole

    def __str__(self) -> str:
        """Its cells of the table."""
        numbers = f"{100 * self.mean:+.1f} | {100 * self.rows:.1f} | {100 * self.whole:.1f}"
        return " | ".join([numbers, *("yes" if holds else "**no**" for holds in self.holds)])


def line(name: str, result: dict[str, Any], one: Gap, mean: Gap) -> str:
    """A row of the table."""
    theirs, ours, soup = (by_row(result[side]) for side in ("theirs", "ours", "soup"))
    shown = [f"{100 * statistics.mean(s):.1f} ± {100 * error(s):.1f}" for s in (theirs, ours, soup)]
    used = result["ours"]["notes"][0].partition(" ×")[0]
    best = f"{result['theirs']['rate']:.2g}, {result['theirs']['epoch']}"
    return (
        f"| {name} | {len(ours)} | {shown[0]} | {shown[1]} | {one} | {shown[2]} | {mean} | {best} | {used} × usual | "
        f"{result['ours']['runs']:g} | {100 * mean_of(result['fixed']):.1f} |"
    )


def _over_sets(gaps: Sequence[Gap]) -> str:
    spread = f" ± {100 * error([gap.mean for gap in gaps]):.1f}" if len(gaps) > 1 else ""
    return f"{100 * statistics.mean(gap.mean for gap in gaps):+.1f}{spread}"


def write(results: dict[str, dict[str, Any]], out: Path, model: str) -> None:
    """The committed table."""
    single = seed_variance([result[side] for result in results.values() for side in ("ours", "theirs")])
    averaged = seed_variance([result["soup"] for result in results.values()])
    ones = [Gap.of(result["ours"], result["theirs"], (single, single)) for result in results.values()]
    means = [Gap.of(result["soup"], result["theirs"], (averaged, single)) for result in results.values()]
    lines = [line(*pair, one, mean) for pair, one, mean in zip(results.items(), ones, means, strict=True)]
    given = {"train": TRAIN, "dev": DEV, "epochs": EPOCHS, "batch": BATCH, "seeds": f"{100 * math.sqrt(single):.1f}"}
    given["steps"] = EPOCHS * -(-TRAIN // BATCH)
    given["rates"] = ", ".join(f"{rate:.2g}" for rate in rates(model))
    given["model"] = model
    given |= {"our": len(SEEDS), "soup": SOUP, "searched": max(r["ours"]["runs"] for r in results.values())}
    given["their"] = " or ".join(map(str, sorted({len(r["theirs"]["each"]) for r in results.values()})))
    given |= {"lines": "\n".join(lines), "count": str(len(lines))}
    given |= {"mean": _over_sets(ones), "soup_mean": _over_sets(means)}
    given["holds_rows"], given["holds"] = (sum(held) for held in zip(*(gap.holds for gap in ones), strict=True))
    given["soups_rows"], given["soups"] = (sum(held) for held in zip(*(gap.holds for gap in means), strict=True))
    out.write_text(HEAD.format(**given), encoding="utf-8")


def write_short(results: dict[str, dict[str, Any]], out: Path, model: str) -> None:
    """The committed table of one training each."""
    lines, held, most = [], 0, 0.0
    for name, result in results.items():
        gap = Gap.of(result["ours"], result["theirs"], (0.0, 0.0))
        held, most = held + gap.holds[0], max(most, result["ours"]["runs"])
        ours, theirs = by_row(result["ours"]), by_row(result["theirs"])
        shown = [f"{100 * statistics.mean(s):.1f} ± {100 * error(s):.1f}" for s in (theirs, ours)]
        lines.append(
            f"| {name} | {len(ours)} | {shown[0]} | {shown[1]} | {100 * gap.mean:+.1f} ± {100 * gap.rows:.1f} | "
            f"{'yes' if gap.holds[0] else '**no**'} | {result['theirs']['rate']:.2g}, {result['theirs']['epoch']} | "
            f"{result['ours']['notes'][0]} | {result['ours']['runs']:g} |"
        )
    given: dict[str, Any] = {"model": model, "train": TRAIN, "dev": DEV, "epochs": EPOCHS, "batch": BATCH}
    given |= {"steps": EPOCHS * -(-TRAIN // BATCH), "lines": "\n".join(lines)}
    given["rates"] = ", ".join(f"{rate:.2g}" for rate in rates(model))
    out.write_text(SHORT_HEAD.format(**given, held=held, count=len(lines), most=most), encoding="utf-8")


def main() -> None:
    """Measure, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=str(HERE.parent.parent / "peers" / "bin" / "python"))
    parser.add_argument("--evals", type=Path, default=Path("evals"))
    parser.add_argument("--sets", default=",".join(ASKS))
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--test", type=int, default=TEST, help="test rows at most")
    parser.add_argument("--seeds", type=int, default=2, help="of TRL's best rate; 1 is half as slow")
    parser.add_argument("--short", action="store_true", help="one training of the winner on each side, no averages")
    parser.add_argument("--units", type=int, help=f"end with {MORE} after so many trainings; start again to go on")
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    parser.add_argument("--work", type=Path, default=HERE.parent / "build" / "tune_trl")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    args.seeds = 1 if args.short else args.seeds
    if args.model != "embedded":
        args.work /= args.model
    name = "tune_trl.md" if args.model == "embedded" else f"tune_trl_{args.model}.md"
    args.out = args.out or HERE / "results" / name
    door, results = LocalBackend(), {}
    for name in args.sets.split(","):
        if name != "support" and not (args.evals / f"{name}.jsonl").exists():
            print(f"{name}: not in {args.evals}; left out", file=sys.stderr)
            continue
        results[name] = measured(name, args, door)
        (write_short if args.short else write)(results, args.out, args.model)


if __name__ == "__main__":
    main()
