"""From the command line to a spec and a request: flags in the user's spelling become values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from whichway.app.request import RunRequest
from whichway.app.way_options import settings_of
from whichway.cli.flags import ContestFlags, TaskFlags
from whichway.errors import OptionError
from whichway.nouns import Budget
from whichway.options import read_options

if TYPE_CHECKING:
    from whichway.tasks import Spec

SHARES = re.compile(r"\d+(\.\d+)?(/\d+(\.\d+)?){2}")
SPECIAL = ("task", "input", "model", "labels", "split", "prompt", "yes")  # flags that are no keys, or spelled otherwise


def spec_of(flags: TaskFlags, contest: ContestFlags | None = None) -> Spec:
    """What is said about the task and its run, as a task file would say it.

    Raises:
        UserError: the task file or a flag is at fault.
    """
    from whichway.tasks import from_flags

    said: dict[str, Any] = {key: getattr(flags, key) for key in flags.__dataclass_fields__ if key not in SPECIAL}
    said["input"] = flags.input and tuple(flags.input)
    if flags.model:
        said["model"], said["models"] = flags.model[0], tuple(flags.model) if len(flags.model) > 1 else ()
    said["labels"] = None if flags.labels is None else _words(flags.labels)
    said["split"] = None if flags.split is None else _split(flags.split)
    said["prompt"] = flags.prompt and tuple(flags.prompt)
    said |= read_options(contest.options) if contest else {}
    return from_flags(flags.task, **said)


def request_of(flags: ContestFlags) -> RunRequest:
    """How the run is to be held.

    Raises:
        OptionError: a `--set` is not of the form way.option=value.
    """
    return RunRequest(
        ways=None if flags.ways is None else _words(flags.ways),
        way_options=tuple(settings_of(flags.set_ or ())),
        budget=Budget(flags.budget_usd, flags.budget_seconds, flags.budget_calls),
        probe=not flags.no_probe,
        out=flags.out,
        cache=flags.cache,
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _split(text: str) -> str | dict[str, float]:
    """`60/20/20` as shares of train, dev and test; anything else is a column."""
    if not SHARES.fullmatch(text):
        return text
    parts = [float(part) for part in text.split("/")]
    if min(parts) <= 0:
        raise OptionError(f"--split {text}: each share must be above 0.")
    if len(parts) == 3 and not any(abs(sum(parts) - whole) < 1e-6 * whole for whole in (1, 100)):
        raise OptionError(f"--split {text}: the shares of train, dev and test must sum to 100.")
    return dict(zip(("train", "dev", "test"), (part / sum(parts) for part in parts), strict=True))
