"""`Task`: one piece of work, described once for every side that does it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastmlp
import reference

OPTIMIZERS = {
    "sgd": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.9}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "adam": ("Adam", {}),
    "adamw": ("AdamW", {"weight_decay": 0.01}),
}
"""Name: class in fastmlp and the reference, settings beside the learning rate. Each side decays the
weights and not the biases."""

BRIEF_SECONDS = 0.3
"""What takes less is done once before it is measured: after a rest of 0.2 s, cores that have slept
made an epoch of fastmlp 24 % slower and one of JAX 18 %."""


@dataclass(frozen=True)
class Task:
    """What a side is asked to do; travels to its process as JSON.

    Attributes
    ----------
    optimizer : str
        A key of `OPTIMIZERS`.
    samples : int
        Rows of an epoch, or of the input of one prediction.
    search : bool
        Whether peers try every way they know, those too that take long to compile.
    calls : int
        Predictions in a row that make one measurement; 0: the task is an epoch of training.
    clock : str
        What predictions and calls of ``fit`` are timed by: a function of `time`.
    epochs : int
        Of a whole training, over which the schedule runs.
    one_cycle : float or None
        Share of the steps before the peak of `fastmlp.OneCycle`; None: a constant rate.
    augmentation : dict or None
        Arguments of `fastmlp.Augmentation` beside the shape; each side draws its own numbers.
    """

    layers: tuple[int, ...]
    batch_size: int = 128
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    dtype: str = "float32"
    data: str = "mnist"
    samples: int = 60_000
    activation: str = "relu"
    norm: str | None = None
    dropout: float = 0.0
    threads: int = 1
    search: bool = True
    calls: int = 0
    clock: str = "perf_counter"
    epochs: int = 1
    one_cycle: float | None = None
    label_smoothing: float = 0.0
    augmentation: dict[str, float] | None = None

    @property
    def flops(self) -> int:
        """Floating-point operations of one epoch: 2 (2 n₁ n₂ + 3 Σ other layers) per sample."""
        products = [n * m for n, m in zip(self.layers, self.layers[1:], strict=False)]
        return self.samples * 2 * (3 * sum(products) - products[0])

    @property
    def schedule(self) -> fastmlp.Schedule:
        """Of the learning rate."""
        if self.one_cycle is None:
            return fastmlp.Constant()
        return fastmlp.OneCycle(pct_start=self.one_cycle)

    @property
    def network(self) -> dict[str, Any]:
        """Settings of the network that are not the defaults, which older commits may not know."""
        settings = {"activation": self.activation, "norm": self.norm, "dropout": self.dropout}
        return {name: value for name, value in settings.items() if value != getattr(Task, name)}

    def rates(self, epoch: int) -> NDArray[np.float64]:
        """Learning rate of each step of an epoch; they count from 1."""
        n = -(-self.samples // self.batch_size)
        steps = np.arange((epoch - 1) * n, epoch * n) + 1
        return self.schedule.rates(self.learning_rate, steps, n, self.epochs, {})


def at_hand(task: Task) -> Task:
    """The task, with zeros at random in the place of MNIST where that cannot be had."""
    if task.data == "mnist":
        try:
            fastmlp.load_dataset("mnist")
        except fastmlp.DataUnavailableError:
            return replace(task, data="zeros")
    return task


def initial(task: Task, seed: int = 0) -> Any:
    """A NumPy network with the parameters that every side starts from."""
    norm = {} if task.norm is None else {"norm": task.norm}
    return reference.MLP(task.layers, dtype=task.dtype, seed=seed, **norm)


def order(task: Task, seed: int, epoch: int = 1) -> NDArray[np.int64]:
    """Rows of the epoch, as `fastmlp.fit` with this seed takes them."""
    if task.batch_size >= task.samples:
        return np.arange(task.samples)
    return np.random.default_rng((seed, epoch)).permutation(task.samples)


@cache
def samples(data: str, count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """``count`` samples and labels: uint8 of MNIST, or numbers drawn at random with any labels.

    "zeros" are uint8, of which 81 % are zero as in MNIST; "gaussian" are dense float32.
    """
    if data == "mnist":
        mnist = fastmlp.load_dataset("mnist")
        return mnist.x_train[:count], mnist.y_train[:count]
    rng = np.random.default_rng(0)
    if data == "zeros":
        x = rng.integers(1, 256, (count, 784), dtype=np.uint8)
        x *= rng.random((count, 784), dtype=np.float32) < 0.19
        return x, rng.integers(0, 10, count)
    x = rng.standard_normal((count, 784), dtype=np.float32)
    return x, rng.integers(0, 10, count)


def floats(task: Task) -> tuple[NDArray[Any], NDArray[Any]]:
    """The task's samples as numbers of its dtype."""
    x, y = samples(task.data, task.samples)
    dtype = np.dtype(task.dtype)
    return x.astype(dtype) * dtype.type(1 / 255 if x.dtype == np.uint8 else 1), y
