"""The prompt as a Prompty asset: YAML front matter and the messages as a Jinja2 template (https://prompty.ai)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from whichway.ship.forms import Export
from whichway.ship.forms._templates import filled, jinja_field, jinja_words, parts
from whichway.ship.forms._winners import chosen_shots, no_prompt
from whichway.ship.source import ShipSource
from whichway.ship.written_files import write_file

NAME = "prompty"
SUMMARY = "the prompt as winner.prompty, front matter and Jinja2"
RUNTIME = "messages"
FILE = "winner.prompty"
ROLE = re.compile(r"^\s*#?\s*(system|user|assistant|developer|function|tool)\s*(\[.*\])?\s*:\s*$", re.I | re.M)


def fits(source: ShipSource) -> str:
    """Fixed prompts whose words hold no line that Prompty would read as a role."""
    if no_prompt(source) or chosen_shots(source):
        return no_prompt(source) or chosen_shots(source)
    if source.conversation:
        return "its rows are conversations of any length"
    if not all(name.isidentifier() for name in source.fields):
        return f"Prompty names inputs by identifiers, and the rows have '{_odd(source.fields)}'"
    words = [text for _, message in parts(source) for named, text in message if not named]
    if any(ROLE.search(text) for text in words):
        return "its words hold a line such as 'user:', which Prompty reads as the start of a message"
    return ""


def _odd(fields: Sequence[str]) -> str:
    return next(name for name in fields if not name.isidentifier())


def write(export: Export, folder: Path) -> None:
    """Write the asset."""
    write_file(folder / FILE, asset(export.source))


def asset(source: ShipSource) -> str:
    """The text of the file."""
    import yaml

    decoding = source.candidate.decoding
    written = decoding.mode == "generate"
    settings: dict[str, Any] = {"temperature": decoding.temperature}
    if written:
        settings["max_tokens"] = decoding.max_tokens
    head = {
        "name": f"{source.plan['task']} {source.candidate.way}",
        "description": str(source.plan["ask"]),
        "model": {
            "api": "chat",
            "configuration": {"type": "openai", "name": source.candidate.weights.base},
            "parameters": settings,
        },
        "inputs": {name: {"type": "string"} for name in source.fields},
        "template": {"format": "jinja2", "parser": "prompty"},
    }
    front = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=100)
    turns = [f"{role}:\n{filled(message, jinja_words, jinja_field)}" for role, message in parts(source)]
    return f"---\n{front}---\n" + "\n\n".join(turns) + "\n"


def use(source: ShipSource) -> Sequence[str]:
    """What reads it."""
    return (f"`{FILE}` is read by the `prompty` package and by editors that know Prompty; set the model there.",)
