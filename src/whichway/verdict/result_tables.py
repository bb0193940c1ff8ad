"""The table of ways in a verdict, and the paired differences of any two."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from whichway.nouns import Pair, Standing
from whichway.verdict import stats
from whichway.verdict.compare import Arm, Table
from whichway.verdict.explain.number_format import clean
from whichway.verdict.rule import Ruling


def pairs(table: Table) -> tuple[Pair, ...]:
    """All paired differences, the cheaper way first, with Holm over all of them."""
    compared = [(i, j, table.compare(i, j)) for i, j in combinations(range(len(table.arms)), 2)]
    adjusted = iter(stats.holm([c.p for _, _, c in compared if c.p is not None]))
    return tuple(
        Pair(
            first=table.arms[i].way,
            second=table.arms[j].way,
            difference=clean(c.value),
            low=clean(c.low),
            high=clean(c.high),
            p=clean(c.p),
            p_holm=None if c.p is None else clean(next(adjusted)),
            wins=c.wins,
            losses=c.losses,
        )
        for i, j, c in compared
    )


def standings(arms: Sequence[Arm], table: Table, ruling: Ruling | None, volume: float) -> tuple[Standing, ...]:
    """Every way's line in the table: best score first, ties in the order of cost, failed ones last."""
    place = {arm.way: k for k, arm in enumerate(table.arms)}
    lines = [standing(arm, place.get(arm.way), table, ruling, volume) for arm in arms]
    return tuple(sorted(lines, key=lambda line: (line.status == "failed", line.score is None, -(line.score or 0.0))))


def standing(arm: Arm, k: int | None, table: Table, ruling: Ruling | None, volume: float) -> Standing:
    """One way's line; `k` is its place among the competing arms, None when it does not compete."""
    own, at = (table, k) if k is not None else (Table([arm] if arm.scores.size else [], table.confidence), 0)
    tested = bool(own.arms)
    interval = own.interval(at) if tested else None
    gap = table.compare(ruling.best, k) if k is not None and ruling else None
    return Standing(
        way=arm.way,
        kind=arm.kind,
        status=arm.status,
        reason=arm.reason,
        candidates=arm.candidates,
        note=arm.note,
        seeds=len(arm.scores) if tested else len(arm.candidates),
        rows=own.n,
        score=clean(own.value(at)) if tested else None,
        low=clean(interval[0]) if interval else None,
        high=clean(interval[1]) if interval else None,
        seed_sd=clean(own.seed_sd(at)) if tested else None,
        dev_score=clean(arm.dev),
        unparsed=arm.unparsed,
        seconds_fit=arm.seconds_fit,
        seconds_per_row=arm.seconds_per_row,
        wall_fit=arm.wall_fit,
        wall_per_row=arm.wall_per_row,
        tokens_in=arm.tokens_in,
        tokens_cached=arm.tokens_cached,
        tokens_out=arm.tokens_out,
        usd_fit=arm.usd_fit,
        usd_per_1000=arm.usd_per_1000,
        usd_total=arm.total(volume),
        gap=clean(gap.value) if gap else None,
        gap_low=clean(gap.low) if gap else None,
        gap_high=clean(gap.high) if gap else None,
        not_worse=k is not None and ruling is not None and k in ruling.standing,
        model=arm.model,
        folds=own.fold_count if tested else 1,
        fold_sd=clean(own.fold_sd(at)) if tested else None,
        refit=arm.refit or "",
    )
