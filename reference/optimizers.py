"""Optimisers: how an array of parameters V follows its gradient dV, step by step."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from .functions import Array
from .inputs import check_betas, check_number, check_positive


class Optimizer(ABC):
    """V ← V − something made of dV: what :func:`reference.fit` calls, and nothing else.

    An optimiser is a description that no training changes. What it must remember from one step to
    the next is kept apart, for each array of parameters: `start` makes it, `update` changes it.
    """

    lr: float

    @abstractmethod
    def start(self, V: Array) -> Any:
        """What is remembered of V before the first step."""

    @abstractmethod
    def update(self, V: Array, dV: Array, state: Any) -> None:
        """One step of V and of its state, both in place, in the dtype of V."""


@dataclass(frozen=True)
class SGD(Optimizer):
    """W ← W − lr · dW: stochastic gradient descent.

    Parameters
    ----------
    lr : float, default 0.1
        The learning rate, finite and not negative.
    """

    lr: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "lr", check_number("lr", self.lr, 0))

    def start(self, V: Array) -> None:
        """Nothing: each step depends on its own gradient alone."""

    def update(self, V: Array, dV: Array, state: None) -> None:
        """V ← V − lr · dV, in place, in the dtype of V."""
        V -= V.dtype.type(self.lr) * dV


@dataclass
class Moments:
    """Running means m of dV and v of dV², element by element, after t steps."""

    m: Array
    v: Array
    t: int = 0


@dataclass(frozen=True)
class Adam(Optimizer):
    """W ← W − lr · m̂ / (√v̂ + eps), with m̂ and v̂ the running means of dW and dW².

    Kingma, Ba: Adam: a method for stochastic optimization, 2015, algorithm 1; without weight decay.
    The moments are zero at the start of each :func:`reference.fit`.

    Parameters
    ----------
    lr : float, default 0.001
        The learning rate, finite and not negative: about the size of a step, whatever dW is.
    betas : pair of floats, default (0.9, 0.999)
        How much of m and of v a step keeps, each in [0, 1).
    eps : float, default 1e-8
        Finite and positive: parameters whose gradient is much smaller than eps hardly move.
    """

    lr: float = 0.001
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        object.__setattr__(self, "lr", check_number("lr", self.lr, 0))
        object.__setattr__(self, "betas", check_betas("betas", self.betas))
        object.__setattr__(self, "eps", check_positive("eps", self.eps))

    def start(self, V: Array) -> Moments:
        """m = v = 0, t = 0. An eps that is 0 or infinite in the dtype of V is refused."""
        with np.errstate(over="ignore", under="ignore"):
            eps = V.dtype.type(self.eps)
        if not 0 < eps < math.inf:
            raise ValueError(f"eps must be > 0 and finite in {V.dtype}, got {self.eps}")
        return Moments(np.zeros_like(V), np.zeros_like(V))

    def update(self, V: Array, dV: Array, state: Moments) -> None:
        """V ← V − lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + eps), in place, in the dtype of V."""
        beta1, beta2 = self.betas
        state.t += 1
        state.m = beta1 * state.m + (1 - beta1) * dV
        state.v = beta2 * state.v + (1 - beta2) * dV**2
        # What does not depend on the element is worked out in float64.
        rate = self.lr / (1 - beta1**state.t)
        V -= rate * state.m / (np.sqrt(state.v) / math.sqrt(1 - beta2**state.t) + self.eps)
