"""The prompt as GitHub Models keeps it in a repository: `.prompt.yml` with messages, test rows and evaluators.

https://docs.github.com/en/github-models/use-github-models/storing-prompts-in-github-repositories
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from whichway.nouns import MetricSpec
from whichway.ship.forms import Export
from whichway.ship.forms._templates import filled, parts
from whichway.ship.forms._winners import chosen_shots, no_prompt
from whichway.ship.source import ShipSource
from whichway.ship.written_files import write_file

NAME = "prompt.yml"
SUMMARY = "the prompt for GitHub Models, winner.prompt.yml, with test rows and evaluators"
RUNTIME = "messages"
FILE = "winner.prompt.yml"
EXPECTED = "expected"  # the variable that an evaluator compares with
_ROWS = 200  # test rows that go along


def fits(source: ShipSource) -> str:
    """Fixed prompts; the file has no way to write two braces that are none of a variable."""
    if no_prompt(source) or chosen_shots(source):
        return no_prompt(source) or chosen_shots(source)
    if source.conversation:
        return "its rows are conversations of any length"
    if EXPECTED in source.fields:
        return f"its rows have a field '{EXPECTED}', which is the name of the wanted answer there"
    words = "\n".join(text for _, message in parts(source) for named, text in message if not named)
    if re.search(r"\{\{.*?\}\}", words, re.S):
        return "its own words hold {{...}}, which the file would fill in"
    return ""


def write(export: Export, folder: Path) -> None:
    """Write the file."""
    import yaml

    content = prompt_yml(export.source, [row for row in export.run.row_lines if row["split"] == "test"][:_ROWS])
    write_file(folder / FILE, yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100))


def prompt_yml(source: ShipSource, rows: Sequence[Any]) -> dict[str, Any]:
    """The content of the file.

    Args:
        source: the winner.
        rows: test rows of the run folder.
    """
    decoding = source.candidate.decoding
    settings: dict[str, Any] = {"temperature": decoding.temperature}
    if decoding.mode == "generate":
        settings["maxTokens"] = decoding.max_tokens
    turns = [
        {"role": role, "content": filled(message, str, lambda name: f"{{{{{name}}}}}")}
        for role, message in parts(source)
    ]
    content: dict[str, Any] = {
        "name": f"{source.plan['task']} {source.candidate.way}",
        "description": str(source.plan["ask"]),
        "model": source.candidate.weights.base,
        "modelParameters": settings,
        "messages": turns,
        "testData": [{**row["input"], EXPECTED: row["target"]} for row in rows],
    }
    spec = MetricSpec(**source.plan["metric"])
    if "labels" in spec.options or spec.name in ("accuracy", "exact_match") or source.labels:
        content["evaluators"] = [{"name": spec.name, "string": {"equals": f"{{{{{EXPECTED}}}}}"}}]
    return content


def use(source: ShipSource) -> Sequence[str]:
    """What reads it."""
    return (
        f"Put `{FILE}` into a repository; GitHub Models and `gh models eval` read it. Name a model of theirs in it.",
    )
