"""The prompt as files: plain text, chat messages, slots. The row's place in them is a placeholder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from whichway.nouns import Candidate, Message, Prompt, to_json
from whichway.prompts import template
from whichway.prompts.template import placeholder


def turns(prompt: Prompt) -> tuple[Message, ...]:
    """The chat messages, with the placeholder where the row's text goes."""
    return template.messages(prompt, placeholder(prompt))


def prompt_files(prompt: Prompt) -> dict[str, Any]:
    """File name -> content: text for `.txt`, JSON values for `.json`."""
    messages = turns(prompt)
    return {
        "prompt.txt": template.plain(messages),
        "messages.json": {"placeholder": placeholder(prompt), "messages": to_json(messages)},
        "prompt.json": to_json(prompt),
    }


def request_body(candidate: Candidate, labels: Sequence[str]) -> dict[str, Any]:
    """The whole question as the body of a chat-completions request, for any client of `whichway serve`.

    Args:
        candidate: a prompt on a model as it is; trained parts are asked for by their own model id.
        labels: of a closed task, in the task's order.
    """
    decoding = candidate.decoding
    body: dict[str, Any] = {"model": "base", "messages": to_json(turns(candidate.prompt))}
    if decoding.mode == "generate":
        return {**body, "max_tokens": decoding.max_tokens, "temperature": decoding.temperature}
    body["structured_outputs"] = {"choice": list(labels)}
    return {**body, "choice_bias": dict(decoding.bias)} if decoding.bias else body
