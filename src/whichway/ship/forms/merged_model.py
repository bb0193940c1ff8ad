"""One model folder that transformers loads by itself, the trained part merged into the base; the prompt goes along."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from whichway.ship.forms import Export
from whichway.ship.forms._merged_weights import family_of, write_merged
from whichway.ship.forms._prompt_files import PROMPT_LINES, write_prompt
from whichway.ship.forms._winners import no_merge
from whichway.ship.prompts import placeholder_of
from whichway.ship.source import ShipSource

NAME = "merged"
SUMMARY = "base and trained part as one folder of safetensors, for transformers, vLLM and others"
RUNTIME = "transformers"


def fits(source: ShipSource) -> str:
    """Language models on this machine do, with what can be merged."""
    return no_merge(source)


def write(export: Export, folder: Path) -> None:
    """Write weights, tokenizer, chat template, settings and prompt."""
    talk = write_merged(export.source, folder)
    write_prompt(export, folder, {} if talk.system else {"fold": True})


def use(source: ShipSource) -> Sequence[str]:
    """How it is loaded."""
    family = family_of(source)
    return (
        "```python",
        f"from transformers import AutoModelFor{family}, AutoTokenizer",
        "",
        f'model = AutoModelFor{family}.from_pretrained("FOLDER")',
        'tokenizer = AutoTokenizer.from_pretrained("FOLDER")',
        "```",
        "",
        *(line.format(place=placeholder_of(source.candidate)) for line in PROMPT_LINES),
    )
