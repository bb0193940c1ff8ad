"""What the pieces of each way take, measured on a contest of simulated models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from whichway.contest.open_books import open_ledger
from whichway.contest.plan import Components, Settings
from whichway.contest.selection.select import WayRun
from whichway.contest.timed.piece import TimedWay, WayPiece, timed_way, work
from whichway.contest.timed.purchases import WayCosts
from whichway.contracts import follow_nothing
from whichway.nouns import Task
from whichway.tasks.folds import practice


def price_ways(
    task: Task, components: Components, folder: Path, settings: Settings, opened: Callable[[str], float]
) -> tuple[dict[str, WayCosts], dict[str, str]]:
    """What each way takes, by doing its pieces with simulated models.

    Args:
        task: all rows.
        components: with simulated backends.
        folder: for the books.
        settings: of the contest.
        opened: seconds by the clock, so far, that a way's ledger does not hold.

    Returns:
        Costs by way, and why ways fail that do.
    """
    costs, reasons = {}, {}
    with open_ledger(folder, components, settings, follow_nothing, task=task) as ledger:
        all_ways = [timed_way(name, ledger) for name in settings.ways]
        stand: dict[int, list[WayRun]] = defaultdict(list)  # fold, or 0 -> ways at their last piece of it
        for timed in sorted(all_ways, key=lambda timed: timed.last):
            name = timed.name
            seconds, begun = [0.0], ledger.paid_seconds
            for searched, place in _pieces(timed, task):
                before, rows = seconds[-1], place if task.folds else 0
                run, _ = work(timed, replace(_piece(task, settings, searched, place), others=stand[rows]), ledger)
                stand[rows] = [*(other for other in stand[rows] if other.name != name), run]
                # what is made of other ways is made of what those have bought
                spent = ledger.paid_seconds - begun if timed.last else run.bench.account.spend.seconds
                seconds.append(spent + opened(name))
                if run.reason:
                    reasons[name] = run.reason
                    seconds[-1] = max(before, seconds[-1])
                    break
            steps = [after - before for before, after in pairwise(seconds)]
            costs[name] = _costs(timed, steps)
    return {name: costs[name] for name in settings.ways}, reasons


def total(costs: WayCosts, random: bool, seeds: int, folds: int) -> float:
    """Seconds of a way when everything of it is bought."""
    if folds:
        return costs.first + (folds - 1) * costs.more + folds * costs.search
    return costs.first + costs.search + ((seeds - 1) * costs.more if random else 0.0)


def _pieces(timed: TimedWay, task: Task) -> list[tuple[bool, int]]:
    """(whether searched, which seed or fold): the first piece, its search, and one more."""
    pieces = [(not timed.searches, 0)]
    if timed.searches:
        pieces.append((True, 0))
    if task.folds:
        pieces.append((not timed.searches, 1))
    elif timed.way.RANDOM:
        pieces.append((True, 1))
    return pieces


def _piece(task: Task, settings: Settings, searched: bool, place: int) -> WayPiece:
    if task.folds:
        return WayPiece(practice(task, place), task.folds[place], searched, None, place, 1.0)
    return WayPiece(task.train_dev_view(), task.test, searched, settings.seeds[: place + 1])


def _costs(timed: TimedWay, steps: list[float]) -> WayCosts:
    first, *later = [*steps, 0.0]
    search = later[0] if timed.searches and later else 0.0
    rest = later[1:] if timed.searches else later
    return WayCosts(first, search, rest[0] if rest else 0.0)
