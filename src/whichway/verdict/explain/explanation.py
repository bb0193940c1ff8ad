"""The reasons of a verdict in plain words, and its warnings. Each sentence keeps the numbers that it says."""

from __future__ import annotations

from collections.abc import Iterator

from whichway.findings import Sentence
from whichway.verdict.explain.grade_text import by_grades
from whichway.verdict.explain.headline import leader
from whichway.verdict.explain.inputs import ExplanationInputs, gap, scored
from whichway.verdict.explain.judge_text import judged
from whichway.verdict.explain.number_format import (
    CitedSentence,
    chance,
    listed,
    nats,
    percent,
    points,
    seconds,
    usd,
    whole,
)
from whichway.verdict.rule import Ruling

MAY_BE_BETTER, SURE_OF_WAY = 0.25, 0.9  # probabilities to be within the margin of the best
PLAIN_NAMES = {"base_tfidf": "a word-count classifier", "base_majority": "always giving the most frequent label"}


def reasons(facts: ExplanationInputs) -> tuple[Sentence, ...]:
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
        *by_grades(facts),
        *(comparison_with(facts, ruling, j) for j in range(len(facts.table.arms)) if j != ruling.choice),
        *prompt_or_tune(facts),
        *which_model(facts),
        *no_model(facts, ruling),
        *costs(facts, ruling),
        *equals(facts, ruling),
        *siblings(facts, ruling),
        *worth(facts),
        *forgetting(facts, ruling),
        *shipped(facts, ruling),
        *spreads(facts),
        *formats(facts),
        *judged(facts),
        *winners_curse(facts, ruling),
        *racing_savings(facts),
        *unreadable_answers(facts),
        *failed,
    )


def choice_score(facts: ExplanationInputs, ruling: Ruling) -> Sentence:
    """The score of the choice."""
    cite, line = CitedSentence(), facts.line(ruling.choice)
    seeds = f", as the mean of {cite('seeds', line.seeds, whole)} seeds" if line.seeds > 1 else ""
    rows = cite("rows", line.rows, whole)
    if line.folds > 1:
        folds = cite("folds", line.folds, whole)
        return cite.sentence(
            f"{line.way} scores {scored(cite, line, facts.format)} on all {rows} rows, each answered once, by the one "
            f"of {folds} fits that was made without it."
        )
    return cite.sentence(f"{line.way} scores {scored(cite, line, facts.format)} on {rows} test rows{seeds}.")


def shipped(facts: ExplanationInputs, ruling: Ruling) -> Iterator[Sentence]:
    """What ships, where folds were measured: it is none of their models."""
    line = facts.line(ruling.choice)
    if line.folds == 1:
        return
    if line.refit:
        origin = "the same in every fold" if line.refit in line.candidates else "made once more, of all rows"
        yield Sentence(f"What ships is {origin}; the folds' scores are its evidence.")
    else:
        yield Sentence(
            "What ships is the finalist of the fold that is best on dev: this one cannot be made anew of all rows."
        )


def comparison_with(facts: ExplanationInputs, ruling: Ruling, j: int) -> Sentence:
    """How another arm compares with the choice."""
    cite, difference = CitedSentence(), facts.ahead(j, ruling.choice)
    cheaper = j < ruling.choice
    cost = facts.cost(j, ruling.choice)
    if j in ruling.worse:
        relation = "but is shown worse" if cheaper else "and is shown worse"
    elif j in ruling.held and not cheaper:
        relation = f"and is not better by {cite('margin', facts.margin, facts.format.size)} or more"
    elif j not in ruling.standing and cheaper:
        relation = "but is shown worse than another way"
    elif difference.p is None:
        relation = "and cannot be compared on so few rows"
    elif cheaper:
        alone = difference.p <= 1 - facts.table.confidence and difference.value < 0
        relation = "and is not shown worse" + (" when all comparisons count together" if alone else "")
    else:
        relation = "and is neither shown better nor held within the margin"
    return cite.sentence(
        f"{facts.way(j)} {cost} {relation}: {gap(cite, difference, facts.format)} against {facts.way(ruling.choice)}."
    )


def prompt_or_tune(facts: ExplanationInputs) -> Iterator[Sentence]:
    """Whether the best prompt or the best fine-tune is ahead, whichever way is chosen."""
    best = facts.best_of_each_kind()
    if best is None:
        return
    prompt, tuned = best
    cite, difference = CitedSentence(), facts.ahead(tuned, prompt)
    a, b = facts.line(prompt), facts.line(tuned)
    chosen = "on dev" if None not in (a.dev_score, b.dev_score) else "by score"
    yield cite.sentence(
        f"Prompt or fine-tune? The best of each ({chosen}), on test: {a.way} {scored(cite, a, facts.format)}, {b.way} "
        f"{scored(cite, b, facts.format)}; {leader(facts, prompt, tuned)}, {b.way} − {a.way} = "
        f"{gap(cite, difference, facts.format)}."
    )


