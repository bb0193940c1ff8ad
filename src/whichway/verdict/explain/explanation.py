"""The verdict in plain words: headline and reasons. Each sentence keeps the numbers that it says."""

from __future__ import annotations

from collections.abc import Iterator

from whichway.findings import Sentence
from whichway.verdict.explain.inputs import Facts, gap, scored
from whichway.verdict.explain.judge_text import judged
from whichway.verdict.explain.numbers import (
    Said,
    chance,
    listed,
    nats,
    percent,
    points,
    seconds,
    usd,
    whole,
)
from whichway.verdict.rule import Answer, Ruling

LABELS: dict[Answer, str] = {
    "prompt": "Prompt",
    "fine-tune": "Fine-tune",
    "both": "Both",
    "baseline is enough": "Baseline is enough",
    "equivalent, take the cheaper": "Equivalent, take the cheaper",
    "undecided": "Undecided",
}
MAY_BE_BETTER, SURE_OF_WAY = 0.25, 0.9  # probabilities to be within the margin of the best
PLAIN_NAMES = {"base_tfidf": "a word-count classifier", "base_majority": "always giving the most frequent label"}


# --- headline


def headline(facts: Facts, answer: Answer) -> Sentence:
    """The verdict in one or two sentences."""
    said, ruling = Said(), facts.ruling
    if ruling is None:
        return said.sentence("Undecided: no way gave a result on the test rows.")
    if answer == "undecided":
        return said.sentence(f"Undecided: {undecided(said, facts, ruling)}{between_kinds(facts, ruling)}")
    choice = facts.line(ruling.choice)
    start = f"{LABELS[answer]}: take {choice.way}, {scored(said, choice, facts.format)}."
    if answer == "equivalent, take the cheaper":
        names = listed([facts.way(j) for j in ruling.equal])
        verb = "is" if len(ruling.equal) == 1 else "are"
        within = said("margin", facts.margin, facts.format.size)
        return said.sentence(f"{start} {names} {verb} within ±{within} of it, and not cheaper.")
    return said.sentence(f"{start} {grounds(said, facts, ruling)}{between_kinds(facts, ruling)}")


def between_kinds(facts: Facts, ruling: Ruling) -> str:
    """Which of prompting and fine-tuning is ahead, where the choice is a baseline; else nothing."""
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


def grounds(said: Said, facts: Facts, ruling: Ruling) -> str:
    """Why a decided choice is made, without the numbers of single arms."""
    parts = []
    margin = said("margin", facts.margin, facts.format.size)
    if ruling.choice > 0:
        parts.append("every cheaper way is shown worse")
    kinds = [arm.kind for arm in facts.table.arms]
    same = len(set(kinds)) == 1
    if any(same or kind != kinds[ruling.choice] for kind in kinds[ruling.choice + 1 :]):
        other = "" if same else " of another kind"
        parts.append(f"no dearer way{other} is better by {margin} or more")
    text = " and ".join(parts) or "no other way is better by more than the margin"
    return f"{text[0].upper()}{text[1:]}."


def undecided(said: Said, facts: Facts, ruling: Ruling) -> str:
    """Which way to use until it is decided, and what may be lost by it."""
    choice = facts.line(ruling.choice)
    score = scored(said, choice, facts.format)
    if len(facts.table.arms) == 1:
        return f"only {choice.way} competed, {score}; there is nothing to compare it with."
    if ruling.outlook is None:
        few = "with fewer than two independent test rows nothing can be compared"
        return f"use {choice.way}, {score}, for now. It is the cheapest; {few}."
    lean = "leaning" if ruling.sureness == "leaning" else "a toss-up"
    return f"{lean}. Use {choice.way}, {score}, for now: {chances(said, facts, ruling)}{runner_up(said, facts, ruling)}"


def chances(said: Said, facts: Facts, ruling: Ruling) -> str:
    """The probability that the choice is good enough, and its expected loss."""
    assert ruling.outlook is not None
    near = said("near_best", ruling.outlook.near_best[ruling.choice], chance)
    margin = said("margin", facts.margin, facts.format.size)
    lost = said("regret", ruling.outlook.regret[ruling.choice], facts.format.size)
    return f"with a probability of {near} it is within {margin} of the best way; the expected loss is {lost}."


def runner_up(said: Said, facts: Facts, ruling: Ruling) -> str:
    """The way with the least expected loss after the choice."""
    assert ruling.outlook is not None
    other = ruling.outlook.runner_up
    costs = facts.cost(other, ruling.choice)
    return f" Next is {facts.way(other)}, {scored(said, facts.line(other), facts.format)}, which {costs}."


