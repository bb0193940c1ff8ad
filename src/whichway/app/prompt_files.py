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
    from whichway.lint.read import of_messages, of_text
    from whichway.lint.suppress import blanked
    from whichway.tasks import promptfoo
    from whichway.tasks.read import decode

    if not path.is_file():
        raise DataError(f"{path}: no such file. Give a text file with the prompt, or YAML, JSON or a promptfoo config.")
    source = decode(path)
    if path.suffix.lower() in YAML and promptfoo.is_config(path):
        return [of_wording(one) for one in promptfoo.wordings(path)]
    if path.suffix.lower() in (*YAML, ".json"):
        found = _parsed(source, path)
        if not isinstance(found, list) and not (isinstance(found, dict) and "messages" in found):
            return [of_slots(source, str(path), found if isinstance(found, dict) else {})]
        return [of_messages(source if path.suffix.lower() == ".json" else json.dumps(found), str(path))]
    if not source.strip():
        raise DataError(f"{path}: the file is empty.")
    return [replace(of_text(blanked(source), str(path)), source=source)]


def prompts_of(path: Path) -> tuple[Prompt, ...]:
    """The prompts of a file, for a run."""
    return tuple(draft.prompt for draft in read_drafts(path))


def of_wording(wording: Wording) -> Draft:
    """A prompt of a promptfoo configuration."""
    from whichway.lint.read import of_messages, of_text

    made = (of_messages if wording.chat else of_text)(wording.text, wording.path)
    return replace(made, source=wording.source, settings={**wording.settings, **made.settings}, fields=wording.fields)


def of_slots(source: str, path: str, values: Mapping[str, Any]) -> Draft:
    """Slots as keys; settings of the decoding may stand beside them.

    Raises:
        DataError: an unknown slot ("did you mean"), or a value that does not fit; names file and line.
    """
    from whichway.lint import Draft
    from whichway.lint.read import SETTINGS
    from whichway.prompts import files
    from whichway.prompts.yaml_core import typed

    settings = {key: typed(value) for key, value in values.items() if key in SETTINGS}
    slots = {key: value for key, value in values.items() if key not in settings}
    prompt = files.of_slots(slots, path) if settings else files.load(source, path)
    return Draft(prompt, source, path, "slots", settings=settings)


def _parsed(source: str, path: Path) -> Any:
    """The values of a YAML or JSON file (JSON is YAML).

    Raises:
        DataError: it is neither; names the line.
    """
    import yaml

    from whichway.prompts import yaml_core

    try:
        return json.loads(source) if path.suffix.lower() == ".json" else yaml_core.load(source)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON: {error.msg}.") from None
    except yaml.YAMLError as error:
        at, problem = yaml_core.problem(error)
        raise DataError(f"{path}{at}: not valid YAML: {problem}.") from None
