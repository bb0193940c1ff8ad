"""The forms in which a winner leaves, one per file, found by file name: a new form is one new file.

A form is a module with `NAME` (the user's word), `SUMMARY`, `RUNTIME` (what starts it in the check, see `ship.parity`),
`fits(source)`, `write(export, folder)` and `use(source)`. Files that begin with an underscore hold what forms share.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from whichway.contracts import Backend
from whichway.errors import OptionError, UserError, did_you_mean
from whichway.runs.run import Run
from whichway.ship.source import ShipSource

ALL = "all"
DEFAULT = "folder"


@dataclass(frozen=True, slots=True)
class Export:
    """What a form is given: the candidate, its run, and the backends that know where models lie."""

    source: ShipSource
    run: Run
    backends: Mapping[str, Backend]


class ShipForm(Protocol):
    """A module of this package."""

    NAME: str
    SUMMARY: str  # a line for lists
    RUNTIME: str  # what starts it in the check

    def fits(self, source: ShipSource) -> str:
        """Why the candidate cannot leave in this form; "" where it can."""
        ...

    def write(self, export: Export, folder: Path) -> None:
        """Write the form's files into an empty folder; card and manifest are written by the caller.

        Raises:
            UserError: it cannot be done after all; says why.
        """
        ...

    def use(self, source: ShipSource) -> Sequence[str]:
        """Lines of the card: how it is used."""
        ...


@functools.cache
def known() -> Mapping[str, ShipForm]:
    """Name -> form."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name[0] != "_")
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return {module.NAME: module for module in modules}


def misfit(form: ShipForm, source: ShipSource) -> str:
    """Why a candidate cannot leave in a form; "" where it can."""
    if source.next_stage is not None and form.NAME != DEFAULT:
        return "it is a cascade of two candidates, and this form holds one"
    return form.fits(source)


def fitting(source: ShipSource) -> list[str]:
    """Names of the forms in which a candidate can leave."""
    return [name for name, form in known().items() if not misfit(form, source)]


def chosen(words: Sequence[str], source: ShipSource) -> tuple[list[ShipForm], dict[str, str]]:
    """The forms that a user names, and which of `all` were left out, with the reason.

    Args:
        words: names of forms, or "all": each that fits.
        source: the candidate.

    Raises:
        OptionError: no name, or an unknown one.
        UserError: a form that does not fit the candidate; names those that do.
    """
    forms: dict[str, ShipForm] = {}
    left_out: dict[str, str] = {}
    if not words:
        raise OptionError(f"no form is named. What fits {source.candidate.way}: {', '.join(fitting(source))}.")
    for word in words:
        if word != ALL and word not in known():
            raise OptionError(f"there is no form '{word}'.{did_you_mean(word, [*known(), ALL])}")
        for name in known() if word == ALL else [word]:
            reason = misfit(known()[name], source)
            if not reason:
                forms[name] = known()[name]
            elif word == ALL:
                left_out[name] = reason
            else:
                raise UserError(
                    f"{source.candidate.way} cannot leave as {name}: {reason}. "
                    f"What fits it: {', '.join(fitting(source))}."
                )
    return list(forms.values()), left_out
