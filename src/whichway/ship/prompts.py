"""The prompt as files: plain text, chat messages, slots. The row's place in them is a placeholder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from whichway.nouns import Candidate, Message, Prompt, to_json
from whichway.prompts import answer_extraction, template, tfidf
from whichway.prompts.template import placeholder
from whichway.ship import standalone_encoder

ENCODER = "sentence_encoder.py"  # finds the shots most like a row, as the contest did


def turns(prompt: Prompt) -> tuple[Message, ...]:
    """The chat messages as they are shown, with the placeholder where the row's text goes."""
    return template.outline(prompt)


def prompt_files(candidate: Candidate) -> dict[str, Any]:
    """File name -> content: text for `.txt` and `.py`, JSON values for `.json`.

    A part of our code that a shipped prompt needs goes along as it is: it needs nothing but Python.
    """
    prompt, decoding = candidate.prompt, candidate.decoding
    files: dict[str, Any] = {"prompt.txt": template.plain(turns(prompt)), "prompt.json": to_json(prompt)}
    if not prompt.pool:
        asked = turns(prompt)
        files["messages.json"] = {"placeholder": placeholder(prompt), "messages": to_json(asked)}
    else:
        index = {"tfidf.py": _code(tfidf)} if prompt.encoder is None else {ENCODER: _code(standalone_encoder)}
        files |= {"messages.json": chosen_for_each(prompt), **index}
    if decoding.answer_mark or decoding.votes > 1:
        files["answer_extraction.py"] = _code(answer_extraction)
    return files


def chosen_for_each(prompt: Prompt) -> dict[str, Any]:
    """A prompt whose shots are chosen for each row, so that `use.py` can: they go before the last message.

    `first` goes in front of whatever the first message then is. The pool has each shot's text to compare, and its two
    messages as they are sent.
    """
    head = template.instructions(prompt)
    asked = template.laid_out(replace(prompt, layout="system"), placeholder(prompt), prompt.shots)
    in_system = prompt.layout == "system" or not head
    pool = [
        {"text": shot.text, "asked": template.wrapped(shot.text, prompt.form.wrap), "answer": shot.answer}
        for shot in prompt.pool
    ]
    return {
        "placeholder": placeholder(prompt),
        "messages": to_json(asked if in_system else asked[1:]),
        "first": "" if in_system else head,
        "nearest": prompt.nearest,
        **({"shot_characters": prompt.shot_characters} if prompt.shot_characters else {}),
        "pool": pool,
    }


def _code(module: ModuleType) -> str:
    return Path(str(module.__file__)).read_text(encoding="utf-8")


def request_body(candidate: Candidate, labels: Sequence[str]) -> dict[str, Any]:
    """The whole question as the body of a chat-completions request, for any client of `whichway serve`.

    Args:
        candidate: a prompt on a model as it is; trained parts are asked for by their own model id.
        labels: of a closed task, in the task's order.
    """
    decoding = candidate.decoding
    body: dict[str, Any] = {"model": "base", "messages": to_json(turns(candidate.prompt))}
    if decoding.mode == "generate":
        several = {"n": decoding.votes} if decoding.votes > 1 else {}
        return {**body, "max_tokens": decoding.max_tokens, "temperature": decoding.temperature, **several}
    body["structured_outputs"] = {"choice": list(labels)}
    return {**body, "choice_bias": dict(decoding.bias)} if decoding.bias else body
