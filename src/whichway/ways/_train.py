"""What the ways that train with a learning rate share: thin the rates out, then train the best for every seed.

The learning rate is the one number that matters (arXiv 2602.04998). Rates around a rule of thumb start on the first
seed; the bench trains on only those that lead at its rungs. The survivor's training is the first seed's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol

from whichway.contracts import Bench
from whichway.nouns import Candidate, Decoding, Practice
from whichway.prompts.plain import first_prompt

Rate = dict[str, float]  # {"rate": r}, or {"factor": f}: times the rule of thumb


class Numbers(Protocol):
    """The options that such ways have in common."""

    @property
    def rate(self) -> float: ...
    @property
    def factors(self) -> tuple[float, ...]: ...
    @property
    def epochs(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def checkpoints(self) -> int: ...
    @property
    def max_tokens(self) -> int: ...


def trained(task: Practice, bench: Bench, kind: str, options: Numbers, **more: Any) -> Iterator[Candidate]:
    """Yield a candidate for each checkpoint of the best rate's training, seed by seed.

    Args:
        task: rows to train on.
        bench: where.
        kind: of the training: "lora", "full".
        options: of the way.
        more: options of the training that only this kind has.
    """
    searched: list[Rate] = [{"factor": factor} for factor in sorted(options.factors)]
    rates = [{"rate": options.rate}] if options.rate else searched
    runs = [partial(_run, task, bench, kind, options, rate, more) for rate in rates]
    shares = [(k + 1) / options.checkpoints for k in range(options.checkpoints)]
    best = bench.halve([partial(run, bench.seeds[0]) for run in runs], shares)
    for seed in bench.seeds:
        yield from runs[best](seed)


def _run(
    task: Practice, bench: Bench, kind: str, options: Numbers, rate: Rate, more: dict[str, Any], seed: int
) -> Iterator[Candidate]:
    """One training from its first checkpoint to its last."""
    prompt, decoding = first_prompt(task), Decoding(task.mode, options.max_tokens)
    told = f"rate {rate['rate']:g}" if "rate" in rate else f"{rate['factor']:g} × the usual rate"
    per_epoch = -(-len(task.train) // options.batch)
    epochs = max(float(options.epochs), options.steps / per_epoch)
    size = {"epochs": epochs, "batch": options.batch, "checkpoints": options.checkpoints}
    for adapter in bench.train(kind, bench.base, prompt, task.train, seed, **rate, **size, **more):
        note = f"{told}, {adapter.epoch:.1f} epochs"
        yield Candidate(prompt, adapter.weights, decoding, seed=seed, note=note)
