"""The plain prompt of a task: what the user has written, else what is asked and the allowed answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from whichway.errors import OptionError
from whichway.label_sets import NONE, separator
from whichway.nouns import Candidate, Decoding, Prompt, TrainDevView
from whichway.prompts.files import AS_WRITTEN
from whichway.prompts.template import instructions

CHANNEL = {  # metadata of the ways' option
    "help": "score labels by the likelihood of the row's text under each, too (noisy channel): a pass for every label"
}
JSON_ONLY = "Answer with a JSON object only."


def base_prompt(task: TrainDevView) -> Prompt:
    """The prompt from which every prompting and tuning way starts: the first of `starts`."""
    return starts(task)[0]


def starts(task: TrainDevView) -> tuple[Prompt, ...]:
    """The user's prompts, else one made from the ask.

    Loose text stands as it is written. Slots stand too, and empty ones that a task needs are filled: the ask; the
    labels, unless the user's words name each of them already; the format that the metric reads.
    """
    return tuple(p if p.form == AS_WRITTEN else _filled(p, task) for p in task.prompts) or (_filled(Prompt(), task),)


def _filled(written: Prompt, task: TrainDevView) -> Prompt:
    written_text = instructions(written)
    return replace(
        written,
        objective=written.objective or task.ask,
        labels=written.labels or _unnamed(task.labels, written_text),
        output_format=written.output_format or _format(task, written_text),
    )


def _format(task: TrainDevView, written_text: str) -> str:
    """The form of answer that the metric reads, where the user's words do not say it."""
    if task.metric.name == "json_fields":
        return "" if "json" in written_text.lower() else JSON_ONLY
    labels = task.metric.options.get("labels") or ()
    if task.metric.name != "multi_label" or not labels or all(label in written_text for label in labels):
        return ""
    mark = separator(labels)
    name = "semicolons" if mark == "; " else "commas"
    none = f" If none applies, write {NONE}." if any(e.target == NONE for e in task.train) else ""
    return f"Name every label that applies, separated by {name}, out of: {mark.join(labels)}.{none}"


def _unnamed(labels: tuple[str, ...], written_text: str) -> tuple[str, ...]:
    return () if written_text and all(label in written_text for label in labels) else labels


def both_readings(candidate: Candidate, channel: bool) -> Iterator[Candidate]:
    """The candidate, and where `channel` is wanted and labels are scored, the one that reads its prompt backwards."""
    yield candidate
    if channel and candidate.decoding.mode == "choose":
        decoding = replace(candidate.decoding, channel=True)
        yield replace(candidate, decoding=decoding, note=f"{candidate.note}, noisy channel")


def decoding_for(task: TrainDevView, max_tokens: int, temperature: float, way: str) -> Decoding:
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
    return Decoding(task.mode, max_tokens, temperature, thinking=task.thinks)
