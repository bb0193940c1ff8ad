"""Few-shot: worked examples as earlier turns. Several draws of each size for each seed; the best on dev is kept.

Order and choice of shots move accuracy from near the best to chance (arXiv 2104.08786), which the spread over seeds
shows. Long training rows are left out of the draw, so that the shared prompt stays within reach of a small context.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from whichway.contracts import Bench
from whichway.errors import OptionError, WayFailed
from whichway.nouns import Candidate, Example, Layout, Practice
from whichway.prompts.calibrate import calibrated
from whichway.prompts.plain import first_prompt, reading
from whichway.prompts.shots import balanced_shots, random_shots

KIND = "prompt"
RANDOM = True


@dataclass(frozen=True, slots=True)
class Options:
    """How shots are drawn."""

    counts: tuple[int, ...] = field(default=(4, 12), metadata={"help": "numbers of shots to try"})
    draws: int = field(default=1, metadata={"help": "draws of each number and kind, for each seed"})
    kinds: tuple[Literal["balanced", "random"], ...] = field(
        default=("balanced", "random"), metadata={"help": "balanced over the answers, or random"}
    )
    calibrate: int = field(
        default=32, metadata={"help": "training inputs (without targets) for batch calibration; 0: none"}
    )
    longest: int = field(default=240, metadata={"help": "rows with more characters are not drawn as shots"})
    layout: Layout = field(default="system", metadata={"help": "where the instructions stand: system or user"})
    max_tokens: int = field(default=128, metadata={"help": "longest written answer, in tokens (free text only)"})
    temperature: float = field(
        default=0.0, metadata={"help": "0: the likeliest text; above: drawn, see --repeats (free text only)"}
    )


def adapt(task: Practice, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield candidates seed by seed."""
    if min(options.counts, default=0) < 1:
        raise OptionError(f"prompt_shots.counts wants numbers of 1 and more, got {options.counts}")
    rows = [e for e in task.train if len(e.text) + len(e.target) <= options.longest]
    if not rows:
        raise WayFailed(f"every training row is longer than {options.longest} characters; raise prompt_shots.longest")
    for seed in bench.seeds:
        rng = random.Random(f"{seed}/{task.name}")
        for count in options.counts:
            for kind in options.kinds if task.labels else ("random",):
                for _ in range(options.draws):
                    yield _candidate(task, bench, options, rows, kind, count, rng, seed)


def _candidate(
    task: Practice,
    bench: Bench,
    options: Options,
    rows: list[Example],
    kind: str,
    count: int,
    rng: random.Random,
    seed: int,
) -> Candidate:
    draw = {"balanced": balanced_shots, "random": random_shots}[kind]
    shots = draw(rows, count, rng)
    prompt = replace(first_prompt(task), shots=shots, layout=options.layout)
    decoding = reading(task, options.max_tokens, options.temperature, "prompt_shots")
    candidate = Candidate(prompt, bench.base, decoding, seed=seed, note=f"{len(shots)} shots, {kind}")
    if not (task.labels and options.calibrate):
        return candidate
    shown = {shot.text for shot in shots}
    inputs = [e for e in task.train if e.text not in shown][: options.calibrate]
    return calibrated(candidate, bench.ask(candidate, inputs)) or candidate
