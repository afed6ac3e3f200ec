"""`TrainConfig`: every setting of a training run, once: flags, and JSON, are made from it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp.augmentation import Augmentation
from fastmlp.averaging import EMA, SWA, Averaging
from fastmlp.checks import (
    check_choice,
    check_positive,
    parse_integer,
    parse_number,
    shown,
)
from fastmlp.early_stopping import EarlyStopping
from fastmlp.initializers import INITIALIZERS, initializer
from fastmlp.losses import LOSSES
from fastmlp.metrics import check_name
from fastmlp.model import ACTIVATIONS, DTYPES, NORMS
from fastmlp.optimizers import OPTIMIZERS
from fastmlp.schedules import SCHEDULES
from fastmlp.settings import create, create_of, keys_of
from fastmlp.threads import MOST_THREADS

# 0.2 is what the accuracy in README.md was measured with; the others are their classes' own.
RATES = {name: kind.lr for name, kind in OPTIMIZERS.items() if name != "lbfgs"} | {"sgd": 0.2}
"""Default learning rates; L-BFGS has none."""

DEFAULT_RATES = ", ".join(f"{rate:g} for {name}" for name, rate in RATES.items())

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

ENGINES = ("fast", "reference")


def _first(values: list[Any]) -> Any:
    return values[0]


def _one_or_each(values: list[Any]) -> Any:
    """One value for all hidden layers, or a tuple of one for each."""
    return values[0] if len(values) == 1 else tuple(values)


def _weights(values: list[Any]) -> Any:
    if "balanced" in values and len(values) > 1:
        raise ValueError(f"--class-weight must be 'balanced' or numbers, not {shown(values)}")
    return "balanced" if "balanced" in values else tuple(values)


def _option(
    default: Any,
    group: str,
    text: str,
    parse: Callable[[str], Any] | None = None,
    *,
    metavar: str | None = None,
    nargs: str | None = None,
    gather: Callable[[list[Any]], Any] = _first,
    recorded: bool = True,
) -> Any:
    """A field, and the flag that it is.

    ``parse`` makes a value of a word, None for a flag without one; ``gather`` makes the field of
    the values. ``recorded``: whether it is part of the result, and can be repeated from it.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "group": group,
            "text": text,
            "parse": parse,
            "metavar": metavar,
            "nargs": nargs,
            "gather": gather,
            "recorded": recorded,
        },
    )


def _integer(least: int, most: int | None = None) -> Callable[[str], int]:
    return lambda text: parse_integer("the value", text, least, most)


def _number(least: float, below: float = math.inf) -> Callable[[str], float]:
    return lambda text: parse_number("the value", text, least, below)


def _parse_positive(text: str) -> float:
    return check_positive("the value", _number_or_text(text))


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text  # refused by the check, whose message says what is allowed


def _choice(*allowed: str) -> Callable[[str], str]:
    return lambda text: check_choice("the value", text, allowed)


def _parse_share(text: str) -> float:
    value = _parse_positive(text)
    if value > 1:
        raise ValueError(f"the value must be above 0 and at most 1, not {shown(text)}")
    return value


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


def _parse_norm(text: str) -> str | None:
    return None if text == "none" else check_choice("the value", text, ("none", *NORMS))


def _parse_class_weight(text: str) -> float | str:
    if text == "balanced":
        return text
    try:
        return parse_number("the value", text, 0)
    except ValueError:
        raise ValueError(
            f"the value must be 'balanced' or a finite number, 0 or more, not {shown(text)}"
        ) from None


def _parse_metric(text: str) -> str:
    return check_name("the value", text)


def _object(name: str) -> Callable[[str], str]:
    """Check ``name:key=value,...`` of a table; the text is what is kept."""

    def parse(text: str) -> str:
        own = set(keys_of(text)).intersection(OF_OPTIMIZER)
        if name == "optimizer" and own:
            key = sorted(own)[0]
            raise ValueError(f"{key} has a flag of its own, --{key.replace('_', '-')}")
        create(text, TABLES[name])
        return text

    return parse