def which_model(facts: ExplanationInputs) -> Iterator[Sentence]:
    """Whether another model is better, where several compete: the best way on each against the best on the first."""
    best_arms = facts.best_of_each_model()
    if len(best_arms) < 2:
        return
    cite, first = CitedSentence(), best_arms[0]
    scores = listed([f"{facts.way(k)} {scored(cite, facts.line(k), facts.format)}" for k in best_arms])
    gaps = [_model_change(cite, facts, first, k) for k in best_arms[1:]]
    yield cite.sentence(f"Which model? The best way on each, on test: {scores}; {'; '.join(gaps)}.")


def _model_change(cite: CitedSentence, facts: ExplanationInputs, first: int, k: int) -> str:
    one, two = (facts.table.arms[i].model for i in (first, k))
    moved, shown = facts.ahead(k, first), facts.way(k)
    open_ = moved.p is None or moved.p > 1 - facts.table.confidence or moved.value == 0
    word = "is not shown to change anything" if open_ else "pays" if moved.value > 0 else "does not pay"
    gained = gap(cite, moved, facts.format, f"{shown}.gap")
    return f"changing the model from {one} to {two} {word}, {shown} − {facts.way(first)} = {gained}"


def no_model(facts: ExplanationInputs, ruling: Ruling) -> Iterator[Sentence]:
    """Whether a language model is needed at all."""
    cite, line = CitedSentence(), facts.line(ruling.choice)
    if line.kind != "baseline" or len(facts.table.arms) == 1:
        return
    name = PLAIN_NAMES.get(line.way, f"a baseline ({line.way})")
    if ruling.decided:
        within = cite("margin", facts.margin, facts.format.size)
        claim = f"is at least as good, within {within}: no language model is needed."
        yield cite.sentence(f"{name[0].upper()}{name[1:]} {claim}")
    else:
        yield cite.sentence(f"No language model is shown better than {name}: whether one is needed is open.")


def costs(facts: ExplanationInputs, ruling: Ruling) -> Iterator[Sentence]:
    """What the choice and the best prompt and fine-tune cost."""
    for k in sorted({ruling.choice, ruling.best, *(facts.best_of_each_kind() or ())}):
        cite, line = CitedSentence(), facts.line(k)
        unit, fit = cite("usd_per_1000", line.usd_per_1000, usd), cite("usd_fit", line.usd_fit, usd)
        took, total = cite("seconds_fit", line.seconds_fit, seconds), cite("usd_total", line.usd_total, usd)
        volume = cite("volume", facts.volume, whole)
        yield cite.sentence(
            f"{line.way} costs {unit} per 1,000 requests after {took} of fitting ({fit}): {total} with 30 days at "
            f"{volume} requests a day."
        )


def equals(facts: ExplanationInputs, ruling: Ruling) -> Iterator[Sentence]:
    """The ways that are not shown worse than the best."""
    best = facts.way(ruling.best)
    names = [line.way for line in facts.standings if line.not_worse and line.way != best]
    if names:
        yield Sentence(f"Not shown worse than the best, {best}, when all comparisons count together: {listed(names)}.")


def siblings(facts: ExplanationInputs, ruling: Ruling) -> Iterator[Sentence]:
    """A way of the chosen kind that may be better: the kind is decided, the way is not."""
    if not ruling.decided or ruling.outlook is None:
        return
    near = ruling.outlook.near_best
    for j in ruling.siblings:
        if near[j] >= MAY_BE_BETTER and near[ruling.choice] < SURE_OF_WAY:
            cite = CitedSentence()
            own, other = cite("near_best", near[ruling.choice], chance), cite("other", near[j], chance)
            yield cite.sentence(
                f"The kind is decided, the way is not: {facts.way(j)} is within the margin of the best with a "
                f"probability of {other}, {facts.way(ruling.choice)} of {own}."
            )


def worth(facts: ExplanationInputs) -> Iterator[Sentence]:
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


def forgetting(facts: ExplanationInputs, ruling: Ruling) -> Iterator[Sentence]:
    """What the choice and the best fine-tune lost on general text."""
    ways = {facts.way(k) for k in (ruling.choice, *(facts.best_of_each_kind() or ()))}
    cite, parts = CitedSentence(), []
    for measured in facts.forgetting:
        if measured.way not in ways or measured.before is None or measured.after is None:
            continue
        moved = measured.after - measured.before
        before, after = (
            cite(f"{measured.way}.before", measured.before, nats),
            cite(f"{measured.way}.after", measured.after, nats),
        )
        word = "more" if moved >= 0 else "less"
        parts.append(
            f"{measured.way} {before} to {after} nats a token ({cite(f'{measured.way}.moved', moved, nats)} {word})"
        )
    if parts:
        yield cite.sentence(f"Forgetting: loss on general text went from {listed(parts).replace(' and ', '; ')}.")


