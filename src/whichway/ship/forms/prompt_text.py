"""The prompt alone: as plain text, as chat messages, as a Jinja2 template, as a request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from whichway.ship.forms import Export
from whichway.ship.forms._prompt_files import PROMPT_LINES, write_prompt
from whichway.ship.forms._templates import jinja
from whichway.ship.forms._winners import chosen_shots, no_prompt
from whichway.ship.prompts import placeholder_of, request_body
from whichway.ship.source import ShipSource
from whichway.ship.written_files import write_file

NAME = "prompt"
SUMMARY = "the prompt as text, messages.json, a Jinja2 template and a chat request"
RUNTIME = "messages"
TEMPLATE = "prompt.j2"


def fits(source: ShipSource) -> str:
    """Winners that answer to a prompt."""
    return no_prompt(source)


def write(export: Export, folder: Path) -> None:
    """Write the prompt's files."""
    source = export.source
    write_prompt(export, folder)
    if not chosen_shots(source) and not source.conversation:
        write_file(folder / TEMPLATE, jinja(source))
    if source.one_request:
        write_file(folder / "request.json", request_body(source.candidate, source.labels))


def use(source: ShipSource) -> Sequence[str]:
    """How the prompt is filled in."""
    lines = [line.format(place=placeholder_of(source.candidate)) for line in PROMPT_LINES]
    if not chosen_shots(source) and not source.conversation:
        lines.append(f"`{TEMPLATE}` gives the messages as JSON, rendered with the row's fields by Jinja2.")
    if source.candidate.weights.adapter:
        lines.append("It was measured on weights that were trained with it; on the base alone it answers otherwise.")
    return lines
