"""Contests on simulated scores: what racing saves, what it costs, and that the verdict errs no more often with it.

    python benchmarks/simulate_race.py --out benchmarks/results/simulate_race.md

Each world has the candidates of a contest with the default ways: two baselines, four plain prompts, four few-shot
prompts for each of three seeds, a probe, and LoRA and full trainings with four checkpoints for each of three seeds. The
functions that race them, pick finalists and apply the rule are those of a contest; only the scores are drawn. The table
is a pure function of the arguments; `--part` makes one line, for several processes.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from whichway.contest.selection.race import Entry, Rules, finalist, looks, race
from whichway.nouns import Candidate, Decoding, Kind, Prompt, Weights
from whichway.verdict.compare import Arm, Table
from whichway.verdict.rule import answer as answer_of
from whichway.verdict.rule import rule
from whichway.verdict.stats import FloatArray

GROUPS = (
    *(("base_majority", 0, 1), ("base_tfidf", 0, 1), ("prompt_plain", 0, 4)),
    *(("prompt_shots", seed, 4) for seed in range(3)),
    ("tune_probe", 0, 1),
    *(("tune_lora", seed, 4) for seed in range(3)),
    *(("tune_full", seed, 4) for seed in range(3)),
)
WAYS = tuple(dict.fromkeys(way for way, _, _ in GROUPS))  # from the cheapest up
KINDS: dict[str, Kind] = {"base": "baseline", "prompt": "prompt", "tune": "fine-tune"}
EQUAL = dict.fromkeys(WAYS, 0.70)
GAIN = {**EQUAL, "tune_full": 0.80}
APART = dict(zip(WAYS, (0.30, 0.66, 0.60, 0.66, 0.70, 0.78, 0.80), strict=True))
CHECKPOINTS = (-0.06, -0.02, -0.005, 0.0)  # what a training still lacks at a quarter, half, ... of its steps
OWN, SEED = 0.02, 0.01  # standard deviations of a candidate's and a seed's skill, where ways differ
SHARED, KIN = 0.5, 0.25  # variance of a row's difficulty that all candidates share, and that those of one way share


@dataclass(frozen=True, slots=True)
class Setting:
    """Worlds of one truth and size."""

    truth: str
    skill: dict[str, float]
    dev: int
    test: int


SETTINGS = tuple(
    Setting(truth, skill, dev, test)
    for truth, skill in (("all equal", EQUAL), ("one better", GAIN), ("apart", APART))
    for dev, test in ((100, 150), (150, 218), (240, 400), (880, 1467))
)


@dataclass(frozen=True, slots=True)
class World:
    """Candidates with their true skill and their scores."""

    entries: list[Entry]
    skill: FloatArray  # (K,)
    scores: FloatArray  # (K, dev + test)
    dev: int  # rows that are dev; the rest is test


def world(rng: np.random.Generator, setting: Setting) -> World:
    """One world; candidates of a way and checkpoints of a training differ unless all are equal."""
    differ, entries, skill, ways = setting.truth != "all equal", [], [], []
    for way, seed, count in GROUPS:
        shift = SEED * rng.normal()
        for k in range(count):
            made = Candidate(Prompt(objective=f"{way} {k}"), Weights("fake", "fake"), Decoding(), way=way, seed=seed)
            entries.append(Entry(made))
            own = CHECKPOINTS[k] if way in ("tune_lora", "tune_full") else OWN * rng.normal() if count > 1 else 0.0
            skill.append(setting.skill[way] + (shift + own if differ else 0.0))
            ways.append(WAYS.index(way))
    rows = setting.dev + setting.test
    common, kin = rng.normal(size=rows), rng.normal(size=(len(WAYS), rows))[ways]
    noise = rng.normal(size=(len(entries), rows))
    latent = np.sqrt(SHARED) * common + np.sqrt(KIN) * kin + np.sqrt(1 - SHARED - KIN) * noise
    truth = np.clip(np.array(skill), 0.01, 0.99)
    return World(entries, truth, (latent < ndtri(truth)[:, None]).astype(float), setting.dev)


@dataclass(frozen=True, slots=True)
class Came:
    """What a contest in one world gave."""

    choice: str
    answer: str
    evaluations: int  # dev rows answered
    shown_worse: int
    best_dropped: bool  # the truly best candidate was shown worse
    lost: float  # mean over groups: the best skill in the group minus the finalist's


def held(made: World, racing: bool) -> Came:
    """Race a world's candidates or evaluate them in full, then decide on test."""
    place = {id(entry): k for k, entry in enumerate(made.entries)}
    for entry in made.entries:
        entry.scores, entry.drop, entry.paused = [], None, False
    rules = Rules(looks(made.dev, racing), margin=0.01, alpha=0.05)

    def answer(entry: Entry, to: int) -> None:
        entry.scores += made.scores[place[id(entry)], entry.rows : to].tolist()

    race(made.entries, rules, answer, lambda _: None)
    groups: dict[tuple[str, int], list[int]] = {}
    for entry in made.entries:
        groups.setdefault(entry.group, []).append(place[id(entry)])
    chosen = {g: place[id(finalist([made.entries[k] for k in mine], rules))] for g, mine in groups.items()}
    choice, said = decided(made, chosen)
    drops = [entry.drop for entry in made.entries]
    own = drops[int(np.argmax(made.skill))]
    return Came(
        choice=choice,
        answer=said,
        evaluations=sum(entry.rows for entry in made.entries),
        shown_worse=sum(drop is not None and drop.why == "shown worse" for drop in drops),
        best_dropped=own is not None and own.why == "shown worse",
        lost=float(np.mean([max(made.skill[k] for k in groups[g]) - made.skill[chosen[g]] for g in groups])),
    )


