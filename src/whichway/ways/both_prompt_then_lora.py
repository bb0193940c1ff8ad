"""LoRA under the best prompt: first prompts are tried on dev, then the adapter is trained under the winner.

The order that BetterTogether (Soylu et al. 2024, arXiv 2407.10930) found best. Each half alone stands beside it in the
same contest: `tune_lora` under the plain prompt, and the prompting ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Candidate, TrainDevView
from whichway.ways._prompt import best_prompt, not_shown
from whichway.ways._train import TrainingOptions, trained
from whichway.ways.tune_lora import SOUP, WORDS, adapter

KIND = "both"
RANDOM = True


@dataclass(frozen=True, slots=True)
class Options(TrainingOptions):
    """Which prompts are tried, what is trained, and how long."""

    prompts: tuple[str, ...] = field(
        default=("prompt_plain", "prompt_shots"), metadata={"help": "prompting ways whose candidates are tried on dev"}
    )
    rank: int = field(default=16, metadata={"help": "rank of the adapter", "least": 1})
    variant: Literal["lora", "rslora", "dora", "pissa"] = field(
        default="lora", metadata={"help": "lora, rslora, dora or pissa"}
    )
    word_dropout: float = field(default=0.0, metadata=WORDS)
    soup: int = field(default=1, metadata=SOUP)


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield candidates: checkpoints of the full runs under the best prompt, seed by seed."""
    if not bench.has("lora"):
        raise WayFailed("this model's backend cannot train LoRA adapters")
    prompt = best_prompt(task, bench, options.prompts).prompt
    rows = not_shown(task.train, prompt)
    if not rows:
        raise WayFailed("every training row is a shot of the best prompt; none is left to train on")
    words = options.word_dropout if task.labels and not prompt.nearest else 0.0  # a row's own shots stay whole
    numbers = adapter(options.rank, options.variant, words)
    yield from trained(task, bench, "lora", options, prompt=prompt, examples=rows, soup=options.soup, **numbers)
