"""Ways that a run against the clock did not try: how likely one of them is better, and what that leaves open.

Among the ways that were tried the rule may decide. The question was about all of them, though: where a way that was not
tried is better than the choice with a probability above 1 − confidence, as far as the others tell, the verdict is not
called decided, and its probability and expected loss count that way as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from whichway.findings import Missing
from whichway.nouns import Kind
from whichway.verdict.compare import Table
from whichway.verdict.information import UNKNOWN, drawn, is_floor
from whichway.verdict.posterior import noise
from whichway.verdict.rule import Ruling


@dataclass(frozen=True, slots=True)
class UntriedOutlook:
    """What ways that were not tried mean for a choice.

    Attributes:
        chances: way -> probability that it is better than the choice by more than the margin.
        near_best: probability that the choice is within the margin of the best of all ways.
        regret: expected difference between the best of all ways and the choice.
    """

    chances: Mapping[str, float]
    near_best: float
    regret: float


def untried_outlook(table: Table, choice: int, untried: Mapping[str, Kind], margin: float) -> UntriedOutlook | None:
    """The outlook with ways that were not tried; None with fewer than two ways or two independent rows.

    Args:
        table: what was measured.
        choice: place of the choice in it.
        untried: the ways that were not measured, with their kinds.
        margin: δ.
    """
    if len(table.arms) < 2 or table.clusters < 2:
        return None
    seen, count = np.array(table.values), len(table.arms)
    errors = np.eye(count + len(untried)) * UNKNOWN
    errors[:count, :count] = noise(table)
    kinds = [arm.kind for arm in table.arms] + list(untried.values())
    floors = np.array([is_floor(way) for way in (*(arm.way for arm in table.arms), *untried)])
    scores = np.concatenate([seen, np.full(len(untried), seen.mean())])
    if floors[choice]:  # its rows go with those of the others, so all are drawn together
        floors = np.zeros_like(floors)
    draws = drawn(scores, errors, kinds, floors)
    own, best = draws[:, choice], draws.max(axis=1)
    ahead = (draws[:, count:] > own[:, None] + margin).mean(axis=0)
    near = float((own >= best - margin - 1e-12).mean())
    return UntriedOutlook(dict(zip(untried, map(float, ahead), strict=True)), near, float((best - own).mean()))


def with_untried(
    missing: Sequence[Missing], table: Table, ruling: Ruling | None, margin: float
) -> tuple[tuple[Missing, ...], Ruling | None]:
    """What is missing with its chances, and the ruling, which is not decided where one of them may well be better."""
    untried = {one.way: cast(Kind, one.kind) for one in missing if one.what == "way"}
    seen = untried_outlook(table, ruling.choice, untried, margin) if ruling and untried else None
    if ruling is None or ruling.outlook is None or seen is None:
        return tuple(missing), ruling
    known = tuple(replace(m, chance=round(seen.chances[m.way], 2)) if m.what == "way" else m for m in missing)
    near, regret = list(ruling.outlook.near_best), list(ruling.outlook.regret)
    near[ruling.choice] = min(near[ruling.choice], seen.near_best)
    regret[ruling.choice] = max(regret[ruling.choice], seen.regret)
    unlikely = all(chance <= 1 - table.confidence for chance in seen.chances.values())
    outlook = replace(ruling.outlook, near_best=tuple(near), regret=tuple(regret))
    return known, replace(ruling, decided=ruling.decided and unlikely, outlook=outlook)
