"""A long prompt's behaviour into weights: answers under the best prompt, trained under the short one.

The model, or a teacher that is named, answers the training rows under the best prompt found; answers that the metric
finds good are kept, and an adapter learns to give them under the plain prompt. Context distillation (Snell et al. 2022,
arXiv 2209.15189) with the filter of BootstrapFinetune (DSPy), LoRA instead of all weights. What is served is short.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from whichway.contracts import Bench
from whichway.errors import WayFailed
from whichway.nouns import Candidate, Example, Prompt, TrainDevView
from whichway.prompts.plain import base_prompt
from whichway.ways._prompt import best_prompt, not_shown
from whichway.ways._train import TrainingOptions, trained

KIND = "both"
RANDOM = True
FEWEST = 8  # answers to learn from


@dataclass(frozen=True, slots=True)
class Options(TrainingOptions):
    """Who teaches, what is kept, what is trained, and how long."""

    prompts: tuple[str, ...] = field(
        default=("prompt_plain", "prompt_shots"), metadata={"help": "prompting ways whose candidates are tried on dev"}
    )
    teacher: str = field(default="", metadata={"help": "a model that answers the rows; empty: the model itself"})
    teacher_backend: str = field(default="", metadata={"help": "the teacher's backend; empty: the model's own"})
    keep: float = field(default=1.0, metadata={"help": "least score of an answer that is learned from"})
    bare: bool = field(default=False, metadata={"help": "train under the ask alone, without the listed labels"})
    rank: int = field(default=16, metadata={"help": "rank of the adapter", "least": 1})


def adapt(task: TrainDevView, bench: Bench, options: Options) -> Iterator[Candidate]:
    """Yield candidates: checkpoints of the full runs on the teacher's answers, seed by seed."""
    if task.is_preference:
        raise WayFailed("preference rows hold both answers already; use tune_dpo")
    if not bench.has("lora"):
        raise WayFailed("this model's backend cannot train LoRA adapters")
    base = bench.weights(options.teacher_backend or bench.base.backend, options.teacher) if options.teacher else None
    teacher = best_prompt(task, bench, options.prompts, base)
    examples = _answered(task, bench, teacher, options.keep)
    prompt = base_prompt(task)
    if options.bare:
        prompt = Prompt(objective=prompt.objective, output_format=prompt.output_format)
    yield from trained(task, bench, "lora", options, prompt=prompt, examples=examples, rank=options.rank)


def _answered(task: TrainDevView, bench: Bench, teacher: Candidate, least: float) -> list[Example]:
    """Training rows with the teacher's answers for targets, those that the metric finds good."""
    rows = not_shown(task.train, teacher.prompt)
    records = bench.score(teacher, rows)
    examples = [
        replace(example, target=record.text)
        for example, record in zip(rows, records, strict=True)
        if record.score is not None and record.score >= least and record.text.strip()
    ]
    bench.say(f"the teacher answered {len(examples)} of {len(rows)} rows well enough to learn from")
    if len(examples) < min(FEWEST, len(task.train)):
        raise WayFailed(
            f"the teacher answered only {len(examples)} of {len(rows)} training rows with a score of {least:g} or "
            "more; name a better one with both_distill.teacher, or lower both_distill.keep"
        )
    return examples
