"""GGUF files for llama.cpp and what is built on it, in 16 and in 8 bits; the prompt goes along."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from whichway.models.gguf.vocabulary_writer import ChatMetadata
from whichway.models.gguf.writer import Kind
from whichway.models.gguf.writer import write as write_gguf
from whichway.ship.forms import Export
from whichway.ship.forms._merged_weights import ChatStyle, write_merged
from whichway.ship.forms._prompt_files import PROMPT_LINES, write_prompt
from whichway.ship.forms._winners import file_architecture, no_writer
from whichway.ship.prompts import placeholder_of
from whichway.ship.source import ShipSource

NAME = "gguf"
SUMMARY = "the merged model as model-F16.gguf and model-Q8_0.gguf, for llama.cpp"
RUNTIME = "llama_cpp"
STORED: tuple[Kind, ...] = ("F16", "Q8_0")


def fits(source: ShipSource) -> str:
    """Language models that write, of an architecture that GGUF has."""
    return no_writer(source) or file_architecture(source)


def write(export: Export, folder: Path) -> None:
    """Write both files and the prompt."""
    talk = write_files(export.source, folder, STORED)
    write_prompt(export, folder, {} if talk.system else {"fold": True})


def write_files(source: ShipSource, folder: Path, kinds: Sequence[Kind], trained: bool = True) -> ChatStyle:
    """Write `model-KIND.gguf` for each kind, or the base alone as `base-KIND.gguf`; how the model is talked to."""
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.merged-", dir=folder.parent) as merged:
        talk = write_merged(source, Path(merged), trained)
        for kind in kinds:
            about = ChatMetadata(talk.template, talk.bos, talk.ends)
            write_gguf(Path(merged), folder / file_name(kind, trained), kind, name_of(source), about)
    return talk


def file_name(kind: Kind, trained: bool = True) -> str:
    """The name of the file whose matrices are stored so."""
    return f"{'model' if trained else 'base'}-{kind}.gguf"


def name_of(source: ShipSource) -> str:
    """`general.name`: the task and the way."""
    return f"{source.plan['task']} {source.candidate.way}"


def use(source: ShipSource) -> Sequence[str]:
    """How it is started."""
    return (
        "```",
        f"llama-server -m {file_name('F16')}   # or {file_name('Q8_0')}: half the size, rounded",
        "```",
        "",
        *(line.format(place=placeholder_of(source.candidate)) for line in PROMPT_LINES),
    )
