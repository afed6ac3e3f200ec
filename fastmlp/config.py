"""`TrainConfig`: every setting of a training run, once. Command-line flags are made from it."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from fastmlp.checks import parse_integer, parse_number, shown
from fastmlp.initializers import INITIALIZERS, initializer
from fastmlp.model import ACTIVATIONS, DTYPES
from fastmlp.threads import MOST_THREADS


class Rule(NamedTuple):
    """An optimiser of the command: name of its class in either engine, and its default rate."""

    class_name: str
    lr: float

    def rate(self, given: float | None) -> float:
        """The learning rate ``given``, or the default where there is none."""
        return self.lr if given is None else given


# 0.2 is what the accuracy in README.md was measured with; Adam's is its paper's, and the class's.
OPTIMIZERS = {"sgd": Rule("SGD", lr=0.2), "adam": Rule("Adam", lr=0.001)}
DEFAULT_RATES = ", ".join(f"{rule.lr} for {name}" for name, rule in OPTIMIZERS.items())
ENGINES = ("fast", "reference")


def _option(default: Any, group: str, text: str, **flag: Any) -> Any:
    """A field with what its flag needs: help ``text``, its ``group``, ``flag`` for argparse."""
    return dataclasses.field(
        default=default, metadata={"group": group, "flag": {"help": text, **flag}}
    )


def _parser(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """``parse`` for argparse, whose own message for a ValueError leaves out what is allowed."""

    def parse_flag(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse_flag


def _integer(least: int, most: int | None = None) -> Callable[[str], int]:
    return _parser(lambda text: parse_integer("the value", text, least, most))


def _number(least: float, below: float = math.inf) -> Callable[[str], float]:
    return _parser(lambda text: parse_number("the value", text, least, below))


def _parse_batch_size(text: str) -> int | str:
    if text == "full":
        return text
    try:
        return parse_integer("the value", text, 1)
    except ValueError:
        raise ValueError(
            f"the value must be an integer, 1 or more, or 'full', not {shown(text)}"
        ) from None


def _parse_init(text: str) -> str:
    initializer(text)  # for its error alone: the name is what files and models hold
    return text


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run; a field is a flag of ``python -m fastmlp.train``."""

    data: str | None = _option(
        None,
        "data",
        "mnist, fashion-mnist, digits, or an .npz file with x_train, y_train, x_test, y_test "
        "(default: mnist, or digits where it cannot be had)",
        metavar="NAME",
    )
    val_fraction: float = _option(
        0.0,
        "data",
        "share of the training set held out, stratified, for validation",
        type=_number(0, below=1),
        metavar="SHARE",
    )
    hidden: tuple[int, ...] = _option(
        (256, 128),
        "network",
        "hidden layer sizes; none after the flag: no hidden layer",
        type=_integer(1),
        nargs="*",
        metavar="SIZE",
    )
    activation: str = _option("relu", "network", "of the hidden layers", choices=ACTIVATIONS)
    init: str = _option(
        "he_normal",
        "network",
        f"initial parameters: {', '.join(INITIALIZERS)}, or uniform(A, B) with bounds "
        "(default: he_normal)",
        type=_parser(_parse_init),
        metavar="NAME",
    )
    dtype: str = _option("float32", "network", "of parameters and arithmetic", choices=DTYPES)
    optimizer: str = _option("sgd", "training", "rule of the update", choices=tuple(OPTIMIZERS))
    lr: float = _option(
        None,  # for which __post_init__ takes the optimiser's own
        "training",
        f"learning rate (default: {DEFAULT_RATES})",
        type=_number(0),
        metavar="RATE",
    )
    epochs: int = _option(
        12, "training", "passes over the training set", type=_integer(0), metavar="N"
    )
    batch_size: int | str = _option(
        64, "training", "samples in a step, or 'full'", type=_parser(_parse_batch_size), metavar="N"
    )
    seed: int = _option(
        0, "training", "decides everything that is random", type=_integer(0), metavar="N"
    )
    engine: str = _option(
        "fast", "running", "compiled kernels, or the plain NumPy to read", choices=ENGINES
    )
    threads: int | None = _option(
        None,
        "running",
        "that compute; changes no bit of the result "
        "(default: FASTMLP_NUM_THREADS, or all physical cores that the process may use)",
        type=_integer(1, MOST_THREADS),
        metavar="N",
    )
    save: str | None = _option(
        None, "output", "write the trained model, also after Ctrl-C", metavar="FILE"
    )
    json: str | None = _option(
        None, "output", "write the result as one JSON object, - for stdout", metavar="PATH"
    )
    profile: bool = _option(
        False,
        "output",
        "report the time and arithmetic of each phase of a step, beside the FMA peak of this CPU",
        action="store_true",
    )
    quiet: bool = _option(False, "output", "no progress", action="store_true")

    def __post_init__(self) -> None:
        object.__setattr__(self, "lr", OPTIMIZERS[self.optimizer].rate(self.lr))


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every field of `TrainConfig`."""
    groups: dict[str, Any] = {}
    for item in dataclasses.fields(TrainConfig):
        name = item.metadata["group"]
        if name not in groups:
            groups[name] = parser.add_argument_group(name)
        flag = dict(item.metadata["flag"])
        if not ("default" in flag["help"] or "action" in flag):
            shown_default = (
                " ".join(map(str, item.default))
                if isinstance(item.default, tuple)
                else item.default
            )
            if shown_default is not None:
                flag["help"] += f" (default: {shown_default})"
        groups[name].add_argument(f"--{item.name.replace('_', '-')}", default=item.default, **flag)


def from_flags(flags: argparse.Namespace) -> TrainConfig:
    """The configuration that the parsed flags say."""
    values = vars(flags)
    return TrainConfig(**{**values, "hidden": tuple(values["hidden"])})
