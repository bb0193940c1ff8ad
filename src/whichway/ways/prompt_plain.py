"""Zero-shot: the ask, the allowed answers, the row; with the instructions in the system message and before the row.

Closed labels are scored, once as they come and once with batch calibration. With `channel` each prompt is also read the
other way round: the label under which the row's text is likeliest (noisy channel, arXiv 2108.04106).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from whichway.contracts import Bench
from whichway.nouns import Candidate, Layout, Prompt, TrainDevView
from whichway.prompts.calibrate import calibrated
from whichway.prompts.plain import CHANNEL, base_prompt, both_readings, decoding_for, starts

KIND = "prompt"
RANDOM = False


@dataclass(frozen=True, slots=True)
class Options:
    """How the plain prompt is asked."""

    layouts: tuple[Layout, ...] = field(
        default=("system", "user"), metadata={"help": "where the instructions stand: system message, or before the row"}
    )
    calibrate: int = field(
        default=64, metadata={"help": "training inputs (without targets) for batch calibration; 0: none"}
    )
    max_tokens: int = field(default=128, metadata={"help": "longest written answer, in tokens (free text only)"})
    temperature: float = field(
        default=0.0, metadata={"help": "0: the likeliest text; above: drawn, see --repeats (free text only)"}
    )
    channel: bool = field(default=False, metadata=CHANNEL)


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield each layout as it is, then calibrated."""
    decoding = decoding_for(task, options.max_tokens, options.temperature, "prompt_plain")
    for prompt, note in _starts(task, options.layouts):
        for read in both_readings(Candidate(prompt, bench.base, decoding, note=note), options.channel):
            yield read
            if task.labels and options.calibrate:
                even = calibrated(read, bench.ask(read, task.train[: options.calibrate]))
                if even:
                    yield even


def _starts(task: TrainDevView, layouts: Sequence[Layout]) -> Iterator[tuple[Prompt, str]]:
    """The user's prompts as they are; without any, the plain one in each layout."""
    if not task.prompts:
        for layout in layouts:
            yield replace(base_prompt(task), layout=layout), f"instructions in the {layout} message"
        return
    for number, prompt in enumerate(starts(task), 1):
        yield prompt, "your prompt" if len(task.prompts) == 1 else f"your prompt {number}"
