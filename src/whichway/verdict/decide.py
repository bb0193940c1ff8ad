"""The decision: which way to take, with the numbers of each sentence. `rule.py` says how it is made and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from whichway.findings import (
    BreakEven,
    CheckShare,
    Crossover,
    Forgetting,
    Formats,
    Missing,
    Odds,
    Part,
    Race,
    Selection,
    Sentence,
)
from whichway.nouns import Standing, Verdict
from whichway.verdict import curves, sample_size
from whichway.verdict.breakeven import Terms, break_even, costs_of, with_sensitivity
from whichway.verdict.compare import Arm, Table
from whichway.verdict.crossover import crossover
from whichway.verdict.doubtful_labels import LabelVotes, doubtful_labels
from whichway.verdict.explain import caveats, diversity_advice, explanation
from whichway.verdict.explain.headline import headline
from whichway.verdict.explain.inputs import ExplanationInputs, best_of_each_kind
from whichway.verdict.explain.number_format import clean, score_format
from whichway.verdict.explain.unfinished import headline_end, unfinished
from whichway.verdict.explain.would_decide import would_decide
from whichway.verdict.hand_grades import GradedTable, at_look, graded_contest
from whichway.verdict.judging import judgement
from whichway.verdict.result_tables import pairs, standings
from whichway.verdict.rule import Answer, MonthlyWorth, Ruling, answer, order, rule
from whichway.verdict.selection import selections
from whichway.verdict.slices import RowFacts, overlap, slices
from whichway.verdict.spread import spread
from whichway.verdict.untried import with_untried
from whichway.verdict.variety import answers_of, variety

MONTH = 30  # days

__all__ = ["Arm", "Extras", "decide"]


@dataclass(frozen=True, slots=True)
class Extras:
    """What a verdict can say more with: rows by their content, dev rows, terms of the break-even, curves, the race."""

    rows: RowFacts = field(default_factory=RowFacts)
    dev_rows: int = 0
    terms: Terms | None = None  # None: the volume, 30 days, nothing for a wrong answer
    runs: tuple[curves.CurveRun, ...] = ()  # learning-curve points
    race: Race | None = None
    models: tuple[str, ...] = ()  # short names of several models, in the order in which they were named
    forgetting: tuple[Forgetting, ...] = ()
    repeats: int = 1  # answers to each test row that were asked for
    formats: tuple[Formats, ...] = ()
    judged: tuple[Mapping[str, Any], ...] = ()  # lines of judgements.jsonl
    grades: tuple[Mapping[str, Any], ...] = ()  # lines of grades.jsonl: where there are any, they decide
    paired: str = "score"  # interval of a difference of two single runs with 0/1 scores; see `Table`
    spread: str = "jackknife"  # row noise of a metric that is no mean; see `Table`
    data_rows: int = 0  # all rows of the data, where folds would let more of them test; 0: they would not
    missing: tuple[Missing, ...] = ()  # what a run against the clock has not bought yet
    votes: LabelVotes = field(default_factory=LabelVotes)  # the ways' answers, where each row has one label


def decide(
    arms: Sequence[Arm],
    margin: float = 0.01,
    confidence: float = 0.95,
    volume: float = 1000.0,
    rows: int | None = None,
    warnings: Sequence[str] = (),
    extras: Extras | None = None,
) -> Verdict:
    """Choose the cheapest way that is good enough, or say that it is undecided and what would decide it.

    Args:
        arms: one for each way, failed ones too; any order.
        margin: δ, a difference that does not matter, in units of the metric.
        confidence: of intervals; tests are at 1 − confidence, two-sided.
        volume: requests a day.
        rows: test rows; None: as many as the arms have.
        warnings: to hand on.
        extras: for slices, break-even, learning curves and the race.

    Returns:
        The verdict; the same arms give the same verdict, byte for byte.

    Raises:
        ValueError: the arms were not measured on the same rows.
    """
    extras = extras or Extras()
    ordered = sorted(arms, key=lambda arm: order(arm, volume))
    written = tuple(a for arm in ordered if arm.competes and (a := answers_of(arm, extras.repeats)) is not None)
    confidence = at_look(extras.grades, confidence)
    contest = graded_contest(extras.grades, extras.judged, ordered, extras.rows.ids, confidence)
    if contest is not None:
        ordered, extras = list(contest.arms), by_grades_alone(extras)
    table = (
        contest.table
        if contest
        else Table([arm for arm in ordered if arm.competes], confidence, extras.paired, extras.spread)
    )
    terms = extras.terms or Terms(volume=volume)
    ruling = rule(table, margin, worth(table, terms)) if table.arms else None
    if ruling and contest and not contest.grading.enough:
        ruling = replace(ruling, decided=False)
    missing, whole = with_untried(extras.missing, table, ruling, margin)
    rows_decide = ruling is not None and ruling.decided
    facts = explanation_inputs(ordered, table, whole, margin, volume, terms, replace(extras, missing=missing))
    facts = replace(facts, rows_decide=rows_decide)
    varieties = tuple(variety(answers, confidence) for answers in written)
    facts = replace(facts, answers=written, varieties=varieties, grading=contest.grading if contest else None)
    decided = verdict_of(facts, terms, table.n if rows is None else rows, warnings)
    if ruling is None or contest is not None:
        return decided
    doubts = doubtful_labels(table, extras.votes, extras.rows.ids, margin, worth(table, terms))
    return replace(decided, doubtful=doubts)


def explanation_inputs(
    arms: Sequence[Arm],
    table: Table,
    ruling: Ruling | None,
    margin: float,
    volume: float,
    terms: Terms,
    extras: Extras,
) -> ExplanationInputs:
    """All that is computed for the verdict besides the ruling, what was written and its grades.

    Args:
        arms: all ways in the order of cost, failed ones too.
        table: of those that compete.
        ruling: on the table; None where nobody competes.
        margin: δ.
        volume: requests a day.
        terms: of the break-even.
        extras: for slices, learning curves and the race.
    """
    best, graded = best_of_each_kind(table), isinstance(table, GradedTable)
    lines = standings(arms, table, ruling, volume)
    drawn = curves.Curves(extras.runs, confidence=table.confidence) if extras.runs else None
    return ExplanationInputs(
        standings=lines,
        pairs=pairs(table),
        table=table,
        ruling=ruling,
        margin=margin,
        volume=volume,
        break_even=best_break_even(table, best, terms),
        crossovers=crossed(drawn, arms, table) if drawn else (),
        curves=tuple(drawn.curve(way) for way in drawn.families) if drawn else (),
        slices=slices(table, ruling.choice, extras.rows, best) if ruling else (),
        spreads=tuple(spread(arm, extras.rows.ids) for arm in table.arms) if table.n and not graded else (),
        formats=extras.formats,
        selections=selected(arms, lines, extras.dev_rows),
        race=extras.race,
        models=extras.models,
        forgetting=extras.forgetting,
        data_rows=extras.data_rows,
        missing=extras.missing,
        judgement=judgement(extras.judged, table.arms, extras.rows.ids, table.confidence),
    )


def explained(facts: ExplanationInputs, reply: Answer) -> tuple[Sentence, ...]:
    """Every sentence of the verdict with its part: headline, reasons, dissent, would_decide, variety."""
    start = headline(facts, reply)
    parts: dict[Part, Sequence[Sentence]] = {
        "headline": (replace(start, text=start.text + headline_end(facts)),),
        "reasons": explanation.reasons(facts),
        "dissent": caveats.caveats(facts),
        "would_decide": (*unfinished(facts), *would_decide(facts)),
        "variety": diversity_advice.diversity_advice(facts),
    }
    return tuple(replace(sentence, part=part) for part, sentences in parts.items() for sentence in sentences)


def verdict_of(facts: ExplanationInputs, terms: Terms, rows: int, warnings: Sequence[str]) -> Verdict:
    """The verdict that the facts give, in numbers and in words.

    Args:
        facts: all that was computed.
        terms: of the break-even.
        rows: test rows, as the verdict says it.
        warnings: to hand on, before those that follow from the numbers.
    """
    table, ruling, best = facts.table, facts.ruling, facts.best_of_each_kind()
    reply = answer(ruling, [arm.kind for arm in table.arms])
    sentences = explained(facts, reply)
    choice = table.arms[ruling.choice] if ruling else None
    outlook = ruling.outlook if ruling else None
    return Verdict(
        answer=reply,
        choice=choice.way if choice else None,
        candidate=choice.shipped if choice else None,
        headline=texts(sentences, "headline")[0],
        reasons=texts(sentences, "reasons"),
        dissent=texts(sentences, "dissent"),
        would_decide=texts(sentences, "would_decide"),
        standings=facts.standings,
        pairs=facts.pairs,
        margin=facts.margin,
        confidence=table.confidence,
        volume=facts.volume,
        rows=rows,
        warnings=(*warnings, *explanation.cautions(facts)),
        sentences=sentences,
        spreads=facts.spreads,
        formats=facts.formats,
        selections=facts.selections,
        break_even=facts.break_even,
        slices=facts.slices,
        overlap=None if facts.grading else overlap(table, best),
        curves=facts.curves,
        crossovers=facts.crossovers,
        race=facts.race,
        detectable=detectable(table, best),
        forgetting=facts.forgetting,
        varieties=facts.varieties,
        checks=checked(table),
        judgement=facts.judgement,
        grading=facts.grading,
        sureness=ruling.sureness if ruling and outlook else None,
        odds=odds(table, ruling, terms),
        runner_up=table.arms[outlook.runner_up].way if outlook else None,
        folds=table.fold_count,
        missing=facts.missing,
    )


def by_grades_alone(extras: Extras) -> Extras:
    """Extras without what needs each row's own score: a row that was not graded by hand has none."""
    return replace(extras, rows=RowFacts(ids=extras.rows.ids))


