"""The prior opinion, and its calibration, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from whichway.report.formatting import points, seconds, signed, usd
from whichway.verdict.advice import Advice, Calibration, Situation

LEANS = {"prompt": "prompting", "fine-tune": "fine-tuning", "either": "neither"}


def lines(about: Situation, advice: Advice, estimate: Any, task: Path | None) -> Iterator[str]:
    """The opinion, why, what can be shown, what it takes, what to run first.

    Args:
        about: what is known.
        advice: the opinion.
        estimate: with `source`, `scaled` and `ways` (way, seconds, usd), or None.
        task: the task or data file, for the command to run.
    """
    chance = 100 * max(advice.p_tune, 1 - advice.p_tune)
    if not advice.considerations:
        yield "No opinion: nothing is known about this case. Give a task file, or --rows, --kind and the like."
    elif advice.leans == "either":
        yield f"Before anything runs: open ({100 * advice.p_tune:.0f} % for fine-tuning). Only trying both tells."
    else:
        yield f"Before anything runs: {LEANS[advice.leans]} is the better bet, about {chance:.0f} %. Trying both tells."
    yield from why(advice)
    yield ""
    yield from power(advice)
    yield from time(about, estimate)
    yield ""
    yield f"Run first: {', '.join(advice.first)}"
    yield f"  whichway run {task or 'TASK'} --ways {','.join(advice.first)}"
    if advice.notes:
        yield ""
        yield from (f"note: {note}" for note in advice.notes)


def why(advice: Advice) -> Iterator[str]:
    """Each consideration, with its direction and source."""
    for c in advice.considerations:
        towards = "fine-tune" if c.weight > 0 else "prompt"
        yield f"  {towards:<10}{'+' * max(1, round(abs(c.weight) / 0.4)):<5}{c.text} [{c.source}]"


def power(advice: Advice) -> Iterator[str]:
    """What the test rows can show."""
    if advice.smallest_gap is None or advice.detectable is None:
        yield "What your test rows can show is not known without their number."
        return
    yield f"Your test rows can show {gaps(advice.smallest_gap, advice.detectable)}"


def gaps(two_ways: float, six_ways: float) -> str:
    """The smallest differences that test rows can show."""
    return (
        f"a gap of {points(two_ways)} points between two ways (8 times of 10), "
        f"{points(six_ways)} with six ways competing (9 times of 10) if seeds differ by 2 points."
    )


def time(about: Situation, estimate: Any) -> Iterator[str]:
    """Time and money of each way."""
    if estimate is None:
        yield "Time and money: no finished run of this model is here to scale from; `whichway plan` shows the work."
        return
    how = "scaled by rows from" if estimate.scaled else "from"
    yield f"Time and money of each way, {how} {estimate.source}, within a factor of 1.5 or so:"
    for way in estimate.ways:
        yield f"  {way.way:<16}{seconds(way.seconds):>10} {usd(way.usd):>10}"


def calibration(result: Calibration) -> Iterator[str]:
    """How often the opinion agreed with finished verdicts."""
    for run in result.runs:
        prediction = "fine-tune" if run.p_tune >= 0.5 else "prompt"
        outcome = run.came or "neither shown ahead"
        gap = "" if run.gap is None else f" ({signed(run.gap)} points for fine-tuning)"
        yield f"{run.run}: said {prediction} ({100 * run.p_tune:.0f} % for fine-tuning), came out {outcome}{gap}"
    if result.settled == 0:
        yield "No run shows either ahead: nothing to calibrate on."
        return
    brier = "" if result.brier is None else f"; Brier score {result.brier:.3f} (a coin: 0.250)"
    yield f"Agreed with {result.agreed} of {result.settled} runs that show either ahead{brier}."
