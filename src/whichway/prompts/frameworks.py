"""The named frameworks as data: which slot stands under which heading, in which order. Content is equal in all of them.

Every slot has its place in every framework, so that two of them differ in headings, grouping and order alone. Worked
examples are turns of their own in all. Headings as their authors and most guides give them; none is known to beat
another, which is what `ways/prompt_framework.py` measures.
"""

from __future__ import annotations

from dataclasses import replace

from whichway.nouns import Form, Headings, Practice, Prompt
from whichway.prompts.plain import first_prompt

Sections = tuple[tuple[str, tuple[str, ...]], ...]

FRAMEWORKS: dict[str, Sections] = {
    "rtf": (
        ("Role", ("role",)),
        ("Task", ("context", "audience", "objective", "instructions", "steps", "constraints")),
        ("Format", ("labels", "output_format", "tone", "style", "success_criteria")),
    ),
    "tag": (
        ("Task", ("role", "context", "audience", "objective")),
        ("Action", ("instructions", "steps", "constraints", "labels", "output_format", "tone", "style")),
        ("Goal", ("success_criteria",)),
    ),
    "race": (
        ("Role", ("role",)),
        ("Action", ("objective", "instructions", "steps", "constraints")),
        ("Context", ("context", "audience")),
        ("Expectation", ("labels", "output_format", "tone", "style", "success_criteria")),
    ),
    "craft": (
        ("Context", ("context",)),
        ("Role", ("role",)),
        ("Action", ("objective", "instructions", "steps", "constraints")),
        ("Format", ("labels", "output_format")),
        ("Tone & Target", ("tone", "style", "audience", "success_criteria")),
    ),
    "co_star": (
        ("Context", ("role", "context")),
        ("Objective", ("objective", "instructions", "steps", "constraints")),
        ("Style", ("style",)),
        ("Tone", ("tone",)),
        ("Audience", ("audience",)),
        ("Response", ("labels", "output_format", "success_criteria")),
    ),
    "crispe": (
        ("Capacity & Role", ("role",)),
        ("Insight", ("context", "audience")),
        ("Statement", ("objective", "instructions", "steps", "constraints")),
        ("Personality", ("tone", "style")),
        ("Experiment", ("labels", "output_format", "success_criteria")),
    ),
    "risen": (
        ("Role", ("role", "context", "audience")),
        ("Instructions", ("objective", "instructions")),
        ("Steps", ("steps",)),
        ("End goal", ("success_criteria",)),
        ("Narrowing", ("constraints", "labels", "output_format", "tone", "style")),
    ),
    "care": (
        ("Context", ("role", "context", "audience")),
        ("Action", ("objective", "instructions", "steps", "constraints")),
        ("Result", ("labels", "output_format", "tone", "style", "success_criteria")),
    ),
    "ape": (
        ("Action", ("role", "objective", "instructions", "steps", "constraints")),
        ("Purpose", ("context", "audience")),
        ("Expectation", ("labels", "output_format", "tone", "style", "success_criteria")),
    ),
    "bab": (
        ("Before", ("role", "context", "audience")),
        ("After", ("objective", "labels", "output_format", "success_criteria")),
        ("Bridge", ("instructions", "steps", "constraints", "tone", "style")),
    ),
    "openai": (
        ("Role & Objective", ("role", "objective", "audience")),
        ("Instructions", ("instructions", "constraints", "tone", "style")),
        ("Reasoning steps", ("steps",)),
        ("Output format", ("labels", "output_format", "success_criteria")),
        ("Context", ("context",)),
    ),
}  # fmt: skip

# What a good answer is, by metric: frameworks with a goal, a result or an expectation have something to say there.
GOALS = {
    "accuracy": "exactly one of the listed answers, spelled as it is listed, and the right one",
    "macro_f1": "exactly one of the listed answers, the right one, rare answers as well as frequent ones",
    "exact_match": "the wanted text, letter for letter, and nothing else",
    "token_f1": "the wanted words, and no others",
    "rouge_l": "the wanted text in the wanted order",
    "chrf": "a text close to what a careful person would write",
    "json_fields": "a JSON object with every field right",
    "numeric": "the right number, and nothing else",
}


def form(name: str, headings: Headings) -> Form:
    """A framework's layout.

    Args:
        name: a key of `FRAMEWORKS`.
        headings: how its headings are written.
    """
    return Form(name=name, sections=FRAMEWORKS[name], headings=headings)


def filled(task: Practice) -> Prompt:
    """The task's prompt with every slot that the task can fill: what the user said, and else a goal by the metric."""
    prompt = first_prompt(task)
    return replace(prompt, success_criteria=prompt.success_criteria or GOALS.get(task.metric.name, ""))
