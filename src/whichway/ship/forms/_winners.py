"""What a winner is, as far as forms ask: a reason for each that does not fit, and where its base lies."""

from __future__ import annotations

import json
from pathlib import Path

from whichway.errors import ModelError
from whichway.ship.source import ShipSource
from whichway.training_kinds import KINDS, stored_as

HEAD, SOFT = "head", "soft_prompt"


def no_weights(source: ShipSource) -> str:
    """Why there are no weights of a language model to ship; "" where there are."""
    weights = source.candidate.weights
    if source.classical:
        return f"it is no language model but {source.classical}"
    if weights.backend == "encoder":
        return "its model is a sentence encoder, not a language model"
    if weights.backend != "local":
        return f"the weights of '{weights.base}' are not on this machine, they answer behind an API"
    if stored_as(weights.kind, "probe"):
        return "its head stands on states inside the model, where no other program can put it"
    return ""


def no_writer(source: ShipSource) -> str:
    """Why it is no language model that writes: a head over labels stands on it, or vectors stand before its tokens."""
    kind = source.candidate.weights.kind
    if no_weights(source):
        return no_weights(source)
    if kind == HEAD:
        return "a head over the labels took the place of the model's tokens"
    return no_merge(source)


def no_merge(source: ShipSource) -> str:
    """Why the trained part cannot become part of the base's weights; "" where it can."""
    if no_weights(source):
        return no_weights(source)
    if source.candidate.weights.kind == SOFT:
        return "a soft prompt is vectors before the tokens, no change of the weights"
    if source.adapter is not None and _config(source.adapter).get("lora_bias"):
        return "it trained biases that the base model has no place for"
    return ""


def no_prompt(source: ShipSource) -> str:
    """Why it has no prompt that others can ask; "" where it has one."""
    if not source.asks:
        return "it answers to no prompt"
    if source.candidate.decoding.channel:
        return "it scores the row's text under each label, which no chat request can ask"
    return ""


def chosen_shots(source: ShipSource) -> str:
    """Why the prompt is no fixed text; "" where it is one."""
    return "its worked examples are chosen for each row" if source.candidate.prompt.pool else ""


def _config(adapter: Path) -> dict[str, object]:
    file = adapter / "adapter_config.json"
    config: dict[str, object] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return config


def base_folder(source: ShipSource) -> Path:
    """The folder of the base model.

    Raises:
        ModelError: it is not on this machine any more, or its files are not those that were measured.
    """
    from whichway import models
    from whichway.models.model_files import files_digest

    weights = source.candidate.weights
    folder = models.find(weights.base)
    if weights.revision and files_digest(folder) != weights.revision:
        raise ModelError(
            f"The model {weights.base} has changed since this run began: its files are not those that were measured."
        )
    return folder


def file_architecture(source: ShipSource) -> str:
    """Why the base's architecture has no GGUF form; "" where it has one, or where the base is not here."""
    from whichway.models.gguf.writer import architecture

    try:
        folder = base_folder(source)
        architecture(json.loads((folder / "config.json").read_text(encoding="utf-8")), folder)
    except ModelError as error:
        return str(error).rstrip(".")
    return ""


def is_trained(source: ShipSource) -> bool:
    """Whether there is a trained part."""
    return source.candidate.weights.kind in KINDS