def _parse_augment(text: str) -> str:
    create_of(Augmentation, text, called="augmentation", image_shape=(1, 1))
    return text


def _parse_early_stopping(text: str) -> str:
    create_of(EarlyStopping, text, called="early stopping")
    return text


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run; a field is a flag of ``python -m fastmlp.train``."""

    data: str | None = _option(
        None,
        "data",
        "mnist, fashion-mnist, digits, or an .npz file with x_train, y_train, x_test, y_test "
        "(default: mnist, or digits where it cannot be had)",
        str,
        metavar="NAME",
    )
    val_fraction: float = _option(
        0.0,
        "data",
        "share of the training set held out, of every class, for validation",
        _number(0, below=1),
        metavar="SHARE",
    )
    augment: str | None = _option(
        None,
        "data",
        "random changes of images, as in shift=2,rotation=10; image_shape=28x28 where the data "
        "set has none",
        _parse_augment,
        metavar="KEY=VALUE,...",
    )
    hidden: tuple[int, ...] = _option(
        (256, 128),
        "network",
        "hidden layer sizes; none after the flag: no hidden layer",
        _integer(1),
        nargs="*",
        gather=tuple,
        metavar="SIZE",
    )
    activation: str | tuple[str, ...] = _option(
        "relu",
        "network",
        f"of the hidden layers, or one for each: {', '.join(ACTIVATIONS)} (default: relu)",
        _choice(*ACTIVATIONS),
        nargs="+",
        gather=_one_or_each,
        metavar="NAME",
    )
    norm: str | tuple[str | None, ...] | None = _option(
        None,
        "network",
        f"of the hidden layers, or one for each: none, {', '.join(NORMS)}",
        _parse_norm,
        nargs="+",
        gather=_one_or_each,
        metavar="NAME",
    )
    loss: str | None = _option(
        None,
        "network",
        f"{', '.join(LOSSES)}, with settings as in huber:delta=0.5 "
        "(default: cross_entropy for labels, squared_error for other targets)",
        _object("loss"),
        metavar="NAME",
    )
    init: str = _option(
        "he_normal",
        "network",
        f"initial parameters: {', '.join(INITIALIZERS)}, or uniform(A, B) with bounds "
        "(default: he_normal)",
        _parse_init,
        metavar="NAME",
    )
    dtype: str = _option(
        "float32",
        "network",
        "of parameters and arithmetic",
        _choice(*DTYPES),
        metavar=f"{{{','.join(DTYPES)}}}",
    )
    optimizer: str = _option(
        "sgd",
        "training",
        f"{', '.join(OPTIMIZERS)}, with settings as in sgd:momentum=0.9,nesterov=true or "
        "adam:betas=0.9/0.99 (default: sgd)",
        _object("optimizer"),
        metavar="NAME",
    )
    lr: float | None = _option(
        None,  # for which __post_init__ takes the optimiser's own
        "training",
        f"learning rate (default: {DEFAULT_RATES})",
        _number(0),
        metavar="RATE",
    )
    schedule: str | None = _option(
        None,
        "training",
        f"of the learning rate: {', '.join(SCHEDULES)}, with settings as in cosine:warmup=1",
        _object("schedule"),
        metavar="NAME",
    )
    epochs: int = _option(12, "training", "passes over the training set", _integer(0), metavar="N")
    batch_size: int | str = _option(
        64, "training", "samples in a step, or 'full'", _parse_batch_size, metavar="N"
    )
    class_weight: str | tuple[float, ...] | None = _option(
        None,
        "training",
        "factor on the loss of each class: balanced, or a number for each",
        _parse_class_weight,
        nargs="+",
        gather=_weights,
        metavar="W",
    )
    averaging: str | None = _option(
        None,
        "training",
        "of the parameters: ema:decay=0.999 over steps, or swa:start_epoch=1 over epochs",
        _object("averaging"),
        metavar="NAME",
    )
    seed: int = _option(
        0, "training", "decides everything that is random", _integer(0), metavar="N"
    )
    weight_decay: float | None = _option(
        None,  # as lr
        "regularisation",
        "of weights, not of biases (default: 0; 0.01 for adamw)",
        _number(0),
        metavar="RATE",
    )
    dropout: float | tuple[float, ...] = _option(
        0.0,
        "regularisation",
        "share of the hidden layers' activations that a step drops, or one for each",
        _number(0, below=1),
        nargs="+",
        gather=_one_or_each,
        metavar="SHARE",
    )
    input_dropout: float = _option(
        0.0,
        "regularisation",
        "the same of the input",
        _number(0, below=1),
        metavar="SHARE",
    )
    clip_norm: float | None = _option(
        None,
        "regularisation",
        "largest norm of the gradient",
        _parse_positive,
        metavar="NORM",
    )
    clip_value: float | None = _option(
        None,
        "regularisation",
        "largest size of an item of the gradient",
        _parse_positive,
        metavar="SIZE",
    )
    max_norm: float | None = _option(
        None,
        "regularisation",
        "largest norm of the weights into a unit",
        _parse_positive,
        metavar="NORM",
    )
    early_stopping: str | None = _option(
        None,
        "stopping",
        "end when there is no improvement, and keep the best epoch's parameters, as in "
        "patience=5,monitor=val_loss",
        _parse_early_stopping,
        metavar="KEY=VALUE,...",
    )
    target_accuracy: float | None = _option(
        None,
        "stopping",
        "end with the first epoch whose validation accuracy reaches it",
        _parse_share,
        metavar="SHARE",
    )
    max_seconds: float | None = _option(
        None,
        "stopping",
        "end with the epoch in which so much time has gone by",
        _parse_positive,
        metavar="SECONDS",
    )
    engine: str = _option(
        "fast",
        "running",
        "compiled kernels, or the plain NumPy to read",
        _choice(*ENGINES),
        metavar=f"{{{','.join(ENGINES)}}}",
    )
    threads: int | None = _option(
        None,
        "running",
        "that compute; changes no bit of the result "
        "(default: FASTMLP_NUM_THREADS, or all physical cores that the process may use)",
        _integer(1, MOST_THREADS),
        metavar="N",
    )
    checkpoint: str | None = _option(
        None,
        "running",
        "write checkpoints into this folder, from which --resume goes on",
        str,
        metavar="DIR",
        recorded=False,
    )
    checkpoint_every: int = _option(
        1, "running", "epochs from one checkpoint to the next", _integer(1), metavar="N"
    )
    resume: str | None = _option(
        None,
        "running",
        "go on from the newest good checkpoint in this folder, with its settings but for the "
        "flags given beside it, and write further ones there",
        str,
        metavar="DIR",
        recorded=False,
    )
    metrics: tuple[str, ...] = _option(
        (),
        "output",
        "measured on the validation set after each epoch: top_5 (any k), f1, precision, recall, "
        "r2, mae, mse",
        _parse_metric,
        nargs="+",
        gather=tuple,
        metavar="NAME",
    )
    save: str | None = _option(
        None,
        "output",
        "write the trained model, also after Ctrl-C",
        str,
        metavar="FILE",
        recorded=False,
    )
    json: str | None = _option(
        None,
        "output",
        "write the result as one JSON object, - for stdout",
        str,
        metavar="PATH",
        recorded=False,
    )
    log: str | None = _option(
        None,
        "output",
        "write each epoch as a line of JSON when it ends",
        str,
        metavar="FILE",
        recorded=False,
    )
    tensorboard: str | None = _option(
        None,
        "output",
        "write each epoch for TensorBoard (fastmlp[tensorboard])",
        str,
        metavar="DIR",
        recorded=False,
    )
    profile: bool = _option(
        False,
        "output",
        "report the time and arithmetic of each phase of a step, beside the FMA peak of this CPU",
        recorded=False,
    )
    quiet: bool = _option(False, "output", "no progress", recorded=False)

    def __post_init__(self) -> None:
        name = self.optimizer.partition(":")[0]
        plain = create(self.optimizer, OPTIMIZERS)
        if name not in RATES and self.lr is not None:
            raise ValueError(f"--lr has no meaning for {name}, whose line search finds its steps")
        for key, value in (("lr", RATES.get(name)), ("weight_decay", plain.weight_decay)):
            if getattr(self, key) is None:
                object.__setattr__(self, key, value)
        optimizer = self.make("optimizer")
        try:
            optimizer.check_dtype(np.dtype(self.dtype))
            optimizer.check_layers(len(self.hidden) + 1)
        except ValueError as error:
            raise ValueError(f"--optimizer {self.optimizer}: {error}") from None
        for key in ("activation", "norm", "dropout"):
            value = getattr(self, key)
            if isinstance(value, tuple) and len(value) != len(self.hidden):
                raise ValueError(
                    f"{flag_of(key)} must be one value, or one for each of {len(self.hidden)} "
                    f"hidden layers, not {shown(value)}"
                )

    def make(self, name: str, package: Any = None) -> Any:
        """The object that the setting ``name`` of `TABLES` says, of either engine; None if none."""
        text = getattr(self, name)
        if text is None:
            return None
        if name != "optimizer":
            return create(text, TABLES[name], package)
        kind = OPTIMIZERS[text.partition(":")[0]]
        given = {key: getattr(self, key) for key in OF_OPTIMIZER}
        # What is the class's own default need not be said.
        own = {key: value for key, value in given.items() if value != getattr(kind, key)}
        if self.lr is None:
            del own["lr"]
        return create(text, OPTIMIZERS, package, **own)

    def make_early_stopping(self, package: Any = None) -> Any:
        """The callback of ``early_stopping``, of either engine; None if there is none."""
        if self.early_stopping is None:
            return None
        return create_of(EarlyStopping, self.early_stopping, package, called="early stopping")

    def make_augmentation(self, image_shape: Sequence[int] | None, package: Any = None) -> Any:
        """The augmentation of ``augment`` of images of the data set; None if there is none."""
        if self.augment is None:
            return None
        if image_shape is None and "image_shape" not in keys_of(f":{self.augment}"):
            raise ValueError(
                "--augment needs to know the images' size, which this data set does not tell: add "
                "image_shape=HEIGHTxWIDTH, or HEIGHTxWIDTHxCHANNELS"
            )
        shape = {} if image_shape is None else {"image_shape": tuple(image_shape)}
        return create_of(Augmentation, self.augment, package, called="augmentation", **shape)

    def recorded(self) -> dict[str, Any]:
        """All settings that the result depends on, as JSON values; `from_recorded` reads them."""
        return {
            item.name: _json_value(getattr(self, item.name))
            for item in dataclasses.fields(self)
            if item.metadata["recorded"]
        }


FIELDS = {item.name: item for item in dataclasses.fields(TrainConfig)}


def flag_of(name: str) -> str:
    """The flag of a field."""
    return f"--{name.replace('_', '-')}"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every field of `TrainConfig`, and --config; one not given has no value."""
    groups: dict[str, Any] = {}
    for item in FIELDS.values():
        about = item.metadata
        if about["group"] not in groups:
            groups[about["group"]] = parser.add_argument_group(about["group"])
        flag: dict[str, Any] = {"help": about["text"], "default": argparse.SUPPRESS}
        if about["parse"] is None:
            flag["action"] = "store_true"
        else:
            flag |= {key: about[key] for key in ("nargs", "metavar")}
            flag["type"] = _for_argparse(about["parse"])
            if "default" not in about["text"] and item.default not in (None, ()):
                default = item.default if isinstance(item.default, tuple) else (item.default,)
                flag["help"] += f" (default: {' '.join(f'{value}' for value in default)})"
        groups[about["group"]].add_argument(flag_of(item.name), **flag)
    groups["running"].add_argument(
        "--config",
        metavar="FILE",
        help="repeat the run whose --json FILE this is; flags given beside it win",
    )


