"""The prompts of a promptfoo configuration: in the file itself, or in text, JSON and YAML files that it names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whichway.errors import DataError
from whichway.prompts import variables
from whichway.prompts.yaml_core import typed
from whichway.tasks.encodings import decode
from whichway.tasks.promptfoo_tests import FILE, parse

_TEXTS = (".txt", ".md", ".j2", "")
_KEYS = frozenset({"raw", "id", "label", "display", "function", "config", "provider", "file", "prefix", "suffix"})


@dataclass(frozen=True, slots=True)
class Wording:
    """A prompt as the configuration gives it."""

    text: str
    chat: bool  # JSON messages
    path: str  # the file that holds it
    source: str  # that file's text
    settings: Mapping[str, Any] = field(default_factory=dict)
    fields: tuple[str, ...] | None = None  # vars that it may name; None: not known

    @property
    def names(self) -> tuple[str, ...]:
        """The variables that it names."""
        return variables.names(self.text)


def wordings(values: Mapping[str, Any], path: Path) -> list[Wording]:
    """The prompts.

    Args:
        values: the configuration.
        path: its file.

    Raises:
        DataError: there is none, or one that is a program or holds template logic; names file and line.
    """
    entries = values.get("prompts") or []
    listed = _listed(entries)
    if not listed:
        raise DataError(f"{path}: no prompts. A configuration needs at least one.")
    settings, source = _settings(values), decode(path)
    return [
        Wording(text, chat, str(file), source if file == path else decode(file), settings)
        for one in listed
        for text, chat, file in _texts(one, path)
    ]


def _listed(entries: Any) -> list[Any]:
    if isinstance(entries, Mapping) and not _KEYS & set(entries):  # file: label, as older configurations have it
        return list(entries)
    return [entries] if isinstance(entries, str | Mapping) else list(entries)


def _texts(one: Any, path: Path) -> Iterator[tuple[str, bool, Path]]:
    """Text, whether it is chat, and file of each prompt that an entry names."""
    if isinstance(one, Mapping):
        changed = next((key for key in ("function", "prefix", "suffix") if one.get(key)), None)
        if changed:
            raise DataError(f"{path}: a prompt's {changed} is not read. Write out the text it gives.")
        one = one.get("raw") or one.get("id") or one.get("file") or one.get("label") or ""
    if not isinstance(one, str) or not one.strip() or not isinstance(typed(one), str):
        raise DataError(f"{path}: a prompt is a text or {FILE}PATH, not {one!r:.60}.")
    named = one.removeprefix(FILE).strip()
    scheme = re.match(r"(\w+)://", named)
    if scheme or named.startswith("exec:"):
        raise DataError(f"{path}: the prompt {named:.60} is not fetched or run. Write its text into a file.")
    bare = "\n" not in one and "{{" not in one
    if one.startswith(FILE) or (bare and re.search(r"\.\w{2,5}(:\w+)?$", named) and " " not in named):
        for file in _files(named, path):
            yield from _file_texts(file)
    else:
        yield _checked(one, path), _chat(one), path


def _files(named: str, path: Path) -> list[Path]:
    files = sorted(path.parent.glob(named)) if any(mark in named for mark in "*?[") else [path.parent / named]
    missing = next((file for file in files if not file.is_file() and ":" not in file.name), None)
    if missing or not files:
        raise DataError(f"{path}: the prompt file {missing or named} is missing.")
    return files


def _file_texts(file: Path) -> Iterator[tuple[str, bool, Path]]:
    kind = file.suffix.lower()
    if kind in (".csv", ".jsonl", ".tsv"):
        raise DataError(f"{file}: prompts are not read from tables. Write each into a text file.")
    if kind not in (*_TEXTS, ".json", ".yaml", ".yml"):
        raise DataError(f"{file}: a prompt that is a program is not run. Write out the text it gives.")
    if kind in (".yaml", ".yml"):
        messages = typed(parse(file))
        text = json.dumps(messages, ensure_ascii=False)
        if not isinstance(messages, list):
            raise DataError(f"{file}: a prompt in YAML is a list of messages with role and content.")
        yield _checked(text, file), True, file
        return
    text = decode(file)
    parts = re.split(r"(?m)^---[ \t]*$\n?", text) if kind in (".txt", "") else [text]
    yield from ((_checked(part.strip("\n"), file), _chat(part), file) for part in parts if part.strip())


def _chat(text: str) -> bool:
    start = text.lstrip()
    return (start.startswith("[") and '"role"' in text) or (start.startswith("{") and '"messages"' in text)


def _checked(text: str, path: Path) -> str:
    """The text, refused where it holds template logic: a row only fills in variables here."""
    variables.plain(text, str(path))
    return text


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Decoding of the first provider that configures any."""
    providers = values.get("providers") or values.get("targets") or ()
    for one in [providers] if isinstance(providers, Mapping) else providers:
        if isinstance(one, Mapping):
            inner = one if "config" in one or "id" in one else next(iter(one.values()), {})
            config = (inner.get("config") if isinstance(inner, Mapping) else None) or {}
            if config:
                keys = ("temperature", "max_tokens", "stop", "response_format")
                return {key: typed(config[key]) for key in keys if key in config}
    return {}
