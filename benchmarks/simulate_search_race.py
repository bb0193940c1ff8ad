"""Heats of a prompt search on simulated scores: rows saved, and whether the finalist is the one of a full evaluation.

    python benchmarks/simulate_search_race.py --out benchmarks/results/simulate_search_race.md

Each contest has a starting prompt and 15 proposals whose skills are drawn around it; scores of a row are correlated as
those of prompts on one model are. `contest.heat.hold`, which `prompt_search` races with, picks a finalist; so does a
full evaluation of the same candidates on all dev rows. Worse means shown worse: the 95 % interval of the paired
difference on the rows of a test split lies below 0. The table is a function of the arguments.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from whichway.contest.selection.candidate_race import CandidateRace, Contender, run_race
from whichway.contest.selection.race import Entry, Rules, looks
from whichway.nouns import Candidate, Decoding, Prompt, Weights
from whichway.verdict.stats import FloatArray

PROPOSALS = 15
START = 0.60
SHARED = 0.6  # variance of a row's difficulty that all prompts share
SETTINGS = tuple((spread, dev) for spread in (0.0, 0.03, 0.08) for dev in (150, 400, 800))
TEST = 1000


@dataclass(frozen=True, slots=True)
class Came:
    """One contest."""

    rows: int  # dev rows answered in the race
    full: int
    same: bool
    worse: bool  # the raced finalist is shown worse than the one of the full evaluation
    lost: float  # skill of the full evaluation's finalist minus the raced one's


def contest(rng: np.random.Generator, spread: float, dev: int) -> Came:
    """Draw the candidates, race them, evaluate them in full."""
    skills = np.clip(START + np.concatenate([[0.0], spread * rng.normal(size=PROPOSALS)]), 0.02, 0.98)
    rows = dev + TEST
    latent = math.sqrt(SHARED) * rng.normal(size=rows) + math.sqrt(1 - SHARED) * rng.normal(size=(len(skills), rows))
    scores = (latent < ndtri(skills)[:, None]).astype(float)
    contenders = [Contender(Entry(_candidate(number))) for number in range(len(skills))]
    place = {contender.entry.candidate.id: number for number, contender in enumerate(contenders)}

    def answer(contender: Contender, to: int) -> None:
        contender.entry.scores += scores[place[contender.entry.candidate.id], contender.entry.rows : to].tolist()

    def price(some: Sequence[Contender], to: int) -> int:
        return sum(to - contender.entry.rows for contender in some)

    rules = Rules(looks(dev), margin=0.01, alpha=0.05)
    first = place[run_race(contenders, CandidateRace(rules, answer, price), 1, None)[0].candidate.id]
    whole = int(np.argmax(scores[:, :dev].mean(1)))
    spent = sum(contender.entry.rows for contender in contenders)
    lost = float(skills[whole] - skills[first])
    return Came(spent, len(contenders) * dev, first == whole, _worse(scores[first, dev:] - scores[whole, dev:]), lost)


def _candidate(number: int) -> Candidate:
    return Candidate(Prompt(objective=f"prompt {number}"), Weights("fake", "fake"), Decoding(), way="search")


def _worse(differences: FloatArray) -> bool:
    error = differences.std(ddof=1) / math.sqrt(len(differences))
    return bool(error > 0 and differences.mean() / error < -1.96)


def line(spread: float, dev: int, count: int) -> tuple[str, list[Came]]:
    """A line of the table."""
    rng = np.random.default_rng([int(1000 * spread), dev, count])
    came = [contest(rng, spread, dev) for _ in range(count)]
    cells = (
        f"{100 * spread:.0f} points",
        str(dev),
        f"{np.mean([c.rows for c in came]):.0f} of {came[0].full}",
        f"{1 - sum(c.rows for c in came) / sum(c.full for c in came):.1%}",
        f"{np.mean([c.same for c in came]):.1%}",
        f"{np.mean([not c.worse for c in came]):.1%}",
        f"{100 * np.mean([c.lost for c in came]):.2f}",
    )
    return f"| {' | '.join(cells)} |", came


def page(count: int) -> str:
    """The markdown page."""
    head = [
        "# Heats of a prompt search on simulated scores",
        "",
        f"`benchmarks/simulate_search_race.py --contests {count}`: {PROPOSALS} proposals and the starting prompt,",
        f"{100 * START:.0f} % right, spread of the proposals' skill around it as told; {count} contests a line.",
        "Wanted: at least 60 % of the rows saved, and the same finalist as a full evaluation, or one not shown worse",
        f"on {TEST} test rows (95 % interval of the paired difference below 0), in at least 95 %. Lost: true points",
        "between the two.",
        "",
        "| spread | dev rows | rows answered | saved | same finalist | same or not shown worse | lost |",
        "|---|---|---|---|---|---|---|",
    ]
    lines, every = [], []
    for spread, dev in SETTINGS:
        told, came = line(spread, dev, count)
        lines.append(told)
        every += came
    saved = 1 - sum(c.rows for c in every) / sum(c.full for c in every)
    fine = np.mean([not c.worse for c in every])
    return (
        "\n".join([*head, *lines, "", f"All together: {saved:.1%} saved, {fine:.1%} same or not shown worse."]) + "\n"
    )


def main() -> None:
    """Simulate, print the table, write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contests", type=int, default=200, help="contests a line")
    parser.add_argument("--out", type=Path, help="file to write")
    options = parser.parse_args()
    text = page(options.contests)
    sys.stdout.write(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
