"""An Ollama Modelfile with the model beside it: `ollama create NAME -f Modelfile` gives a model that is sent bare rows.

SYSTEM and MESSAGE hold the prompt's own messages, TEMPLATE the model's chat template with the prompt's words around the
last message. FROM names the model as GGUF: the base where the trained part is a plain LoRA adapter, which ADAPTER then
names, and otherwise the merged model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from whichway.engine.model import tokenizer_files
from whichway.engine.model.chat_text import ChatText, fold
from whichway.errors import UserError
from whichway.models.gguf.adapter_writer import reason_against, write_adapter
from whichway.prompts.template import outline, placeholder, placeholders
from whichway.ship.forms import Export
from whichway.ship.forms._go_template import ChatPieces, Turn, go, of_chat
from whichway.ship.forms._prompt_files import write_prompt
from whichway.ship.forms._winners import (
    base_folder,
    chosen_shots,
    file_architecture,
    no_prompt,
    no_writer,
)
from whichway.ship.forms.gguf_file import file_name, name_of, write_files
from whichway.ship.source import ShipSource
from whichway.ship.written_files import write_file

NAME = "ollama"
SUMMARY = "a Modelfile (FROM, ADAPTER, TEMPLATE, SYSTEM, MESSAGE) with the model as GGUF"
RUNTIME = "ollama"
FILE, ADAPTER = "Modelfile", "adapter.gguf"
_QUOTES = '"""'


def fits(source: ShipSource) -> str:
    """Fixed prompts on models whose chat template is a sequence of turns."""
    reason = no_writer(source) or no_prompt(source) or chosen_shots(source) or file_architecture(source)
    if reason:
        return reason
    if source.conversation:
        return "its rows are conversations, whose earlier turns the template would wrap as well"
    if wrapped(source) is None:
        return "its prompt names fields in more than one place, and an Ollama model is sent one text"
    if _pieces(source) is None:
        return "the model's chat template is no plain sequence of turns, so no Go template says the same"
    return ""


def write(export: Export, folder: Path) -> None:
    """Write the Modelfile, the model, and the prompt."""
    source = export.source
    adapter = plain_adapter(source)
    talk = write_files(source, folder, ("F16",), trained=adapter is None)
    if adapter is not None:
        settings = json.loads((base_folder(source) / "config.json").read_text(encoding="utf-8"))
        write_adapter(adapter, settings, folder / ADAPTER, name_of(source))
    write_prompt(export, folder, {} if talk.system else {"fold": True})
    write_file(folder / FILE, modelfile(source, talk.bos))


def plain_adapter(source: ShipSource) -> Path | None:
    """The folder of an adapter that llama.cpp can put on the base; None where the weights are merged instead."""
    return source.adapter if source.adapter is not None and not reason_against(source.adapter) else None


def wrapped(source: ShipSource) -> tuple[list[Turn], tuple[str, str]] | None:
    """The fixed messages, and the words around the row in the last one; None where the row stands elsewhere too."""
    prompt = source.candidate.prompt
    marks = list(placeholders(prompt).values()) if prompt.variables else [placeholder(prompt)]
    turns = [{"role": turn.role, "content": turn.content} for turn in outline(prompt)]
    chat = _chat(source)
    if chat.chat and not chat.system:
        turns = fold(turns)
    *fixed, last = turns
    if len(marks) != 1 or any(marks[0] in turn["content"] for turn in fixed) or last["content"].count(marks[0]) != 1:
        return None
    before, _, after = last["content"].partition(marks[0])
    return fixed, (before, after)


def _chat(source: ShipSource) -> ChatText:
    tokenizer, ends, _ = tokenizer_files.tokenizer_and_context(base_folder(source))
    return ChatText(tokenizer, ends)


def _pieces(source: ShipSource) -> ChatPieces | None:
    """What the chat template writes around contents, as it was measured."""
    chat = _chat(source)
    if not chat.chat:
        return _plain_pieces()
    thinking = source.candidate.decoding.thinking

    def render(turns: Sequence[Turn], ask: bool) -> str:
        if ask:
            return chat.prompt_text(turns, thinking)
        options: dict[str, Any] = {"tokenize": False, "add_generation_prompt": False, "enable_thinking": thinking}
        return str(chat.tokenizer.apply_chat_template(list(turns), chat_template=chat.source, **options))

    return of_chat(render, chat.system)


def _plain_pieces() -> ChatPieces:
    """Turns as plain text, for models without a chat template."""
    before = {"system": "", "user": "Input: ", "assistant": "Answer: "}
    return ChatPieces("", before, dict.fromkeys(before, "\n\n"), "Answer:")


def modelfile(source: ShipSource, bos: bool) -> str:
    """The text of the Modelfile.

    Args:
        source: the winner.
        bos: whether llama.cpp puts a BOS token in front by itself, so that the template must not.

    Raises:
        UserError: the prompt holds three double quotes in a row.
    """
    pieces, parts = _pieces(source), wrapped(source)
    assert pieces is not None
    assert parts is not None
    fixed, wrap = parts
    chat = _chat(source)
    if bos and chat.chat:
        mark = str(chat.tokenizer.bos_token or "")
        system = {"system": pieces.before["system"].removeprefix(mark)} if "system" in pieces.before else {}
        before = {**pieces.before, **system}
        pieces = ChatPieces(pieces.lead.removeprefix(mark), before, pieces.after, pieces.ask)
    has_system = bool(fixed) and fixed[0]["role"] == "system"
    texts = [go(pieces, has_system, wrap), *(turn["content"] for turn in fixed)]
    if any(_QUOTES in text or text.endswith('"') for text in texts):
        raise UserError(f'a Modelfile cannot hold {_QUOTES}, or a text that ends with ", as the prompt does')
    decoding = source.candidate.decoding
    adapter = plain_adapter(source)
    lines = [f"FROM ./{file_name('F16', adapter is None)}"]
    lines += [f"ADAPTER ./{ADAPTER}"] if adapter is not None else []
    lines.append(f"TEMPLATE {_QUOTES}{texts[0]}{_QUOTES}")
    for turn in fixed:
        head = "SYSTEM" if turn["role"] == "system" else f"MESSAGE {turn['role']}"
        lines.append(f"{head} {_QUOTES}{turn['content']}{_QUOTES}")
    lines.append(f"PARAMETER temperature {decoding.temperature:g}")
    lines.append(f"PARAMETER num_predict {decoding.max_tokens}")
    stop = chat.tokenizer.decode([chat.answer_ids("x")[-1]], skip_special_tokens=False)
    lines.append(f'PARAMETER stop "{stop}"')
    return "\n".join(lines) + "\n"


def use(source: ShipSource) -> Sequence[str]:
    """How the model is made."""
    lines = ["```", "ollama create winner -f Modelfile", 'ollama run winner "..."  # the bare row', "```"]
    if source.candidate.decoding.mode == "choose":
        lines += [
            "",
            "The contest scored the labels; Ollama writes an answer, which may be none of them. To have it choose,",
            "send `format` with a JSON schema whose `enum` lists the labels, or ask `whichway serve`.",
        ]
    return lines
