"""A hosted model, fine-tuned by its own service: OpenAI's protocol, Together's or Fireworks'.

The rows are sent there, so private data refuse it, and the service is paid by the trained token: `plan` says about how
much, and no job is created that could pass the cap. Every checkpoint that the service keeps is a candidate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Candidate, Decoding, TrainDevView
from whichway.prompts.plain import base_prompt

KIND = "fine-tune"
RANDOM = True  # a job for each seed
TRAINS_HOSTED = True  # wants the price of a trained token


@dataclass(frozen=True, slots=True)
class Options:
    """How long, and how."""

    epochs: int = field(default=3, metadata={"help": "passes over the training rows, each of them paid", "least": 1})
    batch: int = field(default=0, metadata={"help": "rows per step; 0: the service chooses"})
    rate: float = field(
        default=0.0,
        metadata={"help": "OpenAI: multiplier of its learning rate, elsewhere the rate; 0: the service chooses"},
    )
    max_tokens: int = field(
        default=128, metadata={"help": "longest written answer, in tokens (free text only)", "least": 1}
    )


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield the checkpoints of a job for each seed."""
    if not bench.has("hosted"):
        raise WayFailed("the model is on this machine, and no service trains it: tune_lora and tune_head do")
    if task.is_preference:
        raise WayFailed("preferences want the log-probability of whole answers, which a service does not tell")
    prompt = base_prompt(task)
    numbers: dict[str, Any] = {"n_epochs": options.epochs}
    if options.batch:
        numbers["batch_size"] = options.batch
    if options.rate:
        numbers["learning_rate_multiplier"] = options.rate
    decoding = Decoding(task.mode, options.max_tokens, thinking=task.thinks)
    for seed in bench.seeds:
        for adapter in bench.train("hosted", bench.base, prompt, task.train, seed, **numbers):
            note = f"{adapter.epoch:.1f} epochs" + (f", {adapter.name}" if adapter.name else "")
            yield Candidate(prompt, adapter.weights, decoding, seed=seed, note=note)
