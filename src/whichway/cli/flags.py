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

Yes = Annotated[bool, Option("--yes", help="Without asking: fetch a missing model, spend money on a hosted one.")]
Plain = Annotated[bool, Option("--plain", help="No colours, frames or bars: lines of text alone.")]
# Fields of a bundle that stand for many flags: those of all declared options, and of all keys of a task file
OPTIONS, KEYS = "options", "keys"


@dataclass(frozen=True, slots=True)
class TaskFlags:
    """What the task is: a task file, flags, or a task file with flags that win over it."""

    task: Annotated[Path | None, Argument(help="Task file (see `whichway init`); flags win over it.")] = None
    keys: Mapping[str, Any] = field(default_factory=dict)  # a flag for each key of `tasks.spec.flags`, as said
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
        bundled = {name: _bundle(bundles[name], {p.name: values.pop(p.name) for p in parts[name]}) for name in bundles}
        return verb(**bundled, **values)

    parameters = [p for part in parts.values() for p in part] + own
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {p.name: p.annotation for p in parameters}
    del called.__wrapped__
    return called


def _parameters(kind: type) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    parameters: list[inspect.Parameter] = []
    for f in dataclasses.fields(kind):
        if f.name == OPTIONS:
            parameters += [_parameter(name, None, _annotation(name)) for name in options.declared()]
        elif f.name == KEYS:
            parameters += _key_parameters()
        else:
            parameters.append(_parameter(f.name, f.default, hints[f.name]))
    return parameters


def _key_parameters() -> list[inspect.Parameter]:
    from whichway.tasks.spec import flags

    parameters = []
    for name, (flag, help_text) in flags().items():
        shown = Option(f"--{name.replace('_', '-')}", help=help_text, metavar=flag.metavar)
        parameters.append(_parameter(name, None, Annotated[flag.kind | None, shown]))
    return parameters


def _parameter(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _annotation(name: str) -> Any:
    """A declared option as typer wants it; without a value it was not said."""
    declaration, default = options.declared()[name], options.defaults()[name]
    hint = declaration.kind or get_type_hints(options.RunOptions)[name]
    limits: dict[str, Any] = {"min": declaration.least, "max": declaration.most, "metavar": declaration.metavar}
    limits_set = {} if isinstance(default, bool) else {key: value for key, value in limits.items() if value is not None}
    return Annotated[hint | None, Option(options.flag(name), help=declaration.help, **limits_set)]


def _bundle(kind: type, values: dict[str, Any]) -> Any:
    """A dataclass of flags from a verb's values; declared options go into one mapping, as far as they were said."""
    names = {f.name for f in dataclasses.fields(kind)}
    if KEYS in names:
        keys = {name: values.pop(name) for name in [*values] if name not in names}
        return kind(**values, **{KEYS: {name: value for name, value in keys.items() if value is not None}})
    if OPTIONS not in names:
        return kind(**values)
    options_set = {name: value for name in options.declared() if (value := values.pop(name)) is not None}
    for name, default in options.defaults().items():
        if name in options_set and isinstance(default, bool):
            options_set[name] = not default  # the flag says the other thing than the default
    return kind(**values, **{OPTIONS: options_set})
