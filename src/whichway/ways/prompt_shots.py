"""Few-shot: worked examples as earlier turns. Several draws of each size for each seed; the best on dev is kept.

How they are chosen: at random, balanced over the answers, diverse, as couples of labels that the plain prompt confuses
on training rows, or chosen for each row (kNN, arXiv 2101.06804; see `prompts/nearest.py`): those most like it by a
sentence encoder where one is on this machine, by their words otherwise. They differ from row to row, so only the
instructions are a shared prefix: the price per row tells. Order and choice of shots move
accuracy from near the best to chance (arXiv 2104.08786), which the spread over seeds shows. Long training rows are left
out of the draw, so that the prompt stays within reach of a small context.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Literal

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Candidate, Decoding, Example, Layout, Prompt, TrainDevView, Weights
from whichway.prompts import shots as choosing
from whichway.prompts.calibrate import batch_calibrated
from whichway.prompts.nearest import DEFAULT, RETRIEVER, chosen_encoder, named
from whichway.prompts.plain import CHANNEL, base_prompt, both_readings, decoding_for

KIND = "prompt"
RANDOM = True

Choice = Literal["balanced", "random", "diverse", "contrastive", "knn"]
DRAWS = {
    "balanced": choosing.balanced_shots,
    "random": choosing.random_shots,
    "diverse": choosing.diverse_shots,
}


@dataclass(frozen=True, slots=True)
class Options:
    """How shots are drawn."""

    counts: tuple[int, ...] = field(
        default=(4, 12), metadata={"help": "numbers of shots to try", "least": 1, "quick": 1}
    )
    draws: int = field(default=1, metadata={"help": "draws of each number and kind, for each seed"})
    kinds: tuple[Choice, ...] = field(
        default=("balanced", "knn"),
        metadata={
            "help": "random, balanced (over the answers), diverse (unlike each other), contrastive (couples of labels "
            "that the plain prompt confuses), knn (chosen for each row)"
        },
    )
    orders: tuple[choosing.Order, ...] = field(
        default=("drawn",),
        metadata={"help": "orders to try: drawn, reversed, short_first, grouped; knn has its own"},
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
    pool: int = field(
        default=2000, metadata={"help": "most rows that knn chooses from; they travel with the prompt", "before": 200}
    )
    encoder: str = field(default=DEFAULT, metadata=RETRIEVER)
    confusions: int = field(
        default=200, metadata={"help": "training rows that the plain prompt answers to find confused labels"}
    )
    channel: bool = field(default=False, metadata=CHANNEL)


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield candidates seed by seed."""
    if not task.train:
        raise WayFailed("there are no training rows to show as worked examples")
    rows = [e for e in task.train if len(e.text) + len(e.target) <= options.longest]
    if not rows:
        raise WayFailed(f"every training row is longer than {options.longest} characters; raise prompt_shots.longest")
    kinds = _kinds(task, options)
    pairs = _confused(task, bench, options) if "contrastive" in kinds else []
    encoder = chosen_encoder(bench, options.encoder) if "knn" in kinds else None
    for seed in bench.seeds:
        rng = random.Random(f"{seed}/{task.name}")
        for count, kind, _ in product(options.counts, kinds, range(options.draws)):
            for prompt, note in _prompts(task, options, rows, kind, count, pairs, encoder, rng):
                drawn = Candidate(prompt, bench.base, _decoding(task, options), seed=seed, note=note)
                for candidate in both_readings(drawn, options.channel):
                    yield _read(task, bench, options, candidate)


def _kinds(task: TrainDevView, options: Options) -> tuple[str, ...]:
    """Free text has no labels to balance, so shots are random there, and none to confuse."""
    if task.labels:
        return options.kinds
    kinds = ("random" if kind == "balanced" else kind for kind in options.kinds if kind != "contrastive")
    return tuple(dict.fromkeys(kinds)) or ("random",)


def _decoding(task: TrainDevView, options: Options) -> Decoding:
    return decoding_for(task, options.max_tokens, options.temperature, "prompt_shots")


def _confused(task: TrainDevView, bench: Bench, options: Options) -> list[tuple[str, str]]:
    """Labels that the plain prompt confuses on training rows, the most confused first."""
    rows = task.train[: options.confusions]
    plain = Candidate(replace(base_prompt(task), layout=options.layout), bench.base, _decoding(task, options))
    if options.calibrate:
        plain = batch_calibrated(plain, bench, task.train[: options.calibrate])
    pairs = choosing.confused_pairs(rows, [reply.text for reply in bench.ask(plain, rows)])
    if not pairs:
        raise WayFailed("the plain prompt confuses no labels on the training rows; leave out the kind contrastive")
    bench.say("most confused: " + ", ".join(f"{wanted} taken for {taken_for}" for wanted, taken_for in pairs[:3]))
    return pairs


def _prompts(
    task: TrainDevView,
    options: Options,
    rows: Sequence[Example],
    kind: str,
    count: int,
    pairs: Sequence[tuple[str, str]],
    encoder: Weights | None,
    rng: random.Random,
) -> Iterator[tuple[Prompt, str]]:
    """One draw in each order."""
    plain = replace(base_prompt(task), layout=options.layout)
    if kind == "knn":
        pool = choosing.random_shots(rows, options.pool, rng)
        by = f", by {named(encoder)}" if encoder else ""
        note = f"{min(count, len(pool))} of {len(pool)} shots for each row{by}"
        yield replace(plain, pool=pool, nearest=count, encoder=encoder), note
        return
    if kind == "contrastive":
        shots = choosing.contrastive_shots(rows, pairs, count, rng)
    else:
        shots = DRAWS[kind](rows, count, rng)
    for order in options.orders:
        order_text = "" if order == "drawn" else f", {order.replace('_', ' ')}"
        yield replace(plain, shots=choosing.ordered(shots, order)), f"{len(shots)} shots, {kind}{order_text}"


def _read(task: TrainDevView, bench: Bench, options: Options, candidate: Candidate) -> Candidate:
    """Calibrated on inputs that are no shots, where that is wanted."""
    if not (task.labels and options.calibrate):
        return candidate
    shown = {shot.text for shot in candidate.prompt.shots}
    inputs = [e for e in task.train if e.text not in shown][: options.calibrate]
    return batch_calibrated(candidate, bench, inputs)
