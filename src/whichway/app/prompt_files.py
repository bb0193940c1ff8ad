"""Prompts out of files: plain text, slots as YAML or JSON, chat messages, promptfoo configurations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whichway.errors import DataError
from whichway.nouns import Prompt

if TYPE_CHECKING:
    from whichway.lint import Draft
    from whichway.tasks.promptfoo_prompts import Wording

YAML = (".yaml", ".yml")


def read_drafts(path: Path) -> list[Draft]:
    """The prompts of a file.

    Raises:
        UserError: no such file, or none that holds a prompt; names file and line.
    """
    from whichway.lint.drafts import of_messages, of_text
    from whichway.prompts import files
    from whichway.tasks import promptfoo
    from whichway.tasks.read import decode

    if not path.is_file():
        raise DataError(f"{path}: no such file. Give a text file with the prompt, or YAML, JSON or a promptfoo config.")
    source = decode(path)
    if path.suffix.lower() in YAML and promptfoo.is_config(path):
        return [of_wording(one) for one in promptfoo.wordings(path)]
    if path.suffix.lower() in files.STRUCTURED:
        values = files.parsed(source, path)
        if not files.is_chat(values):
            return [of_slots(source, str(path), values if isinstance(values, dict) else {})]
        return [of_messages(source if path.suffix.lower() == ".json" else json.dumps(values), str(path))]
    if not source.strip():
        raise DataError(f"{path}: the file is empty.")
    return [replace(of_text(files.blanked(source), str(path)), source=source)]


def prompts_of(path: Path) -> tuple[Prompt, ...]:
    """The prompts of a file, for a run."""
    return tuple(draft.prompt for draft in read_drafts(path))


def of_wording(wording: Wording) -> Draft:
    """A prompt of a promptfoo configuration."""
    from whichway.lint.drafts import of_messages, of_text

    draft = (of_messages if wording.chat else of_text)(wording.text, wording.path)
    return replace(draft, source=wording.source, settings={**wording.settings, **draft.settings}, fields=wording.fields)


def of_slots(source: str, path: str, values: Mapping[str, Any]) -> Draft:
    """Slots as keys; settings of the decoding may stand beside them.

    Raises:
        DataError: an unknown slot ("did you mean"), or a value that does not fit; names file and line.
    """
    from whichway.lint import Draft
    from whichway.prompts import files

    settings, slots = files.settings_of(values)
    prompt = files.of_slots(slots, path) if settings else files.load(source, path)
    return Draft(prompt, source, path, "slots", settings=settings)
