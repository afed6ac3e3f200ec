"""The networks that the page offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastmlp.checks import shown
from fastmlp.optimizers import SGD, Adam, AdamW, Optimizer

HIDDEN: dict[str, list[int]] = {
    "32": [32],
    "128": [128],
    "256, 128": [256, 128],
    "512, 256, 128": [512, 256, 128],
    "none: a linear classifier": [],
}
ACTIVATIONS = ("relu", "gelu", "silu", "tanh", "sigmoid")
OPTIMIZERS: dict[str, Optimizer] = {
    "Adam, rate 0.001": Adam(),
    "AdamW, rate 0.002": AdamW(lr=0.002),
    "SGD, rate 0.1": SGD(lr=0.1),
    "SGD, rate 0.1, momentum 0.9": SGD(lr=0.1, momentum=0.9),
}
EPOCHS = (1, 3, 5, 10, 20)

OFFERED: dict[str, tuple[Any, ...]] = {
    "hidden": tuple(HIDDEN),
    "activation": ACTIVATIONS,
    "optimizer": tuple(OPTIMIZERS),
    "epochs": EPOCHS,
}
"""What may be chosen, by the name of the field of `Choice`."""


@dataclass(frozen=True)
class Choice:
    """A network and how it is trained; each field is one of what `OFFERED` has."""

    hidden: str = "128"
    activation: str = "relu"
    optimizer: str = "Adam, rate 0.001"
    epochs: int = 5

    def __post_init__(self) -> None:
        for name, allowed in OFFERED.items():
            value = getattr(self, name)
            if not any(value == item and type(value) is type(item) for item in allowed):
                offered = "; ".join(map(str, allowed))
                raise ValueError(f"{name} must be one of {offered}, not {shown(value)}")


def choice_of(values: Any) -> Choice:
    """The `Choice` that a page has sent.

    Raises
    ------
    ValueError
        If it is none.
    """
    if not isinstance(values, dict) or not set(values) <= set(OFFERED):
        raise ValueError(f"a choice must be an object of {', '.join(OFFERED)}, not {shown(values)}")
    return Choice(**values)
