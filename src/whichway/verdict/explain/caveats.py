"""What argues for another choice. Each sentence keeps its numbers."""

from __future__ import annotations

from collections.abc import Iterator

from whichway.findings import BreakEven, Sentence
from whichway.verdict.explain.inputs import ExplanationInputs
from whichway.verdict.explain.number_format import CitedSentence, count, percent, usd, whole
from whichway.verdict.rule import Ruling

LARGEST_MARGIN = 0.10  # a difference that somebody could mean by "does not matter", unless the task's own is larger
SLICES = 3  # slice notes said aloud; all stand in the verdict


def caveats(facts: ExplanationInputs) -> tuple[Sentence, ...]:
    """What argues for another choice: the volume, a larger margin, a slice of the rows, seeds that differ."""
    ruling = facts.ruling
    if ruling is None:
        return ()
    return (
        *volume_caveats(facts),
        *margin_caveats(facts, ruling),
        *slice_caveats(facts),
        *seed_caveats(facts, ruling),
    )


def volume_caveats(facts: ExplanationInputs) -> Iterator[Sentence]:
    """The volume from which on the other one of the best prompt and the best fine-tune is cheaper."""
    cost = facts.break_even
    if cost is None:
        return
    cite = CitedSentence()
    days = cite("days", cost.days, whole)
    wrong = cite("wrong_answer_usd", cost.wrong_answer_usd, usd)
    priced = f", a wrong answer at {wrong}" if cost.wrong_answer_usd else ""
    if cost.answer == "break-even" and cost.requests is not None and cost.requests < 1:
        yield cite.sentence(
            f"Cost over {days} days{priced}: {cost.above} is cheaper than {cost.below} from the first request on."
        )
    elif cost.answer == "break-even" and cost.per_day is not None:
        yield cite.sentence(
            f"Cost over {days} days{priced}: {cost.below} is cheaper than {cost.above} up to about "
            f"{cite('per_day', cost.per_day, count)} requests a day{interval(cite, cost)}, {cost.above} above that."
        )
    elif cost.answer == "undecided":
        never = cite("p_never", cost.p_never, percent)
        yield cite.sentence(
            f"Cost over {days} days{priced}: it is not decided whether {cost.above} ever becomes cheaper than "
            f"{cost.below}; in {never} of the resamples of the test rows it does not, at any volume."
        )
    elif (cost.fixed_first, cost.unit_first) != (cost.fixed_second, cost.unit_second):
        low, high = (cost.second, cost.first) if cost.answer == "dominates" else (cost.first, cost.second)
        yield Sentence(f"Volume does not change the order of cost: {low} is cheaper than {high} at every volume.")


def interval(cite: CitedSentence, cost: BreakEven) -> str:
    """The interval of the break-even in parentheses, or nothing where there is none."""
    if cost.per_day_low is None or cost.per_day_low == cost.per_day_high:
        return ""
    low = cite("per_day_low", cost.per_day_low, count)
    if cost.per_day_high is None:
        return f" (90 %: {low} to never)"
    return f" (90 %: {low} to {cite('per_day_high', cost.per_day_high, count)})"


def margin_caveats(facts: ExplanationInputs, ruling: Ruling) -> Iterator[Sentence]:
    """What a larger margin would change, up to the largest that a user could mean: the choice, or a decision."""
    most = max(LARGEST_MARGIN, 2 * facts.margin)
    margins = {i: margin_needed(facts, i) for i in range(ruling.choice + 1)}
    needs = {i: need if need is not None and need <= most else None for i, need in margins.items()}
    cheaper = [(need, i) for i, need in needs.items() if i < ruling.choice and need is not None]
    if cheaper:
        cite, (need, i) = CitedSentence(), min(cheaper)
        least = cite("need", need, facts.format.size_up)
        yield cite.sentence(f"With a margin above {least}, the cheaper {facts.way(i)} would be good enough.")
    own = needs[ruling.choice]
    if not ruling.decided and own is not None and own > facts.margin:
        cite, name = CitedSentence(), facts.way(ruling.choice)
        need_text = cite("need", own, facts.format.size_up)
        yield cite.sentence(f"With a margin above {need_text}, {name} would be good enough against every other way.")


def margin_needed(facts: ExplanationInputs, i: int) -> float | None:
    """The margin above which arm `i` is non-inferior to every other."""
    lows = [facts.ahead(i, j).low for j in range(len(facts.table.arms)) if j != i]
    known = [low for low in lows if low is not None]
    return -min(known) if known and len(known) == len(lows) else None


def slice_caveats(facts: ExplanationInputs) -> Iterator[Sentence]:
    """Parts of the test rows on which the choice is shown worse than another way, the largest loss first."""
    bad = sorted((s for s in facts.slices if s.worse), key=lambda s: (s.difference, s.by, s.value))
    for part in bad[:SLICES]:
        cite, choice = CitedSentence(), facts.way(facts.ruling.choice) if facts.ruling else ""
        rows, own = cite("rows", part.rows, whole), cite("score", part.score, percent)
        other, p = cite("rival", part.rival_score, percent), cite("p_holm", part.p_holm or 0.0, probability)
        yield cite.sentence(
            f"On the {rows} rows with {part.by} “{part.value}”, {choice} has {own} and {part.rival} {other} "
            f"(p = {p}, corrected for all slices): consider {part.rival} there."
        )


def probability(x: float) -> str:
    """A p-value."""
    return f"{x:.2g}"


def seed_caveats(facts: ExplanationInputs, ruling: Ruling) -> Iterator[Sentence]:
    """The ways whose seeds differ by more than the margin."""
    for k in sorted({ruling.choice, *ruling.open, *(facts.best_of_each_kind() or ())}):
        line = facts.line(k)
        if line.fold_sd is not None and line.fold_sd > max(facts.margin, 0.01):
            cite = CitedSentence()
            sd, folds = cite("fold_sd", line.fold_sd, facts.format.size), cite("folds", line.folds, whole)
            yield cite.sentence(
                f"{line.way} varies by ±{sd} from fold to fold: the score is the mean of {folds}, and what ships may "
                "lie that far from it."
            )
        if line.seed_sd is not None and line.seed_sd > max(facts.margin, 0.01):
            cite = CitedSentence()
            sd, seeds = cite("seed_sd", line.seed_sd, facts.format.size), cite("seeds", line.seeds, whole)
            yield cite.sentence(
                f"{line.way} varies by ±{sd} from seed to seed: the score is the mean of {seeds} seeds, and one more "
                f"{'search' if line.kind == 'prompt' else 'training'} may land that far from it."
            )
