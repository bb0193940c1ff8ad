"""What a user's word for a model behind an API means. Nothing is sent from here, and no key is read."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from whichway.errors import ModelError
from whichway.models import shelf
from whichway.models.shelf import HostedEndpoint
from whichway.models.shelf_file import plain_address

OPENAI = "openai:"  # the word starts with it: a model of OpenAI's own, or of what OPENAI_BASE_URL names
EXAMPLE = "http://localhost:8000/v1"
DEFAULT_URL = "https://api.openai.com/v1"
OPENAI_KEY = "OPENAI_API_KEY"
OTHER_KEY = "ENDPOINT_API_KEY"  # of an address that is named on the command line; OpenAI's key is never sent to others


def find(word: str) -> HostedEndpoint | None:
    """The endpoint of `openai:NAME`, `NAME@http://host/v1` or a name of models.yaml; None for other words.

    Raises:
        ModelError: an address that cannot be one, or that holds a key.
    """
    if word in shelf.load().endpoints:
        return shelf.load().endpoints[word]
    if word.startswith(OPENAI):
        name = word.removeprefix(OPENAI).strip()
        if not name:
            raise ModelError("openai: name the model after the colon, such as openai:NAME.")
        address = _address(os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL, "OPENAI_BASE_URL")
        return HostedEndpoint(word, name, address, OPENAI_KEY, limit="max_completion_tokens")
    match = re.fullmatch(r"(.*?)@(https?://.*)", word)
    if match is None:
        return None
    name, address = match.groups()
    if not name:
        raise ModelError(f"name the model before the @, such as NAME@{EXAMPLE}.")
    return HostedEndpoint(word, name, _address(address, name), OTHER_KEY if os.environ.get(OTHER_KEY) else "")


def short_name(word: str) -> str:
    """What a run calls a model behind an API: its name without the address."""
    endpoint = find(word)
    return word if endpoint is None or endpoint.word in shelf.load().endpoints else endpoint.model


def host(endpoint: HostedEndpoint) -> str:
    """Whose machine it is."""
    return urlsplit(endpoint.base_url).hostname or ""


def on_this_machine(endpoint: HostedEndpoint) -> bool:
    """Whether its address is this machine's own; what listens there may still pass on what it gets."""
    return host(endpoint) in ("localhost", "127.0.0.1", "::1")


def _address(address: str, where: str) -> str:
    try:
        return plain_address(address)
    except ValueError as error:
        raise ModelError(f"{where}: {error}.") from None
