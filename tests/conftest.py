"""What tests of several rooms ask for: tiny random models of each architecture, built once; a browser."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_tokenizer import CHATML, NO_SYSTEM, WITH_BOS, tiny_tokenizer

ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma", "gpt2")


def _model(kind: str, vocab: int) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    wide = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    sizes: dict[str, Any] = {
        "llama": {**wide, "num_key_value_heads": 2, "max_position_embeddings": 512},
        "qwen2": {**wide, "num_key_value_heads": 2, "max_position_embeddings": 512},
        "qwen3": {**wide, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 512},
        "gemma": {**wide, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 512},
        "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512},
    }
    config = AutoConfig.for_model(kind, vocab_size=vocab, bos_token_id=0, eos_token_id=1, pad_token_id=1, **sizes[kind])
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = AutoModelForCausalLM.from_config(config)
        for name, parameter in model.named_parameters():
            # Larger than the usual start, so that attention and answers depend on what is read.
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.15 if "embed" not in name and "wte" not in name else 0.3)
            elif "bias" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    return model


USERS_CACHE = os.environ.get("WHICHWAY_MODELS")


@pytest.fixture(scope="session", autouse=True)
def empty_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model cache in which nothing was fetched: tests neither need nor change the user's."""
    folder = tmp_path_factory.mktemp("model-cache")
    os.environ["WHICHWAY_MODELS"] = str(folder)
    return folder


@pytest.fixture(autouse=True)
def users_cache(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow tests see the user's model cache, which may hold real models."""
    if request.node.get_closest_marker("slow") is None:
        return
    if USERS_CACHE is None:
        monkeypatch.delenv("WHICHWAY_MODELS")
    else:
        monkeypatch.setenv("WHICHWAY_MODELS", USERS_CACHE)


@pytest.fixture(scope="session")
def one_thread() -> None:
    """Tiny products on several threads cost more than they give, above all beside other processes."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`tiny("llama")` is the folder of a random Llama; also "base" (no chat template), "nosystem", "bos" (Llamas)."""
    root, made = tmp_path_factory.mktemp("models"), {}

    def make(kind: str) -> Path:
        if kind not in made:
            template = {"base": None, "nosystem": NO_SYSTEM, "bos": WITH_BOS}.get(kind, CHATML)
            tokenizer = tiny_tokenizer(template)
            model = _model(kind if kind in ARCHITECTURES else "llama", len(tokenizer))
            model.save_pretrained(root / kind)
            tokenizer.save_pretrained(root / kind)
            made[kind] = root / kind
        return made[kind]

    return make


@pytest.fixture(scope="session")
def encoder(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random BERT: a sentence encoder that tells texts apart by their letters."""
    import torch
    from transformers import AutoConfig, AutoModel

    folder, tokenizer = tmp_path_factory.mktemp("encoder") / "tiny-bert", tiny_tokenizer(None)
    tokenizer.pad_token = "<|eos|>"
    config = AutoConfig.for_model(
        "bert", vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=128, pad_token_id=1,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = AutoModel.from_config(config)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def opened(tiny: Callable[[str], Path]) -> Callable[[str], Any]:
    """`opened("llama")` is the tiny Llama as the engine loads it, once per session; leave it as it is."""
    from whichway.engine.model import load

    return functools.cache(lambda kind: load.load(tiny(kind)))


@pytest.fixture(params=ARCHITECTURES)
def model(request: pytest.FixtureRequest, opened: Callable[[str], Any]) -> Any:
    """A loaded model of each architecture in turn; leave it as it is."""
    return opened(request.param)


@pytest.fixture(params=ARCHITECTURES)
def folder(request: pytest.FixtureRequest, tiny: Callable[[str], Path]) -> Path:
    """A model folder of each architecture in turn."""
    return tiny(request.param)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real Chromium; without one, or without the package playwright, the test is left out."""
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()
