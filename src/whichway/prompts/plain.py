"""The plain prompt of a task: what is asked and, for a closed task, the allowed answers."""

from __future__ import annotations

from whichway.nouns import Practice, Prompt


def first_prompt(task: Practice) -> Prompt:
    """The prompt from which every prompting and tuning way starts."""
    json_wanted = task.metric.name == "json_fields"
    return Prompt(
        objective=task.ask,
        labels=task.labels,
        output_format="Answer with a JSON object only." if json_wanted else "",
    )
