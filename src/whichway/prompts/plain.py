"""The plain prompt of a task: what is asked and, for a closed task, the allowed answers."""

from __future__ import annotations

from whichway.errors import OptionError
from whichway.nouns import Decoding, Practice, Prompt


def first_prompt(task: Practice) -> Prompt:
    """The prompt from which every prompting and tuning way starts: the user's own, else one made from the ask."""
    if task.prompts:
        return task.prompts[0]
    json_wanted = task.metric.name == "json_fields"
    return Prompt(
        objective=task.ask,
        labels=task.labels,
        output_format="Answer with a JSON object only." if json_wanted else "",
    )


def reading(task: Practice, max_tokens: int, temperature: float, way: str) -> Decoding:
    """How a prompt's answers are read off: labels are scored, text is written.

    Args:
        task: closed or free.
        max_tokens: longest text.
        temperature: of drawn text; 0 for the likeliest.
        way: whose option the temperature is, for the message.

    Raises:
        OptionError: a temperature below 0, or one for scored labels, which are never drawn.
    """
    if temperature < 0 or (temperature and task.labels):
        why = "labels are scored, not drawn; use it for free text" if task.labels else "give 0 or more"
        raise OptionError(f"{way}.temperature is {temperature:g}: {why}.")
    return Decoding(task.mode, max_tokens, temperature)
