"""A sentence encoder that sentence-transformers loads by itself, with the head over the labels beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from whichway.prompts.nearest import embedder_of
from whichway.ship.forms import Export
from whichway.ship.forms._prompt_files import MODULE
from whichway.ship.source import ShipSource
from whichway.ship.written_files import copy_encoder, copy_trained, program, write_file
from whichway.training_kinds import KINDS, stored_as

NAME = "encoder"
SUMMARY = "the encoder as sentence-transformers loads it, its head, and use.py, which answers rows"
RUNTIME = "sentence_transformers"
_POOLING = "1_Pooling"
LONGEST = 512  # tokens of a row that are read, where the encoder does not say


def fits(source: ShipSource) -> str:
    """Heads on encoders do."""
    return "" if stored_as(source.candidate.weights.kind, "encoder") else "it stands on no sentence encoder"


def write(export: Export, folder: Path) -> None:
    """Write encoder, head, program, and what sentence-transformers reads."""
    place = folder / "encoder"
    write_encoder(export, place)
    settings = json.loads((place / "config.json").read_text(encoding="utf-8"))
    write_file(place / "modules.json", _modules())
    most = settings.get("max_position_embeddings") or LONGEST
    write_file(place / "sentence_bert_config.json", {"max_seq_length": min(int(most), LONGEST)})
    (place / _POOLING).mkdir(exist_ok=True)
    width = settings.get("hidden_size") or settings.get("dim")
    write_file(place / _POOLING / "config.json", {"word_embedding_dimension": width, "pooling_mode_mean_tokens": True})
    write_file(folder / "use.py", program("standalone_classifier.py"))
    write_file(folder / MODULE, program(MODULE))


def write_encoder(export: Export, place: Path) -> None:
    """Write the encoder's files with the head beside them."""
    source = export.source
    assert source.adapter is not None
    place.mkdir(exist_ok=True)
    weights = source.candidate.weights
    if KINDS[weights.kind].on_base:
        copy_encoder(embedder_of(export.backends, weights).files(weights), place)
    copy_trained(source.adapter, place)


def _modules() -> list[dict[str, Any]]:
    kinds = {"": "Transformer", _POOLING: "Pooling"}
    return [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(kinds.items())
    ]


def use(source: ShipSource) -> Sequence[str]:
    """How it is loaded."""
    return (
        "```python",
        "from sentence_transformers import SentenceTransformer",
        "",
        'vectors = SentenceTransformer("FOLDER/encoder").encode(texts)  # the head is in head.safetensors, head.json',
        "```",
        "",
        "`python use.py < rows.txt` answers rows; it needs `transformers` alone.",
    )
