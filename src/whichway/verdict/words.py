"""The verdict in plain words. Every number comes from the standings, the pairs, or the rule applied to them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from whichway.nouns import Kind, Pair, Standing
from whichway.verdict import stats
from whichway.verdict.compare import Comparison, Table
from whichway.verdict.rule import Answer, Ruling, two_digits

LABELS: dict[Answer, str] = {
    "prompt": "Prompt",
    "fine-tune": "Fine-tune",
    "both": "Both",
    "baseline is enough": "Baseline is enough",
    "equivalent, take the cheaper": "Equivalent, take the cheaper",
    "undecided": "Undecided",
}
PLAIN_NAMES = {"base_tfidf": "a word-count classifier", "base_majority": "always giving the most frequent label"}


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the sentences are made of. Arms are numbered in the order of cost."""

    standings: tuple[Standing, ...]
    pairs: tuple[Pair, ...]
    table: Table
    ruling: Ruling | None
    margin: float
    volume: float

    def way(self, k: int) -> str:
        """The arm's name."""
        return self.table.arms[k].way

    def line(self, k: int) -> Standing:
        """The arm's line in the table."""
        return next(line for line in self.standings if line.way == self.way(k))

    def ahead(self, k: int, other: int) -> Comparison:
        """Arm `k` minus another."""
        return self.table.compare(other, k)

    def cost(self, k: int, other: int) -> str:
        """How the cost of arm `k` compares, at the two digits that the rule looks at."""
        a, b = (two_digits(self.table.arms[i].total(self.volume)) for i in (k, other))
        return "costs the same" if a == b else "costs less" if a < b else "costs more"

    def champion(self, kind: Kind) -> int | None:
        """The best arm of a kind: on dev, so that test still judges it fairly; on test where a dev score is missing."""
        places = [k for k, arm in enumerate(self.table.arms) if arm.kind == kind]
        if not places:
            return None
        dev = [self.table.arms[k].dev for k in places]
        value = [self.table.value(k) for k in places]
        seen = [d for d in dev if d is not None]
        judged = seen if len(seen) == len(places) else value
        return places[max(range(len(places)), key=lambda i: (judged[i], -i))]

    def champions(self) -> tuple[int, int] | None:
        """The best prompt and the best fine-tune."""
        prompt, tuned = self.champion("prompt"), self.champion("fine-tune")
        return None if prompt is None or tuned is None else (prompt, tuned)


# --- numbers as text


def percent(x: float) -> str:
    """A share: "71.5 %"."""
    return f"{100 * x:.1f} %"


def points(x: float) -> str:
    """A size of a difference: "4.2 points"."""
    return f"{100 * abs(x) + 0.0:.1f} points"


def points_up(x: float) -> str:
    """A difference rounded up, for bounds that must hold."""
    return f"{math.ceil(1000 * x - 1e-9) / 10:.1f} points"


def signed(x: float) -> str:
    """A difference with its sign, bare: "+4.2" or "−1.0"."""
    return f"{round(100 * x, 1) + 0.0:+.1f}".replace("-", "−")


def scored(line: Standing) -> str:
    """A score with its interval: "71.5 % (66.1–76.3)"."""
    if line.score is None:
        return "no score"
    if line.low is None or line.high is None:
        return percent(line.score)
    return f"{percent(line.score)} ({100 * line.low:.1f}–{100 * line.high:.1f})"


def gap(found: Comparison) -> str:
    """A paired difference with its interval and rows: "+2.5 points (−1.0 to +6.0; ahead on 40 rows, behind on 30)"."""
    rows = f"ahead on {found.wins} row{'s' * (found.wins != 1)}, behind on {found.losses}"
    if found.low is None or found.high is None:
        return f"{signed(found.value)} points ({rows})"
    return f"{signed(found.value)} points ({signed(found.low)} to {signed(found.high)}; {rows})"


