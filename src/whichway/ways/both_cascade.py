"""A cascade of two other ways: the cheap one answers where it is sure, the dear one the rest.

The pair is chosen among the contest's finalists. How sure the cheap way is, is calibrated on dev; the confidence from
which on its answer stands is the one that makes answers cheapest while the score stays within the margin of the dear
way's (`_confidence.py`). Chen, Zaharia & Zou 2023 (FrugalGPT, arXiv 2305.05176); when confidence is enough to defer by:
Jitkrittum et al. 2023 (arXiv 2307.02764). The dev score is cross-validated: each part of the dev rows is answered by
the pair, calibration and threshold that the other parts give.

The price of an answer is the cheap way's for every row and the dear way's for those that it defers. Making a cascade
costs what both ways cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from whichway.contracts import Bench, OtherWay
from whichway.errors import WayFailed
from whichway.nouns import Candidate, Deferral, Example, Record, TrainDevView
from whichway.prompts.deferral import log_odds

KIND = "both"
RANDOM = True
OWN_MODEL = True  # its parts have models of their own
COMBINES = True

ENOUGH = 300  # dev rows by which a calibration is known well enough
CHEAPER = 0.5  # of the dear way's price: what a cheap way costs at most where none is named
FEWEST = 10  # dev rows


@dataclass(frozen=True, slots=True)
class Options:
    """Which ways, and how careful."""

    cheap: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "ways that may answer first; empty: those that cost half of the dear one's price or less",
            "part": True,
        },
    )
    dear: tuple[str, ...] = field(
        default=(),
        metadata={"help": "ways that may answer the rest; empty: all. The best on dev is taken", "part": True},
    )
    care: float = field(
        default=1.0,
        metadata={"help": "standard errors that are taken off before a threshold counts as within the margin"},
    )
    parts: int = field(
        default=5, metadata={"help": "parts of the dev rows by which the dev score is cross-validated", "least": 2}
    )
    refits: int = field(
        default=5,
        metadata={
            "help": "trainings of a baseline on parts of the training rows, so that its confidence is calibrated by "
            "the other rows as well; 0: by dev rows alone. With 300 dev rows or more there are none"
        },
    )


@dataclass(frozen=True, slots=True)
class CascadePair:
    """A cheap and a dear candidate with what they answered on dev."""

    name: str  # of the cheap way
    cheap: Candidate
    dear: Candidate
    answers: Any  # `_confidence.DevAnswers`


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield a cascade for each seed that its parts have."""
    if len(bench.others) < 2:
        raise WayFailed("it is made of two other ways of the contest, and fewer ended at a candidate; add to --ways")
    if not task.labels:
        raise WayFailed("how sure an answer is, is read off the scores of a closed set of labels")
    if len(task.dev) < FEWEST:
        raise WayFailed(f"a threshold wants at least {FEWEST} dev rows, and there are {len(task.dev)}")
    dear = _dear(bench.others, options.dear)
    names = _cheap(bench.others, dear, options.cheap)
    bench.combine(dear)
    first = [pair for name in names if (pair := _pair(task, bench, name, dear, options, None)) is not None]
    if not first:
        raise WayFailed(f"no answer of {', '.join(names)} has scores of its labels")
    chosen = _cheapest(first, task.margin, options.care)[0].name
    bench.combine(chosen)
    for seed in _seeds(bench.others[chosen], bench.others[dear], bench.seeds):
        pairs = [pair for name in names if (pair := _pair(task, bench, name, dear, options, seed)) is not None]
        own = next(pair for pair in pairs if pair.name == chosen)
        yield _cascade(task, bench, pairs, own, options, seed)


def _dear(others: Mapping[str, OtherWay], names: Sequence[str]) -> str:
    """The best on dev of some ways; of equals the cheaper."""
    known = _known(others, names, "dear")
    return max(known, key=lambda name: (others[name].value, -others[name].usd))


def _cheap(others: Mapping[str, OtherWay], dear: str, names: Sequence[str]) -> list[str]:
    """The ways that may answer first: those that choose among labels, and cost less."""
    most = others[dear].usd if names else CHEAPER * others[dear].usd
    known = _known(others, names, "cheap")
    usable = [
        name
        for name in known
        if name != dear and others[name].usd <= most and others[name].candidates[0].decoding.mode == "choose"
    ]
    if not usable:
        price = f"costs ${1000 * most:.3g} per 1,000 rows or less"
        raise WayFailed(
            f"no other way {price} and chooses among labels: {dear} is the best on dev; name others with "
            "both_cascade.cheap and both_cascade.dear"
        )
    return usable


def _known(others: Mapping[str, OtherWay], names: Sequence[str], option: str) -> list[str]:
    """The ways that are meant, of those that ended at a candidate."""
    known = [name for name in names or others if name in others]
    if names and not known:
        raise WayFailed(
            f"both_cascade.{option} names {', '.join(names)}, which is no other way of this contest with a candidate: "
            f"{', '.join(others) or 'there is none'}"
        )
    return known


