"""Find what plugs in: the modules of a package by their file names, and other packages' entry points."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from whichway.errors import OptionError, did_you_mean


class Plugins(Mapping[str, Any]):
    """Name -> module or object. All names are known at once; each is imported when it is asked for.

    Args:
        package: its modules are built in; names that start with an underscore are not.
        group: the entry-point group of other packages; theirs never replace a built-in one.
    """

    def __init__(self, package: str, group: str) -> None:
        self.what = package.rpartition(".")[2].removesuffix("s")
        self._package = package
        self._own = [
            m.name for m in pkgutil.iter_modules(importlib.import_module(package).__path__) if m.name[0] != "_"
        ]
        self._foreign: dict[str, EntryPoint] = {e.name: e for e in entry_points(group=group) if e.name not in self._own}

    def __getitem__(self, name: str) -> Any:
        if name in self._own:
            return importlib.import_module(f"{self._package}.{name}")
        if name not in self._foreign:
            raise KeyError(name)
        try:
            return self._foreign[name].load()
        except Exception as error:  # another package's code: anything can happen
            target = self._foreign[name].value
            raise OptionError(f"{self.what} '{name}' from '{target}' cannot be loaded: {error}") from error

    def __iter__(self) -> Iterator[str]:
        return iter(sorted([*self._own, *self._foreign]))

    def __len__(self) -> int:
        return len(self._own) + len(self._foreign)

    def need(self, name: str) -> Any:
        """Like `[]`, with a message for the user.

        Raises:
            OptionError: no such name.
        """
        if name not in self:
            raise OptionError(f"there is no {self.what} '{name}'.{did_you_mean(name, self)}")
        return self[name]

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._foreign
