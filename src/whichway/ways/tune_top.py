"""LoRA on the top layers, or all weights of them: everything below is frozen, run once, and kept for epochs and trials.

Trains the part of a model that is most about the task, at a fraction of the time: neither forward nor backward reaches
the layers below. Rates are searched as in `tune_lora`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Adapter, Candidate, Decoding, Practice, Prompt
from whichway.prompts.plain import first_prompt

Rate = dict[str, float]  # {"rate": r}, or {"factor": f}: times the rule of thumb

KIND = "fine-tune"
RANDOM = True


@dataclass(frozen=True, slots=True)
class Options:
    """What is trained, and how long."""

    rate: float = field(default=0.0, metadata={"help": "learning rate; 0: searched"})
    factors: tuple[float, ...] = field(
        default=(0.5, 1.0, 2.0), metadata={"help": "rates to search, times the rule of thumb for the model's width"}
    )
    layers: int = field(default=2, metadata={"help": "layers to train, counted from the top"})
    all_weights: bool = field(default=False, metadata={"help": "train all weights of these layers, not an adapter"})
    rank: int = field(default=16, metadata={"help": "rank of the adapter"})
    epochs: int = field(default=6, metadata={"help": "passes over the training rows"})
    batch: int = field(default=16, metadata={"help": "rows per step"})
    search_share: float = field(default=0.2, metadata={"help": "share of the steps that each rate is tried for"})
    checkpoints: int = field(default=3, metadata={"help": "checkpoints of a full run; the best on dev is kept"})
    max_tokens: int = field(default=128, metadata={"help": "longest written answer, in tokens (free text only)"})


def adapt(task: Practice, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield candidates: checkpoints of the full runs, seed by seed."""
    if not bench.has(_kind(options)):
        raise WayFailed("this model's backend cannot train its top layers alone")
    prompt = first_prompt(task)
    rate = _search(task, bench, options, prompt)
    for seed in bench.seeds:
        for adapter in _train(task, bench, options, prompt, rate, seed, options.epochs, options.checkpoints):
            yield _candidate(task, options, prompt, adapter, seed, f"{_told(rate)}, {adapter.epoch:.1f} epochs")


def _search(task: Practice, bench: Bench, options: Options, prompt: Prompt) -> Rate:
    """The rate with the best dev score after a share of the steps; the smaller one when equal."""
    searched: list[Rate] = [{"factor": factor} for factor in sorted(options.factors)]
    rates = [{"rate": options.rate}] if options.rate else searched
    if len(rates) == 1:
        return rates[0]
    scores: list[float] = []
    epochs = options.epochs * options.search_share
    for rate in rates:
        try:
            for adapter in _train(task, bench, options, prompt, rate, bench.seeds[0], epochs, 1):
                scores.append(bench.value(_candidate(task, options, prompt, adapter, bench.seeds[0], "")))
                bench.say(f"{_told(rate)}: dev {scores[-1]:.3f} after {epochs:g} epochs")
        except WayFailed as error:
            scores.append(-1.0)  # never chosen: a metric is 0 or more
            bench.say(f"{_told(rate)}: {error}")
    if max(scores) < 0:
        raise WayFailed(f"training failed at every rate ({', '.join(map(_told, rates))}); give a lower one")
    return rates[scores.index(max(scores))]


def _kind(options: Options) -> str:
    return "top_full" if options.all_weights else "top"


def _told(rate: Rate) -> str:
    return f"rate {rate['rate']:g}" if "rate" in rate else f"{rate['factor']:g} × the usual rate"


def _train(
    task: Practice,
    bench: Bench,
    options: Options,
    prompt: Prompt,
    rate: Rate,
    seed: int,
    epochs: float,
    checkpoints: int,
) -> Iterator[Adapter]:
    size = {"epochs": float(epochs), "batch": options.batch, "checkpoints": checkpoints}
    more = {} if options.all_weights else {"rank": options.rank}
    start = bench.base
    return bench.train(_kind(options), start, prompt, task.train, seed, **rate, **size, **more, layers=options.layers)


def _candidate(task: Practice, options: Options, prompt: Prompt, adapter: Adapter, seed: int, note: str) -> Candidate:
    decoding = Decoding(task.mode, options.max_tokens)
    return Candidate(prompt, adapter.weights, decoding, seed=seed, note=note)