def usd(x: float) -> str:
    """Money to two significant digits below a dollar: "$12.40", "$0.0034"."""
    if x == 0 or x >= 1:
        return f"${x:,.2f}" if x else "$0"
    digits = 1 - math.floor(math.log10(x))
    return f"${x:.{digits}f}"


def seconds(x: float) -> str:
    """A time: "0.4 s", "3,120 s"."""
    return f"{x:,.0f} s" if x >= 10 else f"{x:.1f} s"


def count(x: float) -> str:
    """A count to two significant digits, rounded up: "1,200"."""
    if x < 1:
        return f"{x:.2g}"
    step = 10 ** max(0, math.floor(math.log10(x)) - 1)
    return f"{math.ceil(x / step - 1e-9) * step:,}"


def listed(names: list[str]) -> str:
    """Names in a row: "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


# --- headline


def headline(facts: Facts, answer: Answer) -> str:
    """The verdict in one or two sentences."""
    ruling = facts.ruling
    if ruling is None:
        return "Undecided: no way gave a result on the test rows."
    if answer == "undecided":
        return f"Undecided: {undecided(facts, ruling)}{between_kinds(facts, ruling)}"
    choice = facts.line(ruling.choice)
    start = f"{LABELS[answer]}: take {choice.way}, {scored(choice)}."
    if answer == "equivalent, take the cheaper":
        names = listed([facts.way(j) for j in ruling.equal])
        verb = "is" if len(ruling.equal) == 1 else "are"
        return f"{start} {names} {verb} within ±{points(facts.margin)} of it and cheaper in no case."
    return f"{start} {grounds(facts, ruling)}{between_kinds(facts, ruling)}"


def between_kinds(facts: Facts, ruling: Ruling) -> str:
    """A last sentence where a baseline is taken but prompt or fine-tune was asked: which of them is ahead."""
    best = facts.champions()
    if best is None or facts.line(ruling.choice).kind != "baseline":
        return ""
    return f" Of prompting and fine-tuning, {leader(facts, *best)}."


def leader(facts: Facts, prompt: int, tuned: int) -> str:
    """Which of the best prompt and the best fine-tune is shown ahead; one comparison, so at the full level."""
    found = facts.ahead(tuned, prompt)
    if found.p is None or found.p > 1 - facts.table.confidence or found.value == 0:
        return "neither is shown ahead"
    return "fine-tuning is ahead" if found.value > 0 else "prompting is ahead"


def grounds(facts: Facts, ruling: Ruling) -> str:
    """Why a decided choice stands, without numbers of single arms."""
    parts = []
    if ruling.choice > 0:
        parts.append("every cheaper way is shown worse")
    kinds = [arm.kind for arm in facts.table.arms]
    same = len(set(kinds)) == 1
    if any(same or kind != kinds[ruling.choice] for kind in kinds[ruling.choice + 1 :]):
        other = "" if same else " of another kind"
        parts.append(f"no dearer way{other} is better by {points(facts.margin)} or more")
    text = " and ".join(parts) or "no other way is better by more than the margin"
    return f"{text[0].upper()}{text[1:]}."


def undecided(facts: Facts, ruling: Ruling) -> str:
    """What to do meanwhile, and what stands against it."""
    choice = facts.line(ruling.choice)
    if len(facts.table.arms) == 1:
        return f"only {choice.way} competed, {scored(choice)}; there is nothing to compare it with."
    use = f"use {choice.way}, {scored(choice)}, for now."
    if facts.table.clusters < 2:
        return f"{use} It is the cheapest; with fewer than two independent test rows nothing can be compared."
    rival = min(ruling.open, key=lambda j: facts.ahead(ruling.choice, j).low or 0.0)
    if rival < ruling.choice:
        return f"{use} {facts.way(rival)} {facts.cost(rival, ruling.choice)} and is not shown worse than it."
    most = -(facts.ahead(ruling.choice, rival).low or 0.0)
    costs = facts.cost(rival, ruling.choice)
    return f"{use} {facts.way(rival)} {costs} and is not shown better, but may be by up to {points_up(most)}."


# --- reasons


def reasons(facts: Facts) -> tuple[str, ...]:
    """Why, with numbers: score, rivals, the question of kinds, cost, what was uncertain, what failed."""
    ruling = facts.ruling
    failed = tuple(
        f"{line.way} failed and does not compete: {line.reason or 'no reason was given'}."
        for line in facts.standings
        if line.status == "failed"
    )
    if ruling is None:
        return failed
    return (
        choice_score(facts, ruling),
        *(rival(facts, ruling, j) for j in range(len(facts.table.arms)) if j != ruling.choice),
        *prompt_or_tune(facts),
        *no_model(facts, ruling),
        *costs(facts, ruling),
        *equals(facts, ruling),
        *seed_spread(facts),
        *winners_curse(facts, ruling),
        *unread(facts),
        *failed,
    )


def choice_score(facts: Facts, ruling: Ruling) -> str:
    """The choice's own score."""
    line = facts.line(ruling.choice)
    seeds = f", as the mean of {line.seeds} seeds" if line.seeds > 1 else ""
    return f"{line.way} scores {scored(line)} on {line.rows} test rows{seeds}."