def from_flags(flags: argparse.Namespace) -> TrainConfig:
    """The configuration that the parsed flags say, and the file of ``--config`` or ``--resume``.

    Raises
    ------
    ValueError
        If settings exclude each other, or the file holds no settings.
    OSError
        If the file cannot be read.
    """
    given = dict(vars(flags))
    file = given.pop("config")
    for name, values in given.items():
        if isinstance(values, list):
            given[name] = FIELDS[name].metadata["gather"](values)
    folder = given.get("resume")
    if folder is not None:
        if file is not None:
            raise ValueError("--config and --resume exclude each other: --resume has its settings")
        file = settings_file(folder)
        if not file.is_file():
            raise FileNotFoundError(
                f"--resume: {folder} holds no checkpoints of this command, which writes "
                f"{file.name} beside them"
            )
        given.setdefault("checkpoint", folder)
    if "checkpoint_every" in given and "checkpoint" not in given:
        raise ValueError("--checkpoint-every needs --checkpoint DIR")
    settings = {} if file is None else read_settings(file)
    if _optimizer_name(given, settings) != _optimizer_name(settings):
        for name in OF_OPTIMIZER:
            settings.pop(name, None)  # were another optimiser's
    return TrainConfig(**(settings | given))


def _optimizer_name(*layers: Mapping[str, Any]) -> str:
    text = next((layer["optimizer"] for layer in layers if "optimizer" in layer), None)
    return str(text or TrainConfig.optimizer).partition(":")[0]


