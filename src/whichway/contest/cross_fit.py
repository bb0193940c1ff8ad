"""A contest in folds: each way works once for each fold, and its finalist of a fold answers the fold's rows, once.

What is measured is the procedure: the prompt found, the rate chosen and the weights trained without a fold's rows. The
budget of a way is for all folds and what ships: by the end of fold k of K it may have spent (k+1)/(K+1) of it.

Two things are settled over folds instead of inside one, on the dev rows of all folds so far (which are different rows,
see `tasks/folds.py`), from the second fold on:

- the sanity gate: a way that ends below plain zero-shot by more than the margin and a standard error fails;
- the race (`selection/fold_race.py`): a way that is shown worse than another one that the verdict would rather take is
  not tried in later folds. Baselines and zero-shot stay.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from whichway.contest.bench import InFold, RunBench
from whichway.contest.ledger import RunLedger
from whichway.contest.rounds import Round, cross, try_all
from whichway.contest.selection.fold_race import LOOK, FoldedScore, outraced
from whichway.contest.selection.select import WayRun, race_facts, write_race, write_way
from whichway.events import WayRefused, WayTested
from whichway.nouns import Example, Task, qualified_name, split_name
from whichway.runs.folder import CLOCK, write_clock
from whichway.scoring import clusters, is_mean
from whichway.tasks.folds import practice
from whichway.verdict.decide import MONTH
from whichway.verdict.information import ZERO_SHOT
from whichway.verdict.rule import two_digits
from whichway.verdict.sanity_gate import sanity


@dataclass(slots=True)
class FoldedWay:
    """One way in a cross-fit, with its work in each fold so far."""

    name: str
    parts: list[WayRun] = field(default_factory=list)  # one for each fold that it was tried in
    reason: str = ""  # why it is not tried any more

    @property
    def gated(self) -> bool:
        """Whether it can fail the sanity gate, or be dropped."""
        return self.parts[-1].way.KIND != "baseline" and split_name(self.name)[0] != ZERO_SHOT

    def whole(self) -> WayRun:
        """All folds as one: a finalist for each."""
        last = self.parts[-1]
        whole = WayRun(self.name, last.way, last.bench, reason=self.reason)
        for part in self.parts:
            whole.entries |= part.entries
            whole.values |= part.values
            whole.costs = part.costs | whole.costs
            whole.finalists += part.finalists
            whole.last += part.last
        whole.dev_rows = min((part.dev_rows for part in self.parts), default=0)
        return whole


def cross_fit(task: Task, ledger: RunLedger) -> list[WayRun]:
    """Run the contest in all folds and write the results of its ways.

    Returns:
        The ways, each with a finalist for every fold, or with the reason why not.
    """
    ways = {name: FoldedWay(name) for name in ledger.settings.ways}
    races: list[dict[str, Any]] = []
    interim = Interim(ledger, len(task.folds))
    interim.write(ways, 0)
    for fold, test in enumerate(task.folds):
        live = [name for name, way in ways.items() if not way.reason]
        if not live:
            break
        held = _hold(task, ledger, ways, live, fold)
        races += [race_facts(held.tried, held.rules, held.taken)] if ledger.settings.race else []
        for one in held.tried:
            _cross(ways[one.name], one, test, ledger, fold, len(task.folds))
            one.release()
        if fold + 1 >= LOOK:
            for name, reason in lost(task, ways, ledger, fold + 1).items():
                ways[name].reason = reason
        interim.write(ways, fold + 1)
    tried = [way.whole() for way in ways.values()]
    for one in tried:
        write_way(one, ledger)
        if one.reason:
            ledger.tell(WayRefused(one.name, one.reason))
        ledger.tell(WayTested(one.name, len(one.finalists)))
    interim.end()
    if races:
        write_race(_merged(races), ledger)
    return tried


class Interim:
    """What stands after each whole fold, so that a process that is killed leaves something to decide from.

    Args:
        ledger: of the run; one that has ended before is left as it is.
        count: of folds.
    """

    def __init__(self, ledger: RunLedger, count: int) -> None:
        self._ledger, self._count, self._began = ledger, count, time.monotonic()
        self._unfinished = not (ledger.folder / "verdict.json").exists()

    def write(self, ways: Mapping[str, FoldedWay], done: int) -> None:
        """Write the ways as they stand after so many folds, then that these folds count."""
        if not self._unfinished or done == self._count:
            return
        for way in ways.values():
            if way.parts:
                write_way(way.whole(), self._ledger)
        each = (time.monotonic() - self._began) / max(1, done)
        missing = {"what": "fold", "way": "", "kind": "", "seconds": round(each, 3)}
        write_clock(self._ledger.folder, {"folds": done, "missing": [missing] * (self._count - done)})

    def end(self) -> None:
        """All folds count."""
        (self._ledger.folder / CLOCK).unlink(missing_ok=True)


def _hold(task: Task, ledger: RunLedger, ways: Mapping[str, FoldedWay], live: Sequence[str], fold: int) -> Round:
    """One fold for the ways that are still in."""
    seen, count = practice(task, fold), len(task.folds)
    ledger.test_answers = len(task.folds[fold]) * ledger.settings.repeats

    def bench(name: str) -> RunBench:
        earlier = ways[name].parts[-1].bench if ways[name].parts else None
        place = InFold(fold, (fold + 1) / (count + 1), earlier)
        return RunBench(ledger, name, seen, note=f"fold {fold + 1} of {count}: ", fold=place)

    return try_all(seen, ledger, live, bench, gate=False)


def _cross(way: FoldedWay, tried: WayRun, test: Sequence[Example], ledger: RunLedger, fold: int, count: int) -> None:
    """The finalist of a fold over its rows; a way that fails in a fold has no score on all rows."""
    for part in way.parts:
        part.bench = tried.bench  # knows all that theirs know of the way, which need not be held any more
    way.parts.append(tried)
    cross(tried, test, ledger)
    if tried.reason:
        way.reason = f"in fold {fold + 1} of {count}: {tried.reason}"
        if tried.out_of_budget:
            way.reason += (
                f"; by the end of this fold {fold + 1} of {count + 1} parts of the budget may be spent, so give a "
                "larger one, or --folds 1"
            )


def lost(task: Task, ways: Mapping[str, FoldedWay], ledger: RunLedger, done: int) -> dict[str, str]:
    """Ways that fail the sanity gate, or are shown worse than one of their kind, with the reason."""
    live = {name: way for name, way in ways.items() if not way.reason}
    reasons = {}
    for name, way in live.items():
        floor = live.get(qualified_name(ZERO_SHOT, split_name(name)[1]))
        reason = _below(task, way, floor, ledger) if way.gated and floor is not None else ""
        if reason:
            reasons[name] = reason
    if not ledger.settings.race or not is_mean(ledger.components.metric) or done == len(task.folds):
        return reasons
    left = [way for name, way in live.items() if name not in reasons]
    return {**_outraced(task, left, ledger, done), **reasons}


def _below(task: Task, way: FoldedWay, floor: FoldedWay, ledger: RunLedger) -> str:
    """Why a way fails its sanity gate on the dev rows of all folds so far; "" where it passes."""
    pairs = [(a, b, min(a.dev_rows, b.dev_rows)) for a, b in zip(way.parts, floor.parts, strict=True)]
    rows = sum(count for _, _, count in pairs)
    if not rows:
        return ""
    own = sum(_dev(part) * count for part, _, count in pairs) / rows
    base = sum(_dev(part) * count for _, part, count in pairs) / rows
    return sanity(own, base, rows, task.margin, way.parts[-1].way.KIND, ledger.components.metric.lowest)


def _dev(part: WayRun) -> float:
    return part.finalists[0][1] or 0.0


def _outraced(task: Task, ways: Sequence[FoldedWay], ledger: RunLedger, done: int) -> dict[str, str]:
    """Ways that the race across folds stops, with the reason."""
    scores = [
        FoldedScore(way.name, way.parts[-1].way.KIND, _cost(task, way), sum(map(_dev, way.parts)), not way.gated)
        for way in ways
    ]
    by_name = {way.name: way for way in ways}
    grouped = any(e.group for fold in task.folds for e in fold)
    known = {e.id: e for fold in task.folds for e in fold} if grouped else {}

    def gap(one: str, two: str) -> tuple[list[float], tuple[str, ...] | None]:
        differences, rows = _differences(by_name[one], by_name[two])
        return differences, clusters([known[row] for row in rows]) if grouped else None

    left = f"not tried in the last {len(task.folds) - done} of {len(task.folds)} folds"
    return {
        name: f"{left}: shown worse than {d.rival} on {d.rows} dev rows ({100 * d.gap:+.1f} points, {100 * d.low:.1f} "
        f"to {100 * d.high:.1f})"
        for name, d in outraced(scores, gap, 1 - ledger.settings.confidence, task.margin).items()
    }


def _cost(task: Task, way: FoldedWay) -> float:
    """What it has cost so far and its answers in a month, usd; as the verdict has it, to two digits."""
    usd = [price for part in way.parts for price in part.last[0].usd]
    month = MONTH * task.volume * (sum(usd) / len(usd) if usd else 0.0)
    return two_digits(way.parts[-1].bench.account.spend.usd + month)


def _differences(way: FoldedWay, other: FoldedWay) -> tuple[list[float], list[str]]:
    """Paired differences on dev rows that both answered, fold after fold, and the rows' ids."""
    gap: list[float] = []
    rows: list[str] = []
    for one, two in zip(way.parts, other.parts, strict=True):
        first, second = one.last[0], two.last[0]
        count = min(first.rows, second.rows)
        gap += [a - b for a, b in zip(first.scores[:count], second.scores[:count], strict=True)]
        rows += first.examples[:count]
    return gap, rows


def _merged(facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The races of all folds as one: looks of the first, everything else added up."""
    first = facts[0]
    same = {name: first[name] for name in ("looks", "rows")}
    counted = ("candidates", "evaluations", "full_evaluations", "rung_evaluations")
    sums = {name: sum(one[name] for one in facts) for name in counted}
    lists = {name: [item for one in facts for item in one[name]] for name in ("dropped", "trainings")}
    return {**same, **sums, **lists, "rounds": max(one["rounds"] for one in facts), "folds": len(facts)}
