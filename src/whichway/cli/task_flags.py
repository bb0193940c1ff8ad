"""From the command line to a spec and a request: flags in the user's spelling become values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whichway.app.request import RunRequest
from whichway.app.way_options import settings_of
from whichway.cli.flags import ContestFlags, TaskFlags
from whichway.nouns import Budget
from whichway.options import read_options

if TYPE_CHECKING:
    from whichway.tasks import Spec


def spec_of(flags: TaskFlags, contest: ContestFlags | None = None) -> Spec:
    """What is said about the task and its run, as a task file would say it.

    Raises:
        UserError: the task file or a flag is at fault.
    """
    from whichway.tasks import from_flags
    from whichway.tasks.spec import flags as declared

    values: dict[str, Any] = {}
    for key, (flag, _) in declared().items():
        value = flags.keys.get(key)
        if value is not None:
            values[key] = flag.read(value) if flag.read else value
    if "model" in values:
        values["model"], values["models"] = (
            values["model"][0],
            tuple(values["model"]) if len(values["model"]) > 1 else (),
        )
    values |= read_options(contest.options) if contest else {}
    return from_flags(flags.task, **values)


def request_of(flags: ContestFlags) -> RunRequest:
    """How the run is to be held.

    Raises:
        OptionError: a `--set` is not of the form way.option=value.
    """
    from whichway.tasks.spec import words_of

    return RunRequest(
        ways=None if flags.ways is None else words_of(flags.ways),
        way_options=tuple(settings_of(flags.set_ or ())),
        budget=Budget(flags.budget_usd, flags.budget_seconds, flags.budget_calls),
        probe=not flags.no_probe,
        out=flags.out,
        cache=flags.cache,
    )
