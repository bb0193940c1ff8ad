"""The race on simulated scores: rows saved, and how much worse the finalists are than those of a full evaluation.

    python benchmarks/simulate_race.py --out benchmarks/results/simulate_race.md

Each world has the candidates of a contest with the default ways: two baselines, four plain prompts, four few-shot
prompts for each of three seeds, a probe, and LoRA and full trainings with four checkpoints for each of three seeds. The
same functions race them as in a contest; the table is a pure function of the arguments.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from whichway.contest.race import Entry, Rules, finalist, looks, race
from whichway.nouns import Candidate, Decoding, Prompt, Weights
from whichway.verdict.stats import FloatArray

GROUPS = (
    *(("base_majority", 0, 1), ("base_tfidf", 0, 1), ("prompt_plain", 0, 4), ("tune_probe", 0, 1)),
    *(("prompt_shots", seed, 4) for seed in range(3)),
    *(("tune_lora", seed, 4) for seed in range(3)),
    *(("tune_full", seed, 4) for seed in range(3)),
)
APART = {
    "base_majority": 0.30,
    "base_tfidf": 0.66,
    "prompt_plain": 0.60,
    "prompt_shots": 0.66,
    "tune_probe": 0.70,
    "tune_lora": 0.78,
    "tune_full": 0.80,
}
CHECKPOINTS = (-0.06, -0.02, -0.005, 0.0)  # what a training still lacks at a quarter, half, ... of its steps
OWN, SEED = 0.02, 0.01  # standard deviations of a candidate's and a seed's skill
SHARED, KIN = 0.5, 0.25  # variance of a row's difficulty that all candidates share, and that those of one way share


@dataclass(frozen=True, slots=True)
class World:
    """Candidates with their true skill and their scores on dev rows."""

    entries: list[Entry]
    skill: FloatArray  # (K,)
    scores: FloatArray  # (K, n)


def world(rng: np.random.Generator, rows: int, apart: bool) -> World:
    """One world; `apart`: ways, checkpoints and candidates differ; otherwise all are at 70 %."""
    entries, skill, ways = [], [], []
    for way, seed, count in GROUPS:
        shift = SEED * rng.normal() if apart else 0.0
        for k in range(count):
            made = Candidate(Prompt(objective=f"{way} {k}"), Weights("fake", "fake"), Decoding(), way=way, seed=seed)
            entries.append(Entry(made))
            own = CHECKPOINTS[k] if way in ("tune_lora", "tune_full") else OWN * rng.normal()
            skill.append(APART[way] + shift + own if apart else 0.7)
            ways.append(sorted(APART).index(way))
    common, kin = rng.normal(size=rows), rng.normal(size=(len(APART), rows))[ways]
    noise = rng.normal(size=(len(entries), rows))
    latent = np.sqrt(SHARED) * common + np.sqrt(KIN) * kin + np.sqrt(1 - SHARED - KIN) * noise
    truth = np.clip(np.array(skill), 0.01, 0.99)
    return World(entries, truth, (latent < ndtri(truth)[:, None]).astype(float))


@dataclass(frozen=True, slots=True)
class Came:
    """What a race in one world gave."""

    evaluations: int
    shown_worse: int
    best_dropped: bool  # the truly best candidate was shown worse
    regret: float  # mean over groups: best skill in the group minus the finalist's
    top: float  # the same for the group that holds the best candidate of all


def held(made: World, racing: bool) -> Came:
    """Race a world, or evaluate it in full."""
    rows = made.scores.shape[1]
    place = {id(entry): k for k, entry in enumerate(made.entries)}
    for entry in made.entries:
        entry.scores, entry.drop, entry.resting = [], None, False
    rules = Rules(looks(rows, racing), margin=0.01, alpha=0.05)

    def answer(entry: Entry, to: int) -> None:
        entry.scores += made.scores[place[id(entry)], entry.rows : to].tolist()

    race(made.entries, rules, answer, lambda _: None)
    best = int(np.argmax(made.skill))
    lost = list(_losses(made, rules, place))
    drops = [entry.drop for entry in made.entries]
    own = drops[best]
    return Came(
        evaluations=sum(entry.rows for entry in made.entries),
        shown_worse=sum(drop is not None and drop.why == "shown worse" for drop in drops),
        best_dropped=own is not None and own.why == "shown worse",
        regret=float(np.mean([loss for _, loss in lost])),
        top=next(loss for group, loss in lost if group == made.entries[best].group),
    )


def _losses(made: World, rules: Rules, place: dict[int, int]) -> Iterator[tuple[tuple[str, int], float]]:
    for group in dict.fromkeys(entry.group for entry in made.entries):
        mine = [entry for entry in made.entries if entry.group == group]
        chosen = finalist(mine, rules)
        yield group, max(made.skill[place[id(e)]] for e in mine) - made.skill[place[id(chosen)]]


def row(rows: int, apart: bool, count: int) -> str:
    """A line of the table."""
    rng = np.random.default_rng([rows, apart])
    came = []
    for _ in range(count):
        made = world(rng, rows, apart)
        came.append((held(made, True), held(made, False)))
    saved = 1 - sum(a.evaluations for a, _ in came) / sum(b.evaluations for _, b in came)
    cells = (
        rows,
        "apart" if apart else "all equal",
        f"{saved:.1%}",
        f"{np.mean([a.shown_worse for a, _ in came]):.1f}",
        f"{np.mean([a.best_dropped for a, _ in came]):.1%}",
        *(f"{100 * np.mean([pair[k].regret for pair in came]):.2f}" for k in (0, 1)),
        *(f"{100 * np.mean([pair[k].top for pair in came]):.2f}" for k in (0, 1)),
    )
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Simulate, print the table, write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=1000, help="worlds per line")
    parser.add_argument("--out", type=Path, help="file to write")
    options = parser.parse_args()
    head = (
        "# The race on simulated scores",
        "",
        f"`benchmarks/simulate_race.py --worlds {options.worlds}`: {sum(n for *_, n in GROUPS)} candidates, margin 1",
        "point. Apart: ways between 30 and 80 %, checkpoints up to 6 points apart, other candidates of a group with a",
        "standard deviation of 2 points. Lost: points between the best candidate of a group and its finalist, mean",
        "over groups; a full evaluation also errs.",
        "",
        "| dev rows | truth | saved | shown worse | best of all shown worse (at most 5 %) | lost, racing | lost, full |"
        " lost in the best group, racing | full |",
        "|---|---|---|---|---|---|---|---|---|",
    )
    lines = [row(rows, apart, options.worlds) for rows in (100, 150, 400, 880) for apart in (False, True)]
    page = "\n".join([*head, *lines]) + "\n"
    sys.stdout.write(page)
    if options.out:
        options.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