def _pair(
    task: TrainDevView, bench: Bench, name: str, dear: str, options: Options, seed: int | None
) -> CascadePair | None:
    """A cheap way's candidate of a seed and the dear one's with their answers; None where they have no label scores."""
    import numpy as np

    from whichway.ways._confidence import DevAnswers

    one, two = _of_seed(bench.others[name], seed), _of_seed(bench.others[dear], seed)
    odds = [log_odds(reply.scores) for reply in bench.ask(one, task.dev)]
    if all(value is None for value in odds):
        return None
    first, second = bench.score(one, task.dev), bench.score(two, task.dev)
    places = {group: number for number, group in enumerate(sorted({e.group or e.id for e in task.dev}))}
    baseline = bench.others[name].kind == "baseline" and len(task.dev) < ENOUGH
    more = _by_refits(task, bench, one, options.refits if baseline else 0)
    answers = DevAnswers(
        np.array([0.0 if value is None else value for value in odds]),
        np.array([record.points for record in first]),
        np.array([record.points for record in second]),
        sum(record.usd for record in first) / len(first),
        sum(record.usd for record in second) / len(second),
        np.array([places[e.group or e.id] for e in task.dev]),
        np.array([value for value, _ in more]),
        np.array([points for _, points in more]),
    )
    return CascadePair(name, one, two, answers)


def _by_refits(task: TrainDevView, bench: Bench, candidate: Candidate, count: int) -> list[tuple[float, float]]:
    """Log-odds and scores of training rows, each answered by a training without it; none where that cannot be."""
    groups = sorted({example.group or example.id for example in task.train})
    if count < 2 or len(groups) < count:
        return []
    part_of = {group: number % count for number, group in enumerate(groups)}
    known: list[tuple[float, float]] = []
    for part in range(count):
        inside = [example for example in task.train if part_of[example.group or example.id] == part]
        outside = [example for example in task.train if part_of[example.group or example.id] != part]
        other = bench.remade(candidate, outside)
        if other is None:
            return []
        odds = [log_odds(reply.scores) for reply in bench.ask(other, inside)]
        points = [record.points for record in bench.score(other, inside)]
        known += [(value, right) for value, right in zip(odds, points, strict=True) if value is not None]
    return known


def _of_seed(other: OtherWay, seed: int | None) -> Candidate:
    """The finalist of a seed; the only one where seeds do not matter."""
    return next((c for c in other.candidates if c.seed == seed), other.candidates[0])


def _seeds(cheap: OtherWay, dear: OtherWay, seeds: Sequence[int]) -> list[int]:
    """The seeds that differ: those of the part that has most, or the first."""
    most = max(cheap.candidates, dear.candidates, key=len)
    return [c.seed for c in most] if len(most) > 1 else list(seeds[:1])


def _cheapest(pairs: Sequence[CascadePair], margin: float, care: float, rows: Any = None) -> tuple[CascadePair, Any]:
    """The pair whose rule makes answers cheapest, the first of equals, and the rule; on all dev rows, or on some."""
    from whichway.ways import _confidence

    rules = [
        (pair, _confidence.fit(pair.answers if rows is None else pair.answers.rows(rows), margin, care))
        for pair in pairs
    ]
    return min(rules, key=lambda both: both[1].usd)


def _cascade(
    task: TrainDevView, bench: Bench, pairs: Sequence[CascadePair], own: CascadePair, options: Options, seed: int
) -> Candidate:
    """The cascade of a pair; its dev rows are answered by those that the other parts of dev give."""
    import numpy as np

    from whichway.ways import _confidence

    rule = _confidence.fit(own.answers, task.margin, options.care)
    part_of = _confidence.parts_of(own.answers.groups, options.parts)
    records: dict[str, Record] = {}
    confidences = np.zeros(len(task.dev))
    for part in range(int(part_of.max()) + 1):
        outside, inside = np.flatnonzero(part_of != part), np.flatnonzero(part_of == part)
        pair, other = _cheapest(pairs, task.margin, options.care, outside)
        rows: list[Example] = [task.dev[int(k)] for k in inside]
        records |= {record.example: record for record in bench.score(_deferring(pair, other), rows)}
        calibration = own.answers.rows(outside).calibration
        confidences[inside] = _confidence.confidence(own.answers.log_odds[inside], *calibration)
    error = _confidence.calibration_error(confidences, own.answers.cheap)
    deferred = f"{100 * rule.deferred:.0f} % of {len(task.dev)} dev rows"
    name = own.dear.way or "the dear way"
    note = f"{own.name}, below confidence {rule.least:.2f} {name} ({deferred})"
    prices = f"${1000 * rule.usd:.3g} per 1,000 rows against ${1000 * own.answers.dear_usd:.3g}"
    bench.say(f"{note}; {prices}; calibration error of {own.name}, cross-validated: {100 * error:.1f} points")
    candidate = replace(_deferring(own, rule), way="both_cascade", seed=seed, note=note)
    bench.fitted_on_dev(candidate, [records[e.id] for e in task.dev])
    return candidate


def _deferring(pair: CascadePair, rule: Any) -> Candidate:
    return replace(pair.cheap, deferral=Deferral(pair.dear, rule.least, rule.slope, rule.intercept))
