"""A Modelfile read back: the prompt that Ollama would make of a row, by a reader of the few Go constructs in use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from whichway.errors import ModelError
from whichway.models.gguf.header import read
from whichway.ship.parity.reference import Reference

_COMMAND = re.compile(r'^(FROM|TEMPLATE|SYSTEM|ADAPTER|MESSAGE \w+|PARAMETER \w+)\s+("""(.*?)"""|[^\n]*)$', re.M | re.S)
_ACTION = re.compile(r"\{\{(.*?)\}\}", re.S)
Turn = Mapping[str, str]


def prompts(folder: Path, reference: Reference) -> list[list[int]]:
    """Token ids of the rows' prompts.

    Raises:
        ModelError: the Modelfile, or the model that it names, cannot be read.
    """
    text = (folder / "Modelfile").read_text(encoding="utf-8")
    parts = [(m[1], m[3] if m[3] is not None else m[2].strip()) for m in _COMMAND.finditer(text)]
    commands = dict(parts)
    if "TEMPLATE" not in commands or not (folder / commands.get("FROM", "")).is_file():
        raise ModelError(f"{folder / 'Modelfile'} names no model that is there, or no template.")
    header = read(folder / commands["FROM"])
    adds = bool(header.metadata.get("tokenizer.ggml.add_bos_token"))
    bos = [int(header.metadata["tokenizer.ggml.bos_token_id"])] if adds else []
    fixed = [{"role": "system", "content": commands["SYSTEM"]}] if "SYSTEM" in commands else []
    fixed += [{"role": name.split()[1], "content": value} for name, value in parts if name.startswith("MESSAGE")]
    tokenizer = reference.tokenizer
    ids = []
    for row in reference.rows:
        whole = rendered(commands["TEMPLATE"], [*fixed, {"role": "user", "content": bare(row.example, reference)}])
        ids.append([*bos, *tokenizer(whole, add_special_tokens=False)["input_ids"]])
    return ids


def bare(example: Any, reference: Reference) -> str:
    """What a user of the model sends: the row's text, or the one field that the prompt names."""
    variables = reference.candidate.prompt.variables
    return str(example.input[variables[0]]) if variables else str(example.text)


def rendered(template: str, turns: Sequence[Turn]) -> str:
    """A Go template of the kind that we write, rendered with messages."""
    pieces = list(_pieces(template))
    text, rest = _block(pieces, 0, {"turns": turns}, stop=())
    if rest != len(pieces):
        raise ModelError("The template has an 'end' too many.")
    return text


def _pieces(template: str) -> Iterator[tuple[str, str]]:
    at = 0
    for match in _ACTION.finditer(template):
        yield "text", template[at : match.start()]
        yield "action", match[1].strip()
        at = match.end()
    yield "text", template[at:]


def _block(
    pieces: list[tuple[str, str]], at: int, scope: dict[str, Any], stop: tuple[str, ...], live: bool = True
) -> tuple[str, int]:
    """Text of the pieces from `at` on up to an action that begins with one of `stop`, and its place."""
    out: list[str] = []
    while at < len(pieces):
        kind, word = pieces[at]
        if kind == "text":
            out.append(word)
            at += 1
        elif word.startswith(stop) and stop:
            break
        elif word.startswith("range"):
            text, at = _range(pieces, at + 1, scope, live)
            out.append(text)
        elif word.startswith("if"):
            text, at = _if(pieces, at, scope, live)
            out.append(text)
        else:
            out.append(_value(word, scope) if live else "")
            at += 1
    return ("".join(out) if live else ""), at


def _range(pieces: list[tuple[str, str]], at: int, scope: dict[str, Any], live: bool) -> tuple[str, int]:
    texts, end = [], at
    for number, turn in enumerate(scope["turns"]):
        inner = {**scope, "turn": turn, "last": number == len(scope["turns"]) - 1}
        text, end = _block(pieces, at, inner, ("end",), live)
        texts.append(text)
    return "".join(texts), end + 1


def _if(pieces: list[tuple[str, str]], at: int, scope: dict[str, Any], live: bool) -> tuple[str, int]:
    done, texts = False, []
    while pieces[at][1] != "end":
        word = pieces[at][1].removeprefix("else").strip()
        holds = not done and (not word or _holds(word.removeprefix("if").strip(), scope))
        text, at = _block(pieces, at + 1, scope, ("else", "end"), live and holds)
        texts.append(text)
        done = done or holds
    return "".join(texts), at + 1


def _holds(condition: str, scope: dict[str, Any]) -> bool:
    if condition == "$last":
        return bool(scope["last"])
    match = re.fullmatch(r'eq \.Role "(\w+)"', condition)
    if match is None:
        raise ModelError(f"The template has a condition that is none of ours: {condition}")
    return bool(scope["turn"]["role"] == match[1])


def _value(word: str, scope: dict[str, Any]) -> str:
    if word == ".Content":
        return str(scope["turn"]["content"])
    if word.startswith('"') and word.endswith('"'):
        return word[1:-1]
    if word.startswith("$last :="):
        return ""
    raise ModelError(f"The template has an action that is none of ours: {word}")
