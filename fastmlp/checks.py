"""Checks of single arguments: one line that names the argument, the value and what is allowed."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence


def check_integer(name: str, value: object, least: int, most: int | None = None) -> int:
    """Give ``value`` as an int; TypeError if it is none, ValueError if out of range."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    number = int(value)
    if number < least or (most is not None and number > most):
        allowed = f"{least} or more" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} must be {allowed}, not {number}")
    return number


def check_number(name: str, value: object, least: float = -math.inf) -> float:
    """Give ``value`` as a finite float; TypeError if no number, ValueError if out of range."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, not {value!r}")
    number = float(value)
    if not (math.isfinite(number) and number >= least):
        bound = "" if least == -math.inf else f" and {least:g} or more"
        raise ValueError(f"{name} must be finite{bound}, not {number}")
    return number


def check_choice(name: str, value: object, allowed: Sequence[str]) -> str:
    """Give ``value``, which must be one of ``allowed``; ValueError if not."""
    if not (isinstance(value, str) and value in allowed):
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
    return value
