"""`TrainConfig`: every setting of a training run, once. Command-line flags are made from it."""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass
from typing import Any

from fastmlp.initializers import INITIALIZERS
from fastmlp.model import ACTIVATIONS, DTYPES

OPTIMIZERS = ("sgd",)
ENGINES = ("fast", "reference")


def _option(default: Any, group: str, text: str, **flag: Any) -> Any:
    """A field with what its flag needs: help ``text``, its ``group``, ``flag`` for argparse."""
    return dataclasses.field(
        default=default, metadata={"group": group, "flag": {"help": text, **flag}}
    )


def _batch_size(text: str) -> int | str:
    return text if text == "full" else int(text)


_batch_size.__name__ = "integer or 'full'"  # argparse names the type in its message


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run; a field is a flag of ``python -m fastmlp.train``."""

    data: str | None = _option(
        None,
        "data",
        "mnist, fashion-mnist, digits, or an .npz file with x_train, y_train, x_test, y_test "
        "(default: mnist, or digits where it cannot be had)",
    )
    val_fraction: float = _option(
        0.0, "data", "share of the training set held out, stratified, for validation", type=float
    )
    hidden: tuple[int, ...] = _option(
        (256,), "network", "hidden layer sizes", type=int, nargs="*", metavar="SIZE"
    )
    activation: str = _option("relu", "network", "of the hidden layers", choices=ACTIVATIONS)
    init: str = _option("he_normal", "network", "initial parameters", choices=tuple(INITIALIZERS))
    dtype: str = _option("float32", "network", "of parameters and arithmetic", choices=DTYPES)
    optimizer: str = _option("sgd", "training", "the update", choices=OPTIMIZERS)
    lr: float = _option(0.1, "training", "learning rate", type=float)
    epochs: int = _option(20, "training", "passes over the training set", type=int)
    batch_size: int | str = _option(
        32, "training", "samples in a step, or 'full'", type=_batch_size, metavar="N"
    )
    seed: int = _option(0, "training", "decides everything that is random", type=int)
    engine: str = _option(
        "fast", "running", "the engine, or its plain NumPy reference", choices=ENGINES
    )
    threads: int | None = _option(
        None,
        "running",
        "(default: FASTMLP_NUM_THREADS, or all physical cores that the process may use)",
        type=int,
        metavar="N",
    )
    save: str | None = _option(None, "output", "write the trained model to FILE", metavar="FILE")
    json: str | None = _option(
        None, "output", "write the result as one JSON object, - for stdout", metavar="PATH"
    )
    quiet: bool = _option(False, "output", "no progress", action="store_true")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every field of `TrainConfig`."""
    groups: dict[str, Any] = {}
    for item in dataclasses.fields(TrainConfig):
        name = item.metadata["group"]
        if name not in groups:
            groups[name] = parser.add_argument_group(name)
        flag = dict(item.metadata["flag"])
        if not ("default" in flag["help"] or "action" in flag):
            shown = (
                " ".join(map(str, item.default))
                if isinstance(item.default, tuple)
                else item.default
            )
            if shown is not None:
                flag["help"] += f" (default: {shown})"
        groups[name].add_argument(f"--{item.name.replace('_', '-')}", default=item.default, **flag)


def from_flags(flags: argparse.Namespace) -> TrainConfig:
    """The configuration that the parsed flags say."""
    values = vars(flags)
    return TrainConfig(**{**values, "hidden": tuple(values["hidden"])})
