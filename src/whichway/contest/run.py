"""One contest: every way on the same locked protocol, each finalist across the test split once, then the verdict.

Resume is rerun: the ways run again from the start, and all that was answered or trained before comes from the cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from whichway.contest.bench import HouseBench
from whichway.contest.cache import Cache
from whichway.contest.curves import write_curves
from whichway.contest.folder import Lines, alone, prepare, read_records, record_key, refuse, run_id, write_json
from whichway.contest.plan import House, Settings, make_plan
from whichway.contest.select import (
    ZERO_SHOT,
    Tried,
    follow,
    hold_race,
    rules_of,
    settle,
    write_race,
    write_way,
    zero_shot_of,
)
from whichway.contest.till import Till
from whichway.contracts import Listener
from whichway.errors import AdapterNotLive, OptionError, WayFailed
from whichway.nouns import Plan, Record, Task, Verdict
from whichway.verdict.decide import Arm, decide

Crossed = list[list[list[Record]]]  # [finalist][repeat][row]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a contest leaves: the verdict, what this very call paid, and where the run lies."""

    verdict: Verdict
    paid_usd: float
    paid_seconds: float
    folder: Path


def _quiet(event: str, facts: Mapping[str, Any]) -> None:
    """Follow nothing."""


def run(task: Task, house: House, *, folder: Path, settings: Settings, listener: Listener | None = None) -> Outcome:
    """Try every way of the settings on the task, decide, and write the run folder.

    Raises:
        PlanMismatch: the folder belongs to another plan.
        OptionError: an unknown way or option, or no way at all.
        DiskError: the folder or the cache cannot be written.
    """
    listener = listener or _quiet
    if not settings.ways:
        raise OptionError("no way to try: name at least one with --ways.")
    plan = make_plan(task, house, settings)
    refuse(folder)
    with alone(settings.cache, folder):
        return _run(task, house, plan, folder, settings, listener)


def _run(task: Task, house: House, plan: Plan, folder: Path, settings: Settings, listener: Listener) -> Outcome:
    prepare(folder, plan, task)
    listener("plan", {"plan": plan, "folder": folder})
    with _till(folder, house, settings, listener) as till:
        tried = _try_all(task, till)
        arms, crossed = _cross_all(task, tried, till)
        if plan.curve:
            write_curves(task, till, tried, crossed)
        verdict = decide(
            arms,
            margin=task.margin,
            confidence=settings.confidence,
            volume=task.volume,
            warnings=plan.warnings,
        )
        write_json(folder / "verdict.json", verdict)
        listener("verdict", {"verdict": verdict})
        return Outcome(verdict, till.paid_usd, till.paid_seconds, folder)


@contextmanager
def _till(folder: Path, house: House, settings: Settings, listener: Listener) -> Iterator[Till]:
    """Open the books of a run, and close them whatever happens."""
    records, ledger = Lines(folder / "records.jsonl"), Lines(folder / "ledger.jsonl")
    cache = Cache(settings.cache)
    till = Till(
        folder=folder,
        house=house,
        settings=settings,
        cache=cache,
        payer=run_id(folder),
        records=records,
        ledger=ledger,
        listener=listener,
        written={record_key(r): r for r in read_records(folder)},
    )
    till.read_ledger()
    try:
        yield till
    finally:
        records.close()
        ledger.close()
        cache.close()


def _try_all(task: Task, till: Till) -> list[Tried]:
    """Follow the ways, zero-shot first (it is cheap, and its first rows tell whether anything works), then race."""
    practice = task.practice()
    rules = rules_of(practice, till)
    names = sorted(till.settings.ways, key=lambda name: (name != ZERO_SHOT,))
    found = {}
    for index, name in enumerate(names):
        till.tell("way", {"way": name, "index": index, "of": len(names)})
        found[name] = follow(name, practice, HouseBench(till, name, practice), till, rules)
    tried = [found[name] for name in till.settings.ways]
    taken = hold_race([found[name] for name in names], till, rules)
    zero_shot = zero_shot_of(tried, rules)
    for one in tried:
        settle(one, rules, zero_shot)
        write_way(one, till, rules)
        if one.reason:
            till.tell("failed", {"way": one.name, "reason": one.reason})
    if till.settings.race:
        write_race(tried, till, rules, taken)
    return tried


def _cross_all(task: Task, tried: Sequence[Tried], till: Till) -> tuple[list[Arm], list[Crossed]]:
    """Finalists over the test split, once each; a way that failed does not get there."""
    arms: list[Arm] = []
    crossed: list[Crossed] = []
    for one in tried:
        spent = one.bench.purse.seconds, one.bench.purse.usd
        runs: Crossed = []
        try:
            if not one.reason:
                runs = [one.bench.cross(c, task.test, till.settings.repeats) for c, _ in one.finalists]
        except (WayFailed, AdapterNotLive) as error:
            one.reason, one.finalists = f"on test: {error}", ()
        till.tell("test", {"way": one.name, "finalists": len(runs)})
        arms.append(_arm(task, one, runs, till, spent))
        crossed.append(runs)
    return arms, crossed


def _arm(task: Task, tried: Tried, runs: Crossed, till: Till, spent: tuple[float, float]) -> Arm:
    """One way as the verdict sees it: a row's score is the mean over its repeats, macro-F1 is over the first."""
    rows = [r for repeats in runs for records in repeats for r in records]
    metric = till.house.metric
    gold, said = _codes(task, [repeats[0] for repeats in runs], till)
    devs = [value for _, value in tried.finalists]
    best = max(range(len(devs)), key=lambda i: devs[i]) if devs else 0
    scores = [np.mean([[r.score or 0.0 for r in records] for records in repeats], axis=0) for repeats in runs]
    return Arm(
        way=tried.name,
        kind=tried.way.KIND,
        random=tried.way.RANDOM,
        scores=np.array(scores, dtype=float).reshape(len(runs), len(task.test)),
        targets=gold if metric.aggregate == "macro_f1" else None,
        answers=said if metric.aggregate == "macro_f1" else None,
        groups=tuple(e.group or e.id for e in task.test) if any(e.group for e in task.test) else None,
        aggregate=metric.aggregate,
        candidates=tuple(c.id for c, _ in tried.finalists),
        dev_scores=tuple(devs),
        note=tried.finalists[best][0].note if devs else "",
        unparsed=_mean([float(r.outcome != "ok") for r in rows]),
        seconds_fit=spent[0],
        usd_fit=spent[1],
        seconds_per_row=_mean([r.seconds for r in rows]),
        usd_per_1000=1000 * _mean([r.usd for r in rows]),
        tokens_in=_mean([r.tokens_in for r in rows]),
        tokens_cached=_mean([r.tokens_cached for r in rows]),
        tokens_out=_mean([r.tokens_out for r in rows]),
        status="failed" if tried.reason else "ok",
        reason=tried.reason,
    )


def _codes(task: Task, runs: Sequence[Sequence[Record]], till: Till) -> tuple[Any, Any]:
    """Targets (n,) and answers (S, n) as integer codes; -1 for an answer that could not be read or is no target."""
    normal = till.house.metric.normal
    gold = [normal(e.target) for e in task.test]
    code = {label: i for i, label in enumerate(sorted(set(gold)))}
    said = [[code.get(normal(r.text), -1) if r.outcome == "ok" else -1 for r in records] for records in runs]
    return np.array([code[g] for g in gold]), np.array(said, dtype=int).reshape(len(runs), len(task.test))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
