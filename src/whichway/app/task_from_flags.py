"""From the command line to a task: flags in the user's spelling become the keys of a task file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from whichway.cli.flags import TaskFlags
from whichway.errors import OptionError
from whichway.nouns import Prompt

if TYPE_CHECKING:
    from whichway.tasks import Examined, Spec

SHARES = re.compile(r"\d+(\.\d+)?(/\d+(\.\d+)?){2}")


def asked(flags: TaskFlags) -> Examined:
    """The task with its findings.

    Raises:
        UserError: the task file, the data or a flag is at fault.
    """
    from whichway.tasks import examine

    return examine(spec_of(flags))


def spec_of(flags: TaskFlags) -> Spec:
    """What is said about the task, as a task file would say it.

    Raises:
        UserError: the task file or a flag is at fault.
    """
    from whichway.tasks import from_flags

    keys = ("data", "target", "ask", "name", "metric", "group", "id", "volume", "margin")
    said: dict[str, Any] = {key: getattr(flags, key) for key in keys}
    said["input"] = flags.input and tuple(flags.input)
    if flags.model:
        said["model"], said["models"] = flags.model[0], tuple(flags.model) if len(flags.model) > 1 else ()
    said["labels"] = None if flags.labels is None else tuple(w.strip() for w in flags.labels.split(",") if w.strip())
    said["split"] = None if flags.split is None else _split(flags.split)
    said["prompt"] = flags.prompt and tuple(flags.prompt)
    spec = from_flags(flags.task, **said)
    if spec.prompt:
        from whichway.app.prompt_files import prompts_of

        found = ([one] if isinstance(one, Prompt) else prompts_of(one) for one in spec.prompt)
        spec = spec.model_copy(update={"prompt": tuple(prompt for prompts in found for prompt in prompts)})
    return spec


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
