"""Options that several verbs share, each declared once; `spread` puts them into a verb's signature for typer."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from typer import Argument, Option

MODEL_HELP = (
    "A name of `whichway models`, a model folder, a .gguf file, ollama:NAME, lmstudio:NAME, a hub name, or 'fake'"
)
Yes = Annotated[bool, Option("--yes", help="Fetch a model that is not on this machine yet without asking.")]


@dataclass(frozen=True, slots=True)
class TaskFlags:
    """What the task is: a task file, flags, or a task file with flags that win over it."""

    task: Annotated[Path | None, Argument(help="Task file (see `whichway init`); flags win over it.")] = None
    data: Annotated[
        Path | None, Option(help="Data: CSV, TSV, JSONL, JSON, Parquet, or a folder with train/valid/test.")
    ] = None
    input: Annotated[list[str] | None, Option(help="Column with the input; repeat it for several.")] = None
    target: Annotated[str | None, Option(help="Column with the wanted answer.")] = None
    ask: Annotated[str | None, Option(help="What is asked, in one line.")] = None
    name: Annotated[str | None, Option(help="Name of the task; default: the data file's.")] = None
    metric: Annotated[str | None, Option(help="How an answer is judged: accuracy, macro_f1, exact_match, ...")] = None
    model: Annotated[
        list[str] | None,
        Option(help=f"{MODEL_HELP}; repeat it to try every way on several."),
    ] = None
    labels: Annotated[str | None, Option(help="Closed label set, with commas; default: found in the data.")] = None
    group: Annotated[str | None, Option(help="Column whose equal values stay in one split (customer, document).")] = (
        None
    )
    id: Annotated[str | None, Option("--id", help="Column that must be unique.")] = None
    split: Annotated[
        str | None, Option(help="Shares of train, dev, test: 60/20/20; or the name of a split column.")
    ] = None
    volume: Annotated[float | None, Option(help="Requests a day that the winner will serve.")] = None
    margin: Annotated[float | None, Option(help="A difference below it does not matter: 0.01 is one point.")] = None
    prompt: Annotated[list[Path] | None, Option(help="A file with your own prompt, to start from; repeatable.")] = None
    yes: Yes = False


@dataclass(frozen=True, slots=True)
class ContestFlags:
    """How the contest is held."""

    ways: Annotated[str | None, Option(help="Ways to try, with commas; all-prompt: every prompting way.")] = None
    set_: Annotated[
        list[str] | None, Option("--set", metavar="WAY.OPTION=VALUE", help="An option of a way; repeatable.")
    ] = None
    seeds: Annotated[int | None, Option(min=1, help="Seeds for ways that are random; default 3.")] = None
    budget_usd: Annotated[float | None, Option(min=0, help="Dollars, for each way.")] = None
    budget_seconds: Annotated[float | None, Option(min=0, help="Seconds, for each way.")] = None
    budget_calls: Annotated[int | None, Option(min=0, help="Model calls, for each way.")] = None
    confidence: Annotated[float | None, Option(min=0.5, max=0.999, help="Of the intervals; default 0.95.")] = None
    price_per_hour: Annotated[
        float | None, Option(min=0, help="Dollars an hour of this machine costs; default: the price file's.")
    ] = None
    curve: Annotated[
        str | None, Option(metavar="N,N,...", help="Learning curves: fit every way on so many training rows as well.")
    ] = None
    repeats: Annotated[
        int | None, Option(min=1, help="Answers to each test row, where a candidate draws them; default 1.")
    ] = None
    until: Annotated[
        float | None, Option(min=0, max=1, help="Stop a training when its dev score reaches this: 0.92.")
    ] = None
    no_race: Annotated[
        bool, Option("--no-race", help="Let every candidate answer every dev row, also those that cannot win.")
    ] = False
    no_probe: Annotated[
        bool, Option("--no-probe", help="Do not estimate time and memory from a probe of some seconds.")
    ] = False
    general: Annotated[
        Path | None, Option(help="Plain text on which forgetting is measured; default: a text that comes along.")
    ] = None
    out: Annotated[Path | None, Option(help="Run folder; default runs/NAME.")] = None
    cache: Annotated[
        Path | None, Option(help="Shared cache of replies and trainings; default .cache beside the run folder.")
    ] = None


def spread(verb: Callable[..., int | None]) -> Callable[..., int | None]:
    """A function with the fields of each dataclass parameter of `verb` as parameters of its own.

    Args:
        verb: a function whose dataclass parameters have no default and stand first.
    """
    hints = get_type_hints(verb, include_extras=True)
    bundles = {name: kind for name, kind in hints.items() if dataclasses.is_dataclass(kind) and isinstance(kind, type)}
    own = [
        p.replace(annotation=hints[p.name], kind=p.KEYWORD_ONLY)
        for p in inspect.signature(verb).parameters.values()
        if p.name not in bundles
    ]
    parts = {name: _parameters(kind) for name, kind in bundles.items()}

    @functools.wraps(verb)
    def called(**values: Any) -> int | None:
        given = {name: bundles[name](**{p.name: values.pop(p.name) for p in part}) for name, part in parts.items()}
        return verb(**given, **values)

    parameters = [p for part in parts.values() for p in part] + own
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {p.name: p.annotation for p in parameters}
    del called.__wrapped__
    return called


def _parameters(kind: type) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    fields = dataclasses.fields(kind)
    return [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=hints[f.name])
        for f in fields
    ]
