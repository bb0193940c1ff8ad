"""A fixed prompt's messages as parts: its own words, and the fields of the row, for template languages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from whichway.nouns import Message
from whichway.prompts.template import outline, placeholder, placeholders
from whichway.ship.source import ShipSource

Part = tuple[bool, str]  # (whether it is the name of a field, the words or the name)


def parts(source: ShipSource) -> list[tuple[str, list[Part]]]:
    """Role and parts of each message. A row of several fields is one line `name: value` for each."""
    prompt = source.candidate.prompt
    marks = {mark: [(True, name)] for name, mark in placeholders(prompt).items()}
    if not prompt.variables:
        fields: list[Part] = []
        for number, name in enumerate(source.fields):
            if len(source.fields) > 1:
                fields.append((False, ("\n" if number else "") + f"{name}: "))
            fields.append((True, name))
        marks[placeholder(prompt)] = fields
    return [(turn.role, _cut(turn, marks)) for turn in outline(prompt)]


def _cut(turn: Message, marks: dict[str, list[Part]]) -> list[Part]:
    pieces = re.split("(" + "|".join(map(re.escape, marks)) + ")", turn.content)
    return [part for piece in pieces if piece for part in marks.get(piece, [(False, piece)])]


def filled(message: list[Part], words: Callable[[str], str], field: Callable[[str], str]) -> str:
    """A message with its own words and the row's fields as a template language writes them."""
    return "".join((field if named else words)(text) for named, text in message)


def jinja_words(text: str) -> str:
    """Words that Jinja2 leaves as they are."""
    if not re.search(r"\{[{%#]|[}%#]\}", text):
        return text
    return "{{ " + json.dumps(text, ensure_ascii=False) + " }}"


def jinja_field(name: str) -> str:
    """A field's value in Jinja2; a name that is no identifier is looked up in `row`."""
    return "{{ " + (name if name.isidentifier() else f"row[{json.dumps(name, ensure_ascii=False)}]") + " }}"


def jinja(source: ShipSource) -> str:
    """The messages as a Jinja2 template that gives JSON."""
    lines = []
    for role, message in parts(source):
        content = " ~ ".join(_expression(part) for part in message) or '""'
        lines.append(f'  {{"role": "{role}", "content": {{{{ ({content}) | tojson }}}}}}')
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _expression(part: Part) -> str:
    named, text = part
    literal = json.dumps(text, ensure_ascii=False)
    return f"row[{literal}]" if named and not text.isidentifier() else text if named else literal
