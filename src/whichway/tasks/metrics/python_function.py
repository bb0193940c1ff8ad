"""Python function: any metric of the user's, from a file, accepted by its signature.

    f(prediction, target)                       number in 0..1 or bool
    f(prediction, target, example)              example: a mapping of the row's fields, with "target"
    metric(gold, pred, trace=None)              DSPy: both answer to attributes and to keys
    get_assert(output, context)                 promptfoo: bool, number, or {"pass", "score", "reason"}

The file is run as Python, with all that this allows: name only files you trust.
"""

from __future__ import annotations

import importlib.util
import inspect
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whichway.errors import OptionError, did_you_mean
from whichway.nouns import Example, Score
from whichway.tasks.metrics._text import Base

Caller = Callable[[Example, str], Any]


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a Python function."""

    function: str = field(metadata={"help": "path/to/file.py:function"})
    closed: bool = field(default=False, metadata={"help": "the answers are labels: they are scored, not generated"})
    digest: str = field(default="", metadata={"help": "digest of the file; filled in, so that a plan notices a change"})


class Metric(Base):
    """What the function says; none when it raises or gives something that is no score."""

    name = "python_function"

    def __init__(self, options: Options) -> None:
        self.closed = options.closed
        self.call = adapt(_function(options.function), options.function)

    def __call__(self, example: Example, text: str) -> Score:
        """Ask the function about one answer."""
        try:
            return _score(self.call(example, text))
        except Exception as error:  # the user's code may raise anything; one bad row is a row
            return Score(None, f"the metric function raised {type(error).__name__}: {str(error)[:200]}")


class Fields(dict[str, Any]):
    """A row as DSPy hands it over: keys as attributes; an unknown name, such as the answer's, gives `_rest`."""

    _rest: str = ""

    def __missing__(self, key: str) -> str:
        return self._rest

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        return self[key]


def adapt(function: Callable[..., Any], named: str) -> Caller:
    """One way to call each accepted signature.

    Raises:
        OptionError: the signature is none of them.
    """
    parameters = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.KEYWORD_ONLY]
    words = [p.name for p in parameters]
    needed = sum(p.default is p.empty and p.kind is not p.VAR_POSITIONAL for p in parameters)
    if function.__name__ == "get_assert" or words[:2] == ["output", "context"]:
        return lambda example, text: function(text, _context(example))
    if "trace" in words or (words and words[0] in ("gold", "example")):
        return lambda example, text: function(_fields(example, example.target), _fields(None, text))
    wants_row = len(words) >= 3 and (needed == 3 or words[2] in ("example", "row"))
    if len(words) == 2 or (len(words) > 2 and needed == 2 and not wants_row):
        return lambda example, text: function(text, example.target)
    if wants_row and needed <= 3:
        return lambda example, text: function(text, example.target, {**example.input, "target": example.target})
    raise OptionError(
        f"metric {named}: takes ({', '.join(words)}). Accepted: f(prediction, target), f(prediction, target, example), "
        "metric(gold, pred, trace=None), get_assert(output, context)."
    )


def _context(example: Example) -> dict[str, Any]:
    return {"prompt": example.text, "vars": {"target": example.target, "expected": example.target, **example.input}}


def _fields(example: Example | None, rest: str) -> Fields:
    fields = Fields(example.input if example else {})
    fields._rest = rest
    return fields


def _score(value: Any) -> Score:
    """A function's word as a score."""
    why = ""
    if isinstance(value, Mapping):
        why = str(value.get("reason") or value.get("feedback") or "")
        value = value.get("score", value.get("pass"))
    elif hasattr(value, "score"):  # DSPy's score with feedback
        value, why = value.score, str(getattr(value, "feedback", ""))
    try:
        number = float(value)
    except (TypeError, ValueError):
        return Score(None, f"the metric function gave no number but {value!r:.60}")
    if math.isnan(number) or not 0 <= number <= 1:
        return Score(None, f"the metric function gave {number:g}, which is not within 0..1")
    return Score(number, why)


def _function(named: str) -> Callable[..., Any]:
    """Load "path/to/file.py:function".

    Raises:
        OptionError: file or function is missing, or the file does not run.
    """
    path, colon, name = named.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise OptionError(f"metric function '{named}': write path/to/file.py:function.")
    if not Path(path).is_file():
        raise OptionError(f"metric function '{named}': there is no file {path}.")
    module = _run(Path(path))
    function: Callable[..., Any] | None = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if inspect.isfunction(value)]
        raise OptionError(f"{path}: no function '{name}'.{did_you_mean(name, known)}")
    return function


def _run(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"_whichway_metric_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise OptionError(f"metric file {path}: not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # dataclasses and pickling look it up there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        line = getattr(error, "lineno", None) or _line(error, path)
        raise OptionError(f"{path}:{line}: {type(error).__name__}: {error}") from None
    return module


def _line(error: BaseException, path: Path) -> int:
    trace, line = error.__traceback__, 1
    while trace:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
