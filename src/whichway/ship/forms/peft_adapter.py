"""A PEFT folder: `PeftModel.from_pretrained` puts it on the base, and the tokenizer and prompt go along."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from whichway.ship.forms import Export
from whichway.ship.forms._merged_weights import TEMPLATE, family_of, style_of, write_style
from whichway.ship.forms._prompt_files import PROMPT_LINES, write_prompt
from whichway.ship.forms._winners import base_folder, no_weights
from whichway.ship.prompts import placeholder_of
from whichway.ship.source import ShipSource
from whichway.ship.written_files import copy_trained
from whichway.training_kinds import stored_as

NAME = "peft"
SUMMARY = "the adapter as peft loads it, with tokenizer, chat template and prompt"
RUNTIME = "transformers"
_TOKENIZER = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "vocab.json")


def fits(source: ShipSource) -> str:
    """Adapters do."""
    if no_weights(source):
        return no_weights(source)
    kind = source.candidate.weights.kind
    return "" if stored_as(kind, "adapter") else "it has no adapter" + (", but whole weights" * (kind != "none"))


def write(export: Export, folder: Path) -> None:
    """Write adapter, tokenizer, chat template, ends of an answer, prompt."""
    source = export.source
    assert source.adapter is not None
    copy_trained(source.adapter, folder)
    (folder / "adapter.json").unlink(missing_ok=True)
    base = base_folder(source)
    for name in (*_TOKENIZER, "merges.txt", TEMPLATE):
        if (base / name).is_file():
            (folder / name).write_bytes((base / name).read_bytes())
    talk = style_of(base, source.candidate.decoding.thinking)
    write_style(folder, talk)
    write_prompt(export, folder, {} if talk.system else {"fold": True})


def use(source: ShipSource) -> Sequence[str]:
    """How it is loaded."""
    family = family_of(source)
    return (
        "```python",
        f"from peft import AutoPeftModelFor{family}",
        "",
        f'model = AutoPeftModelFor{family}.from_pretrained("FOLDER")',
        "```",
        "",
        *(line.format(place=placeholder_of(source.candidate)) for line in PROMPT_LINES),
        "The base is named in `adapter_config.json`; the adapter fits the revision above, no other.",
    )
