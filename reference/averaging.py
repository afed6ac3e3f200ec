"""Averages of the parameters along the training: they often generalise better than the last ones.

Both averages are over all arrays of a model, its running statistics too. While a model trains with
its own parameters, the average is kept beside: :class:`Average`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .functions import Array
from .inputs import check_fraction, check_integer
from .network import MLP


@dataclass
class Average:
    """An average of `count` states of a model: name to array; empty before the first."""

    count: int = 0
    arrays: dict[str, Array] = field(default_factory=dict)


class Averaging(ABC):
    """When a model's arrays are taken into an average, and with which weight."""

    @abstractmethod
    def after_step(self, average: Average, model: MLP) -> None:
        """Called after each step."""

    @abstractmethod
    def after_epoch(self, average: Average, model: MLP, epoch: int) -> None:
        """Called after each epoch, counted from 1."""


@dataclass(frozen=True)
class EMA(Averaging):
    """Exponential moving average: after the first step V, then ema ← decay · ema + (1 − decay) · V.

    Parameters
    ----------
    decay : float, default 0.999
        In [0, 1): about 1 / (1 − decay) steps count.
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        object.__setattr__(self, "decay", check_fraction("decay", self.decay))

    def after_step(self, average: Average, model: MLP) -> None:
        """ema ← decay · ema + (1 − decay) · V."""
        average.count += 1
        if average.count == 1:
            average.arrays = model.state_dict()
            return
        for name, V in model.arrays().items():
            average.arrays[name] *= self.decay
            average.arrays[name] += (1 - self.decay) * V

    def after_epoch(self, average: Average, model: MLP, epoch: int) -> None:
        """Nothing."""


@dataclass(frozen=True)
class SWA(Averaging):
    """Stochastic weight averaging: the mean of the parameters at the ends of epochs.

    Izmailov et al.: Averaging weights leads to wider optima and better generalization, 2018.

    Parameters
    ----------
    start_epoch : int, default 1
        The first epoch whose end counts.
    """

    start_epoch: int = 1

    def __post_init__(self) -> None:
        start_epoch = check_integer("start_epoch", self.start_epoch, 1)
        object.__setattr__(self, "start_epoch", start_epoch)

    def after_step(self, average: Average, model: MLP) -> None:
        """Nothing."""

    def after_epoch(self, average: Average, model: MLP, epoch: int) -> None:
        """average ← average + (V − average) / k at the k-th epoch that counts."""
        if epoch < self.start_epoch:
            return
        average.count += 1
        if average.count == 1:
            average.arrays = model.state_dict()
            return
        for name, V in model.arrays().items():
            average.arrays[name] += (V - average.arrays[name]) / average.count


@contextmanager
def averaged(model: MLP, average: Average | None) -> Iterator[None]:
    """Inside of the block the model holds the average, if there is one; then its own arrays."""
    if average is None or not average.count:
        yield
        return
    own = model.state_dict()
    model.load_state_dict(average.arrays)
    try:
        yield
    finally:
        model.load_state_dict(own)
