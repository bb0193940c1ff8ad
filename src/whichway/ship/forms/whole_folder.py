"""All of it in one folder: prompt, trained part, and for models and encoders a program that needs no whichway."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from whichway.nouns import Weights
from whichway.prompts.nearest import embedder_of
from whichway.ship.forms import Export
from whichway.ship.forms._prompt_files import MODULE
from whichway.ship.prompts import prompt_files, request_body
from whichway.ship.source import ShipSource
from whichway.ship.standalone_encoder import FOLDER
from whichway.ship.written_files import CHAT_TEXT, copy_encoder, copy_trained, program, write_file
from whichway.training_kinds import KINDS

NAME = "folder"
SUMMARY = "prompt, trained part and use.py, which answers rows without whichway"
RUNTIME = "use"


def fits(source: ShipSource) -> str:
    """Every winner leaves as a folder."""
    return ""


def write(export: Export, folder: Path) -> None:
    """Write prompt files, program, trained part, and the encoder that it needs."""
    source = export.source
    candidate = source.candidate
    weights = encoder_of(source)
    encoder = None if weights is None else embedder_of(export.backends, weights).files(weights)
    if source.asks:
        for name, content in prompt_files(candidate).items():
            write_file(folder / name, content)
        if source.one_request:
            write_file(folder / "request.json", request_body(candidate, source.labels))
    if source.stands_alone:
        classifier = candidate.weights.backend == "encoder"
        write_file(folder / "use.py", program("standalone_classifier.py" if classifier else "standalone.py"))
        write_file(folder / MODULE, program(MODULE))
        if not classifier:
            write_file(folder / "chat_text.py", CHAT_TEXT.read_text(encoding="utf-8"))
    if source.adapter is not None:
        copy_trained(source.adapter, folder / trained_place(candidate.weights.kind))
    if encoder is not None:
        copy_encoder(encoder, folder / (FOLDER if source.asks else trained_place(candidate.weights.kind)))


def trained_place(kind: str) -> str:
    """The folder inside the shipped one where a trained part of this kind lies."""
    return KINDS[kind].storage


def encoder_of(source: ShipSource) -> Weights | None:
    """The encoder that goes along: that which chooses shots, or that which a head stands on."""
    candidate = source.candidate
    kind = KINDS.get(candidate.weights.kind)
    if kind is not None and kind.on_base:
        return candidate.weights
    return candidate.prompt.encoder if source.asks else None


def use(source: ShipSource) -> Sequence[str]:
    """How `use.py` is started."""
    if not source.stands_alone:
        return ()
    return (
        "`use.py` needs `transformers` (and `peft` for an adapter), not whichway.",
        _lines_of(source),
        "",
        "```",
        "python use.py < rows.txt",
        "```",
    )


def _lines_of(source: ShipSource) -> str:
    """What a line of `use.py`'s input is."""
    if source.conversation:
        return 'One conversation a line in, as JSON (`[{"role": "user", "content": "..."}]`), one answer a line out:'
    if len(source.fields) > 1:
        return "One row a line in, as a JSON object with its fields, one answer a line out:"
    return "One row a line in, one answer a line out:"
