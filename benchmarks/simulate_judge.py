"""Grades by hand beside a judge that favours one kind: what intervals cover, and how often a decision is wrong.

Four ways, two prompts and two fine-tunes, answer n test inputs. An answer's quality is normal, shared in part by all
answers to an input; people's grade is its level (of 2 or 5). The judge sees quality with a correlation of .9, .5 or 0,
draws its level three times, and favours fine-tunes by 0 or by 0.4 standard deviations, 6 to 16 points. m inputs, drawn
at random, are graded. Compared are the judge alone (t interval over all inputs), the grades alone (the same table
without the judge) and both (`verdict/hand_grades.py`).

- Coverage: of 95 % intervals, of each way's score and of the differences between kinds; mean length of the latter.
- Decisions: kinds and ways of a kind differ by normal draws (0.15 and 0.1 standard deviations, 3 to 6 points), the
  margin is 2 points. Wrong is a decided verdict where a way of another kind is truly better by more than the margin.
- Whether the number of further grades that is named decides, and what looking again after every few grades does.

    python benchmarks/simulate_judge.py --worlds 200 --out benchmarks/results/simulate_judge.md

The table is a pure function of the arguments. Two minutes on one core at 200.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from scipy.special import ndtr
from table_writer import write_table

from whichway.nouns import Kind
from whichway.verdict.compare import Arm, Table
from whichway.verdict.hand_grades import ENOUGH, GradedTable, Grades
from whichway.verdict.more_grades import GradesPredictive
from whichway.verdict.rule import rule
from whichway.verdict.stats import FloatArray

KINDS: tuple[Kind, ...] = ("prompt", "prompt", "fine-tune", "fine-tune")
FAVOURED = np.array([[0.0], [0.0], [1.0], [1.0]])
INPUTS = 200
GRADED = (20, 40, 80)
JUDGES = {"good": 0.9, "fair": 0.5, "blind": 0.0}
FAVOUR = (0.0, 0.4)
SHARED = 0.5  # of the variance of quality, by all answers to an input
MARGIN = 0.02
METHODS = ("judge", "grades", "both")


@dataclass(frozen=True, slots=True)
class Setting:
    """One kind of world."""

    levels: int
    middle: float  # quality of the ways, in standard deviations
    sees: float  # correlation of what the judge sees with quality
    favour: float
    graded: int
    group: int = 1  # inputs of a group share what inputs share


def cuts(levels: int) -> FloatArray:
    """Where quality goes from one level to the next."""
    return np.linspace(-1.2, 1.2, levels - 1) if levels > 2 else np.zeros(1)


def truth(quality: FloatArray, levels: int) -> FloatArray:
    """(K,) the mean grade of ways, 0..1."""
    mean: FloatArray = ndtr(quality[:, None] - cuts(levels)[None, :]).mean(axis=1)
    return mean


def world(rng: np.random.Generator, s: Setting, quality: FloatArray) -> tuple[list[Arm], Grades]:
    """Arms and their grades."""
    count, groups = len(KINDS), math.ceil(INPUTS / s.group)
    of = np.arange(INPUTS) // s.group
    own = math.sqrt(1 - SHARED)
    true = quality[:, None] + math.sqrt(SHARED) * rng.normal(size=groups)[of] + own * rng.normal(size=(count, INPUTS))
    blur = math.sqrt(SHARED) * rng.normal(size=groups)[of] + own * rng.normal(size=(count, INPUTS))
    centred = true - quality[:, None]
    seen = quality[:, None] + s.sees * centred + math.sqrt(1 - s.sees**2) * blur + s.favour * FAVOURED
    edges, top = cuts(s.levels), s.levels - 1
    drawn = [np.searchsorted(edges, seen + 0.4 * rng.normal(size=seen.shape)) for _ in range(3)]
    levels, hand = np.mean(drawn, axis=0) / top, np.searchsorted(edges, true) / top
    places = np.sort(rng.permutation(INPUTS)[: s.graded])
    names = tuple(map(str, of)) if s.group > 1 else None
    arms = [
        Arm(way=f"way{k}", kind=kind, scores=levels[k : k + 1], groups=names, usd_total=k + 1.0, candidates=(str(k),))
        for k, kind in enumerate(KINDS)
    ]
    return arms, Grades(hand[:, places], levels[:, places], levels, places, 1 / top)


def tables(arms: list[Arm], grades: Grades) -> dict[str, Table]:
    """The judge alone, the grades alone, both."""
    return {
        "judge": Table(arms, 0.95),
        "grades": GradedTable(arms, grades, 0.95, tune=False),
        "both": GradedTable(arms, grades, 0.95),
    }


def cover(s: Setting, worlds: int) -> dict[str, FloatArray]:
    """Method -> coverage of scores, coverage of differences between kinds, their mean length."""
    rng = np.random.default_rng([7, s.levels, s.graded, s.group, int(10 * s.sees), int(10 * s.favour)])
    quality = s.middle + np.array([0.0, 0.1, 0.0, 0.2])
    true = truth(quality, s.levels)
    sums = {name: np.zeros(3) for name in METHODS}
    for _ in range(worlds):
        for name, table in tables(*world(rng, s, quality)).items():
            ends = [table.interval(k) or (0.0, 1.0) for k in range(len(KINDS))]
            scores = np.mean([low <= t <= high for (low, high), t in zip(ends, true, strict=True)])
            gaps = [(table.compare(i, j), true[j] - true[i]) for i in (0, 1) for j in (2, 3)]
            held = np.mean([(c.low or 0.0) <= t <= (c.high or 0.0) for c, t in gaps])
            sums[name] += (scores, held, np.mean([(c.high or 0.0) - (c.low or 0.0) for c, _ in gaps]))
    return {name: total / worlds for name, total in sums.items()}


def decide(s: Setting, worlds: int) -> dict[str, FloatArray]:
    """Method -> share decided, and share decided and wrong about the kind."""
    rng = np.random.default_rng([8, s.graded, int(10 * s.sees), int(10 * s.favour)])
    sums = {name: np.zeros(2) for name in METHODS}
    for _ in range(worlds):
        kinds = 0.15 * rng.normal(size=2)
        quality = s.middle + kinds[[0, 0, 1, 1]] + 0.1 * rng.normal(size=4)
        true = truth(quality, s.levels)
        for name, table in tables(*world(rng, s, quality)).items():
            ruling = rule(table, MARGIN)
            best = max(t for t, kind in zip(true, KINDS, strict=True) if kind == KINDS[ruling.choice])
            sums[name] += (ruling.decided, ruling.decided and true.max() - best > MARGIN)
    return {name: total / worlds for name, total in sums.items()}


def more(s: Setting, worlds: int) -> tuple[int, int, int]:
    """Undecided worlds in which a number of further grades was named, those that it decided, and all undecided ones."""
    rng = np.random.default_rng([9, s.graded, int(10 * s.sees)])
    named = right = undecided = 0
    for _ in range(worlds):
        kinds = 0.15 * rng.normal(size=2)
        quality = s.middle + kinds[[0, 0, 1, 1]] + 0.1 * rng.normal(size=4)
        arms, grades = world(rng, Setting(s.levels, s.middle, s.sees, s.favour, INPUTS), quality)
        order = rng.permutation(INPUTS)
        first = GradedTable(arms, part(grades, order[: s.graded]), 0.95)
        if rule(first, MARGIN).decided:
            continue
        undecided += 1
        prospect = GradesPredictive(first, MARGIN).prospect()
        if prospect.inputs is None:
            continue
        named += 1
        later = GradedTable(arms, part(grades, order[: s.graded + prospect.inputs]), 0.975)  # the second look
        right += rule(later, MARGIN).decided
    return named, right, undecided


def part(grades: Grades, chosen: np.ndarray) -> Grades:
    """The grades of some inputs; `grades` has those of all, in order."""
    places = np.sort(chosen)
    return Grades(grades.hand[:, places], grades.same[:, places], grades.levels, places, grades.step)


def coverage_rows(worlds: int) -> Iterator[str]:
    """Settings with their coverage."""
    yield (
        "| levels | middle | group | judge | favours by | graded | "
        + " | ".join(f"{name}: scores, differences; length" for name in METHODS)
        + " |"
    )
    yield "|---|---|---|---|---|---|" + "---|" * len(METHODS)
    spans = {name: [] for name in METHODS}
    for levels, middle, group in ((2, 0.0, 1), (2, 1.2, 1), (5, 0.0, 1), (5, 1.2, 1), (5, 0.0, 4)):
        for (judge, sees), favour, graded in product(JUDGES.items(), FAVOUR, GRADED):
            result = cover(Setting(levels, middle, sees, favour, graded, group), worlds)
            cells = []
            for name, (scores, gaps, length) in result.items():
                cells.append(f"{scores:.1%}, {gaps:.1%}; {100 * length:.1f}")
                spans[name].append((scores, gaps, length))
            place = f"{levels} | {middle:g} | {group} | {judge} | {favour:g} | {graded}"
            yield f"| {place} | " + " | ".join(cells) + " |"
    for title, of in (("least", np.min), ("mean", np.mean), ("most", np.max)):
        every = [of(np.array(spans[name]), axis=0) for name in METHODS]
        yield f"| **{title}** | | | | | | " + " | ".join(f"{a:.1%}, {b:.1%}; {100 * c:.1f}" for a, b, c in every) + " |"


def decision_rows(worlds: int) -> Iterator[str]:
    """Settings with their decisions."""
    yield "| judge | favours by | graded | " + " | ".join(f"{name}: decided, wrong kind" for name in METHODS) + " |"
    yield "|---|---|---|" + "---|" * len(METHODS)
    for (judge, sees), favour, graded in product(JUDGES.items(), FAVOUR, GRADED):
        result = decide(Setting(5, 0.0, sees, favour, graded), worlds)
        cells = " | ".join(f"{decided:.1%}, {wrong:.1%}" for decided, wrong in result.values())
        yield f"| {judge} | {favour:g} | {graded} | {cells} |"


def more_rows(worlds: int) -> Iterator[str]:
    """Settings with the number of further grades that was named."""
    yield "| judge | graded | undecided | a number is named | it decides |"
    yield "|---|---|---|---|---|"
    sums = np.zeros(3)
    for (judge, sees), graded in product(JUDGES.items(), GRADED[:2]):
        named, right, undecided = more(Setting(5, 0.0, sees, 0.4, graded), worlds)
        sums += (named, right, undecided)
        yield f"| {judge} | {graded} | {undecided / worlds:.1%} | {named} | {right} |"
    yield f"| **all** | | | {sums[0]:.0f} of {sums[2]:.0f} | {sums[1] / max(sums[0], 1):.1%} |"


def looks_at(s: Setting, looks: Sequence[int], corrected: bool, equal: bool, worlds: int) -> tuple[float, float, float]:
    """Share decided where one looks after so many graded inputs until it is, of these wrong, and dearer than needed.

    Args:
        s: the world.
        looks: graded inputs at each look.
        corrected: 1 − α/k at the k-th look, as `verdict/hand_grades.py` has it; else 1 − α at each.
        equal: four ways that are truly equal.
        worlds: how many.
    """
    rng, sums = np.random.default_rng(11), np.zeros(3)
    for _ in range(worlds):
        kinds, own = 0.15 * rng.normal(size=2), 0.1 * rng.normal(size=4)
        quality = np.full(4, s.middle) if equal else s.middle + kinds[[0, 0, 1, 1]] + own
        true = truth(quality, s.levels)
        arms, grades = world(rng, Setting(s.levels, s.middle, s.sees, s.favour, INPUTS), quality)
        order = rng.permutation(INPUTS)
        for k, graded in enumerate(looks, start=1):
            table = GradedTable(arms, part(grades, order[:graded]), 1 - 0.05 / k if corrected else 0.95)
            ruling = rule(table, MARGIN)
            if ruling.decided:
                best = max(t for t, kind in zip(true, KINDS, strict=True) if kind == KINDS[ruling.choice])
                sums += (1, true.max() - best > MARGIN, equal and ruling.choice > 0)
                break
    return tuple((sums / worlds).tolist())


def look_rows(worlds: int) -> Iterator[str]:
    """One look, several, and one after every 20 inputs."""
    yield "| judge | looks after | level | equal ways: a dearer one is named | else: decided, wrong kind |"
    yield "|---|---|---|---|---|"
    for judge, looks in product(("good",), ((40,), (40, 80, 160), tuple(range(20, 201, 20)))):
        for corrected in (False, True) if len(looks) > 1 else (False,):
            s = Setting(5, 0.0, JUDGES[judge], 0.4, 0)
            _, _, dearer = looks_at(s, looks, corrected, True, 2 * worlds)
            decided, wrong, _ = looks_at(s, looks, corrected, False, worlds // 2)
            title = ", ".join(map(str, looks)) if len(looks) < 5 else "20, 40, ... 200"
            level = "α/k" if corrected else "α"
            yield f"| {judge} | {title} | {level} | {dearer:.1%} | {decided:.1%}, {wrong:.1%} |"


def report(worlds: int) -> Iterator[str]:
    """The page."""
    yield "# A judge corrected by grades\n"
    yield f"`python benchmarks/simulate_judge.py --worlds {worlds}`: {INPUTS} test inputs, four ways, 95 % intervals.\n"
    yield "\n\n".join(x.replace("\n", " ") for x in (__doc__ or "").split("\n\n")[1:2]) + "\n"
    yield f"## Coverage, and mean length of a difference in points ({worlds} worlds each)\n"
    yield from coverage_rows(worlds)
    yield (
        f"\n## Decisions, 5 levels ({worlds} worlds each)\n\nMargin {100 * MARGIN:g} points. Under {ENOUGH} graded "
        "inputs nothing is ever decided.\n"
    )
    yield from decision_rows(worlds)
    yield f"\n## “About N more graded inputs would decide”, 5 levels ({2 * worlds} worlds each)\n"
    yield from more_rows(2 * worlds)
    yield (
        f"\n## Looking again and again, 5 levels ({2 * worlds} worlds of equal ways, {worlds // 2} others)\n\nGrades "
        "are added until the verdict is decided; the judge favours fine-tunes by 0.4.\n"
    )
    yield from look_rows(worlds)


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    write_table(report(options.worlds), options.out)


if __name__ == "__main__":
    main()
