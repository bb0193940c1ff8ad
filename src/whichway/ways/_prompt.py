"""What the ways share that start from the best prompt: let other ways make prompts, and keep the best on dev."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any, cast

from whichway.contracts import Bench
from whichway.errors import OptionError, WayFailed
from whichway.nouns import Candidate, Example, Prompt, TrainDevView, Weights


class _OneSeed:
    """A bench with one seed only, and maybe another base: what is bought there is bought here."""

    def __init__(self, bench: Bench, base: Weights) -> None:
        self._bench = bench
        self.base, self.seeds = base, bench.seeds[:1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bench, name)


def one_seed(bench: Bench, base: Weights | None = None) -> Bench:
    """The bench with its first seed alone, and maybe with another model."""
    return cast(Bench, _OneSeed(bench, base or bench.base))


def best_prompt(task: TrainDevView, bench: Bench, names: Sequence[str], base: Weights | None = None) -> Candidate:
    """The candidate of these prompting ways that is best on dev, the first of equals.

    Prompts that choose shots for each row are passed over: a training row would find itself among them.

    Args:
        task: what is asked.
        bench: where; candidates that the ways themselves enter cost their list price here too.
        names: of ways, run with their own defaults on the first seed.
        base: whose prompt it is; None: the model under trial.

    Raises:
        OptionError: a name is no prompting way.
        WayFailed: none of them gave a prompt.
    """
    one = one_seed(bench, base)
    fixed = (candidate for candidate in prompt_candidates(task, one, names) if not candidate.prompt.pool)
    scored = [(bench.value(candidate), candidate) for candidate in fixed]
    if not scored:
        raise WayFailed("no prompting way gave a prompt to start from")
    value, best = max(scored, key=lambda pair: pair[0])
    bench.say(f"best of {len(scored)} prompts: {best.note}, dev {value:.3f}")
    return best


def not_shown(examples: Sequence[Example], prompt: Prompt) -> tuple[Example, ...]:
    """The rows that are no shots of the prompt: their answers stand there already."""
    shown = {shot.text for shot in prompt.shots}
    return tuple(example for example in examples if example.text not in shown)


def prompt_candidates(task: TrainDevView, bench: Bench, names: Sequence[str]) -> Iterator[Candidate]:
    """The candidates of prompting ways at their defaults; a way that cannot work is told and passed over.

    Raises:
        OptionError: a name is no prompting way.
    """
    for name in names:
        try:
            way = importlib.import_module(f"whichway.ways.{name}")
        except ModuleNotFoundError:
            raise OptionError(f"there is no way '{name}'; name prompting ways such as prompt_plain") from None
        if way.KIND != "prompt":
            raise OptionError(f"way '{name}' makes no prompts; name some such as prompt_plain, prompt_shots")
        try:
            yield from way.adapt(task, bench, way.Options())
        except WayFailed as failed:
            bench.say(f"{name}: {failed}")
