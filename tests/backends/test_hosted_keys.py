"""Keys of hosted models: from the environment or a keyring, said by name only; what `whichway models` says of them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from endpoint_kit import KEY, Endpoint, serving, shelf

from whichway.backends._openai import keys
from whichway.backends.openai import OpenAIBackend
from whichway.cli import main
from whichway.errors import ModelError
from whichway.nouns import Decoding, Message, Request


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    """A keyring in place of the package `keyring`, and no key in the environment."""
    secrets: dict[tuple[str, str], str] = {}
    monkeypatch.delenv("FAKE_KEY", raising=False)
    monkeypatch.setitem(sys.modules, "keyring", SimpleNamespace(get_password=lambda *name: secrets.get(name)))
    return secrets


def test_a_key_of_the_keyring_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keyring: dict[tuple[str, str], str]
) -> None:
    monkeypatch.chdir(tmp_path)
    backend = OpenAIBackend()
    endpoint = Endpoint()
    with serving(endpoint) as address:
        shelf(tmp_path, address)
        weights = backend.weights("there")
        with pytest.raises(ModelError, match="keyring set whichway FAKE_KEY"):
            backend.check(weights)
        keyring["whichway", "FAKE_KEY"] = f"{KEY}\n"
        backend.check(weights)
        with backend.open(weights, None) as session:
            replies = session.generate([Request((Message("user", "my parcel"),), Decoding("generate"))])
    assert replies[0].text == "delivery", "the server refuses every other key"


def test_the_environment_goes_before_the_keyring(
    monkeypatch: pytest.MonkeyPatch, keyring: dict[tuple[str, str], str]
) -> None:
    keyring["whichway", "FAKE_KEY"] = "sk-of-the-keyring"
    assert (keys.find("FAKE_KEY"), keys.place_of("FAKE_KEY")) == ("sk-of-the-keyring", "keyring")
    monkeypatch.setenv("FAKE_KEY", "sk-of-the-environment")
    assert (keys.find("FAKE_KEY"), keys.place_of("FAKE_KEY")) == ("sk-of-the-environment", "environment")


def test_a_keyring_that_is_locked_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*name: str) -> str:
        raise RuntimeError("the keyring is locked")

    monkeypatch.delenv("FAKE_KEY", raising=False)
    monkeypatch.setitem(sys.modules, "keyring", SimpleNamespace(get_password=locked))
    assert keys.place_of("FAKE_KEY") == ""
    with pytest.raises(ModelError, match="the key FAKE_KEY is not set"):
        keys.find("FAKE_KEY")


def test_models_says_what_is_known_and_never_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, keyring: dict[tuple[str, str], str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shelf(tmp_path, "http://localhost:9/v1", capabilities=["structured", "seed"], retires="2027-03-01")
    assert main(["models"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("--model there"))
    assert line == "--model there  at http://localhost:9/v1; key FAKE_KEY not set; price there; structured, seed"
    monkeypatch.setenv("FAKE_KEY", KEY)
    keyring["whichway", "OPENAI_API_KEY"] = KEY
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for word, facts in (
        ("there", ("fake-model, asked by chat", "FAKE_KEY set (environment)", "$1 new, $0.5 cached, $4 out per million",
                   "structured, seed", "2027-03-01", "leave this machine")),
        ("openai:some-model", ("OPENAI_API_KEY set (keyring)", "not known (no entry some-model)", "found out by")),
    ):  # fmt: skip
        assert main(["models", "show", word]) == 0
        out = capsys.readouterr().out
        assert [fact for fact in facts if fact not in out] == []
        assert KEY not in out
