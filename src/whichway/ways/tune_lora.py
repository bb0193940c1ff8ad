"""LoRA on all linear layers (Hu et al. 2021, arXiv 2106.09685). The rate is searched, then several seeds are trained.

The learning rate is the one number that matters (arXiv 2602.04998). Points around a rule of thumb for the hidden size
are tried for a fifth of the steps on the first seed; the best on dev is trained in full for every seed, with one
candidate a checkpoint, so that the house can keep the best of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Adapter, Candidate, Decoding, Practice, Prompt
from whichway.prompts.plain import first_prompt

KIND = "fine-tune"
RANDOM = True


@dataclass(frozen=True, slots=True)
class Options:
    """What is trained, and how long."""

    rates: tuple[float, ...] = field(
        default=(1e-3, 2e-3, 4e-3), metadata={"help": "learning rates to search; a single one is taken as it is"}
    )
    rank: int = field(default=16, metadata={"help": "rank of the adapter"})
    epochs: int = field(default=6, metadata={"help": "passes over the training rows"})
    batch: int = field(default=16, metadata={"help": "rows per step"})
    search_share: float = field(default=0.2, metadata={"help": "share of the steps that each rate is tried for"})
    checkpoints: int = field(default=3, metadata={"help": "checkpoints of a full run; the best on dev is kept"})
    max_tokens: int = field(default=128, metadata={"help": "longest written answer, in tokens (free text only)"})


def adapt(task: Practice, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield candidates: checkpoints of the full runs, seed by seed."""
    if not bench.has("lora"):
        raise WayFailed("this model's backend cannot train LoRA adapters")
    prompt = first_prompt(task)
    rate = _search(task, bench, options, prompt)
    for seed in bench.seeds:
        for adapter in _train(task, bench, options, prompt, rate, seed, options.epochs, options.checkpoints):
            yield _candidate(task, options, prompt, adapter, seed, f"rate {rate:g}, {adapter.epoch:.1f} epochs")


def _search(task: Practice, bench: Bench, options: Options, prompt: Prompt) -> float:
    """The rate with the best dev score after a share of the steps; the smaller one when equal."""
    if len(options.rates) == 1:
        return options.rates[0]
    found: dict[float, float] = {}
    for rate in sorted(options.rates):
        epochs = options.epochs * options.search_share
        try:
            for adapter in _train(task, bench, options, prompt, rate, bench.seeds[0], epochs, 1):
                found[rate] = bench.value(_candidate(task, options, prompt, adapter, bench.seeds[0], ""))
                bench.say(f"rate {rate:g}: dev {found[rate]:.3f} after {epochs:g} epochs")
        except WayFailed as error:
            bench.say(f"rate {rate:g}: {error}")
    if not found:
        raise WayFailed(
            f"training failed at every rate ({', '.join(f'{r:g}' for r in options.rates)}); give lower ones"
        )
    return max(found, key=lambda rate: found[rate])


def _train(
    task: Practice,
    bench: Bench,
    options: Options,
    prompt: Prompt,
    rate: float,
    seed: int,
    epochs: float,
    checkpoints: int,
) -> Iterator[Adapter]:
    return bench.train(
        "lora",
        bench.base,
        prompt,
        task.train,
        seed,
        rate=rate,
        rank=options.rank,
        epochs=float(epochs),
        batch=options.batch,
        checkpoints=checkpoints,
    )


def _candidate(task: Practice, options: Options, prompt: Prompt, adapter: Adapter, seed: int, note: str) -> Candidate:
    decoding = Decoding(task.mode, options.max_tokens)
    return Candidate(prompt, adapter.weights, decoding, seed=seed, note=note)
