"""LoRA on rows with their own worked examples: each row is trained, and later asked, after the training rows like it.

Every answer in the context is a target, the examples' as well as the row's own: a context of k examples trains k + 1
answers in one pass, so one pass over the rows costs what k + 1 passes of `tune_lora` cost and teaches as many answers
(in-context fine-tuning, arXiv 2506.11103 and 2512.19879). The examples are the row's nearest in the pool of training
rows; a row is never its own example, nor is a copy of it or a row of its group, which no row that is asked later will
find there. Examples for which there is no room in `characters` or in the model's context are left out, the least
similar first.

One pass is the default, more with few rows (`steps`). Measured with 300 support rows, the embedded model and four
examples by MiniLM: 44 % of 151 dev rows after one pass, 43 % after two, 45 % after one in which the row's own answer
alone is a target; `tune_lora` in as many tokens as one pass: 39 % (standard errors of 4 points).

Searched on dev: the rate and the number of examples, by successive halving. Like every prompt that shows each row its
own examples it is dear to ask: k + 1 rows are read for one answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import Literal

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Candidate, Example, Prompt, TrainDevView, Weights
from whichway.prompts.nearest import DEFAULT, RETRIEVER, chosen_encoder
from whichway.prompts.plain import base_prompt
from whichway.prompts.shots import shot
from whichway.ways._prompt import not_shown
from whichway.ways._train import (
    FEW,
    SEARCHED_FROM,
    RateTraining,
    TrainingOptions,
    each_seed,
    in_order,
    rates_of,
    shares,
)

KIND = "both"
RANDOM = True


@dataclass(frozen=True, slots=True)
class Options(TrainingOptions):
    """How many examples a row has, what is trained, and how long."""

    counts: tuple[int, ...] = field(default=(4,), metadata={"help": "numbers of examples for a row to try", "least": 1})
    encoder: str = field(default=DEFAULT, metadata=RETRIEVER)
    pool: int = field(
        default=2000, metadata={"help": "most training rows that examples come from; they travel along", "least": 2}
    )
    characters: int = field(
        default=2400,
        metadata={"help": "most characters of a row's examples together; the least similar are left out", "least": 1},
    )
    targets: Literal["all", "last"] = field(
        default="all", metadata={"help": "answers that are trained: all of a row's context, or the last one, its own"}
    )
    search_from: int = field(default=FEW, metadata=SEARCHED_FROM)
    epochs: int = field(
        default=1, metadata={"help": "passes over the training rows, each with its examples", "least": 1}
    )
    batch: int = field(default=4, metadata={"help": "rows per step, each with its examples", "least": 1})
    rank: int = field(default=16, metadata={"help": "rank of the adapter", "least": 1})


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield candidates: checkpoints of the best training, seed by seed."""
    if not bench.has("lora"):
        raise WayFailed("this model's backend cannot train LoRA adapters")
    encoder = chosen_encoder(bench, options.encoder)
    prompts, rows = train_prompts(task, options, encoder, bench.fill)
    if len(rows) < 2:
        raise WayFailed("a row is shown other training rows, and there are fewer than two")
    if prompts[0].shot_characters < options.characters:
        bench.say(f"a row's examples have {prompts[0].shot_characters} characters: more do not fit the model's context")
    label = "{} examples" if len(prompts) > 1 else ""
    numbers = {"rank": options.rank, **({"targets": "all"} if options.targets == "all" else {})}
    runs = [
        RateTraining(task, bench, "lora", options, p, rows, numbers, label=label.format(p.nearest)) for p in prompts
    ]
    rates = rates_of(options, len(rows))
    trials = list(product(rates, runs))
    best = bench.halve([partial(run, rate, bench.seeds[0]) for rate, run in trials], shares(options.checkpoints))
    rate, run = trials[best]
    yield from each_seed(run, in_order(options, rates, rates.index(rate)), bench)


def train_prompts(
    task: TrainDevView, options: Options, encoder: Weights | None, fill: Callable[[Prompt, Sequence[Example]], float]
) -> tuple[list[Prompt], tuple[Example, ...]]:
    """The prompt for each number of examples, and the rows that are trained under it.

    Args:
        task: its training rows are the pool.
        options: of the way.
        encoder: by which examples are chosen; None: by words.
        fill: share of the model's context that the longest of some rows takes under a prompt.
    """
    start = base_prompt(task)
    rows = not_shown(task.train, start)
    pool = tuple(map(shot, rows[: options.pool]))
    starts = [replace(start, pool=pool, nearest=count, encoder=encoder) for count in options.counts]
    room = min(_room(prompt, rows, options.characters, fill) for prompt in starts)
    return [replace(prompt, shot_characters=room) for prompt in starts], rows


def _room(
    prompt: Prompt, rows: Sequence[Example], most: int, fill: Callable[[Prompt, Sequence[Example]], float]
) -> int:
    """As many characters of examples as the longest training rows leave in the context."""
    room = most
    while room > 1 and (share := fill(replace(prompt, shot_characters=room), rows)) > 1:
        room = max(1, int(0.9 * room / share))
    return room
