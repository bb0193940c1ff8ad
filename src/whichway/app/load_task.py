"""From what is said about a task to the task: prompt files are read, rows are read and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whichway.nouns import Prompt

if TYPE_CHECKING:
    from whichway.tasks import Examined, Spec
    from whichway.tasks.read import DataTable


def load_task(spec: Spec, table: DataTable | None = None) -> Examined:
    """The task with its findings.

    Args:
        spec: what a task file, flags or arguments say.
        table: rows that lie in memory already, in place of the spec's data.

    Raises:
        UserError: the data or a prompt file is at fault.
    """
    from whichway.tasks import examine

    return examine(with_prompts(spec), table)


def with_prompts(spec: Spec) -> Spec:
    """The spec with its prompt files read: one file may hold several prompts.

    Raises:
        DataError: a prompt file is at fault.
    """
    if not any(not isinstance(one, Prompt) for one in spec.prompt):
        return spec
    from whichway.app.prompt_files import prompts_of

    read = ([one] if isinstance(one, Prompt) else prompts_of(one) for one in spec.prompt)
    filled: Spec = spec.model_copy(update={"prompt": tuple(prompt for prompts in read for prompt in prompts)})
    return filled
