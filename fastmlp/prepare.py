"""What a `TrainConfig` and a data set come down to: a network, and arguments of `fit`."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastmlp.config import FIELDS, TrainConfig
from fastmlp.data import DataError, Dataset, Rows
from fastmlp.losses import Loss
from fastmlp.splits import held_out
from fastmlp.words import flag_of

NETWORK = ("layers", "activation", "loss", "norm", "dropout", "input_dropout", "dtype")
"""Attributes of a network that must be the same in a run that goes on."""

OF_FIT = {name for name, item in FIELDS.items() if item.metadata["recorded"]} - {"data", "engine"}
WORDS = {
    "validation_data or validation_fraction": "--val-fraction",
    "validation_fraction": "--val-fraction",
    "EarlyStopping": "--early-stopping",
    "augmentation": "--augment",
    "resume": "--resume",
} | {name: flag_of(name) for name in sorted(OF_FIT)}
"""What Python calls an argument, and its flag."""

FIRST = re.compile("(?:" + "|".join(WORDS) + ")(?=[ :])")
FURTHER = re.compile(r"\b(?:" + "|".join(word for word in WORDS if "_" in word) + r")\b")
"""Arguments in a message that begins with one: those that can be no common word."""

OF_DATA = re.compile(r"(?:validation_data )?[xy]\b")


def settled(config: TrainConfig, data: Dataset) -> TrainConfig:
    """``config`` with the data set and the loss that it leaves open.

    Raises
    ------
    ValueError
        If the loss cannot be that of the data set.
    """
    loss = config.loss or ("squared_error" if data.n_classes is None else "cross_entropy")
    config = dataclasses.replace(config, data=data.name, loss=loss)
    targets = config.make("loss").targets
    if data.n_classes is not None:
        if targets not in ("classes", "binary"):
            raise ValueError(
                f"--loss {loss} needs real targets, and {data.name} has labels of {data.n_classes} "
                "classes: store y as floating-point numbers"
            )
        if targets == "binary" and data.n_classes > 2:
            raise ValueError(
                f"--loss {loss} needs labels of 2 classes, and {data.name} has {data.n_classes}"
            )
    elif targets == "classes" and data.y_train.ndim == 1:
        raise ValueError(
            f"--loss {loss} needs integer labels, or rows of probabilities, and {data.name} has "
            f"one {data.y_train.dtype} for each sample"
        )
    return config


def split(data: Dataset, config: TrainConfig) -> tuple[Any, Any]:
    """Training set and, if asked for, validation set, with every class in equal shares.

    Of rows on disk `fit` holds out the same ones.
    """
    if config.val_fraction == 0 or isinstance(data.x_train, Rows):
        return (data.x_train, data.y_train), None
    labels = None if data.n_classes is None else data.y_train
    with flags_named():
        held = held_out(labels, len(data.y_train), config.val_fraction, config.seed)
    train, validation = ((data.x_train[rows], data.y_train[rows]) for rows in (~held, held))
    return train, validation


def network(package: Any, data: Dataset, config: TrainConfig) -> Any:
    """The untrained network, of either engine."""
    n_outputs = _n_outputs(data, config.make("loss"))
    layers = [data.x_train.shape[1], *config.hidden, n_outputs]
    try:
        return package.MLP(
            layers,
            activation=config.activation,
            loss=config.make("loss", package),
            norm=config.norm,
            dropout=config.dropout,
            input_dropout=config.input_dropout,
            init=config.init,
            dtype=config.dtype,
            seed=config.seed,
        )
    except (MemoryError, ValueError, OverflowError) as error:
        # Every value was checked with its flag: what is left are sizes beyond the memory.
        hidden = " ".join(map(str, config.hidden))
        raise MemoryError(
            f"a network of {layers[0]} features, --hidden {hidden} and {n_outputs} outputs cannot "
            f"be made: {error}"
        ) from None


def _n_outputs(data: Dataset, loss: Loss) -> int:
    return 1 if data.n_classes is not None and loss.targets == "binary" else data.n_outputs


def fit_arguments(package: Any, data: Dataset, config: TrainConfig, n_train: int) -> dict[str, Any]:
    """Settings of ``package.fit`` that are not its defaults.

    Raises
    ------
    ValueError
        In one line with the flag, if a setting does not fit the others.
    """
    _check_schedule(config, n_train)
    arguments = {
        "schedule": config.make("schedule", package),
        "averaging": config.make("averaging", package),
        "augmentation": config.make_augmentation(data.image_shape, package),
        "metrics": config.metrics or None,
        "class_weight": config.class_weight,
        "clip_norm": config.clip_norm,
        "clip_value": config.clip_value,
        "max_norm": config.max_norm,
        "max_seconds": config.max_seconds,
        "target_accuracy": config.target_accuracy,
        "validation_fraction": config.val_fraction if isinstance(data.x_train, Rows) else None,
    }
    return {
        "epochs": config.epochs,
        "batch_size": config.batch_size,
        "optimizer": config.make("optimizer", package),
        "seed": config.seed,
        **{name: value for name, value in arguments.items() if value is not None},
    }


def _check_schedule(config: TrainConfig, n_train: int) -> None:
    """Ask the schedule for its first rate, too: it would refuse that when training has begun."""
    schedule = config.make("schedule")
    if schedule is None or config.epochs == 0 or config.lr is None:
        return
    steps = 1 if isinstance(config.batch_size, str) else math.ceil(n_train / config.batch_size)
    try:
        schedule.check(config.epochs, steps, config.val_fraction > 0)
        schedule.rates(config.lr, np.array([1]), steps, config.epochs, schedule.start())
    except ValueError as error:
        raise ValueError(f"--schedule {config.schedule}: {error}") from None


def check_same_network(model: Any, before: Any) -> None:
    """ValueError if ``model`` is not as the network of a run that is to go on."""
    for name in NETWORK:
        now, then = getattr(model, name), getattr(before, name)
        if now != then:
            flag = flag_of("hidden" if name == "layers" else name)
            raise ValueError(f"{flag}: {name} must be {then} to resume, as before, not {now}")


@contextmanager
def flags_named(data: Dataset | None = None) -> Iterator[None]:
    """Say a ValueError of the library as the command does: by its flags, or by the data set."""
    try:
        yield
    except DataError:
        raise
    except ValueError as error:
        message = str(error)
        if data is not None and OF_DATA.match(message):
            raise DataError(f"{data.name}: {message}") from None
        first = FIRST.match(message)
        if first is None:
            raise
        rest = message[first.end() :]
        if "to resume" not in message:  # which quotes objects of Python
            rest = FURTHER.sub(lambda word: WORDS[word[0]], rest)
        raise ValueError(WORDS[first[0]] + rest) from None
