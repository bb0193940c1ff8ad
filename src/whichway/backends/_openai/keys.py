"""Keys: read when a client is made, from the environment or a keyring, and blotted out of every message."""

from __future__ import annotations

import importlib
import os
import re

from whichway.errors import ModelError

SERVICE = "whichway"  # under which a keyring keeps them
BLOT = "[key]"
_LIKE_A_KEY = re.compile(r"\b(?:sk|gsk|pk|key|Bearer)[-_ ][A-Za-z0-9*_\-.]{8,}")


def find(name: str) -> str:
    """The key of a name: the environment variable, else the keyring's entry of the service "whichway".

    Raises:
        ModelError: neither has it.
    """
    key = os.environ.get(name) or _of_keyring(name)
    if not key:
        raise ModelError(
            f"the key {name} is not set. Put it into the environment (export {name}=...), or into the keyring: "
            f"keyring set {SERVICE} {name}"
        )
    return key.strip()


def place_of(name: str) -> str:
    """Where the key of a name is found: "environment" or "keyring"; "" where neither has it."""
    if os.environ.get(name):
        return "environment"
    return "keyring" if _of_keyring(name) else ""


def _of_keyring(name: str) -> str | None:
    """What the package `keyring` holds, where it is installed and works."""
    try:
        key = importlib.import_module("keyring").get_password(SERVICE, name)
    except Exception:  # not installed, or no keyring on this machine: it goes without
        return None
    return str(key) if key else None


def blotted(text: str, key: str) -> str:
    """A message of an endpoint without the key, and without what looks like one: some repeat the key that was sent."""
    shown = text.replace(key, BLOT) if key else text
    return _LIKE_A_KEY.sub(BLOT, shown)