def spreads(facts: ExplanationInputs) -> Iterator[Sentence]:
    """Outcome variability: what decoding and seeds do to each way's score, which more rows do not shrink."""
    cite, parts = CitedSentence(), []
    for spread in facts.spreads:
        noise = []
        if spread.one_decoding is not None:
            noise.append(f"±{cite(f'{spread.way}.decoding', spread.one_decoding, points)} from decoding")
        own = next(line for line in facts.standings if line.way == spread.way)
        sd = own.seed_sd
        if own.fold_sd:
            folds = cite(f"{spread.way}.folds", own.folds, whole)
            noise.append(f"±{cite(f'{spread.way}.fold_sd', own.fold_sd, facts.format.size)} between {folds} folds")
        if sd is not None:
            seeds = cite(f"{spread.way}.seeds", spread.seeds, whole)
            noise.append(f"±{cite(f'{spread.way}.seed_sd', sd, facts.format.size)} between {seeds} seeds")
        if noise:
            parts.append(f"{spread.way} {' and '.join(noise)}")
    if parts:
        yield cite.sentence(f"Outcome variability: {', '.join(parts)}.")


def formats(facts: ExplanationInputs) -> Iterator[Sentence]:
    """How far the form of the prompt alone moves the dev score."""
    form = facts.format
    for shift in facts.formats:
        cite = CitedSentence()
        low, high = cite("low", shift.low, form.score), cite("high", shift.high, form.score)
        forms, rows = cite("forms", shift.forms, whole), cite("rows", shift.rows, whole)
        sd, luck = cite("sd", shift.sd, form.size), cite("luck_sd", shift.luck_sd, form.size)
        yield cite.sentence(
            f"The form of the prompt alone moves {shift.way} between {low} ({shift.worst}) and {high} ({shift.best}): "
            f"{forms} forms of the same words on the same {rows} dev rows, standard deviation {sd}; chance in the "
            f"rows alone would give {luck}."
        )


def winners_curse(facts: ExplanationInputs, ruling: Ruling) -> Iterator[Sentence]:
    """The dev score of the choice beside its test score."""
    line = facts.line(ruling.choice)
    if line.dev_score is None or line.score is None:
        return
    cite, lost, form = CitedSentence(), line.dev_score - line.score, facts.format
    dev, test = cite("dev", line.dev_score, form.score), cite("test", line.score, form.score)
    less = cite("lost", lost, form.signed)
    name = "the winner's curse of selection on dev, or chance" if lost > 0 else "no sign of a winner's curse"
    selection = next(
        (s for s in facts.selections if s.way == line.way and s.expected is not None and s.tried > 1), None
    )
    best = ""
    if selection is not None and selection.expected is not None:
        tried, rows = cite("tried", selection.tried, whole), cite("dev_rows", selection.dev_rows, whole)
        best = f" Picking the best of {tried} equal candidates on {rows} dev rows alone flatters by "
        best += f"{cite('expected', selection.expected, form.size)}."
    yield cite.sentence(
        f"{line.way} had {dev} on dev and has {test} on test: dev − test = {less}{form.unit}, {name}.{best}"
    )


def racing_savings(facts: ExplanationInputs) -> Iterator[Sentence]:
    """How many answers racing on dev saved."""
    race = facts.race
    if race is None or race.evaluations >= race.full_evaluations:
        return
    cite = CitedSentence()
    share = cite("saved", 1 - race.evaluations / race.full_evaluations, percent)
    answers, full = cite("evaluations", race.evaluations, whole), cite("full", race.full_evaluations, whole)
    dropped = cite("dropped", race.dropped, whole)
    yield cite.sentence(
        f"Racing on dev asked for {answers} answers instead of {full} ({share} saved); {dropped} dropped early."
    )


def unreadable_answers(facts: ExplanationInputs) -> Iterator[Sentence]:
    """The share of answers that could not be read, by way."""
    cite = CitedSentence()
    lines = [line for line in facts.standings if line.status == "ok" and line.unparsed > 0]
    if lines:
        rates = listed([f"{line.way} {cite(f'{line.way}.unparsed', line.unparsed, percent)}" for line in lines])
        yield cite.sentence(f"Answers that could not be read, counted as wrong: {rates}.")


def cautions(facts: ExplanationInputs) -> tuple[str, ...]:
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


def one_seed(facts: ExplanationInputs) -> list[int]:
    """The arms that depend on a seed and ran with one seed only; none where folds take the place of seeds."""
    if facts.table.folds is not None:
        return []
    return [k for k, arm in enumerate(facts.table.arms) if arm.random and len(arm.scores) == 1]
