"""scikit-learn's update rules as optimisers of the engine, and their learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.optimizers import FIRST, RATE, Adam, Optimizer, Rows
from fastmlp.schedules import Schedule

LEAST_RATE = 1e-6
"""At this learning rate "adaptive" stops instead of dividing it again."""


@dataclass(frozen=True)
class SklearnSGD(Optimizer):
    """``V = momentum V + lr g;  W = W - V``, after Nesterov ``W = W - (lr g + momentum V)``.

    Unlike `fastmlp.SGD`, whose V has no learning rates in it: as these change, so do the steps.
    """

    lr: float
    momentum: float
    nesterov: bool
    weight_decay: float = 0.0
    decay_biases: bool = False
    lr_multipliers = None
    changes_with_time = True

    @property
    def update(self) -> str:
        """Name of its kernel."""
        return "momentum" if self.momentum else "decayed_sgd"

    def fill(self, rows: Rows, steps: NDArray[np.int64], rates: NDArray[np.float64]) -> None:
        """Columns: momentum, how much of g and of V a step is, how much of g is in V."""
        if not self.momentum:
            return
        rows[:, RATE] = 1
        rows[:, FIRST], rows[:, FIRST + 3] = self.momentum, rates
        rows[:, FIRST + 1] = rates if self.nesterov else 0
        rows[:, FIRST + 2] = self.momentum if self.nesterov else 1


@dataclass(frozen=True)
class SklearnAdam(Adam):
    """Adam with its epsilon beside the root of v itself: ``W = W - lr_t m / (sqrt(v) + eps)``.

    ``lr_t = lr sqrt(1 - b2^t) / (1 - b1^t)``: the efficient form of Kingma and Ba, 2015, section 2.
    """

    def fill(self, rows: Rows, steps: NDArray[np.int64], rates: NDArray[np.float64]) -> None:
        """As Adam's, the correction of v being in the rate."""
        super().fill(rows, steps, rates)
        rows[:, RATE] = rates * self.correction(steps)
        rows[:, FIRST + 4] = 1

    def correction(self, steps: Any) -> Any:
        """What lr is multiplied by in each of ``steps``."""
        b1, b2 = self.betas
        return np.sqrt(1 - b2**steps) / (1 - b1**steps)


@dataclass
class OptimizerState:
    """What a solver remembers from step to step; `partial_fit` goes on from it.

    Attributes
    ----------
    optimizer : Optimizer
    learning_rate : float
        Of the next step; of Adam's last one.
    rule, power : str, float
        How the learning rate changes, as ``learning_rate`` and ``power_t`` said when it was made.
    seed : int
        Of dropout.
    step : int
        Steps done.
    state : ndarray or None
        Moments or velocities, laid out as the engine's; None before the first step.
    """

    optimizer: Optimizer
    learning_rate: float
    rule: str
    power: float
    seed: int = 0
    step: int = 0
    state: NDArray[Any] | None = None

    def keep(self, step: int, state: NDArray[Any]) -> None:
        """Remember where training stands."""
        self.step, self.state = step, state
        if isinstance(self.optimizer, SklearnAdam) and step:
            self.learning_rate = float(self.optimizer.lr * self.optimizer.correction(step))


class CurrentRate(Schedule):
    """The learning rate that scikit-learn's "constant", "invscaling" or "adaptive" has come to.

    It is `OptimizerState.learning_rate`, which `Monitor` changes between epochs.
    """

    def __init__(self, state: OptimizerState) -> None:
        self._state = state

    def rates(
        self,
        lr: float,
        steps: NDArray[np.int64],
        steps_per_epoch: int,
        epochs: int,
        state: dict[str, Any],
    ) -> NDArray[np.float64]:
        """The same in all ``steps``."""
        changing = isinstance(self._state.optimizer, SklearnSGD)
        return np.full(len(steps), self._state.learning_rate if changing else lr)
