"""A soft prompt: learned vectors in front of the input (prompt tuning: Lester et al. 2021, arXiv 2104.08691).

They start from the embeddings of the task's own words. Prompt tuning comes near the other ways only in large models;
under about a billion parameters expect little. Rates are searched as in `tune_lora`, from a higher rule of thumb.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Candidate, Prompt, TrainDevView
from whichway.prompts.plain import base_prompt
from whichway.prompts.template import instructions
from whichway.ways._train import FACTORS, FOUR, TrainingOptions, trained

KIND = "fine-tune"
RANDOM = True


@dataclass(frozen=True, slots=True)
class Options(TrainingOptions):
    """What is trained, and how long."""

    factors: tuple[float, ...] = field(default=FOUR, metadata=FACTORS)
    tokens: int = field(default=20, metadata={"help": "learned vectors", "least": 1})
    instead: bool = field(
        default=False, metadata={"help": "the vectors stand in the place of the written prompt, not in front of it"}
    )


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield candidates: checkpoints of the full runs, seed by seed."""
    if not bench.has("soft_prompt"):
        raise WayFailed("this model's backend cannot train a soft prompt")
    written = base_prompt(task)
    prompt = Prompt() if options.instead else written
    more: dict[str, Any] = {"tokens": options.tokens, "text": instructions(written)}
    yield from trained(task, bench, "soft_prompt", options, prompt=prompt, **more)
