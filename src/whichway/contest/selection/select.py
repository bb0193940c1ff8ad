"""From ways to finalists: follow each way's candidates, race them over dev rows, keep one for each way and seed."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from whichway.contest.bench import HouseBench
from whichway.contest.ledger import Till
from whichway.contest.plan import fill_options
from whichway.contest.selection.race import Entry, Look, Rules, Stop, finalist, looks, race, shuffled
from whichway.contracts import Way
from whichway.errors import AdapterNotLive, BudgetSpent, DiskError, WayFailed, WhichwayError
from whichway.events import CandidateEntered, RaceEnded, RaceLooked
from whichway.nouns import Candidate, Practice, apart, canonical, contestant, to_json
from whichway.runs.folder import write_json, write_text
from whichway.scoring import clusters, is_mean, row_values, total
from whichway.verdict.decide import sanity

ZERO_SHOT = "prompt_plain"  # the baseline that the sanity gate measures against


@dataclass(slots=True)
class Tried:
    """One way on its way to the test split."""

    name: str
    way: Way
    bench: HouseBench
    entries: dict[str, Entry] = field(default_factory=dict)  # seed/id -> candidate, in the order of the way
    costs: dict[str, tuple[float, float]] = field(default_factory=dict)  # id -> seconds, usd up to its first scores
    reason: str = ""  # why it failed; "" when it did not
    finalists: tuple[tuple[Candidate, float | None], ...] = ()  # one per seed, with its dev score; None: no dev rows
    dev_rows: int = 0  # behind the finalists' dev scores
    values: dict[str, tuple[float | None, int]] = field(default_factory=dict)  # seed/id -> dev score, rows behind it
    last: tuple[Entry, ...] = ()  # the finalists with their answers to dev rows
    fit: dict[str, float] = field(default_factory=dict)  # what it spent before test


def rules_of(practice: Practice, till: Till) -> Rules:
    """The race over the dev rows of a task."""
    order, metric = shuffled(practice.dev), till.house.metric
    return Rules(
        looks=looks(order, till.settings.race),
        margin=practice.margin,
        alpha=1 - till.settings.confidence,
        value=lambda entry, rows: total(metric, order[:rows], entry.records[:rows]),
        sequence=is_mean(metric),
        row_values=lambda entry, rows: row_values(metric, order[:rows], entry.records[:rows]),
        lowest=metric.lowest,
        plain=metric.plain,
        groups=clusters(order),
    )


def follow(name: str, practice: Practice, bench: HouseBench, till: Till, rules: Rules) -> Tried:
    """Run a way to its end; each candidate gets its first rows as soon as there is one."""
    tried = Tried(name, till.house.ways[apart(name)[0]], bench)
    if practice.open and tried.way.KIND != "prompt":
        tried.reason = "there are no wanted answers to learn from"
        return tried
    options = fill_options(name, tried.way, till.settings.ways[name])
    try:
        for candidate in tried.way.adapt(practice, bench, options):
            seed = candidate.seed if bench.fold is None else bench.fold
            _enter(tried, replace(candidate, way=name, seed=seed), rules, till)
    except BudgetSpent as spent:
        bench.say(str(spent))
        tried.reason = "" if tried.entries else f"{spent}, before there was a first candidate"
    except Exception as error:  # one broken way must not cost the others their verdict
        tried.reason = blame(error, bench)
    return tried


def _enter(tried: Tried, candidate: Candidate, rules: Rules, till: Till) -> None:
    if f"{candidate.seed}/{candidate.id}" in tried.entries:
        return
    bench = tried.bench
    entry = bench.entry(candidate)
    bench.answer(entry, rules.looks[0])
    tried.entries[f"{candidate.seed}/{candidate.id}"] = entry
    tried.costs.setdefault(candidate.id, (bench.account.purse.seconds, bench.account.purse.usd))
    dev = rules.value(entry, entry.rows)
    till.tell(CandidateEntered(tried.name, candidate.note, candidate.seed, dev, entry.rows, rules.looks[-1]))


def blame(error: Exception, bench: HouseBench) -> str:
    """Why a way failed; errors that are no fault of the way are raised again."""
    if isinstance(error, WayFailed | AdapterNotLive):
        return str(error)
    if isinstance(error, WhichwayError | OSError):
        raise error  # the user's input, or the disk
    if "No space left on device" in str(error):  # safetensors wraps it in an error of its own
        raise DiskError(f"the disk is full ({error}). Free some space; the same command resumes.") from error
    bench.say("".join(traceback.format_exception(error)))
    return f"{type(error).__name__}: {error} (an error inside the way; see its log)"


def hold_race(tried: Sequence[Tried], till: Till, rules: Rules, told: bool = True) -> int:
    """Race the candidates of all ways that did not fail; returns the number of looks."""
    at = {t.name: t for t in tried}

    def answer(entry: Entry, rows: int) -> None:
        one = at[entry.candidate.way]
        try:
            one.bench.answer(entry, rows)
        except BudgetSpent as spent:
            one.bench.say(str(spent))
            raise Stop from spent
        except Exception as error:
            one.reason = blame(error, one.bench)
            raise Stop from error

    def tell(look: Look) -> None:
        if told and len(rules.looks) > 1:
            dropped = tuple(e.candidate.id for e in look.dropped)
            till.tell(RaceLooked(look.rows, rules.looks[-1], look.entries, look.going, dropped))

    entries = [e for t in tried if not t.reason for e in t.entries.values()]
    return race(entries, rules, answer, tell) if entries else 0


def settle(tried: Tried, rules: Rules, zero_shot: Entry | None) -> None:
    """Keep a finalist for each seed; their dev scores are over the rows that all of them answered."""
    groups: dict[int, list[Entry]] = {}
    for entry in tried.entries.values():
        groups.setdefault(entry.candidate.seed, []).append(entry)
    last = [] if tried.reason else [finalist(groups[seed], rules) for seed in sorted(groups)]
    tried.dev_rows = min((e.rows for e in last), default=0)
    tried.finalists = tuple((e.candidate, rules.value(e, tried.dev_rows) if tried.dev_rows else None) for e in last)
    tried.last = tuple(last)
    tried.values = {key: (rules.value(e, e.rows) if e.rows else None, e.rows) for key, e in tried.entries.items()}
    tried.values |= {f"{c.seed}/{c.id}": (value, tried.dev_rows) for c, value in tried.finalists}
    if last and zero_shot is not None and apart(tried.name)[0] != ZERO_SHOT and tried.way.KIND != "baseline":
        rows = min(tried.dev_rows, zero_shot.rows)
        top, floor = max(rules.value(e, rows) for e in last), rules.value(zero_shot, rows)
        tried.reason = sanity(top, floor, rows, rules.margin, tried.way.KIND, rules.lowest, rules.plain)
    if not last and not tried.reason:
        tried.reason = "it gave no candidate"


def zero_shot_of(tried: Sequence[Tried], rules: Rules, model: str = "") -> Entry | None:
    """What the sanity gate measures against, when plain zero-shot was tried on the model and did not fail."""
    name = contestant(ZERO_SHOT, model)
    found = [list(t.entries.values()) for t in tried if t.name == name and t.entries and not t.reason]
    return finalist(found[0], rules) if found else None


def write_way(tried: Tried, till: Till) -> None:
    """Write what a way left: its candidates, how it ended, and the trained parts of its finalists."""
    folder = till.folder / "ways" / tried.name
    finalists = {f"{c.seed}/{c.id}" for c, _ in tried.finalists}
    lines = []
    for key, entry in tried.entries.items():
        candidate = entry.candidate
        seconds, usd = tried.costs[candidate.id]
        facts: dict[str, Any] = {
            "id": candidate.id,
            "dev_score": tried.values[key][0],
            "dev_rows": tried.values[key][1],
            "seconds_fit": seconds,
            "usd_fit": usd,
            "finalist": key in finalists,
            "candidate": to_json(candidate),
        }
        part = tried.bench.trainings.parts.get(candidate.weights.adapter or "")
        if part is not None:
            facts |= {"bytes": part.bytes, "peak_bytes": part.peak_bytes}
        lines.append(canonical(facts) + "\n")
    for candidate, _ in tried.finalists:
        tried.bench.keep(candidate)
    write_text(folder / "candidates.jsonl", "".join(lines))
    purse = tried.bench.account.purse
    tried.fit = {"seconds_fit": purse.seconds, "usd_fit": purse.usd, "calls_fit": purse.calls}
    write_status(tried, till)


def write_status(tried: Tried, till: Till) -> None:
    """Write how a way ended, and what it spent before test."""
    status = {"status": "failed" if tried.reason else "ok", "reason": tried.reason, "kind": tried.way.KIND}
    facts = {**status, "random": tried.way.RANDOM, **tried.fit}
    write_json(till.folder / "ways" / tried.name / "status.json", facts)


def write_race(facts: Mapping[str, Any], till: Till) -> None:
    """Write race.json: what racing and halving dropped, and what that saved."""
    write_json(till.folder / "race.json", facts)
    till.tell(RaceEnded(facts))


def race_facts(tried: Sequence[Tried], rules: Rules, taken: int) -> dict[str, Any]:
    """What race.json holds.

    `full_evaluations` is what the same candidates (and the same trials of learning rates, at the same rungs) would have
    cost on all dev rows. Rows of the test split are in neither number: racing never touches them.
    """
    entries = [e for t in tried for e in t.entries.values()]
    rungs = [sum(t.bench.rung_rows[k] for t in tried) for k in (0, 1)]
    return {
        "rounds": taken,
        "looks": list(rules.looks[:taken]),
        "rows": rules.looks[-1],
        "candidates": len(entries),
        "evaluations": sum(e.rows for e in entries) + rungs[0],
        "full_evaluations": len(entries) * rules.looks[-1] + rungs[1],
        "rung_evaluations": rungs[0],
        "dropped": [_dropped(e) for e in entries if e.drop],
        "trainings": [
            {"way": t.name, "trials": h.full_runs, "kept": h.kept, "runs": h.runs, "full_runs": h.full_runs}
            for t in tried
            for h in t.bench.thinned
            if h.full_runs > 1
        ],
    }


def _dropped(entry: Entry) -> dict[str, Any]:
    drop, c = entry.drop, entry.candidate
    assert drop is not None  # the caller's choice
    ends = {"low": _clean(drop.low), "high": _clean(drop.high)}
    about = {"candidate": c.id, "way": c.way, "seed": c.seed, "note": c.note}
    return {**about, "after_rows": drop.rows, **ends, "why": drop.why, "leader": drop.leader}


def _clean(x: float | None) -> float | None:
    return None if x is None else round(x, 10)
