"""LoRA on all linear layers (Hu et al. 2021, arXiv 2106.09685). The rate is searched, then several seeds are trained.

Points around a rule of thumb for the hidden size start on the first seed and are thinned out on dev; the best is
trained for every seed, with one candidate a checkpoint, so that the house can keep the best of them.

Variants: rsLoRA (arXiv 2312.03732) scales by the root of the rank, DoRA (arXiv 2402.09353) trains the length of each
weight's rows beside their direction, PiSSA (arXiv 2404.02948) starts at the weights' principal part. Once the rate is
tuned they lie within a point or two of each other (arXiv 2602.04998), so the plain one is the default.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Candidate, Practice
from whichway.ways._train import Training, trained

KIND = "fine-tune"
RANDOM = True


@dataclass(frozen=True, slots=True)
class Options(Training):
    """What is trained, and how long."""

    rank: int = field(default=16, metadata={"help": "rank of the adapter"})
    variant: Literal["lora", "rslora", "dora", "pissa"] = field(
        default="lora", metadata={"help": "lora, rslora, dora or pissa"}
    )


def adapt(task: Practice, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield candidates: checkpoints of the full runs, seed by seed."""
    if not bench.has("lora"):
        raise WayFailed("this model's backend cannot train LoRA adapters")
    yield from trained(task, bench, "lora", options, **adapter(options.rank, options.variant))


def adapter(rank: int, variant: str) -> dict[str, Any]:
    """The numbers of a LoRA training that are not everyone's; the plain variant goes without saying."""
    return {"rank": rank} if variant == "lora" else {"rank": rank, "variant": variant}