def worth(table: Table, terms: Terms) -> MonthlyWorth | None:
    """What true scores are worth in a month; None where a wrong answer has no price."""
    if not terms.wrong_answer_usd:
        return None
    return MonthlyWorth(
        terms.wrong_answer_usd * terms.volume * MONTH, tuple(arm.total(terms.volume) for arm in table.arms)
    )


def odds(table: Table, ruling: Ruling | None, terms: Terms) -> tuple[Odds, ...]:
    """What may be lost by taking each way, the least expected loss first."""
    if ruling is None or ruling.outlook is None:
        return ()
    seen, priced = ruling.outlook, bool(terms.wrong_answer_usd)
    places = sorted(range(len(table.arms)), key=lambda k: (seen.loss[k], k))
    return tuple(
        Odds(table.arms[k].way, seen.near_best[k], seen.regret[k], round(seen.loss[k], 2) if priced else None)
        for k in places
    )


def checked(table: Table) -> tuple[CheckShare, ...]:
    """How often each way passes each check."""
    return tuple(
        CheckShare(arm.way, check, sum(len(row) for seed in arm.texts for row in seed), clean(share) or 0.0)
        for arm in table.arms
        for check, share in arm.checks
    )


def texts(sentences: Sequence[Sentence], part: str) -> tuple[str, ...]:
    """The sentences of a part, without their numbers."""
    return tuple(s.text for s in sentences if s.part == part)


