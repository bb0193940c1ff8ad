"""The chat messages that ask this folder's prompt of one row. Needs nothing but Python.

It is shipped as `row_messages.py` and does not import whichway. `messages.json` beside it is the prompt, with a
placeholder where the row goes; `manifest.json` says what a row is. Where worked examples are chosen for each row, it
asks `tfidf.py` or `sentence_encoder.py`, which then lie beside it.

    messages = RowMessages(folder)("where is my parcel?")
"""

from __future__ import annotations

import json
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any


class RowMessages:
    """The shipped prompt; called with a row, it gives the messages.

    Args:
        folder: where `messages.json` and `manifest.json` lie.
    """

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or Path(__file__).parent
        self.facts = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        description = json.loads((folder / "messages.json").read_text(encoding="utf-8"))
        self.turns, self.mark = description["messages"], description["placeholder"]
        self.label = description.get("label", "")
        self.variables, self.own = description.get("variables", {}), description.get("own", 1)
        self.first, self.pool = description.get("first", ""), description.get("pool", [])
        self.near, self.room = description.get("nearest", 0), description.get("shot_characters", 0)
        self.fold = description.get("fold", False)  # the model's chat template takes no system message
        if self.pool:
            by = "sentence_encoder" if (folder / "sentence_encoder.py").is_file() else "tfidf"
            spec = spec_from_file_location(by, folder / f"{by}.py")
            assert spec is not None
            assert spec.loader is not None
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            self.index = module.Index([shot["text"] for shot in self.pool])

    def __call__(self, row: Any) -> list[dict[str, Any]]:
        """The chat messages for one row."""
        whole, fields, talk = read(row, self.facts)
        talk = [] if self.label else talk  # texts are scored under labels as wholes
        own = [turn for turn in talk[:1] if turn["role"] == "system"]
        last = talk[-1]["content"] if talk else whole
        earlier = [{**turn, "earlier": True} for turn in talk[len(own) : -1]]
        turns = [{**turn, "content": self.filled(turn["content"], last, fields)} for turn in self.turns]
        turns[-1:-1] = earlier
        behind = 2 if self.label else self.own + len(earlier)
        turns[len(turns) - behind : len(turns) - behind] = self.shots(whole)
        if own and turns[0]["role"] == "system":
            turns[0] = {**turns[0], "content": f"{turns[0]['content']}\n\n{own[0]['content']}"}
        elif own:
            turns.insert(0, own[0])
        if self.first:
            place = next(n for n, turn in enumerate(turns) if turn["role"] == "user" and not turn.get("earlier"))
            turns[place] = {**turns[place], "content": f"{self.first}\n\n{turns[place]['content']}"}
        return folded(turns) if self.fold else turns

    def filled(self, text: str, last: str, fields: dict[str, str]) -> str:
        """A message of the prompt with the row in it; what is put in is not read again."""
        values = {self.mark: last, **{mark: fields.get(name, last) for name, mark in self.variables.items()}}
        return re.sub("|".join(map(re.escape, values)), lambda match: values[match.group()], text)

    def shots(self, text: str) -> list[dict[str, str]]:
        """The worked examples that are chosen for one row, the most similar last, as turns."""
        if not self.pool:
            return []
        chosen = self._fitting([self.pool[place] for place in self.index.nearest(text, self.near)])[::-1]
        turns: list[dict[str, str]] = []
        for shot in chosen:
            turns += [*shot.get("before", []), {"role": "user", "content": shot["asked"]}]
            turns.append({"role": "assistant", "content": shot["answer"]})
        return turns

    def _fitting(self, shots: list[dict[str, str]]) -> list[dict[str, str]]:
        """Those for which there is room, in their order."""
        room, chosen = self.room, []
        for shot in shots:
            size = len(shot["text"]) + len(shot["answer"])
            if not self.room or size <= room:
                room -= size
                chosen.append(shot)
        return chosen


def read(row: Any, facts: dict[str, Any]) -> tuple[str, dict[str, str], list[dict[str, str]]]:
    """A row as one text, its fields, and the turns of its conversation where it is one.

    Args:
        row: a text, an object with the fields, or a list of messages; the latter two also as JSON.
        facts: what `manifest.json` says.
    """
    names = facts.get("fields") or ["text"]
    several = len(names) > 1
    if isinstance(row, str) and (several or (facts.get("conversation") and row.lstrip()[:1] in ("[", "{"))):
        row = json.loads(row)
    if isinstance(row, dict) and "messages" in row and facts.get("conversation"):
        row = row["messages"]
    if isinstance(row, list):
        talk = [turn for turn in row if turn["role"] != "system"]
        whole = transcript(talk)
        column = next((name for name in names if name != "system"), "input")
        fields = {"system": "\n\n".join(t["content"] for t in row if t["role"] == "system"), column: whole}
        known = {name: fields[name] for name in names if name in fields}
        text = lines(known) if len(known) > 1 else whole
        return text, {**fields, column: talk[-1]["content"]}, row
    if isinstance(row, dict):
        fields = {name: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for name, v in row.items()}
        known = {name: fields[name] for name in names}
        return (lines(known) if len(known) > 1 else fields[names[0]]), fields, []
    return row, {names[0]: row}, []


def bare_text(row: Any, facts: dict[str, Any]) -> str:
    """A row as what is asked by no prompt reads it: of a conversation its turns, no system message of its own."""
    text, _, talk = read(row, facts)
    turns = [turn for turn in talk if turn["role"] != "system"]
    return transcript(turns) if turns else text


def transcript(talk: list[dict[str, str]]) -> str:
    """A conversation as one text, as it was compared with others."""
    return talk[0]["content"] if len(talk) == 1 else lines((turn["role"], turn["content"]) for turn in talk)


def lines(pairs: Any) -> str:
    """Names and values, one line each."""
    return "\n".join(f"{name}: {value}" for name, value in (pairs.items() if isinstance(pairs, dict) else pairs))


def folded(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Turns without a system role: the text of a system message goes in front of the next user turn."""
    first, *rest = turns
    if first["role"] != "system":
        return turns
    return [{**rest[0], "content": f"{first['content']}\n\n{rest[0]['content']}"}, *rest[1:]]


def plain(turns: list[dict[str, Any]]) -> str:
    """Turns as plain text that ends where the answer starts, for models without a chat template."""
    names = {"user": "Input: ", "assistant": "Answer: ", "system": ""}
    return "\n\n".join(names[turn["role"]] + turn["content"] for turn in turns) + "\n\nAnswer:"
