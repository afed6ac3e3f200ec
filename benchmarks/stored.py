"""Is a JSON value of the type that an annotation says? For files that somebody may have edited."""

from __future__ import annotations

import math
from types import UnionType
from typing import Any, get_args, get_origin


def agrees(value: Any, kind: Any) -> bool:
    """Whether ``value`` is of ``kind``: float, int, str, bool, None, Any, list, dict, or a union.

    A float is finite, and may be written as an integer.
    """
    if kind is Any:
        return True
    if isinstance(kind, UnionType):
        return any(agrees(value, one) for one in get_args(kind))
    inner = get_args(kind)
    match get_origin(kind) or kind:
        case container if container is list:
            return isinstance(value, list) and all(agrees(item, inner[0]) for item in value)
        case container if container is dict:
            return isinstance(value, dict) and all(
                agrees(key, inner[0]) and agrees(item, inner[1]) for key, item in value.items()
            )
        case number if number is float:
            return type(value) in (int, float) and math.isfinite(value)
        case plain:
            return value is None if plain is type(None) else type(value) is plain


def check_types(what: str, values: Any, kinds: dict[str, Any]) -> None:
    """ValueError if ``values`` is no object of just these names and types."""
    if not isinstance(values, dict) or set(values) != set(kinds):
        raise ValueError(f"{what} must be an object of {', '.join(kinds)}")
    for name, kind in kinds.items():
        if not agrees(values[name], kind):
            raise ValueError(f"{what}: {name} is {values[name]!r:.40}")