def best_break_even(table: Table, best: tuple[int, int] | None, terms: Terms) -> BreakEven | None:
    """The break-even of the best prompt and the best fine-tune."""
    if best is None or table.n < 2:
        return None
    first, second = (table.arms[k] for k in best)
    costs = (costs_of(first, terms), costs_of(second, terms))
    result = break_even(*costs, terms, table.groups, trainings=table.training_error(*best))
    return with_sensitivity(result, first, second, terms)


def selected(arms: Sequence[Arm], lines: Sequence[Standing], dev_rows: int) -> tuple[Selection, ...]:
    """Dev beside test for every way that selected on dev."""
    score = {line.way: line.score for line in lines}
    return selections(arms, [score[arm.way] for arm in arms], dev_rows)


def crossed(drawn: curves.Curves, arms: Sequence[Arm], table: Table) -> tuple[Crossover, ...]:
    """Each measured fine-tune against the best measured prompt (on dev, as everywhere)."""
    kinds = {arm.way: arm.kind for arm in arms}
    tuned = [way for way in drawn.families if kinds.get(way) in ("fine-tune", "both")]
    prompts = [way for way in drawn.families if kinds.get(way) == "prompt"]
    places = {arm.way: arm.dev or 0.0 for arm in arms}
    if not prompts or not tuned:
        return ()
    first = max(prompts, key=lambda way: (places[way], way))
    floor = [table.value(k) for k, arm in enumerate(table.arms) if arm.way == "base_majority"]
    score = score_format(table.plain).score
    return tuple(crossover(drawn, first, way, floor[0] if floor else None, score=score) for way in tuned)


def detectable(table: Table, best: tuple[int, int] | None) -> float | None:
    """The gap between the best prompt and the best fine-tune that this contest would have found 9 times of 10.

    With the row and seed noise that was measured, at the level that the rule uses for so many arms.
    """
    if best is None or table.clusters < 2:
        return None
    gap, arms = table.compare(*best), len(table.arms)
    parts = (gap.row_variance or 0.0, gap.seed_variance)
    if table.folds is not None:
        prior = table.fold_noise.of(*best)
        return clean(sample_size.fold_gap(*parts, prior, rows_df=table.row_df, arms=arms, confidence=table.confidence))
    return clean(
        sample_size.gap_found(
            *parts,
            sum(table.seed_squares[k][1] for k in best),
            rows_df=table.row_df,
            seeds=max(len(table.arms[k].scores) for k in best),
            arms=arms,
            confidence=table.confidence,
        )
    )
