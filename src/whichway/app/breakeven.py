"""Two ways of a finished run under a user's terms: at another price of the machine, and which two are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from whichway.errors import OptionError, did_you_mean
from whichway.verdict.compare import Table
from whichway.verdict.explain.inputs import best_of_each_kind
from whichway.verdict.rule import order

if TYPE_CHECKING:
    from whichway.verdict import Arm
    from whichway.verdict.breakeven import Terms


def priced(arm: Arm, factor: float, plan: Mapping[str, Any]) -> Arm:
    """The way on a machine that costs `factor` times as much an hour; what is paid by tokens costs what it did."""
    if by_tokens(arm, plan):
        return arm
    usd = None if arm.row_usd is None else arm.row_usd * factor
    return replace(arm, row_usd=usd, usd_fit=arm.usd_fit * factor, usd_per_1000=arm.usd_per_1000 * factor)


def by_tokens(arm: Arm, plan: Mapping[str, Any]) -> bool:
    """Whether a way's answers were paid by tokens: prompts on a hosted model whose prices were known, or what it tuned.

    Other fine-tunes may stand beside, such as an encoder's, whose answers cost time: they are told by what rows cost.
    """
    import numpy as np

    from whichway.verdict.breakeven import Price, token_cost

    model = plan["models"][arm.model]["model"] if arm.model else plan["model"]
    price = plan.get("prices", {}).get(model)
    if price is None or arm.kind == "prompt":
        return price is not None
    tuned = price.get("tuned")
    if not tuned or arm.kind != "fine-tune" or arm.row_usd is None:
        return False
    return np.allclose(token_cost(arm, Price(**tuned)), arm.row_usd, rtol=1e-6, atol=0.0)


def training_error(arms: Sequence[Arm], first: str, second: str, confidence: float) -> float:
    """Standard error of the difference of two ways that comes from the folds' trainings; 0 without folds."""
    ways = [arm.way for arm in arms]
    return Table(arms, confidence).training_error(ways.index(first), ways.index(second))


def pair(arms: Sequence[Arm], terms: Terms, confidence: float, ways: str | None) -> tuple[Arm, Arm]:
    """The two ways asked about.

    Raises:
        OptionError: a way that the run does not have, or none to compare.
    """
    by_name = {arm.way: arm for arm in arms}
    if ways is not None:
        names = [name.strip() for name in ways.split(",")]
        if len(names) != 2 or names[0] == names[1]:
            raise OptionError(f"--ways {ways}: name two ways with a comma.")
        for name in names:
            if name not in by_name:
                raise OptionError(f"the run has no result of '{name}'.{did_you_mean(name, by_name)}")
        return by_name[names[0]], by_name[names[1]]
    ordered = sorted(arms, key=lambda arm: order(arm, terms.volume))
    best = best_of_each_kind(Table(ordered, confidence)) if ordered else None
    if best is None:
        raise OptionError(f"there is no prompt and fine-tune to compare; name two with --ways: {', '.join(by_name)}.")
    return ordered[best[0]], ordered[best[1]]
