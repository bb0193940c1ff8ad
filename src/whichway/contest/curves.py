"""Learning curves: every way, prompt and weight ways alike, fitted again on nested subsets of the training rows.

A subset of n rows is the first n of one order for each seed, so that a larger subset holds the smaller ones; where the
answers are labels the order is stratified. A way gets a practice that holds the subset as its training rows and the
whole dev split, and its own budget for each fit; it is run with this one seed, its candidates race as always, and the
finalist crosses the test split once. A test crossing for every point costs more than a look at dev, but dev chose the
candidate and would flatter ways that try many. Crossings are in the ledger under `curve/<way>`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from whichway.contest.bench import RunBench
from whichway.contest.ledger import RunLedger
from whichway.contest.selection.select import WayRun, choose_finalists, race_all, rules_of, run_way
from whichway.errors import AdapterNotLive, WayFailed
from whichway.events import CurvePointBegan
from whichway.nouns import Example, Record, Task, TrainDevView, canonical
from whichway.runs.folder import write_text
from whichway.scoring import row_values, total

Crossed = Sequence[Sequence[Sequence[Record]]]  # [finalist][repeat][row]


def nested(rows: Sequence[Example], seed: int, stratify: bool) -> list[Example]:
    """The rows in an order whose every beginning is a fair sample, with each label's share where `stratify`."""
    rng = random.Random(f"curve/{seed}")
    drawn = rng.sample(sorted(rows, key=lambda e: e.id), len(rows))
    if not stratify:
        return drawn
    by_label: dict[str, list[Example]] = {}
    for example in drawn:
        by_label.setdefault(example.target, []).append(example)
    place: dict[str, float] = {}
    for _, examples in sorted(by_label.items()):
        start = rng.random()
        place |= {example.id: (k + start) / len(examples) for k, example in enumerate(examples)}
    return sorted(drawn, key=lambda e: place[e.id])


def write_curves(task: Task, ledger: RunLedger, whole: Sequence[WayRun], crossed: Sequence[Crossed]) -> None:
    """Fit every way on every subset and write curves.jsonl, one line for each way, seed and size.

    Args:
        task: with all of its rows.
        ledger: of the run.
        whole: the ways of the main contest; their finalists are the points at all training rows, for nothing.
        crossed: the records of each way's finalists.
    """
    lines: list[dict[str, Any]] = []
    for index, tried in enumerate(whole):
        for seed in ledger.settings.seeds:
            order = nested(task.train, seed, bool(task.labels))
            for size in ledger.settings.curve:
                ledger.tell(CurvePointBegan(tried.name, size, seed, index, len(whole)))
                if size < len(task.train):
                    lines += fit_subset(task, tried.name, order[:size], seed, ledger)
        lines += _points(task, tried, crossed[index], len(task.train), ledger)
    write_text(ledger.folder / "curves.jsonl", "".join(canonical(line) + "\n" for line in lines))


def fit_subset(
    task: Task, name: str, rows: Sequence[Example], seed: int, ledger: RunLedger
) -> Iterator[dict[str, Any]]:
    """One way on one subset; nothing when it fails there, which its log tells."""
    practice: TrainDevView = replace(task.train_dev_view(), train=tuple(rows))
    note = f"curve, {len(rows)} rows, seed {seed}: "
    bench = RunBench(ledger, name, practice, seeds=(seed,), name=f"curve/{name}", note=note)
    rules = rules_of(practice, ledger)
    tried = run_way(name, practice, bench, ledger, rules)
    race_all([tried], ledger, rules, report_looks=False)
    choose_finalists(tried, rules, None)
    try:
        records = [bench.cross(c, task.test)[0] for c, _ in tried.finalists]
    except (WayFailed, AdapterNotLive) as error:
        tried.reason, records = str(error), []
    if tried.reason:
        bench.say(f"no point: {tried.reason}")
        return
    yield from _points(task, tried, [[one] for one in records], len(rows), ledger, seed)


def _points(
    task: Task,
    tried: WayRun,
    crossed: Crossed,
    size: int,
    ledger: RunLedger,
    seed: int | None = None,
) -> Iterator[dict[str, Any]]:
    """A line for each finalist; `seed` where the subset has one though the way is not random."""
    for (candidate, dev), repeats in zip(tried.finalists, crossed, strict=False):
        records = repeats[0]
        values = row_values(ledger.components.metric, task.test, records)
        yield {
            "way": tried.name,
            "seed": candidate.seed if seed is None else seed,
            "n": size,
            "score": total(ledger.components.metric, task.test, records),
            "rows": [[r.example, float(v)] for r, v in zip(records, values, strict=True)],
            "dev": dev,
            "candidate": candidate.id,
        }
