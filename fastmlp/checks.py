"""Checks of single arguments: one line that names the argument, the value and what is allowed."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

SHOWN_CHARACTERS = 80
"""Longest description of a wrong value: a message stays one line that can be read."""


def shown(value: object) -> str:
    """``repr(value)`` on one line of bounded length, whatever the value is."""
    text = " ".join(repr(value).split())
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 3]}..."


def check_integer(name: str, value: object, least: int, most: int | None = None) -> int:
    """Give ``value`` as an int; TypeError if it is none, ValueError if out of range."""
    allowed = f", {least} or more" if most is None else f" from {least} to {most}"
    message = f"{name} must be an integer{allowed}, not {shown(value)}"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(message)
    number = int(value)
    if number < least or (most is not None and number > most):
        raise ValueError(message)
    return number


def parse_integer(name: str, text: str, least: int, most: int | None = None) -> int:
    """As `check_integer`, of an integer that is written as text; ValueError in every case."""
    try:
        value: object = int(text)
    except ValueError:
        value = text  # refused below, where the message says what is allowed
    try:
        return check_integer(name, value, least, most)
    except TypeError as error:
        raise ValueError(error) from None


def parse_number(name: str, text: str, least: float = -math.inf, below: float = math.inf) -> float:
    """As `check_number`, of a number that is written as text; ValueError in every case."""
    try:
        value: object = float(text)
    except ValueError:
        value = text
    try:
        return check_number(name, value, least, below)
    except TypeError as error:
        raise ValueError(error) from None


def check_number(
    name: str, value: object, least: float = -math.inf, below: float = math.inf
) -> float:
    """Give ``value`` as a finite float; TypeError if no number, ValueError if out of range."""
    allowed = "" if least == -math.inf else f", {least:g} or more"
    allowed += "" if below == math.inf else f" and below {below:g}"
    message = f"{name} must be a finite number{allowed}, not {shown(value)}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(message)
    try:
        number = float(value)
    except OverflowError:  # an int or a fraction beyond float64
        raise ValueError(message) from None
    if not (math.isfinite(number) and least <= number < below):
        raise ValueError(message)
    return number


def check_fits(name: str, value: float, dtype: Any) -> None:
    """ValueError if ``value``, above 0, is none of the normal numbers of ``dtype``.

    Subnormal ones count as zero while a thread trains.
    """
    import numpy as np

    least, most = float(np.finfo(dtype).tiny), float(np.finfo(dtype).max)
    if not least <= value <= most:
        raise ValueError(
            f"{name} must be above 0 and finite in {dtype}, from {least:.2g} to {most:.2g}, not "
            f"{value}"
        )


def check_flag(name: str, value: object) -> bool:
    """Give ``value``, which must be True or False; TypeError if not."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {shown(value)}")
    return value


def check_choice(name: str, value: object, allowed: Sequence[str]) -> str:
    """Give ``value``, which must be one of ``allowed``; ValueError if not."""
    if not (isinstance(value, str) and value in allowed):
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {shown(value)}")
    return value


def check_positive(name: str, value: object) -> float:
    """Give ``value`` as a finite float above 0; errors as `check_number`."""
    try:
        number = check_number(name, value, least=0)
    except (TypeError, ValueError) as error:
        kind = type(error)
    else:
        if number > 0:
            return number
        kind = ValueError
    raise kind(f"{name} must be a finite number above 0, not {shown(value)}")


def check_share(name: str, value: object) -> float:
    """Give ``value`` as a float from 0 to 1, both allowed; errors as `check_number`."""
    try:
        number = check_number(name, value, least=0)
    except (TypeError, ValueError) as error:
        kind = type(error)
    else:
        if number <= 1:
            return number
        kind = ValueError
    raise kind(f"{name} must be a number from 0 to 1, not {shown(value)}")
