"""All that the sentences of a verdict are made of, and the fragments that several sentences share."""

from __future__ import annotations

from dataclasses import dataclass

from whichway.findings import (
    BreakEven,
    Crossover,
    Curve,
    Forgetting,
    Formats,
    Grading,
    Judgement,
    Missing,
    Race,
    Selection,
    Slice,
    Spread,
    Variety,
)
from whichway.nouns import Kind, Pair, Standing
from whichway.verdict.compare import Comparison, Table
from whichway.verdict.explain.number_format import CitedSentence, ScoreFormat, score_format, whole
from whichway.verdict.rule import Ruling, two_digits
from whichway.verdict.variety import WrittenAnswers


@dataclass(frozen=True, slots=True)
class ExplanationInputs:
    """All that the sentences are made of. Arms are numbered in the order of cost."""

    standings: tuple[Standing, ...]
    pairs: tuple[Pair, ...]
    table: Table
    ruling: Ruling | None
    margin: float
    volume: float
    break_even: BreakEven | None = None  # of the best prompt and the best fine-tune
    crossovers: tuple[Crossover, ...] = ()
    curves: tuple[Curve, ...] = ()
    slices: tuple[Slice, ...] = ()
    spreads: tuple[Spread, ...] = ()
    formats: tuple[Formats, ...] = ()
    selections: tuple[Selection, ...] = ()
    race: Race | None = None
    forgetting: tuple[Forgetting, ...] = ()
    models: tuple[str, ...] = ()  # in the order in which they were named; empty where there is only one
    varieties: tuple[Variety, ...] = ()  # in the order of cost
    judgement: Judgement | None = None
    grading: Grading | None = None  # where people graded answers, scores are those grades
    answers: tuple[WrittenAnswers, ...] = ()  # what the varieties were measured on
    missing: tuple[Missing, ...] = ()  # what a run against the clock has not bought yet
    rows_decide: bool = False  # whether the ways that were tried are decided between, whatever was not tried
    data_rows: int = 0  # all rows of the data, where folds would let more of them test

    @property
    def format(self) -> ScoreFormat:
        """How scores of the task's metric are written."""
        return score_format(self.table.plain)

    def way(self, k: int) -> str:
        """The name of an arm."""
        return self.table.arms[k].way

    def line(self, k: int) -> Standing:
        """The line of an arm in the table of ways."""
        return next(line for line in self.standings if line.way == self.way(k))

    def ahead(self, k: int, other: int) -> Comparison:
        """The paired difference of arm `k` minus another."""
        return self.table.compare(other, k)

    def cost(self, k: int, other: int) -> str:
        """Whether arm `k` costs less than another, the same or more, at the two digits that the rule looks at."""
        a, b = (two_digits(self.table.arms[i].total(self.volume)) for i in (k, other))
        return "costs the same" if a == b else "costs less" if a < b else "costs more"

    def best_of_each_kind(self) -> tuple[int, int] | None:
        """The best prompt and the best fine-tune."""
        return best_of_each_kind(self.table)

    def best_of_each_model(self) -> list[int]:
        """The best arm of each model that has one."""
        places = [[k for k, arm in enumerate(self.table.arms) if arm.model == model] for model in self.models]
        return [best(self.table, arms) for arms in places if arms]


def best_of_kind(table: Table, kind: Kind) -> int | None:
    """The best arm of a kind: on dev, so that test still judges it fairly; on test where a dev score is missing."""
    places = [k for k, arm in enumerate(table.arms) if arm.kind == kind]
    return best(table, places) if places else None


def best(table: Table, places: list[int]) -> int:
    """The best of some arms: on dev, or on test where a dev score is missing."""
    dev = [table.arms[k].dev for k in places]
    value = [table.value(k) for k in places]
    seen = [d for d in dev if d is not None]
    judged = seen if len(seen) == len(places) else value
    return places[max(range(len(places)), key=lambda i: (judged[i], -i))]


def best_of_each_kind(table: Table) -> tuple[int, int] | None:
    """The best prompt and the best fine-tune."""
    prompt, tuned = best_of_kind(table, "prompt"), best_of_kind(table, "fine-tune")
    return None if prompt is None or tuned is None else (prompt, tuned)


def scored(cite: CitedSentence, line: Standing, form: ScoreFormat) -> str:
    """A score with its interval: "71.5 % (66.1–76.3)", or "0.752 (0.661–0.802)"."""
    if line.score is None:
        return "no score"
    score = cite(f"{line.way}.score", line.score, form.score)
    if line.low is None or line.high is None:
        return score
    to = "–" if line.low >= 0 else " to "
    low, high = cite(f"{line.way}.low", line.low, form.bare), cite(f"{line.way}.high", line.high, form.bare)
    return f"{score} ({low}{to}{high})"


def gap(cite: CitedSentence, difference: Comparison, form: ScoreFormat, name: str = "gap") -> str:
    """A paired difference with its interval and rows: "+2.5 points (−1.0 to +6.0; ahead on 40 rows, behind on 30)"."""
    wins, losses = cite(f"{name}.wins", difference.wins, whole), cite(f"{name}.losses", difference.losses, whole)
    rows = f"ahead on {wins} row{'s' * (difference.wins != 1)}, behind on {losses}"
    value = cite(f"{name}.value", difference.value, form.signed)
    if difference.low is None or difference.high is None:
        return f"{value}{form.unit} ({rows})"
    low, high = cite(f"{name}.low", difference.low, form.signed), cite(f"{name}.high", difference.high, form.signed)
    return f"{value}{form.unit} ({low} to {high}; {rows})"
