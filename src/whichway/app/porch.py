"""What a Python user can call: `import whichway as ww`. Each function does what the command of the same name does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whichway.app.arguments import read_call
from whichway.app.finished import FinishedRun
from whichway.app.python_words import speaks_python
from whichway.contracts import Listener, follow_nothing
from whichway.errors import DataError, OptionError
from whichway.nouns import Budget, Plan, Prompt

if TYPE_CHECKING:
    from whichway.contest.compare_runs import RunComparison
    from whichway.contest.dry_run.simulate import Estimate
    from whichway.lint import Finding
    from whichway.tasks import Examined

OnEvent = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would do: the plan, its folder, and what it would take (None without a probe). `print` shows it."""

    plan: Plan
    folder: Path
    estimate: Estimate | None
    text: str

    def __str__(self) -> str:
        return self.text


@speaks_python
def run(
    data_or_task: Any,
    *,
    model: str | Path | Sequence[str] | None = None,
    ways: str | Sequence[str] | Mapping[str, Mapping[str, Any]] | None = None,
    minutes: float | None = None,
    budget: Budget | None = None,
    seeds: int | Sequence[int] | None = None,
    on_event: OnEvent | None = None,
    spend: bool = False,
    **options: Any,
) -> FinishedRun:
    """Try every way on the data, decide, and write the run folder with its report. A rerun resumes and pays nothing.

    Args:
        data_or_task: a path to a task file or to data; a list of dicts; a pair (X, y); a pandas DataFrame; a
            datasets.Dataset; a dict of these for train, dev and test; or a Task.
        model: a model folder or name; several: every way is tried on each.
        ways: names, or a mapping from names to options; None: the task's, or the default ways.
        minutes: for the whole run: it ends with a verdict from what stands; the same call with more minutes goes on.
        budget: limits for each way in dollars, seconds and calls.
        seeds: how many, or which; default 3.
        on_event: called with the name and the facts of each event (see `whichway.events`); `print` will do.
        spend: agree to spend money on models behind an API; a budget in dollars agrees as well.
        options: any key of a task file (ask, input, target, metric, labels, split, margin, prompt, ...), any option of
            a run (confidence, curve, repeats, until, race, ...), and out (the run folder), cache, probe, and fetch
            (True: a model that is not on this machine yet is fetched).

    Raises:
        UserError: the data, the model or an argument is at fault.
    """
    from whichway.app.run import run_contest

    arguments = {"model": model, "ways": ways, "minutes": minutes, "budget": budget, "seeds": seeds, **options}
    ready = read_call(data_or_task, arguments).ready()
    agree = _agreed if ready.settings.budget.usd or spend else _not_agreed
    outcome = run_contest(ready, _listener(on_event), agree)
    finished = FinishedRun(outcome.run.path)
    finished.__dict__.update(outcome.run.__dict__)  # what was read for the verdict is not read again
    return finished


@speaks_python
def plan(data_or_task: Any, **arguments: Any) -> Preview:
    """What a run would do, without running it: rows, ways with all options, seeds, the smallest gap it can show.

    Args:
        data_or_task: as for `run`.
        arguments: those of `run`; probe=True estimates time and memory from some seconds of measuring.

    Raises:
        UserError: the data, the model or an argument is at fault.
    """
    from whichway.app.run import estimate, lines_of

    listener = _listener(arguments.pop("on_event", None))
    ready = read_call(data_or_task, {"probe": False, **arguments}).ready()
    taken = estimate(ready, listener) if ready.probe else None
    return Preview(ready.plan, ready.folder, taken, "\n".join(lines_of(ready)))


@speaks_python
def check(data_or_task: Any, **arguments: Any) -> Examined:
    """Read and split the data and look for what is wrong with them, before anything is spent.

    Args:
        data_or_task: as for `run`.
        arguments: keys of a task file.

    Returns:
        `.task`, a Task that `run` takes, and `.findings`: rows, labels, lengths, notes, warnings.

    Raises:
        UserError: the data cannot carry a contest, or an argument is at fault.
    """
    from whichway.app.tested_rows import for_contest

    return for_contest(read_call(data_or_task, arguments).examined())


@speaks_python
def read_run(path: str | Path) -> FinishedRun:
    """A finished run from its folder.

    Raises:
        UserError: the folder holds no finished run.
    """
    finished = FinishedRun(Path(path))
    _ = finished.plan, finished.verdict
    return finished


@speaks_python
def compare(
    first: FinishedRun | str | Path,
    second: FinishedRun | str | Path,
    ways: tuple[str, str] | str | None = None,
    confidence: float = 0.95,
) -> RunComparison:
    """Two finished runs against each other, paired on the test rows that both have.

    Args:
        first: a run or its folder.
        second: another one.
        ways: a way of both, or one of each; None: the choices.
        confidence: of the intervals.

    Raises:
        UserError: no finished run, or a way that it does not have.
    """
    from whichway.app.compare import compare as compare_finished

    runs = [one if isinstance(one, FinishedRun) else read_run(one) for one in (first, second)]
    return compare_finished(runs[0], runs[1], (ways, ways) if isinstance(ways, str) else ways, confidence)


@speaks_python
def lint(text_or_file: str | Path | Prompt, task: str | Path | None = None, **known: Any) -> list[Finding]:
    """What weakens a prompt, with reasons and sources.

    Args:
        text_or_file: a prompt as text or slots, or a file with one (or several).
        task: a task file: rules that need rows see its train and dev rows.
        known: of the model that will read it: model, provider, context, reasoning, usd_per_million; ignore: ids of
            rules to leave out.

    Raises:
        UserError: the file, the task or an argument is at fault.
    """
    from whichway.app.lint_prompts import LintOptions, lint_drafts
    from whichway.errors import did_you_mean

    ignore = tuple(str(word).upper() for word in known.pop("ignore", ()))
    allowed = ("model", "provider", "context", "reasoning", "usd_per_million")
    for name in known:
        if name not in allowed:
            raise OptionError(f"there is no argument '{name}'.{did_you_mean(name, allowed)}")
    beside = LintOptions(task=Path(task) if task else None, **known)
    return [finding for report in lint_drafts(_drafts(text_or_file), beside, ignore) for finding in report.findings]


@speaks_python
def example(name: str = "support") -> Path:
    """The task file of an example that comes along: "support" (messages to teams) or "letters" (open-ended).

    Raises:
        DataError: there is no such example.
    """
    from whichway.app.bundled_examples import find

    return find(name)


def _drafts(text_or_file: str | Path | Prompt) -> list[Any]:
    from whichway.app.prompt_files import read_drafts
    from whichway.lint import Draft
    from whichway.lint.drafts import of_text
    from whichway.prompts.files import dump

    if isinstance(text_or_file, Prompt):
        return [Draft(text_or_file, dump(text_or_file), "prompt", "slots")]
    if isinstance(text_or_file, Path) or ("\n" not in text_or_file and Path(text_or_file[:255]).is_file()):
        return read_drafts(Path(text_or_file))
    if not text_or_file.strip():
        raise DataError("the prompt is empty.")
    return [of_text(text_or_file)]


def _listener(on_event: OnEvent | None) -> Listener:
    """Tells an event's name and facts."""
    return follow_nothing if on_event is None else lambda event: on_event(event.name, event.facts)


def _agreed(lines: list[str]) -> None:
    """The call has agreed."""


def _not_agreed(lines: list[str]) -> None:
    """Refuse.

    Raises:
        OptionError: always.
    """
    message = [
        "this run asks models that cost money:",
        *lines,
        "Say spend=True, or give a budget in dollars, to go on.",
    ]
    raise OptionError("\n".join(message))
