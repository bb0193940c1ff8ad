"""Messages for Python users: flags of the command line are written as arguments."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from whichway.errors import WhichwayError
from whichway.options import defaults
from whichway.options import flag as option_flag

P = ParamSpec("P")
T = TypeVar("T")
SPELLED = {  # flags that are no arguments of the same name
    "--no-probe": "probe=False",
    "--probe": "probe=True",
    "--yes": "fetch=True",
    "--set": "ways={way: {option: value}}",
    "--budget-usd": "budget=ww.Budget(usd=...)",
    "--budget-seconds": "budget=ww.Budget(seconds=...)",
    "--budget-calls": "budget=ww.Budget(calls=...)",
}
NO_VALUES = "and|or|to|with|is|are|was|wants|needs|leaves|says|takes|which|that"  # words that go on after a flag
_FLAG = re.compile(rf"(?P<flag>--[a-z][a-z-]*)(?: (?!(?:{NO_VALUES})\b)(?P<value>[\w/~][\w,./~-]*\w|\w))?(?P<colon>:)?")
_VERB = re.compile(r"`?whichway (run|plan|check|compare|lint)\b(?: --[^`.;]*)?`?")
_FETCH = re.compile(r"whichway models fetch [\w.-]+")


def python_words(message: str) -> str:
    """A message with `--flag VALUE` as `flag=VALUE` and `whichway run` as `ww.run(...)`."""
    message = _FETCH.sub(r"fetch=True, or in a shell \g<0>", _VERB.sub(r"ww.\1(...)", message))
    return _FLAG.sub(_argument, message)


def _argument(match: re.Match[str]) -> str:
    flag, value, colon = match["flag"], (match["value"] or "").strip(), match["colon"] or ""
    name = flag[2:].replace("-", "_")
    if colon and not value:  # "--curve: what is wrong with it"
        return f"{name}:"
    switched = {option_flag(option): f"{option}={not on}" for option, on in defaults().items() if isinstance(on, bool)}
    return {**SPELLED, **switched}.get(flag, f"{name}={value or '...'}") + colon


def speaks_python(function: Callable[P, T]) -> Callable[P, T]:
    """The function, with errors that name arguments instead of flags."""

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except WhichwayError as error:
            error.args = (python_words(str(error)), *error.args[1:])
            raise

    return called
