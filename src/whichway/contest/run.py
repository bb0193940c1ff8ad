"""One contest: every way on the same locked protocol, each finalist across the test split once, then the verdict.

Resume is rerun: the ways run again from the start, and all that was answered or trained before comes from the cache.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from whichway.contest.bench import HouseBench, Till
from whichway.contest.cache import Cache
from whichway.contest.folder import (
    Lines,
    alone,
    prepare,
    read_records,
    record_key,
    refuse,
    run_id,
    write_json,
    write_text,
)
from whichway.contest.plan import House, Settings, fill_options, make_plan
from whichway.contest.recount import recount
from whichway.contracts import Listener
from whichway.errors import AdapterNotLive, BudgetSpent, DiskError, OptionError, WayFailed, WhichwayError
from whichway.nouns import Candidate, Plan, Task, Verdict, canonical, to_json
from whichway.verdict.decide import sanity

ZERO_SHOT = "prompt_plain"  # the baseline that the sanity gate measures against


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a contest leaves: the verdict, what this very call paid, and where the run lies."""

    verdict: Verdict
    paid_usd: float
    paid_seconds: float
    folder: Path


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one way before the test split was opened."""

    way: str
    kind: str
    random: bool
    bench: HouseBench
    finalists: tuple[tuple[Candidate, float], ...]  # (candidate, dev score), one per seed
    reason: str = ""  # why it failed; "" when it did not


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
        for one in tried:
            _cross(task, one, till)
        verdict = recount(folder, house.metric).verdict()
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
        booked={line["key"] for line in ledger.read()},
    )
    try:
        yield till
    finally:
        records.close()
        ledger.close()
        cache.close()


def _try_all(task: Task, till: Till) -> list[Tried]:
    """Run the ways in the plan's order, zero-shot first: the sanity gate of the others needs it."""
    names = sorted(till.settings.ways, key=lambda name: (name != ZERO_SHOT,))
    zero_shot, tried = None, {}
    for index, name in enumerate(names):
        till.listener("way", {"way": name, "index": index, "of": len(names)})
        tried[name] = _try(task, name, till, zero_shot)
        if name == ZERO_SHOT and tried[name].finalists:
            zero_shot = tried[name].finalists[0][1]
    return [tried[name] for name in till.settings.ways]


def _try(task: Task, name: str, till: Till, zero_shot: float | None) -> Tried:
    """One way: follow its candidates, keep the best on dev for each seed, write what it left."""
    way, practice = till.house.ways[name], task.practice()
    bench = HouseBench(till, name, practice)
    options = fill_options(name, way, till.settings.ways[name])
    seen: dict[str, tuple[Candidate, float]] = {}
    costs: dict[str, tuple[float, float]] = {}
    reason = ""
    try:
        for candidate in way.adapt(practice, bench, options):
            candidate = replace(candidate, way=name)
            value = bench.value(candidate)
            seen.setdefault(f"{candidate.seed}/{candidate.id}", (candidate, value))
            costs.setdefault(candidate.id, (bench.purse.seconds, bench.purse.usd))
            till.listener("candidate", {"way": name, "note": candidate.note, "dev": value, "seed": candidate.seed})
    except BudgetSpent as spent:
        bench.say(str(spent))
        reason = "" if seen else f"{spent}, before there was a first candidate"
    except (WayFailed, AdapterNotLive) as error:
        reason = str(error)
    except (WhichwayError, OSError):
        raise  # the user's input, or the disk: no fault of the way
    except Exception as error:  # one broken way must not cost the others their verdict
        if "No space left on device" in str(error):  # safetensors wraps it in an error of its own
            raise DiskError(f"the disk is full ({error}). Free some space; the same command resumes.") from error
        bench.say(traceback.format_exc())
        reason = f"{type(error).__name__}: {error} (an error inside the way; see its log)"
    finalists = () if reason else _best_by_seed(list(seen.values()))
    if finalists and name != ZERO_SHOT and zero_shot is not None and way.KIND != "baseline":
        reason = sanity(max(v for _, v in finalists), zero_shot, len(task.dev), task.margin, way.KIND)
    if not finalists and not reason:
        reason = "it gave no candidate"
    tried = Tried(name, way.KIND, way.RANDOM, bench, finalists, reason)
    _write_way(till.folder, tried, seen, costs)
    if reason:
        till.listener("failed", {"way": name, "reason": reason})
    return tried


def _best_by_seed(seen: Sequence[tuple[Candidate, float]]) -> tuple[tuple[Candidate, float], ...]:
    """The candidate with the best dev score of each seed; the earlier one when equal."""
    best: dict[int, tuple[Candidate, float]] = {}
    for candidate, value in seen:
        if candidate.seed not in best or value > best[candidate.seed][1]:
            best[candidate.seed] = (candidate, value)
    return tuple(best[seed] for seed in sorted(best))


def _write_way(
    run: Path, tried: Tried, seen: Mapping[str, tuple[Candidate, float]], costs: Mapping[str, tuple[float, float]]
) -> None:
    folder = run / "ways" / tried.way
    finalists = {f"{c.seed}/{c.id}" for c, _ in tried.finalists}
    lines = []
    for key, (candidate, value) in seen.items():
        seconds, usd = costs[candidate.id]
        facts = {"id": candidate.id, "dev_score": value, "seconds_fit": seconds, "usd_fit": usd}
        lines.append(canonical({**facts, "finalist": key in finalists, "candidate": to_json(candidate)}) + "\n")
    for candidate, _ in tried.finalists:
        tried.bench.keep(candidate)
    write_text(folder / "candidates.jsonl", "".join(lines))
    _write_status(run, tried)


def _write_status(run: Path, tried: Tried) -> None:
    status = {"status": "failed" if tried.reason else "ok", "reason": tried.reason, "kind": tried.kind}
    purse = tried.bench.purse
    spent = {"random": tried.random, "seconds_fit": purse.seconds, "usd_fit": purse.usd, "calls_fit": purse.calls}
    write_json(run / "ways" / tried.way / "status.json", {**status, **spent})


def _cross(task: Task, tried: Tried, till: Till) -> None:
    """Finalists over the test split, once each; a way that failed does not get there."""
    finalists = [] if tried.reason else [candidate for candidate, _ in tried.finalists]
    try:
        for candidate in finalists:
            tried.bench.cross(candidate, task.test)
    except (WayFailed, AdapterNotLive) as error:
        tried, finalists = replace(tried, reason=f"on test: {error}"), []
        _write_status(till.folder, tried)
    till.listener("test", {"way": tried.way, "finalists": len(finalists)})