def rival(facts: Facts, ruling: Ruling, j: int) -> str:
    """How one other arm stands against the choice."""
    found = facts.ahead(j, ruling.choice)
    cheaper = j < ruling.choice
    cost = facts.cost(j, ruling.choice)
    if j in ruling.worse:
        says = "but is shown worse" if cheaper else "and is shown worse"
    elif j in ruling.held and not cheaper:
        says = f"and is not better by {points(facts.margin)} or more"
    elif j not in ruling.standing and cheaper:
        says = "but is shown worse than another way"
    elif found.p is None:
        says = "and cannot be compared on so few rows"
    else:
        says = "and is neither shown better nor held within the margin"
    return f"{facts.way(j)} {cost} {says}: {gap(found)} against {facts.way(ruling.choice)}."


def prompt_or_tune(facts: Facts) -> Iterator[str]:
    """The question of the house, whichever way is chosen."""
    best = facts.champions()
    if best is None:
        return
    prompt, tuned = best
    found = facts.ahead(tuned, prompt)
    a, b = facts.line(prompt), facts.line(tuned)
    chosen = "on dev" if None not in (a.dev_score, b.dev_score) else "by score"
    yield (
        f"Prompt or fine-tune? The best of each ({chosen}), on test: {a.way} {scored(a)}, {b.way} {scored(b)}; "
        f"{leader(facts, prompt, tuned)}, {b.way} − {a.way} = {gap(found)}."
    )


def no_model(facts: Facts, ruling: Ruling) -> Iterator[str]:
    """Whether a language model is needed at all."""
    line = facts.line(ruling.choice)
    if line.kind != "baseline" or len(facts.table.arms) == 1:
        return
    name = PLAIN_NAMES.get(line.way, f"a baseline ({line.way})")
    if ruling.decided:
        told = f"is as good or better, within {points(facts.margin)}: no language model is needed."
        yield f"{name[0].upper()}{name[1:]} {told}"
    else:
        yield f"No language model is shown better than {name}: whether one is needed is open."


def costs(facts: Facts, ruling: Ruling) -> Iterator[str]:
    """What the choice and the best prompt and fine-tune cost."""
    for k in sorted({ruling.choice, ruling.best, *(facts.champions() or ())}):
        line = facts.line(k)
        yield (
            f"{line.way} costs {usd(line.usd_per_1000)} per 1,000 requests after {seconds(line.seconds_fit)} of "
            f"fitting ({usd(line.usd_fit)}): {usd(line.usd_total)} with 30 days at {facts.volume:,.0f} requests a day."
        )


def equals(facts: Facts, ruling: Ruling) -> Iterator[str]:
    """The set not shown worse than the best."""
    names = [line.way for line in facts.standings if line.not_worse]
    if len(names) > 1:
        yield f"Not shown worse than the best, {facts.way(ruling.best)}: {listed(names)}."


