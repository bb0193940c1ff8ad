"""The price file: dated, the user's to edit; the one that ships is used where there is no other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whichway.errors import DataError, OptionError, did_you_mean

if TYPE_CHECKING:
    from whichway.verdict.breakeven import Price

OWN = Path("prices.yaml")  # the user's, in the working folder


@dataclass(frozen=True, slots=True)
class Prices:
    """What a price file holds."""

    path: Path
    as_of: str
    machine_usd_per_hour: float
    entries: Mapping[str, Price]

    def need(self, name: str) -> Price:
        """An entry by name.

        Raises:
            OptionError: there is none.
        """
        if name not in self.entries:
            known = did_you_mean(name, self.entries) if self.entries else f" {self.path} has no entries: add one."
            raise OptionError(f"there is no price '{name}' in {self.path}.{known}")
        return self.entries[name]


def load(path: Path | None = None) -> Prices:
    """Read a price file: the named one, else ./prices.yaml, else the one that ships.

    Raises:
        DataError: it is missing or not of the form of the one that ships.
    """
    import yaml

    import whichway

    chosen = path or (OWN if OWN.exists() else Path(whichway.__file__).parent / "prices.yaml")
    try:
        data = yaml.safe_load(chosen.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{chosen} is missing. Give a price file with --prices, or leave it out.") from None
    except yaml.YAMLError as error:
        raise DataError(f"{chosen} is no YAML: {error}") from error
    return _checked(chosen, data)


def _checked(path: Path, data: Any) -> Prices:
    from pydantic import BaseModel, ConfigDict, Field, ValidationError

    from whichway.verdict.breakeven import Price

    class Entry(BaseModel):
        model_config = ConfigDict(extra="forbid")
        new: float = Field(ge=0)
        cached: float = Field(ge=0)
        out: float = Field(ge=0)
        as_of: Any = ""
        training: float | None = Field(None, ge=0)
        tuned: str = ""

    class File(BaseModel):
        model_config = ConfigDict(extra="forbid")
        as_of: Any
        machine_usd_per_hour: float = Field(ge=0)
        entries: dict[str, Entry] = Field(default_factory=dict)

    try:
        file = File.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(f"{path}: {where}: {first['msg']}. See the price file that ships for the form.") from error
    plain = {name: Price(name, e.new, e.cached, e.out, str(e.as_of or file.as_of)) for name, e in file.entries.items()}
    for name, entry in file.entries.items():
        if entry.tuned and entry.tuned not in plain:
            raise DataError(f"{path}: entries.{name}.tuned: there is no entry '{entry.tuned}'.")
    entries = {
        name: replace(plain[name], training=e.training, tuned=plain[e.tuned] if e.tuned else None)
        for name, e in file.entries.items()
    }
    return Prices(path, str(file.as_of), file.machine_usd_per_hour, entries)