def decided(made: World, chosen: dict[tuple[str, int], int]) -> tuple[str, str]:
    """The way that the rule takes on the finalists' test rows, and its answer."""
    arms = [
        Arm(
            way=way,
            kind=KINDS[way.partition("_")[0]],
            random=way in ("prompt_shots", "tune_lora", "tune_full"),
            scores=made.scores[[k for (of, _), k in chosen.items() if of == way], made.dev :],
            usd_total=float(WAYS.index(way) + 1),
        )
        for way in WAYS
    ]
    ruling = rule(Table(arms, 0.95), 0.01)
    return WAYS[ruling.choice], answer_of(ruling, [arm.kind for arm in arms])


def row(setting: Setting, count: int) -> str:
    """A line of the table."""
    rng = np.random.default_rng([SETTINGS.index(setting), count])
    came = []
    for _ in range(count):
        made = world(rng, setting)
        came.append((held(made, True), held(made, False)))
    saved = 1 - sum(a.evaluations for a, _ in came) / sum(b.evaluations for _, b in came)
    wanted = {
        "all equal": lambda c: c.choice != WAYS[0],
        "one better": lambda c: (c.choice, c.answer) == ("tune_full", "fine-tune"),
        "apart": lambda c: c.answer == "fine-tune",
    }[setting.truth]
    cells = (
        setting.truth,
        f"{setting.dev}, {setting.test}",
        f"{saved:.1%}",
        *(f"{np.mean([wanted(pair[k]) for pair in came]):.1%}" for k in (0, 1)),
        f"{np.mean([(a.choice, a.answer) == (b.choice, b.answer) for a, b in came]):.1%}",
        f"{np.mean([a.shown_worse for a, _ in came]):.1f}",
        f"{np.mean([a.best_dropped for a, _ in came]):.1%}",
        *(f"{100 * np.mean([pair[k].lost for pair in came]):.2f}" for k in (0, 1)),
    )
    return f"| {' | '.join(map(str, cells))} |"


def page(lines: list[str], count: int) -> str:
    """The markdown page."""
    candidates = sum(size for _, _, size in GROUPS)
    head = (
        "# Contests on simulated scores, with racing and without",
        "",
        f"`benchmarks/simulate_race.py --worlds {count}`: {candidates} candidates of seven ways, margin 1",
        "point. All equal: every candidate at 70 %. One better: tune_full at 80 %, the others at 70 %. Apart:",
        "ways between 30 and 80 %. In the latter two checkpoints lie up to 6 points apart, prompts of a group",
        "2 points (standard deviation), seeds 1 point. Wanted: where all are equal, that something dearer",
        "than the cheapest is named in at most 5 %; otherwise, that the better one (apart: fine-tuning) is",
        "named and decided. Lost: points between the best candidate of a way and seed and its finalist, mean",
        "over all; a full evaluation of dev errs too.",
        "",
        "| truth | dev, test rows | dev rows saved | wanted, racing | wanted, full | same verdict | shown worse "
        "| best of all shown worse (at most 5 %) | lost, racing | lost, full |",
        "|---|---|---|---|---|---|---|---|---|---|",
    )
    return "\n".join([*head, *lines]) + "\n"


def main() -> None:
    """Simulate, print the table, write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=1000, help="worlds per line")
    parser.add_argument("--part", type=int, help=f"one line only, 0 to {len(SETTINGS) - 1}, without the head")
    parser.add_argument("--out", type=Path, help="file to write")
    options = parser.parse_args()
    if options.part is not None:
        print(row(SETTINGS[options.part], options.worlds))
        return
    text = page([row(setting, options.worlds) for setting in SETTINGS], options.worlds)
    sys.stdout.write(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
