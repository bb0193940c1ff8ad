"""A winner's weights as one model folder that transformers loads by itself, the trained part merged into the base.

What was merged is written as float32 where the model is small: rounding the sum to 16 bits would take away part of what
the training changed. The chat template is written so that it renders as it did when the winner was measured, and
`generation_config.json` names all tokens that end an answer.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whichway.engine.model.chat_text import ChatText
from whichway.engine.model.load import quiet
from whichway.models.gguf.parameters import EXACT_BELOW
from whichway.ship.forms._winners import HEAD, base_folder
from whichway.ship.source import ShipSource
from whichway.ship.written_files import LIVE, copy_encoder
from whichway.training_kinds import stored_as

TEMPLATE = "chat_template.jinja"
_CLOSED = "{%- set enable_thinking = false -%}"  # what the contest passed to templates that ask for it
_PROBE: tuple[tuple[dict[str, str], ...], ...] = (
    ({"role": "user", "content": "x"},),
    ({"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}, {"role": "user", "content": "z"}),
)


@dataclass(frozen=True, slots=True)
class ChatStyle:
    """How a model is talked to, as it was measured."""

    template: str  # as it is exported; "" of a base model
    system: bool  # whether the template prints system messages
    bos: bool  # whether a prompt begins with the BOS token
    ends: tuple[int, ...]  # ids that end an answer, that of a turn last


def write_merged(source: ShipSource, place: Path, trained: bool = True) -> ChatStyle:
    """Write the model folder.

    Args:
        source: a winner whose trained part can be merged (`_winners.no_merge`).
        place: an existing folder.
        trained: with the trained part; False: the base alone, talked to in the same style.

    Raises:
        ModelError: the base is not there, or has changed.
    """
    base = base_folder(source)
    kind = source.candidate.weights.kind
    copy_encoder(base, place)  # settings, tokenizer and weights; those of a trained part replace them
    if (base / TEMPLATE).is_file():
        shutil.copyfile(base / TEMPLATE, place / TEMPLATE)
    adapter = source.adapter if trained else None
    if stored_as(kind, "model") and adapter is not None:
        _clear_weights(place)
        copy_encoder(adapter, place)
    elif adapter is not None:
        _clear_weights(place)
        _merge(base, adapter, place, kind)
    for name in (LIVE, "adapter.json", "source.json", "origin.json"):
        (place / name).unlink(missing_ok=True)
    talk = style_of(place, source.candidate.decoding.thinking)
    write_style(place, talk)
    return talk


def _clear_weights(place: Path) -> None:
    for pattern in ("*.safetensors", "*.safetensors.index.json"):
        for file in place.glob(pattern):
            file.unlink()


def _merge(base: Path, adapter: Path, place: Path, kind: str) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    more: dict[str, Any] = {}
    family: Any = AutoModelForCausalLM
    if kind == HEAD:
        family = AutoModelForSequenceClassification
        more["id2label"] = dict(enumerate(json.loads((adapter / "labels.json").read_text(encoding="utf-8"))))
    with quiet():
        module = family.from_pretrained(base, dtype=torch.float32, local_files_only=True, **more)
        merged = PeftModel.from_pretrained(module, str(adapter), local_files_only=True).merge_and_unload(
            safe_merge=True
        )
        if sum(p.numel() for p in merged.parameters()) > EXACT_BELOW:
            merged = merged.to(torch.bfloat16)
        merged.save_pretrained(place)


def family_of(source: ShipSource) -> str:
    """The family of transformers' classes (`AutoModelFor...`) that load the winner."""
    return "SequenceClassification" if source.candidate.weights.kind == HEAD else "CausalLM"


def style_of(folder: Path, thinking: bool) -> ChatStyle:
    """How the model in a folder is talked to.

    Args:
        folder: of a model, with its tokenizer.
        thinking: whether answers bring their own reasoning.
    """
    from transformers import AutoTokenizer

    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    chat = ChatText(tokenizer, named_ends(folder))
    template = tokenizer.get_chat_template() if chat.chat else ""
    prompt = chat.prompt_ids([_PROBE[0]], thinking)[0]
    bos = tokenizer.bos_token_id is not None and prompt[:1] == [tokenizer.bos_token_id]
    ends = tuple(dict.fromkeys([*chat.eos, chat.answer_ids("x")[-1]]))
    last = chat.answer_ids("x")[-1]
    ordered = (*(i for i in ends if i != last), last)
    return ChatStyle(_as_measured(chat, template, thinking), chat.system or not chat.chat, bos, ordered)


def named_ends(folder: Path) -> list[int]:
    """What the model's own configuration calls an end."""
    for name in ("generation_config.json", "config.json"):
        file = folder / name
        ends = json.loads(file.read_text(encoding="utf-8")).get("eos_token_id") if file.is_file() else None
        if ends is not None:
            return [int(i) for i in (ends if isinstance(ends, list) else [ends])]
    return []


def _as_measured(chat: ChatText, template: str, thinking: bool) -> str:
    """The template in a form that renders as in the contest when it is called without options of ours."""
    if not template:
        return ""
    for text in (template, _CLOSED + template):
        if all(_plain(chat, text, turns) == chat.prompt_text(turns, thinking) for turns in _PROBE):
            return text
    return template


def _plain(chat: ChatText, template: str, turns: tuple[dict[str, str], ...]) -> str:
    """What any other program gets of a template."""
    try:
        return str(
            chat.tokenizer.apply_chat_template(
                list(turns), chat_template=template, tokenize=False, add_generation_prompt=True
            )
        )
    except Exception:  # foreign code
        return ""


def write_style(folder: Path, talk: ChatStyle) -> None:
    """Write the chat template, and the ends of an answer, where other programs look for them."""
    if talk.template:
        (folder / TEMPLATE).write_text(talk.template, encoding="utf-8")
    file = folder / "generation_config.json"
    settings = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    settings["eos_token_id"] = list(talk.ends) if len(talk.ends) > 1 else talk.ends[0]
    file.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