# --- reasons


def reasons(facts: Facts) -> tuple[Sentence, ...]:
    """The reasons with their numbers: scores, comparisons, prompt or fine-tune, cost, uncertainty, failures."""
    ruling = facts.ruling
    failed = tuple(
        Sentence(f"{line.way} failed and does not compete: {line.reason or 'no reason was given'}.")
        for line in facts.standings
        if line.status == "failed"
    )
    if ruling is None:
        return failed
    return (
        choice_score(facts, ruling),
        *(rival(facts, ruling, j) for j in range(len(facts.table.arms)) if j != ruling.choice),
        *prompt_or_tune(facts),
        *which_model(facts),
        *no_model(facts, ruling),
        *costs(facts, ruling),
        *equals(facts, ruling),
        *siblings(facts, ruling),
        *worth(facts),
        *forgot(facts, ruling),
        *shipped(facts, ruling),
        *spreads(facts),
        *formats(facts),
        *judged(facts),
        *winners_curse(facts, ruling),
        *saved(facts),
        *unread(facts),
        *failed,
    )


def choice_score(facts: Facts, ruling: Ruling) -> Sentence:
    """The score of the choice."""
    said, line = Said(), facts.line(ruling.choice)
    seeds = f", as the mean of {said('seeds', line.seeds, whole)} seeds" if line.seeds > 1 else ""
    rows = said("rows", line.rows, whole)
    if line.folds > 1:
        folds = said("folds", line.folds, whole)
        return said.sentence(
            f"{line.way} scores {scored(said, line, facts.format)} on all {rows} rows, each answered once, by the one "
            f"of {folds} fits that was made without it."
        )
    return said.sentence(f"{line.way} scores {scored(said, line, facts.format)} on {rows} test rows{seeds}.")


def shipped(facts: Facts, ruling: Ruling) -> Iterator[Sentence]:
    """What ships, where folds were measured: it is none of their models."""
    line = facts.line(ruling.choice)
    if line.folds == 1:
        return
    if line.refit:
        made = "the same in every fold" if line.refit in line.candidates else "made once more, of all rows"
        yield Sentence(f"What ships is {made}; the folds' scores are its evidence.")
    else:
        yield Sentence(
            "What ships is the finalist of the fold that is best on dev: this one cannot be made anew of all rows."
        )


def rival(facts: Facts, ruling: Ruling, j: int) -> Sentence:
    """How another arm compares with the choice."""
    said, found = Said(), facts.ahead(j, ruling.choice)
    cheaper = j < ruling.choice
    cost = facts.cost(j, ruling.choice)
    if j in ruling.worse:
        says = "but is shown worse" if cheaper else "and is shown worse"
    elif j in ruling.held and not cheaper:
        says = f"and is not better by {said('margin', facts.margin, points)} or more"
    elif j not in ruling.standing and cheaper:
        says = "but is shown worse than another way"
    elif found.p is None:
        says = "and cannot be compared on so few rows"
    else:
        says = "and is neither shown better nor held within the margin"
    return said.sentence(
        f"{facts.way(j)} {cost} {says}: {gap(said, found, facts.format)} against {facts.way(ruling.choice)}."
    )


def prompt_or_tune(facts: Facts) -> Iterator[Sentence]:
    """Whether the best prompt or the best fine-tune is ahead, whichever way is chosen."""
    best = facts.champions()
    if best is None:
        return
    prompt, tuned = best
    said, found = Said(), facts.ahead(tuned, prompt)
    a, b = facts.line(prompt), facts.line(tuned)
    chosen = "on dev" if None not in (a.dev_score, b.dev_score) else "by score"
    yield said.sentence(
        f"Prompt or fine-tune? The best of each ({chosen}), on test: {a.way} {scored(said, a, facts.format)}, {b.way} "
        f"{scored(said, b, facts.format)}; {leader(facts, prompt, tuned)}, {b.way} − {a.way} = "
        f"{gap(said, found, facts.format)}."
    )


def which_model(facts: Facts) -> Iterator[Sentence]:
    """Whether another model is better, where several compete: the best way on each against the best on the first."""
    found = facts.champions_by_model()
    if len(found) < 2:
        return
    said, first = Said(), found[0]
    told = listed([f"{facts.way(k)} {scored(said, facts.line(k), facts.format)}" for k in found])
    gaps = [_change(said, facts, first, k) for k in found[1:]]
    yield said.sentence(f"Which model? The best way on each, on test: {told}; {'; '.join(gaps)}.")


