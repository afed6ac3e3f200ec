"""Settings as text: ``name:key=value,key=value`` for one object of a table of classes.

The text is what flags, JSON results and checkpoints hold; the class of the object says what may be
in it, and checks it. Numbers are written as usual, flags ``true`` and ``false``, sequences ``a/b``
(``28x28`` also), and ``none`` where the class allows it.
"""

from __future__ import annotations

import collections.abc
import importlib
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastmlp.checks import shown

PARSERS: dict[Any, Callable[[str], Any]] = {
    int: int,
    float: float,
    bool: {"true": True, "false": False}.__getitem__,
}


def create(
    text: str,
    table: Mapping[str, type],
    package: Any = None,
    *,
    reserved: Sequence[str] = (),
    **more: Any,
) -> Any:
    """Make the object that ``name:key=value,...`` says.

    Parameters
    ----------
    text : str
    table : dict of str to type
        The classes by name.
    package : module, optional
        Takes the class of the same name from there instead: that of the other engine.
    reserved : sequence of str
        Keys that the text may not have.
    **more
        Further arguments of the class.

    Raises
    ------
    ValueError
        In one line, if the name, a key or a value is not allowed.
    """
    name, colon, pairs = text.partition(":")
    if name not in table:
        raise ValueError(f"the name must be one of {', '.join(table)}, not {shown(name)}")
    if colon and not pairs:
        raise ValueError(f"{name} must be followed by key=value after the colon, not by nothing")
    return create_of(table[name], pairs, package, called=name, reserved=reserved, **more)


def create_of(
    kind: type,
    text: str,
    package: Any = None,
    *,
    called: str | None = None,
    reserved: Sequence[str] = (),
    **more: Any,
) -> Any:
    """Make the object of the class ``kind`` that ``key=value,...`` says; as `create`.

    What ``text`` says comes before what is in ``more``.
    """
    name = called or kind.__name__
    if package is not None:
        kind = twin(kind, package)
    allowed = {key: hint for key, hint in _hints(kind).items() if key not in reserved}
    arguments = more | _pairs(text, name, allowed)
    missing = [
        parameter.name
        for parameter in inspect.signature(kind).parameters.values()
        if parameter.default is parameter.empty and parameter.name not in arguments
    ]
    if missing:
        raise ValueError(f"{name} needs {' and '.join(missing)}, as in {name}:{missing[0]}=...")
    try:
        return kind(**arguments)
    except TypeError as error:  # of a value: the names were checked
        raise ValueError(error) from None


def keys_of(text: str) -> list[str]:
    """Keys in ``name:key=value,...``."""
    return [pair.partition("=")[0] for pair in text.partition(":")[2].split(",") if pair]


def twin(kind: type, package: Any) -> Any:
    """The class of this name in ``package``, or in the module of it that is called as its own."""
    if hasattr(package, kind.__name__):
        return getattr(package, kind.__name__)
    own = kind.__module__.rpartition(".")[2]
    return getattr(importlib.import_module(f"{package.__name__}.{own}"), kind.__name__)


def _hints(kind: type) -> dict[str, Any]:
    """Types of what the class is made from, by name."""
    hints = typing.get_type_hints(kind.__init__)  # type: ignore[misc]
    return {name: hints.get(name, str) for name in inspect.signature(kind).parameters}


def _pairs(text: str, name: str, allowed: Mapping[str, Any]) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for pair in text.split(",") if text else ():
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"{name} must be followed by key=value, not by {shown(pair)}")
        if key not in allowed:
            keys = f"the keys {', '.join(allowed)}" if allowed else "no keys"
            raise ValueError(f"{name} has {keys}, not {shown(key)}")
        if key in arguments:
            raise ValueError(f"{name} has {key} twice in {shown(text)}")
        arguments[key] = _value(value, allowed[key])
    return arguments


def _value(text: str, hint: Any) -> Any:
    """``text`` as the type asks; as it is where it cannot be, for the class to refuse by name."""
    kinds = typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        if text == "none" and types.NoneType in kinds:
            return None
        return _value(text, next(kind for kind in kinds if kind is not types.NoneType))
    if typing.get_origin(hint) in (tuple, collections.abc.Sequence):
        return tuple(_value(part, kinds[0]) for part in re.split("[/x]", text))
    try:
        return PARSERS[hint](text)
    except (KeyError, ValueError):
        return text
