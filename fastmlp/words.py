"""What a word of a flag becomes: a value of a field of `TrainConfig`, or one line of refusal."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from fastmlp.augmentation import Augmentation
from fastmlp.averaging import EMA, SWA, Averaging
from fastmlp.checks import check_choice, check_positive, parse_integer, parse_number, shown
from fastmlp.early_stopping import EarlyStopping
from fastmlp.initializers import initializer
from fastmlp.losses import LOSSES
from fastmlp.metrics import check_name
from fastmlp.model import NORMS
from fastmlp.optimizers import OPTIMIZERS
from fastmlp.schedules import SCHEDULES
from fastmlp.settings import create, create_of, keys_of

AVERAGES: dict[str, type[Averaging]] = {"ema": EMA, "swa": SWA}
TABLES: dict[str, Mapping[str, type]] = {
    "loss": LOSSES,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "averaging": AVERAGES,
}
"""Settings that are ``name:key=value,...``: the classes by name."""

OF_OPTIMIZER = ("lr", "weight_decay")
"""Settings of every optimiser, with defaults of its own, that have a flag."""


def integer(least: int, most: int | None = None) -> Callable[[str], int]:
    """One from ``least`` to ``most``."""
    return lambda text: parse_integer("the value", text, least, most)


def number(least: float, below: float = math.inf) -> Callable[[str], float]:
    """A finite one from ``least`` up to, and without, ``below``."""
    return lambda text: parse_number("the value", text, least, below)


def positive(text: str) -> float:
    """A finite number above 0."""
    try:
        return check_positive("the value", parse_number("the value", text))
    except ValueError:
        raise ValueError(f"the value must be a finite number above 0, not {shown(text)}") from None


def choice(*allowed: str) -> Callable[[str], str]:
    """One of these words."""
    return lambda text: check_choice("the value", text, allowed)


def share(text: str) -> float:
    """A number above 0 and at most 1."""
    message = f"the value must be above 0 and at most 1, not {shown(text)}"
    try:
        value = positive(text)
    except ValueError:
        raise ValueError(message) from None
    if value > 1:
        raise ValueError(message)
    return value


def batch_size(text: str) -> int | str:
    """An integer, 1 or more, or 'full'."""
    if text == "full":
        return text
    try:
        return parse_integer("the value", text, 1)
    except ValueError:
        raise ValueError(
            f"the value must be an integer, 1 or more, or 'full', not {shown(text)}"
        ) from None


def init(text: str) -> str:
    """The name of an initializer."""
    initializer(text)  # for its error alone: the name is what files and models hold
    return text


def norm(text: str) -> str | None:
    """The name of a norm, or None for 'none'."""
    return None if text == "none" else check_choice("the value", text, ("none", *NORMS))


def class_weight(text: str) -> float | str:
    """A weight, or 'balanced'."""
    if text == "balanced":
        return text
    try:
        return parse_number("the value", text, 0)
    except ValueError:
        raise ValueError(
            f"the value must be 'balanced' or a finite number, 0 or more, not {shown(text)}"
        ) from None


def metric(text: str) -> str:
    """The name of a metric."""
    return check_name("the value", text)


def spec(name: str) -> Callable[[str], str]:
    """Check ``name:key=value,...`` of a table; the text is what is kept."""

    def parse(text: str) -> str:
        reserved = OF_OPTIMIZER if name == "optimizer" else ()
        for key in keys_of(text):
            if key in reserved:
                raise ValueError(f"{key} has a flag of its own, {flag_of(key)}")
        create(text, TABLES[name], reserved=reserved)
        return text

    return parse


def augmentation(text: str) -> str:
    """Settings of `Augmentation`; the text is what is kept."""
    create_of(Augmentation, text, called="augmentation", image_shape=(1, 1))
    return text


def early_stopping(text: str) -> str:
    """Settings of `EarlyStopping`; the text is what is kept."""
    create_of(EarlyStopping, text, called="early stopping")
    return text


def flag_of(name: str) -> str:
    """The flag of a field."""
    return f"--{name.replace('_', '-')}"
