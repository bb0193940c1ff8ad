"""How nouns become JSON and come back, and the digest of their content."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from whichway.errors import UserError

T = TypeVar("T")


def to_json(noun: Any) -> Any:
    """Plain JSON types for a noun, field by field, tuples as lists."""
    kind = type(noun)
    if kind in _PLAIN:
        return noun
    if kind is tuple or kind is list:
        return [to_json(v) for v in noun]
    if dataclasses.is_dataclass(kind):
        late = _late(kind)
        items = ((name, getattr(noun, name)) for name in _field_names(kind))
        return {name: to_json(value) for name, value in items if name not in late or (value and value != late[name])}
    if isinstance(noun, Mapping):
        return {str(k): to_json(v) for k, v in noun.items()}
    return noun


def from_json(kind: type[T], data: Any) -> T:
    """A noun (or another dataclass) from its JSON, checked; keys that it does not have are left out.

    Raises:
        UserError: the data are not what `to_json` writes for it.
    """
    from pydantic import ValidationError

    try:
        value: T = _adapter(kind).validate_python(data)  # type: ignore[arg-type]  # classes are hashable
        return value
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"a {kind.__name__.lower()} in the run folder is damaged or of another version "
            f"({at}: {first['msg']}). Run the contest again."
        ) from error


@cache
def _adapter(kind: type[Any]) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


_PLAIN = frozenset({str, int, float, bool, type(None)})


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(kind))


@cache
def _late(kind: type) -> Mapping[str, Any]:
    """Fields that came later, with their defaults: left out while they are at it or empty, so that digests stay."""
    return {f.name: f.default for f in dataclasses.fields(kind) if f.metadata.get("late")}


LATE = {"late": True}  # metadata of such a field


def canonical(value: Any) -> str:
    """The one JSON spelling of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(to_json(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any, size: int = 16) -> str:
    """Hex digest of a value's content, `size` characters."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:size]
