"""The prompt as files: plain text, chat messages, slots. The row's place in them is a placeholder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from whichway.nouns import Candidate, Message, Prompt, Shot, to_json
from whichway.prompts import answer_extraction, template, tfidf
from whichway.prompts.template import own_turns, placeholder, placeholders
from whichway.ship import standalone_encoder

ENCODER = "sentence_encoder.py"  # finds the shots most like a row, as the contest did


def turns(candidate: Candidate) -> tuple[Message, ...]:
    """The chat messages as they are shown, with the placeholder where the row's text goes."""
    return template.outline(candidate.prompt, candidate.decoding.channel)


def plain_text(candidate: Candidate) -> str:
    """The messages for models without a chat template."""
    messages = turns(candidate)
    if not candidate.decoding.channel:
        return template.plain(messages)
    return f"{template.plain(messages[:-1])} {messages[-1].content}"


def prompt_files(candidate: Candidate) -> dict[str, Any]:
    """File name -> content: text for `.txt` and `.py`, JSON values for `.json`.

    A part of our code that a shipped prompt needs goes along as it is: it needs nothing but Python.
    """
    prompt, decoding = candidate.prompt, candidate.decoding
    files: dict[str, Any] = {"prompt.txt": plain_text(candidate), "prompt.json": to_json(prompt)}
    if not prompt.pool:
        plain = {"placeholder": placeholder(prompt), "messages": to_json(turns(candidate))}
        description: dict[str, Any] = {**plain, **_filled_in(prompt)}
    else:
        description = chosen_for_each(prompt, decoding.channel)
        files |= {"tfidf.py": _code(tfidf)} if prompt.encoder is None else {ENCODER: _code(standalone_encoder)}
    if decoding.channel:
        description["label"] = placeholder(prompt, "label")
    files["messages.json"] = description
    if decoding.answer_mark or decoding.votes > 1:
        files["answer_extraction.py"] = _code(answer_extraction)
    return files


def chosen_for_each(prompt: Prompt, channel: bool = False) -> dict[str, Any]:
    """A prompt whose shots are chosen for each row, so that `use.py` can: they go before the row's own messages.

    `first` goes in front of whatever the first message then is. The pool has each shot's text to compare, and its two
    messages as they are sent.
    """
    head = (template.channel_instructions if channel else template.instructions)(prompt)
    render = template.channel_render_with_shots if channel else template.render_with_shots
    messages = render(replace(prompt, layout="system"), template.stand_in(prompt), prompt.shots)
    if channel:
        messages = template.with_label(messages, placeholder(prompt, "label"))
    in_system = prompt.layout == "system" or not head
    pool = [_pooled(prompt, shot, channel) for shot in prompt.pool]
    return {
        **_filled_in(prompt),
        "placeholder": placeholder(prompt),
        "messages": to_json(messages if in_system else messages[1:]),
        "first": "" if in_system else head,
        "nearest": prompt.nearest,
        **({"shot_characters": prompt.shot_characters} if prompt.shot_characters else {}),
        "pool": pool,
    }


def _filled_in(prompt: Prompt) -> dict[str, Any]:
    """What `use.py` must know of a prompt that names variables: their places, and which messages are the row's."""
    return {"variables": placeholders(prompt), "own": own_turns(prompt)} if prompt.variables else {}


def _pooled(prompt: Prompt, shot: Shot, channel: bool) -> dict[str, Any]:
    """A shot with its text to compare, and its messages as they are sent."""
    if channel:
        return {"text": shot.text, "asked": shot.answer, "answer": template.wrapped(shot.text, prompt.form.wrap)}
    *before, question = template.shot_turns(prompt, shot)
    earlier = {"before": to_json(before)} if before else {}
    return {"text": shot.text, "asked": question.content, "answer": shot.answer, **earlier}


def _code(module: ModuleType) -> str:
    return Path(str(module.__file__)).read_text(encoding="utf-8")


def request_body(candidate: Candidate, labels: Sequence[str]) -> dict[str, Any]:
    """The whole question as the body of a chat-completions request, for any client of `whichway serve`.

    Args:
        candidate: a prompt on a model as it is; trained parts are asked for by their own model id.
        labels: of a closed task, in the task's order.
    """
    decoding = candidate.decoding
    body: dict[str, Any] = {"model": "base", "messages": to_json(turns(candidate))}
    if decoding.mode == "generate":
        several = {"n": decoding.votes} if decoding.votes > 1 else {}
        return {**body, "max_tokens": decoding.max_tokens, "temperature": decoding.temperature, **several}
    body["structured_outputs"] = {"choice": list(labels)}
    return {**body, "choice_bias": dict(decoding.bias)} if decoding.bias else body


def placeholder_of(candidate: Candidate) -> str:
    """The row's place in the shipped messages."""
    return placeholder(candidate.prompt)
