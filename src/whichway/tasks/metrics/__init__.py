"""Metrics, one file each, found by file name; other packages add theirs under the entry point `whichway.metrics`.

A metric file holds `Options`, a frozen dataclass whose fields carry their help in `metadata["help"]`, and `Metric`, a
class made from `Options` that satisfies `contracts.Metric`. An entry point names a module (any object) with these two.
A metric that is no mean of its rows says with `aggregate` how rows become one number; nothing else has to know of it.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from whichway import contracts
from whichway.errors import OptionError, did_you_mean
from whichway.nouns import Example, MetricSpec

GROUP = "whichway.metrics"
UNNAMED = frozenset({"assertions", "checks", "preference", "python_function"})  # what stands in the data asks for them
DEFAULTS = {"title": "", "aggregate": "mean", "lowest": 0.0, "plain": False, "needs_scores": False,
          "closed": False}  # if not declared  # fmt: skip


def names() -> list[str]:
    """The names of all metrics, ours and those of installed packages."""
    return sorted({*_files(), *_plugins()})


def to_name() -> list[str]:
    """The metrics that a user names, ours first as they are; others follow from the data or the task file."""
    return sorted(set(names()) - UNNAMED, key=lambda name: (name not in _files(), name))


def load(spec: MetricSpec) -> contracts.Metric:
    """The metric that a spec names, with its options.

    Raises:
        OptionError: the metric or an option is unknown ("did you mean"), or a value does not fit.
    """
    module = _module(spec.name)
    metric: contracts.Metric = module.Metric(_options(spec, module.Options))
    for name, value in DEFAULTS.items():
        if not hasattr(metric, name):
            setattr(type(metric), name, value)
    return metric


def checks_of(spec: MetricSpec | None) -> Callable[[Example, str], Mapping[str, float]] | None:
    """What tells of an answer which checks it passes, by name; None without checks."""
    if spec is None:
        return None
    each_check: Callable[[Example, str], Mapping[str, float]] = (
        _module("checks").Metric(_options(spec, _module("checks").Options)).each
    )
    return each_check


def options(name: str) -> dict[str, str]:
    """Each option of a metric with its help text."""
    return {field.name: field.metadata.get("help", "") for field in dataclasses.fields(_module(name).Options)}


def _files() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]


def _plugins() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _module(name: str) -> Any:
    if name in _files():
        return importlib.import_module(f"{__name__}.{name}")
    plugins = _plugins()
    if name not in plugins:
        raise OptionError(f"unknown metric '{name}'.{did_you_mean(name, names())}")
    return plugins[name].load()


def _options(spec: MetricSpec, kind: type) -> Any:
    """The options as the metric's own dataclass, every value checked."""
    from pydantic import TypeAdapter, ValidationError

    known = [field.name for field in dataclasses.fields(kind)]
    for key in spec.options:
        if key not in known:
            hint = did_you_mean(key, known) if known else " It has no options."
            raise OptionError(f"metric {spec.name}: unknown option '{key}'.{hint}")
    try:
        return TypeAdapter(kind).validate_python(dict(spec.options))
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(part) for part in first["loc"])
        reason = "is missing" if first["type"] == "missing" else first["msg"]
        raise OptionError(f"metric {spec.name}: option '{at}': {reason}.") from None
