"""Optimisers: plain descriptions, which the engine turns into updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import check_number, shown


class Optimizer:
    """Base of optimisers.

    Attributes
    ----------
    name : str
        Of the update in `fastmlp.kernels.updates`.
    lr : float
        Learning rate.
    """

    name: ClassVar[str]
    lr: float

    def hyperparameters(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """What the update needs to know in each of the ``steps``, which are counted from 1.

        A row for each step, or one if all are equal; its columns are the update's.
        """
        raise NotImplementedError

    def check_dtype(self, dtype: np.dtype[Any]) -> None:
        """ValueError if a setting has no place among the numbers of ``dtype``."""


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent: ``W = W - lr * dW`` (Robbins and Monro, 1951).

    Parameters
    ----------
    lr : float, default 0.1
        Learning rate, finite and 0 or more.
    """

    name = "sgd"
    lr: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "lr", check_number("lr", self.lr, least=0))

    def hyperparameters(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Columns: lr."""
        return np.full((1, 1), self.lr)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam: steps of size ``lr``, scaled by running moments of the gradient g.

    ``m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;
    W = W - lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)`` in step t = 1, 2, ..., from
    m = v = 0 (Kingma and Ba, 2015; as `torch.optim.Adam`).

    Parameters
    ----------
    lr : float, default 0.001
        Learning rate, finite and 0 or more.
    betas : (float, float), default (0.9, 0.999)
        Decay of the running mean m and of the running mean square v, 0 or more and below 1.
    eps : float, default 1e-8
        Added to the root of the mean square, finite and above 0, in the model's dtype too.
    """

    name = "adam"
    lr: float = 0.001
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        object.__setattr__(self, "lr", check_number("lr", self.lr, least=0))
        # A set would be a pair in no order.
        if not isinstance(self.betas, Sequence) or len(self.betas) != 2:
            raise TypeError(f"betas must be a pair of numbers, not {shown(self.betas)}")
        betas = tuple(check_number(f"betas[{k}]", b, 0, 1) for k, b in enumerate(self.betas))
        object.__setattr__(self, "betas", betas)
        object.__setattr__(self, "eps", check_number("eps", self.eps))
        if self.eps <= 0:
            raise ValueError(f"eps must be a finite number above 0, not {self.eps}")

    def check_dtype(self, dtype: np.dtype[Any]) -> None:
        """An eps of 0 would make 0 / 0 of a gradient of 0; an infinite one would stop all steps."""
        with np.errstate(over="ignore", under="ignore"):
            eps = dtype.type(self.eps)
        if not 0 < eps < np.inf:
            raise ValueError(f"eps must be above 0 and finite in {dtype}, not {self.eps}")

    def hyperparameters(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Columns: lr / (1 - b1^t), b1, 1 - b1, b2, 1 - b2, (1 - b2^t)^(-1/2), eps."""
        b1, b2 = self.betas
        rows = np.empty((len(steps), 7))
        rows[:, 0] = self.lr / (1 - b1**steps)
        rows[:, 1:5] = b1, 1 - b1, b2, 1 - b2
        rows[:, 5] = (1 - b2**steps) ** -0.5
        rows[:, 6] = self.eps
        return rows
