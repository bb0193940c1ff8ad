"""The named frameworks (RTF, CO-STAR, ...) on equal slot contents, each with the headings that are asked for.

Which acronym is best has not been shown anywhere; this measures it for the task at hand. The spread over them is the
spread that format alone makes (arXiv 2310.11324).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from whichway.contracts import Bench
from whichway.errors import OptionError, did_you_mean
from whichway.nouns import Candidate, Headings, Layout, TrainDevView
from whichway.prompts.calibrate import batch_calibrated
from whichway.prompts.frameworks import FRAMEWORKS, form
from whichway.prompts.plain import base_prompt, decoding_for

KIND = "prompt"
RANDOM = False


@dataclass(frozen=True, slots=True)
class Options:
    """Which frameworks, in which writing."""

    frameworks: tuple[str, ...] = field(default=tuple(FRAMEWORKS), metadata={"help": "which to try"})
    headings: tuple[Headings, ...] = field(
        default=("markdown",), metadata={"help": "how headings are written: markdown, colon, tags, capitals, none"}
    )
    spread: bool = field(
        default=True,
        metadata={"help": "answer every dev row in every form before racing, so that the spread over forms is known"},
    )
    layout: Layout = field(default="system", metadata={"help": "where the instructions stand: system or user"})
    calibrate: int = field(
        default=64, metadata={"help": "training inputs (without targets) for batch calibration; 0: none"}
    )
    max_tokens: int = field(default=128, metadata={"help": "longest written answer, in tokens (free text only)"})
    temperature: float = field(
        default=0.0, metadata={"help": "0: the likeliest text; above: drawn, see --repeats (free text only)"}
    )


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield one candidate for each framework and writing; closed labels are calibrated."""
    names = {name.lower(): name for name in FRAMEWORKS}
    for name in options.frameworks:
        if name.lower() not in names:
            raise OptionError(f"prompt_framework.frameworks: '{name}' is no framework.{did_you_mean(name, FRAMEWORKS)}")
    decoding = decoding_for(task, options.max_tokens, options.temperature, "prompt_framework")
    for name in options.frameworks:
        for headings in options.headings:
            shape = form(names[name.lower()], headings)
            prompt = replace(base_prompt(task), form=shape, layout=options.layout)
            candidate = Candidate(prompt, bench.base, decoding, note=f"{shape.name}, {headings}")
            if task.labels and options.calibrate:
                candidate = batch_calibrated(candidate, bench, task.train[: options.calibrate])
            if options.spread:
                bench.value(candidate)
            yield candidate
