"""`TrainConfig`: every setting of a training run, once; `fastmlp.flags` makes flags from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmlp import words
from fastmlp.augmentation import Augmentation
from fastmlp.checks import (
    shown,
)
from fastmlp.early_stopping import EarlyStopping
from fastmlp.initializers import INITIALIZERS
from fastmlp.losses import LOSSES
from fastmlp.model import ACTIVATIONS, DTYPES, NORMS
from fastmlp.optimizers import OPTIMIZERS
from fastmlp.schedules import SCHEDULES
from fastmlp.settings import create, create_of, keys_of
from fastmlp.threads import MOST_THREADS
from fastmlp.words import OF_OPTIMIZER, TABLES, flag_of

# 0.2 is what the accuracy in README.md was measured with; the others are their classes' own.
RATES = {name: kind.lr for name, kind in OPTIMIZERS.items() if name != "lbfgs"} | {"sgd": 0.2}
"""Default learning rates; L-BFGS has none."""

DEFAULT_RATES = ", ".join(f"{rate:g} for {name}" for name, rate in RATES.items())

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


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run; a field is a flag of ``python -m fastmlp.train``."""

    data: str | None = _option(
        None,
        "data",
        "mnist, fashion-mnist, digits, or an .npz file with x_train, y_train, x_test, y_test, or a "
        "folder of such shards, which stay on disk "
        "(default: mnist, or digits where it cannot be had)",
        str,
        metavar="NAME",
    )
    window: int | None = _option(
        None,
        "data",
        "rows of a folder's data that are shuffled together (default: as many as take 64 MiB)",
        words.integer(1),
        metavar="ROWS",
    )
    val_fraction: float = _option(
        0.0,
        "data",
        "share of the training set held out, of every class, for validation",
        words.number(0, below=1),
        metavar="SHARE",
    )
    augment: str | None = _option(
        None,
        "data",
        "random changes of images, as in shift=2,rotation=10; image_shape=28x28 where the data "
        "set has none",
        words.augmentation,
        metavar="KEY=VALUE,...",
    )
    hidden: tuple[int, ...] = _option(
        (256, 128),
        "network",
        "hidden layer sizes; none after the flag: no hidden layer",
        words.integer(1),
        nargs="*",
        gather=tuple,
        metavar="SIZE",
    )
    activation: str | tuple[str, ...] = _option(
        "relu",
        "network",
        f"of the hidden layers, or one for each: {', '.join(ACTIVATIONS)} (default: relu)",
        words.choice(*ACTIVATIONS),
        nargs="+",
        gather=_one_or_each,
        metavar="NAME",
    )
    norm: str | tuple[str | None, ...] | None = _option(
        None,
        "network",
        f"of the hidden layers, or one for each: none, {', '.join(NORMS)}",
        words.norm,
        nargs="+",
        gather=_one_or_each,
        metavar="NAME",
    )
    loss: str | None = _option(
        None,
        "network",
        f"{', '.join(LOSSES)}, with settings as in huber:delta=0.5 "
        "(default: cross_entropy for labels, squared_error for other targets)",
        words.spec("loss"),
        metavar="NAME",
    )
    init: str = _option(
        "he_normal",
        "network",
        f"initial parameters: {', '.join(INITIALIZERS)}, or uniform(A, B) with bounds "
        "(default: he_normal)",
        words.init,
        metavar="NAME",
    )
    dtype: str = _option(
        "float32",
        "network",
        "of parameters and arithmetic",
        words.choice(*DTYPES),
        metavar=f"{{{','.join(DTYPES)}}}",
    )
    optimizer: str = _option(
        "sgd",
        "training",
        f"{', '.join(OPTIMIZERS)}, with settings as in sgd:momentum=0.9,nesterov=true or "
        "adam:betas=0.9/0.99 (default: sgd)",
        words.spec("optimizer"),
        metavar="NAME",
    )
    lr: float | None = _option(
        None,  # for which __post_init__ takes the optimiser's own
        "training",
        f"learning rate (default: {DEFAULT_RATES})",
        words.number(0),
        metavar="RATE",
    )
    schedule: str | None = _option(
        None,
        "training",
        f"of the learning rate: {', '.join(SCHEDULES)}, with settings as in cosine:warmup=1",
        words.spec("schedule"),
        metavar="NAME",
    )
    epochs: int = _option(
        12, "training", "passes over the training set", words.integer(0), metavar="N"
    )
    batch_size: int | str = _option(
        64, "training", "samples in a step, or 'full'", words.batch_size, metavar="N"
    )
    class_weight: str | tuple[float, ...] | None = _option(
        None,
        "training",
        "factor on the loss of each class: balanced, or a number for each",
        words.class_weight,
        nargs="+",
        gather=_weights,
        metavar="W",
    )
    averaging: str | None = _option(
        None,
        "training",
        "of the parameters: ema:decay=0.999 over steps, or swa:start_epoch=1 over epochs",
        words.spec("averaging"),
        metavar="NAME",
    )
    seed: int = _option(
        0, "training", "decides everything that is random", words.integer(0), metavar="N"
    )
    weight_decay: float | None = _option(
        None,  # as lr
        "regularisation",
        "of weights, not of biases (default: 0; 0.01 for adamw)",
        words.number(0),
        metavar="RATE",
    )
    dropout: float | tuple[float, ...] = _option(
        0.0,
        "regularisation",
        "share of the hidden layers' activations that a step drops, or one for each",
        words.number(0, below=1),
        nargs="+",
        gather=_one_or_each,
        metavar="SHARE",
    )
    input_dropout: float = _option(
        0.0,
        "regularisation",
        "the same of the input",
        words.number(0, below=1),
        metavar="SHARE",
    )
    clip_norm: float | None = _option(
        None,
        "regularisation",
        "largest norm of the gradient",
        words.positive,
        metavar="NORM",
    )
    clip_value: float | None = _option(
        None,
        "regularisation",
        "largest size of an item of the gradient",
        words.positive,
        metavar="SIZE",
    )
    max_norm: float | None = _option(
        None,
        "regularisation",
        "largest norm of the weights into a unit",
        words.positive,
        metavar="NORM",
    )
    early_stopping: str | None = _option(
        None,
        "stopping",
        "end when there is no improvement, and keep the best epoch's parameters, as in "
        "patience=5,monitor=val_loss",
        words.early_stopping,
        metavar="KEY=VALUE,...",
    )
    target_accuracy: float | None = _option(
        None,
        "stopping",
        "end with the first epoch whose validation accuracy reaches it",
        words.share,
        metavar="SHARE",
    )
    max_seconds: float | None = _option(
        None,
        "stopping",
        "end with the epoch in which so much time has gone by",
        words.positive,
        metavar="SECONDS",
    )
    engine: str = _option(
        "fast",
        "running",
        "compiled kernels, or the plain NumPy to read",
        words.choice(*ENGINES),
        metavar=f"{{{','.join(ENGINES)}}}",
    )
    threads: int | None = _option(
        None,
        "running",
        "that compute; changes no bit of the result "
        "(default: FASTMLP_NUM_THREADS, or all physical cores that the process may use)",
        words.integer(1, MOST_THREADS),
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
        1, "running", "epochs from one checkpoint to the next", words.integer(1), metavar="N"
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
    distributed: bool = _option(
        False,
        "running",
        "train on the processes that mpiexec or srun has started, each with a share of the samples "
        "(fastmlp[mpi])",
        recorded=False,
    )
    metrics: tuple[str, ...] = _option(
        (),
        "output",
        "measured on the validation set after each epoch: top_5 (any k), f1, precision, recall, "
        "r2, mae, mse",
        words.metric,
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
    report: str | None = _option(
        None,
        "output",
        "write a page of what was learned, index.html, and its pictures, also after Ctrl-C "
        "(fastmlp[report])",
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
        for key in FIELDS:
            if getattr(self, key) == "":
                raise ValueError(f"{flag_of(key)} must not be empty")
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
        shape: dict[str, Any] = {} if image_shape is None else {"image_shape": tuple(image_shape)}
        return create_of(Augmentation, self.augment, package, called="augmentation", **shape)

    def recorded(self) -> dict[str, Any]:
        """All settings that the result depends on, as JSON values."""
        return {
            item.name: json_value(getattr(self, item.name))
            for item in dataclasses.fields(self)
            if item.metadata["recorded"]
        }


def json_value(value: Any) -> Any:
    """A setting as JSON holds it."""
    return list(value) if isinstance(value, tuple) else value


FIELDS = {item.name: item for item in dataclasses.fields(TrainConfig)}