def seed_spread(facts: Facts) -> Iterator[str]:
    """How much seeds matter, for each way that has several."""
    spread = [
        f"{line.way} ±{100 * line.seed_sd:.1f} ({line.seeds} seeds)"
        for line in facts.standings
        if line.seed_sd is not None and line.status == "ok"
    ]
    if spread:
        yield f"Spread between seeds, in points: {', '.join(spread)}."


def winners_curse(facts: Facts, ruling: Ruling) -> Iterator[str]:
    """Dev beside test, for the choice."""
    line = facts.line(ruling.choice)
    if line.dev_score is None or line.score is None:
        return
    lost = line.dev_score - line.score
    name = "the winner's curse of selection on dev, or chance" if lost > 0 else "no sign of a winner's curse"
    yield (
        f"{line.way} had {percent(line.dev_score)} on dev and has {percent(line.score)} on test: "
        f"dev − test = {signed(lost)} points, {name}."
    )


def unread(facts: Facts) -> Iterator[str]:
    """Ways with answers that could not be read."""
    lines = [line for line in facts.standings if line.status == "ok" and line.unparsed > 0]
    if lines:
        rates = listed([f"{line.way} {percent(line.unparsed)}" for line in lines])
        yield f"Answers that could not be read, counted as wrong: {rates}."


# --- dissent


def dissent(facts: Facts) -> tuple[str, ...]:
    """What would argue for another choice: volume, a larger margin, seeds."""
    ruling = facts.ruling
    if ruling is None:
        return ()
    return (*volume_dissent(facts), *margin_dissent(facts, ruling), *seed_dissent(facts, ruling))


def volume_dissent(facts: Facts) -> Iterator[str]:
    """At how many requests a day the order of cost of the best prompt and fine-tune flips."""
    best = facts.champions()
    if best is None:
        return
    a, b = (facts.line(k) for k in best)
    flip = break_even(a, b)
    if flip is not None:
        low, high = (a, b) if a.usd_fit < b.usd_fit else (b, a)
        yield (
            f"Cost over 30 days: {low.way} is cheaper than {high.way} up to about {count(flip)} requests a day, "
            f"{high.way} above that."
        )
    elif (a.usd_fit, a.usd_per_1000) != (b.usd_fit, b.usd_per_1000):
        low, high = (a, b) if (a.usd_per_1000, a.usd_fit) < (b.usd_per_1000, b.usd_fit) else (b, a)
        yield f"Volume does not change the order of cost: {low.way} is cheaper than {high.way} at every volume."


def break_even(a: Standing, b: Standing) -> float | None:
    """Requests a day at which two ways cost the same over 30 days; None where one is cheaper at every volume."""
    fixed, running = b.usd_fit - a.usd_fit, 30 * (a.usd_per_1000 - b.usd_per_1000) / 1000
    return fixed / running if fixed * running > 0 else None


def margin_dissent(facts: Facts, ruling: Ruling) -> Iterator[str]:
    """What a larger margin would change: another choice, or a decision."""
    needs = {i: margin_needed(facts, i) for i in range(ruling.choice + 1)}
    cheaper = [(need, i) for i, need in needs.items() if i < ruling.choice and need is not None]
    if cheaper:
        need, i = min(cheaper)
        yield f"With a margin above {points_up(need)}, the cheaper {facts.way(i)} would do."
    own = needs[ruling.choice]
    if not ruling.decided and own is not None and own > facts.margin:
        name = facts.way(ruling.choice)
        yield f"With a margin above {points_up(own)}, {name} would be good enough against every other way."


def margin_needed(facts: Facts, i: int) -> float | None:
    """The margin above which arm `i` is non-inferior to every other."""
    lows = [facts.ahead(i, j).low for j in range(len(facts.table.arms)) if j != i]
    known = [low for low in lows if low is not None]
    return -min(known) if known and len(known) == len(lows) else None


