"""The decision: which way to take, with the numbers behind each sentence. `rule.py` says how it is made and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

from whichway.nouns import Kind, Pair, Standing, Verdict
from whichway.verdict import stats, words
from whichway.verdict.compare import Arm, Table
from whichway.verdict.rule import Ruling, answer, order, rule

__all__ = ["Arm", "decide", "sanity"]


def sanity(dev_score: float, zero_shot_dev: float, n_dev: int, margin: float, kind: Kind = "prompt") -> str:
    """The sanity gate: why a way counts as failed, or "" when it passes.

    A way must not end below plain zero-shot on dev by more than the margin and by more than one standard error of a
    paired difference (which, at the usual correlation of .5, is the standard error of one score). Published prompt
    optimisations did in 49 % of runs (arXiv 2604.14585). Baselines are never gated.

    Args:
        dev_score: of the way's finalist.
        zero_shot_dev: of `prompt_plain`.
        n_dev: dev rows.
        margin: δ.
        kind: of the way.
    """
    interval = stats.wilson(zero_shot_dev * n_dev, n_dev, 2 * 0.8413447 - 1)
    error = 1.0 if interval is None else (interval[1] - interval[0]) / 2
    short = zero_shot_dev - dev_score
    if kind == "baseline" or short <= max(margin, error) + 1e-12:
        return ""
    likely = {
        "prompt": "its shots or wording mislead this model",
        "fine-tune": "a learning rate that does not fit, or too few rows or steps",
        "both": "a learning rate that does not fit, or a prompt that misleads this model",
    }[kind]
    return (
        f"dev score {words.percent(dev_score)} is below zero-shot's {words.percent(zero_shot_dev)} "
        f"by {words.points(short)} on {n_dev} rows, more than the margin and one standard error; likely {likely}"
    )


def decide(
    arms: Sequence[Arm],
    margin: float = 0.01,
    confidence: float = 0.95,
    volume: float = 1000.0,
    rows: int | None = None,
    warnings: Sequence[str] = (),
) -> Verdict:
    """Choose the cheapest way that is good enough, or say that it is undecided and what would decide it.

    Args:
        arms: one for each way, failed ones too; any order.
        margin: δ, a difference that does not matter, in units of the metric.
        confidence: of intervals; tests are at 1 − confidence, two-sided.
        volume: requests a day.
        rows: test rows; None: as many as the arms have.
        warnings: to hand on.

    Returns:
        The verdict; the same arms give the same verdict, byte for byte.

    Raises:
        ValueError: the arms were not measured on the same rows.
    """
    ordered = sorted(arms, key=lambda arm: order(arm, volume))
    table = Table([arm for arm in ordered if arm.competes], confidence)
    ruling = rule(table, margin) if table.arms else None
    facts = words.Facts(
        standings=standings(ordered, table, ruling, volume),
        pairs=pairs(table),
        table=table,
        ruling=ruling,
        margin=margin,
        volume=volume,
    )
    choice = table.arms[ruling.choice] if ruling else None
    reply = answer(ruling, [arm.kind for arm in table.arms])
    return Verdict(
        answer=reply,
        choice=choice.way if choice else None,
        candidate=choice.shipped if choice else None,
        headline=words.headline(facts, reply),
        reasons=words.reasons(facts),
        dissent=words.dissent(facts),
        would_decide=words.would_decide(facts),
        standings=facts.standings,
        pairs=facts.pairs,
        margin=margin,
        confidence=confidence,
        volume=volume,
        rows=table.n if rows is None else rows,
        warnings=(*warnings, *words.cautions(facts)),
    )


def pairs(table: Table) -> tuple[Pair, ...]:
    """All paired differences, the cheaper way first, with Holm over all of them."""
    found = [(i, j, table.compare(i, j)) for i, j in combinations(range(len(table.arms)), 2)]
    adjusted = iter(stats.holm([c.p for _, _, c in found if c.p is not None]))
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
        for i, j, c in found
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
    )


def clean(x: float | None) -> float | None:
    """A float for JSON, without the last bits that differ between machines."""
    if x is None or not math.isfinite(x):
        return None
    return round(float(x), 10) + 0.0