def _change(said: Said, facts: Facts, first: int, k: int) -> str:
    one, two = (facts.table.arms[i].model for i in (first, k))
    moved, shown = facts.ahead(k, first), facts.way(k)
    open_ = moved.p is None or moved.p > 1 - facts.table.confidence or moved.value == 0
    word = "is not shown to change anything" if open_ else "pays" if moved.value > 0 else "does not pay"
    gained = gap(said, moved, facts.format, f"{shown}.gap")
    return f"changing the model from {one} to {two} {word}, {shown} − {facts.way(first)} = {gained}"


def no_model(facts: Facts, ruling: Ruling) -> Iterator[Sentence]:
    """Whether a language model is needed at all."""
    said, line = Said(), facts.line(ruling.choice)
    if line.kind != "baseline" or len(facts.table.arms) == 1:
        return
    name = PLAIN_NAMES.get(line.way, f"a baseline ({line.way})")
    if ruling.decided:
        within = said("margin", facts.margin, facts.format.size)
        told = f"is at least as good, within {within}: no language model is needed."
        yield said.sentence(f"{name[0].upper()}{name[1:]} {told}")
    else:
        yield said.sentence(f"No language model is shown better than {name}: whether one is needed is open.")


def costs(facts: Facts, ruling: Ruling) -> Iterator[Sentence]:
    """What the choice and the best prompt and fine-tune cost."""
    for k in sorted({ruling.choice, ruling.best, *(facts.champions() or ())}):
        said, line = Said(), facts.line(k)
        unit, fit = said("usd_per_1000", line.usd_per_1000, usd), said("usd_fit", line.usd_fit, usd)
        took, total = said("seconds_fit", line.seconds_fit, seconds), said("usd_total", line.usd_total, usd)
        volume = said("volume", facts.volume, whole)
        yield said.sentence(
            f"{line.way} costs {unit} per 1,000 requests after {took} of fitting ({fit}): {total} with 30 days at "
            f"{volume} requests a day."
        )


def equals(facts: Facts, ruling: Ruling) -> Iterator[Sentence]:
    """The ways that are not shown worse than the best."""
    names = [line.way for line in facts.standings if line.not_worse]
    if len(names) > 1:
        yield Sentence(f"Not shown worse than the best, {facts.way(ruling.best)}: {listed(names)}.")


def siblings(facts: Facts, ruling: Ruling) -> Iterator[Sentence]:
    """A way of the chosen kind that may be better: the kind is decided, the way is not."""
    if not ruling.decided or ruling.outlook is None:
        return
    near = ruling.outlook.near_best
    for j in ruling.siblings:
        if near[j] >= MAY_BE_BETTER and near[ruling.choice] < SURE_OF_WAY:
            said = Said()
            own, other = said("near_best", near[ruling.choice], chance), said("other", near[j], chance)
            yield said.sentence(
                f"The kind is decided, the way is not: {facts.way(j)} is within the margin of the best with a "
                f"probability of {other}, {facts.way(ruling.choice)} of {own}."
            )


def worth(facts: Facts) -> Iterator[Sentence]:
    """How many labels a prompt is worth, and from where on fine-tuning overtakes, where curves were measured."""
    for cross in facts.crossovers:
        values = {
            name: value
            for name, value in (
                ("low", cross.low), ("high", cross.high), ("largest", cross.largest), ("advantage", cross.advantage),
                ("advantage_low", cross.advantage_low), ("advantage_high", cross.advantage_high),
                ("window_low", cross.window_low), ("window_high", cross.window_high),
            )
            if value is not None
        }  # fmt: skip
        yield Sentence(cross.text, values)


def forgot(facts: Facts, ruling: Ruling) -> Iterator[Sentence]:
    """What the choice and the best fine-tune lost on general text."""
    ways = {facts.way(k) for k in (ruling.choice, *(facts.champions() or ()))}
    said, parts = Said(), []
    for found in facts.forgetting:
        if found.way not in ways or found.before is None or found.after is None:
            continue
        moved = found.after - found.before
        before, after = said(f"{found.way}.before", found.before, nats), said(f"{found.way}.after", found.after, nats)
        word = "more" if moved >= 0 else "less"
        parts.append(f"{found.way} {before} to {after} nats a token ({said(f'{found.way}.moved', moved, nats)} {word})")
    if parts:
        yield said.sentence(f"Forgetting: loss on general text went from {listed(parts).replace(' and ', '; ')}.")


