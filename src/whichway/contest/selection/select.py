"""From ways to finalists: follow each way's candidates, race them over dev rows, keep one for each way and seed."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from whichway.contest.bench import RunBench
from whichway.contest.ledger import RunLedger, SpendMeter
from whichway.contest.plan import fill_options
from whichway.contest.selection.race import Entry, Look, OutOfBudget, Rules, finalist, looks, race, shuffled
from whichway.contracts import OtherWay, Way, combines
from whichway.errors import AdapterNotLive, BudgetSpent, DiskError, WayFailed, WhichwayError
from whichway.events import CandidateEntered, RaceEnded, RaceLooked
from whichway.nouns import Candidate, TrainDevView, canonical, qualified_name, split_name, to_json
from whichway.runs.folder import write_json, write_text
from whichway.scoring import clusters, is_mean, row_values, total
from whichway.verdict.information import ZERO_SHOT
from whichway.verdict.sanity_gate import sanity


@dataclass(slots=True)
class WayRun:
    """The state of one way up to the test split."""

    name: str
    way: Way
    bench: RunBench
    entries: dict[str, Entry] = field(default_factory=dict)  # seed/id -> candidate, in the order of the way
    costs: dict[str, tuple[float, float]] = field(default_factory=dict)  # id -> seconds, usd up to its first scores
    reason: str = ""  # why it failed; "" when it did not
    out_of_budget: bool = False  # whether it failed because its budget was spent
    finalists: tuple[tuple[Candidate, float | None], ...] = ()  # one per seed, with its dev score; None: no dev rows
    dev_rows: int = 0  # that the finalists' dev scores are over
    values: dict[str, tuple[float | None, int]] = field(default_factory=dict)  # seed/id -> dev score, its rows
    last: tuple[Entry, ...] = ()  # the finalists with their answers to dev rows
    fit: dict[str, float] = field(default_factory=dict)  # what it spent before test

    def release(self) -> None:
        """Let the records of its dev rows go, once the race is over."""
        last = set(map(id, self.last))
        for entry in self.entries.values():
            entry.release(id(entry) not in last)


def rules_of(practice: TrainDevView, ledger: RunLedger) -> Rules:
    """The race over the dev rows of a task."""
    order, metric = shuffled(practice.dev), ledger.components.metric
    return Rules(
        looks=looks(order, ledger.settings.race),
        margin=practice.margin,
        alpha=1 - ledger.settings.confidence,
        value=lambda entry, rows: total(metric, order[:rows], entry.records[:rows]),
        sequence=is_mean(metric),
        row_values=lambda entry, rows: row_values(metric, order[:rows], entry.records[:rows]),
        lowest=metric.lowest,
        plain=metric.plain,
        groups=clusters(order),
    )


def run_way(
    name: str,
    practice: TrainDevView,
    bench: RunBench,
    ledger: RunLedger,
    rules: Rules,
    settings: Mapping[str, Any] | None = None,
) -> WayRun:
    """Run a way to its end; each candidate gets its first rows as soon as there is one.

    Args:
        name: of the way.
        practice: train and dev rows.
        bench: of the way.
        ledger: of the run.
        rules: of the race over dev rows.
        settings: options that are not at their defaults; None: those of the run.
    """
    tried = WayRun(name, ledger.components.ways[split_name(name)[0]], bench)
    if practice.reference_free and tried.way.KIND != "prompt":
        tried.reason = "there are no wanted answers to learn from"
        return tried
    options = fill_options(name, tried.way, ledger.settings.ways[name] if settings is None else settings)
    try:
        for candidate in tried.way.adapt(practice, bench, options):
            seed = candidate.seed if bench.fold is None else bench.fold
            _enter(tried, replace(candidate, way=name, seed=seed), rules, ledger)
    except BudgetSpent as spent:
        bench.say(str(spent))
        tried.reason = "" if tried.entries else f"{spent}, before there was a first candidate"
        tried.out_of_budget = not tried.entries
    except Exception as error:  # one broken way must not cost the others their verdict
        tried.reason = failure_reason(error, bench)
    return tried


def _enter(tried: WayRun, candidate: Candidate, rules: Rules, ledger: RunLedger) -> None:
    if f"{candidate.seed}/{candidate.id}" in tried.entries:
        return
    bench = tried.bench
    entry = bench.entry(candidate)
    bench.answer(entry, rules.looks[0])
    tried.entries[f"{candidate.seed}/{candidate.id}"] = entry
    tried.costs.setdefault(candidate.id, (bench.account.spend.seconds, bench.account.spend.usd))
    dev = rules.value(entry, entry.rows)
    about = tried.name, candidate.note, candidate.seed, dev, entry.rows, rules.looks[-1], candidate.id
    ledger.tell(CandidateEntered(*about))


def failure_reason(error: Exception, bench: RunBench) -> str:
    """Why a way failed; errors that are no fault of the way are raised again."""
    if isinstance(error, WayFailed | AdapterNotLive):
        return str(error)
    if isinstance(error, WhichwayError | OSError):
        raise error  # the user's input, or the disk
    if "No space left on device" in str(error):  # safetensors wraps it in an error of its own
        raise DiskError(f"the disk is full ({error}). Free some space; the same command resumes.") from error
    bench.say("".join(traceback.format_exception(error)))
    return f"{type(error).__name__}: {error} (an error inside the way; see its log)"


def race_all(tried: Sequence[WayRun], ledger: RunLedger, rules: Rules, report_looks: bool = True) -> int:
    """Race the candidates of all ways that did not fail; returns the number of looks."""
    at = {t.name: t for t in tried}

    def answer(entry: Entry, rows: int) -> None:
        one = at[entry.candidate.way]
        try:
            one.bench.answer(entry, rows)
        except BudgetSpent as spent:
            one.bench.say(str(spent))
            raise OutOfBudget from spent
        except Exception as error:
            one.reason = failure_reason(error, one.bench)
            raise OutOfBudget from error

    def tell(look: Look) -> None:
        if report_looks and len(rules.looks) > 1:
            dropped = tuple(e.candidate.id for e in look.dropped)
            ledger.tell(RaceLooked(look.rows, rules.looks[-1], look.entries, look.going, dropped))

    entries = [e for t in tried if not t.reason for e in t.entries.values()]
    return race(entries, rules, answer, tell) if entries else 0


def choose_finalists(tried: WayRun, rules: Rules, zero_shot: Entry | None) -> None:
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
    if last and zero_shot is not None and split_name(tried.name)[0] != ZERO_SHOT and tried.way.KIND != "baseline":
        rows = min(tried.dev_rows, zero_shot.rows)
        top, floor = max(rules.value(e, rows) for e in last), rules.value(zero_shot, rows)
        tried.reason = sanity(top, floor, rows, rules.margin, tried.way.KIND, rules.lowest, rules.plain)
    if not last and not tried.reason:
        tried.reason = "it gave no candidate"


def zero_shot_of(tried: Sequence[WayRun], rules: Rules, model: str = "") -> Entry | None:
    """What the sanity gate measures against, when plain zero-shot was tried on the model and did not fail."""
    name = qualified_name(ZERO_SHOT, model)
    entries = [list(t.entries.values()) for t in tried if t.name == name and t.entries and not t.reason]
    return finalist(entries[0], rules) if entries else None


def beside(tried: Iterable[WayRun]) -> dict[str, tuple[OtherWay, RunBench]]:
    """What ways ended at on dev, by name, for those that are made of them; ways that failed are left out."""
    others = {}
    for one in tried:
        values = [value for _, value in one.finalists if value is not None]
        if one.reason or not values or combines(one.way):
            continue
        usd = [price for entry in one.last for price in entry.usd]
        candidates = tuple(candidate for candidate, _ in one.finalists)
        other = OtherWay(candidates, one.way.KIND, sum(values) / len(values), sum(usd) / max(1, len(usd)))
        others[one.name] = (other, one.bench)
    return others


def write_way(tried: WayRun, ledger: RunLedger) -> None:
    """Write the result of a way: its candidates, its status, and the trained parts of its finalists."""
    folder = ledger.folder / "ways" / tried.name
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
        facts |= tried.bench.sizes(candidate)
        lines.append(canonical(facts) + "\n")
    for candidate, _ in tried.finalists:
        tried.bench.keep(candidate)
    write_text(folder / "candidates.jsonl", "".join(lines))
    spend = tried.bench.account.spend
    if not tried.fit:
        tried.fit = fit_of(spend)
    write_status(tried, ledger)


def fit_of(spend: SpendMeter) -> dict[str, float]:
    """What a way has spent, as its status says it."""
    fit = {"seconds_fit": spend.seconds, "usd_fit": spend.usd, "calls_fit": spend.calls}
    return fit | ({} if spend.wall is None else {"wall_fit": spend.wall})


def write_status(tried: WayRun, ledger: RunLedger) -> None:
    """Write how a way ended, and what it spent before test."""
    status = {"status": "failed" if tried.reason else "ok", "reason": tried.reason, "kind": tried.way.KIND}
    random = tried.bench.random_parts if combines(tried.way) else tried.way.RANDOM
    facts = {**status, "random": random, **tried.fit}
    write_json(ledger.folder / "ways" / tried.name / "status.json", facts)


def write_race(facts: Mapping[str, Any], ledger: RunLedger) -> None:
    """Write race.json: what racing and halving dropped, and what that saved."""
    write_json(ledger.folder / "race.json", facts)
    ledger.tell(RaceEnded(facts))


def race_facts(tried: Sequence[WayRun], rules: Rules, taken: int) -> dict[str, Any]:
    """The content of race.json.

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
            {"way": t.name, "trials": h.full_runs, "kept": h.survivor, "runs": h.runs, "full_runs": h.full_runs}
            for t in tried
            for h in t.bench.halvings
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
