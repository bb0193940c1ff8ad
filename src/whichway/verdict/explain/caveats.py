"""What argues for another choice. Each sentence keeps its numbers."""

from __future__ import annotations

from collections.abc import Iterator

from whichway.findings import BreakEven, Sentence
from whichway.verdict.explain.inputs import Facts
from whichway.verdict.explain.numbers import Said, count, percent, usd, whole
from whichway.verdict.rule import Ruling

LARGEST_MARGIN = 0.10  # a difference that somebody could mean by "does not matter", unless the task's own is larger
SLICES = 3  # slice notes said aloud; all stand in the verdict


def dissent(facts: Facts) -> tuple[Sentence, ...]:
    """What argues for another choice: the volume, a larger margin, a slice of the rows, seeds that differ."""
    ruling = facts.ruling
    if ruling is None:
        return ()
    return (
        *volume_dissent(facts),
        *margin_dissent(facts, ruling),
        *slice_dissent(facts),
        *seed_dissent(facts, ruling),
    )


def volume_dissent(facts: Facts) -> Iterator[Sentence]:
    """The volume from which on the other one of the best prompt and the best fine-tune is cheaper."""
    found = facts.break_even
    if found is None:
        return
    said = Said()
    days = said("days", found.days, whole)
    wrong = said("wrong_answer_usd", found.wrong_answer_usd, usd)
    priced = f", a wrong answer at {wrong}" if found.wrong_answer_usd else ""
    if found.answer == "break-even" and found.requests is not None and found.requests < 1:
        yield said.sentence(
            f"Cost over {days} days{priced}: {found.above} is cheaper than {found.below} from the first request on."
        )
    elif found.answer == "break-even" and found.per_day is not None:
        yield said.sentence(
            f"Cost over {days} days{priced}: {found.below} is cheaper than {found.above} up to about "
            f"{said('per_day', found.per_day, count)} requests a day{around(said, found)}, {found.above} above that."
        )
    elif found.answer == "undecided":
        never = said("p_never", found.p_never, percent)
        yield said.sentence(
            f"Cost over {days} days{priced}: it is not decided whether {found.above} ever becomes cheaper than "
            f"{found.below}; in {never} of the resamples of the test rows it does not, at any volume."
        )
    elif (found.fixed_first, found.unit_first) != (found.fixed_second, found.unit_second):
        low, high = (found.second, found.first) if found.answer == "dominates" else (found.first, found.second)
        yield Sentence(f"Volume does not change the order of cost: {low} is cheaper than {high} at every volume.")


def around(said: Said, found: BreakEven) -> str:
    """The interval of the break-even in parentheses, or nothing where there is none."""
    if found.per_day_low is None or found.per_day_low == found.per_day_high:
        return ""
    low = said("per_day_low", found.per_day_low, count)
    if found.per_day_high is None:
        return f" (90 %: {low} to never)"
    return f" (90 %: {low} to {said('per_day_high', found.per_day_high, count)})"


def margin_dissent(facts: Facts, ruling: Ruling) -> Iterator[Sentence]:
    """What a larger margin would change, up to the largest that a user could mean: the choice, or a decision."""
    most = max(LARGEST_MARGIN, 2 * facts.margin)
    found = {i: margin_needed(facts, i) for i in range(ruling.choice + 1)}
    needs = {i: need if need is not None and need <= most else None for i, need in found.items()}
    cheaper = [(need, i) for i, need in needs.items() if i < ruling.choice and need is not None]
    if cheaper:
        said, (need, i) = Said(), min(cheaper)
        least = said("need", need, facts.format.size_up)
        yield said.sentence(f"With a margin above {least}, the cheaper {facts.way(i)} would be good enough.")
    own = needs[ruling.choice]
    if not ruling.decided and own is not None and own > facts.margin:
        said, name = Said(), facts.way(ruling.choice)
        need_text = said("need", own, facts.format.size_up)
        yield said.sentence(f"With a margin above {need_text}, {name} would be good enough against every other way.")


def margin_needed(facts: Facts, i: int) -> float | None:
    """The margin above which arm `i` is non-inferior to every other."""
    lows = [facts.ahead(i, j).low for j in range(len(facts.table.arms)) if j != i]
    known = [low for low in lows if low is not None]
    return -min(known) if known and len(known) == len(lows) else None


def slice_dissent(facts: Facts) -> Iterator[Sentence]:
    """Parts of the test rows on which the choice is shown worse than another way, the largest loss first."""
    bad = sorted((s for s in facts.slices if s.worse), key=lambda s: (s.difference, s.by, s.value))
    for found in bad[:SLICES]:
        said, choice = Said(), facts.way(facts.ruling.choice) if facts.ruling else ""
        rows, own = said("rows", found.rows, whole), said("score", found.score, percent)
        other, p = said("rival", found.rival_score, percent), said("p_holm", found.p_holm or 0.0, probability)
        yield said.sentence(
            f"On the {rows} rows with {found.by} “{found.value}”, {choice} has {own} and {found.rival} {other} "
            f"(p = {p}, corrected for all slices): consider {found.rival} there."
        )


def probability(x: float) -> str:
    """A p-value."""
    return f"{x:.2g}"


def seed_dissent(facts: Facts, ruling: Ruling) -> Iterator[Sentence]:
    """The ways whose seeds differ by more than the margin."""
    for k in sorted({ruling.choice, *ruling.open, *(facts.champions() or ())}):
        line = facts.line(k)
        if line.fold_sd is not None and line.fold_sd > max(facts.margin, 0.01):
            said = Said()
            sd, folds = said("fold_sd", line.fold_sd, facts.format.size), said("folds", line.folds, whole)
            yield said.sentence(
                f"{line.way} varies by ±{sd} from fold to fold: the score is the mean of {folds}, and what ships may "
                "lie that far from it."
            )
        if line.seed_sd is not None and line.seed_sd > max(facts.margin, 0.01):
            said = Said()
            sd, seeds = said("seed_sd", line.seed_sd, facts.format.size), said("seeds", line.seeds, whole)
            yield said.sentence(
                f"{line.way} varies by ±{sd} from seed to seed: the score is the mean of {seeds} seeds, and one more "
                f"{'search' if line.kind == 'prompt' else 'training'} may land that far from it."
            )