def settings_file(folder: str | os.PathLike[str]) -> Path:
    """Where a folder of checkpoints holds the settings of its run."""
    return Path(folder) / "config.json"


def settings_text(config: TrainConfig) -> str:
    """The settings as JSON, for `settings_file`."""
    return json.dumps(config.recorded(), indent=2, allow_nan=False) + "\n"


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Settings from a result, or from a JSON object of settings alone.

    Raises
    ------
    ValueError
        In one line, if the file holds no such thing.
    OSError
        If it cannot be read.
    """
    content = Path(path).read_bytes()
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON file: {error}") from None
    if isinstance(values, dict) and "config" in values:
        values = values["config"]
    try:
        return from_recorded(values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def from_recorded(values: object) -> dict[str, Any]:
    """Arguments of `TrainConfig` from what `TrainConfig.recorded` gave, or some of it."""
    if not isinstance(values, dict):
        raise ValueError(f"settings must be a JSON object, not {shown(values)}")
    known = [name for name, item in FIELDS.items() if item.metadata["recorded"]]
    for name in values:
        if name not in known:
            raise ValueError(f"there is no setting {shown(name)}; there are {', '.join(known)}")
    return {name: _from_json(name, value) for name, value in values.items()}


def _json_value(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _from_json(name: str, value: Any) -> Any:
    """The setting as its flag would make it of the same words."""
    item = FIELDS[name]
    if value is None and item.default is None:
        return None
    words = value if isinstance(value, list) else [value]
    try:
        if not words and item.metadata["nargs"] != "*" and item.default != ():
            raise ValueError("there must be a value, not []")
        parsed = [item.metadata["parse"]("none" if v is None else str(v)) for v in words]
        setting = item.metadata["gather"](parsed)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    # True == 1, and both would be a number; a text of digits would be one, too.
    if type(value) is not bool and _json_value(setting) == value:
        return setting
    raise ValueError(f"{name} must be {json.dumps(_json_value(setting))}, not {shown(value)}")


def _for_argparse(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """``parse`` for argparse, whose own message for a ValueError leaves out what is allowed."""

    def parse_flag(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse_flag
