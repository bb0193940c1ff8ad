"""The form of models.yaml, as pydantic checks it."""

from __future__ import annotations

from datetime import date
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _inside(name: str) -> str:
    """A path that stays inside the folder that it is joined to."""
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name:
        raise ValueError(f"'{name}' leads out of its folder")
    return name


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


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


class Terms(BaseModel):
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
    terms: Terms | None = None
    sources: tuple[SourceFile, ...] = ()
    built_in: bool = False

    @model_validator(mode="after")
    def _has_source(self) -> EntryFile:
        if self.built_in == bool(self.sources):
            raise ValueError("a model needs at least one source")
        return self


class ShelfFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid")

    as_of: date
    default: str = ""
    encoder: str = ""
    models: dict[Name, EntryFile]