def spreads(facts: Facts) -> Iterator[Sentence]:
    """Outcome variability: what decoding and seeds do to each way's score, which more rows do not shrink."""
    said, parts = Said(), []
    for found in facts.spreads:
        noise = []
        if found.one_decoding is not None:
            noise.append(f"±{said(f'{found.way}.decoding', found.one_decoding, points)} from decoding")
        own = next(line for line in facts.standings if line.way == found.way)
        sd = own.seed_sd
        if own.fold_sd:
            folds = said(f"{found.way}.folds", own.folds, whole)
            noise.append(f"±{said(f'{found.way}.fold_sd', own.fold_sd, facts.format.size)} between {folds} folds")
        if sd is not None:
            seeds = said(f"{found.way}.seeds", found.seeds, whole)
            noise.append(f"±{said(f'{found.way}.seed_sd', sd, facts.format.size)} between {seeds} seeds")
        if noise:
            parts.append(f"{found.way} {' and '.join(noise)}")
    if parts:
        yield said.sentence(f"Outcome variability: {', '.join(parts)}.")


def formats(facts: Facts) -> Iterator[Sentence]:
    """How far the form of the prompt alone moves the dev score."""
    form = facts.format
    for found in facts.formats:
        said = Said()
        low, high = said("low", found.low, form.score), said("high", found.high, form.score)
        forms, rows = said("forms", found.forms, whole), said("rows", found.rows, whole)
        sd, luck = said("sd", found.sd, form.size), said("luck_sd", found.luck_sd, form.size)
        yield said.sentence(
            f"The form of the prompt alone moves {found.way} between {low} ({found.worst}) and {high} ({found.best}): "
            f"{forms} forms of the same words on the same {rows} dev rows, standard deviation {sd}; chance in the "
            f"rows alone would give {luck}."
        )


def winners_curse(facts: Facts, ruling: Ruling) -> Iterator[Sentence]:
    """The dev score of the choice beside its test score."""
    line = facts.line(ruling.choice)
    if line.dev_score is None or line.score is None:
        return
    said, lost, form = Said(), line.dev_score - line.score, facts.format
    dev, test = said("dev", line.dev_score, form.score), said("test", line.score, form.score)
    less = said("lost", lost, form.signed)
    name = "the winner's curse of selection on dev, or chance" if lost > 0 else "no sign of a winner's curse"
    found = next((s for s in facts.selections if s.way == line.way and s.expected is not None and s.tried > 1), None)
    best = ""
    if found is not None and found.expected is not None:
        tried, rows = said("tried", found.tried, whole), said("dev_rows", found.dev_rows, whole)
        best = f" Picking the best of {tried} equal candidates on {rows} dev rows alone flatters by "
        best += f"{said('expected', found.expected, form.size)}."
    yield said.sentence(
        f"{line.way} had {dev} on dev and has {test} on test: dev − test = {less}{form.unit}, {name}.{best}"
    )


def saved(facts: Facts) -> Iterator[Sentence]:
    """How many answers racing on dev saved."""
    race = facts.race
    if race is None or race.evaluations >= race.full_evaluations:
        return
    said = Said()
    share = said("saved", 1 - race.evaluations / race.full_evaluations, percent)
    asked, full = said("evaluations", race.evaluations, whole), said("full", race.full_evaluations, whole)
    dropped = said("dropped", race.dropped, whole)
    yield said.sentence(
        f"Racing on dev asked for {asked} answers instead of {full} ({share} saved); {dropped} dropped early."
    )


def unread(facts: Facts) -> Iterator[Sentence]:
    """The share of answers that could not be read, by way."""
    said = Said()
    lines = [line for line in facts.standings if line.status == "ok" and line.unparsed > 0]
    if lines:
        rates = listed([f"{line.way} {said(f'{line.way}.unparsed', line.unparsed, percent)}" for line in lines])
        yield said.sentence(f"Answers that could not be read, counted as wrong: {rates}.")


def cautions(facts: Facts) -> tuple[str, ...]:
    """Warnings that follow from the numbers: seeds that were not repeated, too few rows for intervals."""
    lines = []
    names = [facts.way(k) for k in one_seed(facts)]
    if names:
        lines.append(
            f"The noise between seeds is not measured for {listed(names)} (one seed): "
            "the interval covers row noise only."
        )
    if facts.table.arms and facts.table.clusters < 2:
        lines.append("Not enough data for intervals: fewer than two independent test rows.")
    return tuple(lines)


def one_seed(facts: Facts) -> list[int]:
    """The arms that depend on a seed and ran with one seed only; none where folds take the place of seeds."""
    if facts.table.folds is not None:
        return []
    return [k for k, arm in enumerate(facts.table.arms) if arm.random and len(arm.scores) == 1]
