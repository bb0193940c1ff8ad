"""Options that several verbs share, each declared once; `spread` puts them into a verb's signature for typer."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from typer import Argument, Option

from whichway import options

MODEL_HELP = (
    "A name of `whichway models`, a model folder, a .gguf file, ollama:NAME, lmstudio:NAME, a hub name, or 'fake'"
)
Yes = Annotated[bool, Option("--yes", help="Without asking: fetch a missing model, spend money on a hosted one.")]
OPTIONS = "options"  # the field that stands for the flags of all declared options


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
    target_type: Annotated[
        str | None, Option(help="What the answers are: label, multi_label, number, json or text; default: found.")
    ] = None
    group: Annotated[
        str | None, Option(help="Column whose equal values stay in one split (customer, document); none: no column.")
    ] = None
    id: Annotated[str | None, Option("--id", help="Column that must be unique; none: no column.")] = None
    encoding: Annotated[str | None, Option(help="Encoding of the data, where it is not UTF-8: cp1252, gb18030.")] = None
    delimiter: Annotated[str | None, Option(help="Separator of CSV and TSV, such as ';'; default: found.")] = None
    skip_bad: Annotated[
        str | None, Option(metavar="N%", help="Leave out so many rows that cannot be used, and list them: 2%.")
    ] = None
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
    budget_usd: Annotated[float | None, Option(min=0, help="Dollars, for each way.")] = None
    budget_seconds: Annotated[float | None, Option(min=0, help="Seconds, for each way.")] = None
    budget_calls: Annotated[int | None, Option(min=0, help="Model calls, for each way.")] = None
    no_probe: Annotated[
        bool, Option("--no-probe", help="Do not estimate time and memory from a probe of some seconds.")
    ] = False
    out: Annotated[Path | None, Option(help="Run folder; default runs/NAME.")] = None
    cache: Annotated[
        Path | None, Option(help="Shared cache of replies and trainings; default .cache beside the run folder.")
    ] = None
    options: Mapping[str, Any] = field(default_factory=dict)  # a flag for each of `options.RunOptions`, as said


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
        given = {name: _bundle(bundles[name], {p.name: values.pop(p.name) for p in parts[name]}) for name in bundles}
        return verb(**given, **values)

    parameters = [p for part in parts.values() for p in part] + own
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {p.name: p.annotation for p in parameters}
    del called.__wrapped__
    return called


def _parameters(kind: type) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    found: list[inspect.Parameter] = []
    for f in dataclasses.fields(kind):
        if f.name == OPTIONS:
            found += [_parameter(name, None, _annotation(name)) for name in options.declared()]
        else:
            found.append(_parameter(f.name, f.default, hints[f.name]))
    return found


def _parameter(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _annotation(name: str) -> Any:
    """A declared option as typer wants it; without a value it was not said."""
    declaration, default = options.declared()[name], options.defaults()[name]
    hint = declaration.kind or get_type_hints(options.RunOptions)[name]
    limits: dict[str, Any] = {"min": declaration.least, "max": declaration.most, "metavar": declaration.metavar}
    said = {} if isinstance(default, bool) else {key: value for key, value in limits.items() if value is not None}
    return Annotated[hint | None, Option(options.flag(name), help=declaration.help, **said)]


def _bundle(kind: type, values: dict[str, Any]) -> Any:
    """A dataclass of flags from a verb's values; declared options go into one mapping, as far as they were said."""
    if all(f.name != OPTIONS for f in dataclasses.fields(kind)):
        return kind(**values)
    said = {name: value for name in options.declared() if (value := values.pop(name)) is not None}
    for name, default in options.defaults().items():
        if name in said and isinstance(default, bool):
            said[name] = not default  # the flag says the other thing than the default
    return kind(**values, **{OPTIONS: said})
