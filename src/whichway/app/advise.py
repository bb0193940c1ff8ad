"""The opinion before anything runs, and how often it agreed with finished runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whichway.app import advice_inputs
from whichway.app.advice_inputs import AdviceEstimate
from whichway.errors import OptionError
from whichway.verdict.advice import Advice, Calibration, Situation
from whichway.verdict.advice import advise as opinion
from whichway.verdict.advice import calibrate as compare_with_runs

if TYPE_CHECKING:
    from whichway.tasks import Spec


@dataclass(frozen=True, slots=True)
class PriorOpinion:
    """What can be said before anything runs."""

    situation: Situation
    advice: Advice
    estimate: AdviceEstimate | None  # of time and money; None where there is nothing to scale from


def advise(
    spec: Spec | None,
    known: Mapping[str, Any],
    like: Path | None = None,
    probe: bool = False,
    ask: Callable[[Situation], Situation] | None = None,
) -> PriorOpinion:
    """Give the opinion, with what the data can show and what trying takes.

    Args:
        spec: the task; None: only what is `known`.
        known: fields of the situation that the user names; they win over what the data tell.
        like: a finished run to estimate time from.
        probe: whether time is estimated from a probe of this machine instead.
        ask: asks the user for what is not known.

    Raises:
        OptionError: a probe without a task.
        UserError: the task is at fault.
    """
    if probe and spec is None:
        raise OptionError("--probe wants a task: give a task file, or --data.")
    about, examined = advice_inputs.of_task(spec)
    about = replace(about, **known)
    if ask is not None:
        about = ask(about)
    advice = opinion(about)
    estimate = advice_inputs.probed(spec) if probe and spec else advice_inputs.estimate(about, examined, like)
    return PriorOpinion(about, advice, estimate)


def calibrate(runs: Iterable[Path]) -> Calibration:
    """How often the opinion agreed with the verdicts of finished runs."""
    return compare_with_runs([advice_inputs.of_run(run) for run in runs])
