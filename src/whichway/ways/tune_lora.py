"""LoRA on all linear layers (Hu et al. 2021, arXiv 2106.09685). The rate is searched, then several seeds are trained.

Points around a rule of thumb for the hidden size start on the first seed and go through successive halving on dev; the
best is trained for every seed, with one candidate a checkpoint, so that the contest can keep one of them.

Variants: rsLoRA (arXiv 2312.03732) scales by the root of the rank, DoRA (arXiv 2402.09353) trains the length of each
weight's rows beside their direction, PiSSA (arXiv 2404.02948) starts at the weights' principal part. Once the rate is
tuned they lie within a point or two of each other (arXiv 2602.04998), so the plain one is the default.

`word_dropout` (random deletion, Wei & Zou 2019, arXiv 1901.11196) leaves out some words of every row at each step,
where answers are labels; a written answer may repeat any word of its row. With 1,000 titles and 12 epochs it gained
4.7 points, on short questions and with few epochs it lost one or nothing (`dev/LOG.md`), so it is off by default.

`soup` trains the best rate so many times from one start, in different orders, and averages what the trainings did to
the weights (model soups, arXiv 2203.05482): one adapter, of that many times the rank, for that many times the training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Candidate, TrainDevView
from whichway.ways._train import FEW, SEARCHED_FROM, TrainingOptions, trained

KIND = "fine-tune"
RANDOM = True
SOUP = {"help": "trainings of the best rate, in different orders, that are averaged into one adapter", "least": 1}
WORDS = {
    "help": "share of a row's words that each step leaves out, where answers are labels; for many epochs",
    "below": 1,
}


@dataclass(frozen=True, slots=True)
class Options(TrainingOptions):
    """What is trained, and how long."""

    search_from: int = field(default=FEW, metadata=SEARCHED_FROM)
    rank: int = field(default=16, metadata={"help": "rank of the adapter", "least": 1})
    variant: Literal["lora", "rslora", "dora", "pissa"] = field(
        default="lora", metadata={"help": "lora, rslora, dora or pissa"}
    )
    word_dropout: float = field(default=0.0, metadata=WORDS)
    soup: int = field(default=1, metadata=SOUP)


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield candidates: checkpoints of the full runs, seed by seed."""
    if not bench.has("lora"):
        raise WayFailed("this model's backend cannot train LoRA adapters")
    words = options.word_dropout if task.labels else 0.0
    numbers = adapter(options.rank, options.variant, words)
    yield from trained(task, bench, "lora", options, soup=options.soup, **numbers)


def adapter(rank: int, variant: str, word_dropout: float) -> dict[str, Any]:
    """The numbers of a LoRA training that are not everyone's; the plain variant goes without saying."""
    arguments: dict[str, Any] = {"rank": rank}
    if variant != "lora":
        arguments["variant"] = variant
    if word_dropout:
        arguments["word_dropout"] = word_dropout
    return arguments
