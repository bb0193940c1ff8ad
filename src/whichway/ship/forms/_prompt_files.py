"""The prompt beside weights that leave in another program's form: as text, as messages, as Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whichway.prompts.nearest import embedder_of
from whichway.ship.forms import Export
from whichway.ship.prompts import prompt_files
from whichway.ship.standalone_encoder import FOLDER
from whichway.ship.written_files import copy_encoder, program, write_file

MODULE = "row_messages.py"


def write_prompt(export: Export, folder: Path, more: Mapping[str, Any] | None = None) -> None:
    """Write `prompt.txt`, `prompt.json`, `messages.json`, the module that fills a row in, and what it needs for that.

    Args:
        export: the winner.
        folder: where to.
        more: keys that `messages.json` has besides.
    """
    candidate = export.source.candidate
    if candidate.prompt.pool and candidate.prompt.encoder is not None:
        encoder = candidate.prompt.encoder
        copy_encoder(embedder_of(export.backends, encoder).files(encoder), folder / FOLDER)
    for name, content in prompt_files(candidate).items():
        write_file(folder / name, {**content, **(more or {})} if name == "messages.json" else content)
    write_file(folder / MODULE, program(MODULE))


PROMPT_LINES = (
    "`messages.json` is the prompt, `{place}` the row's place in it. `row_messages.py` fills a row in and needs",
    "nothing but Python: `RowMessages(folder)(row)` gives the messages for the model's chat template.",
)
