"""From the text of a file to a draft: plain text with `{{variables}}`, or chat messages as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from whichway.lint.scene import Draft
from whichway.nouns import Message
from whichway.prompts import files


def of_text(source: str, path: str = "prompt") -> Draft:
    """A plain-text prompt, as `files.of_text` reads it.

    Raises:
        DataError: it holds template logic; names the line.
    """
    return Draft(files.of_text(source, path), source, path, "text")


def of_messages(source: str, path: str = "prompt") -> Draft:
    """Chat messages: a JSON list of `{role, content}`, or an object with `messages` and settings beside them.

    Raises:
        DataError: no such JSON; names the line.
    """
    turns, settings = files.messages_of(source, path)
    return of_turns(turns, source, path, settings)


def of_turns(turns: Sequence[Message], source: str, path: str, settings: Mapping[str, Any]) -> Draft:
    """Messages as `files.of_turns` reads them."""
    return Draft(files.of_turns(turns, path), source, path, "messages", tuple(turns), settings)