def seed_dissent(facts: Facts, ruling: Ruling) -> Iterator[str]:
    """Ways in question whose seeds differ by more than what matters."""
    for k in sorted({ruling.choice, *ruling.open, *(facts.champions() or ())}):
        line = facts.line(k)
        if line.seed_sd is not None and line.seed_sd > max(facts.margin, 0.01):
            yield (
                f"{line.way} varies by ±{points(line.seed_sd)} from seed to seed: the score is the mean of "
                f"{line.seeds} seeds, and one more training may land that far from it."
            )


# --- what would decide


def would_decide(facts: Facts) -> tuple[str, ...]:
    """For each open comparison: more test rows, or more seeds; and seeds where none were compared."""
    ruling = facts.ruling
    if ruling is None:
        return ("At least one way that does not fail; see the reasons above.",)
    if len(facts.table.arms) == 1:
        return ("A second way to compare with.",)
    if facts.table.clusters < 2:
        return ("At least 2 independent test rows; differences of about 10 points need 100 to 200.",)
    lines = [more(facts, ruling, j) for j in (*ruling.open, *(ruling.siblings if not ruling.decided else ()))]
    unknown = [facts.way(k) for k in one_seed(facts) if k in {ruling.choice, *ruling.open}]
    if unknown and not ruling.decided:
        lines.append(f"At least 3 seeds for {listed(unknown)}: the noise between seeds is not measured.")
    return tuple(lines)


def more(facts: Facts, ruling: Ruling, j: int) -> str:
    """What would settle the choice against one arm, if the gap stays as it looks."""
    found = facts.ahead(j, ruling.choice)
    between = f"between {facts.way(ruling.choice)} and {facts.way(j)}"
    aim = max(abs(found.value), facts.margin - found.value if j > ruling.choice else facts.margin)
    level = 1 - (1 - facts.table.confidence) / (len(facts.table.arms) - 1)
    omega2 = (found.row_variance or 0.0) * facts.table.n
    if found.seed_variance > (found.row_variance or 0.0):
        return more_seeds(facts, ruling, j, aim, level, between)
    needed = stats.rows_needed(aim, omega2, seed_part=found.seed_variance, confidence=level) if aim > 0 else None
    if needed is None:
        return f"No number of test rows alone decides {between} at this margin: accept a larger one, or add seeds."
    if needed <= facts.table.n:
        return f"{between[0].upper()}{between[1:]} it is close: a few more test rows may decide."
    return (
        f"About {count(needed - facts.table.n)} more test rows would decide {between}, "
        f"if the gap stays near {signed(found.value)} points."
    )


def more_seeds(facts: Facts, ruling: Ruling, j: int, aim: float, level: float, between: str) -> str:
    """Seeds that would settle it where seed noise is larger than row noise: half of what the aim allows."""
    found = facts.ahead(j, ruling.choice)
    seeds = max(facts.line(k).seeds for k in (ruling.choice, j))
    z2 = (stats.z_value(level) + stats.z_value(0.6)) ** 2
    wanted = math.ceil(seeds * max(2.0, 2 * z2 * found.seed_variance / aim**2)) if aim > 0 else 2 * seeds
    return (
        f"About {count(wanted)} seeds instead of {seeds} would decide {between}: seeds blur the gap by "
        f"±{points(math.sqrt(found.seed_variance))}, test rows by ±{points(math.sqrt(found.row_variance or 0.0))}."
    )


def one_seed(facts: Facts) -> list[int]:
    """Random arms with a single seed."""
    return [k for k, arm in enumerate(facts.table.arms) if arm.random and len(arm.scores) == 1]


def cautions(facts: Facts) -> tuple[str, ...]:
    """Warnings that the numbers themselves give."""
    lines = []
    names = [facts.way(k) for k in one_seed(facts)]
    if names:
        lines.append(f"Seed noise is not measured for {listed(names)} (one seed): the interval holds row noise only.")
    if facts.table.arms and facts.table.clusters < 2:
        lines.append("Not enough data for intervals: fewer than two independent test rows.")
    return tuple(lines)
