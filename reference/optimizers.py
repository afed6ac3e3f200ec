"""Optimisers: how an array of parameters V follows its gradient dV, step by step.

An optimiser is a description that no training changes. What it must remember from one step to the
next, a :data:`State`, is kept apart, for each array of parameters.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeAlias

import numpy as np

from .functions import Array
from .inputs import (
    check_betas,
    check_boolean,
    check_fraction,
    check_integer,
    check_multipliers,
    check_number,
    check_positive,
)

State: TypeAlias = dict[str, Array]
"""Arrays by name, most of them of V's shape."""


def _not_negative(name: str, value: Any) -> float:
    return check_number(name, value, 0)


CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "lr": _not_negative,
    "alpha": check_fraction,
    "betas": check_betas,
    "decay_biases": check_boolean,
    "decoupled": check_boolean,
    "eps": check_positive,
    "history_size": lambda name, value: check_integer(name, value, 1),
    "initial_accumulator": _not_negative,
    "lr_decay": _not_negative,
    "lr_multipliers": check_multipliers,
    "momentum": check_fraction,
    "momentum_decay": _not_negative,
    "nesterov": check_boolean,
    "tolerance_change": _not_negative,
    "tolerance_grad": _not_negative,
    "weight_decay": _not_negative,
}
"""What each setting may be."""


class Settings:
    """A dataclass whose fields are what CHECKS makes of them."""

    def __post_init__(self) -> None:
        for setting in fields(self):  # type: ignore[arg-type]  # each subclass is a dataclass
            value = CHECKS[setting.name](setting.name, getattr(self, setting.name))
            object.__setattr__(self, setting.name, value)


class Optimizer(Settings, ABC):
    """V ← V − something made of dV, after the decay of V that all optimisers share.

    Decay draws V towards 0. Coupled, it is the gradient of weight_decay / 2 · ΣV² and goes the way
    of dV. Decoupled, it does not go through what is remembered: V ← (1 − lr · weight_decay) V
    (Loshchilov, Hutter: Decoupled weight decay regularization, 2019).
    """

    lr: float
    weight_decay: float
    decay_biases: bool
    lr_multipliers: tuple[float, ...] | None
    decoupled: bool

    def step(self, V: Array, dV: Array, state: State, t: int, lr: float, decays: bool) -> None:
        """One step of V and of its state, both in place, in the dtype of V.

        Parameters
        ----------
        V, dV : arrays of one shape
        state : dict
            From :meth:`start`.
        t : int
            The number of the step in its training, from 1.
        lr : float
            The learning rate of this step and this V.
        decays : bool
            Whether the decay is for this V.
        """
        if decays and self.weight_decay > 0:
            if self.decoupled:
                V *= 1 - lr * self.weight_decay
            else:
                dV = dV + self.weight_decay * V
        self.update(V, dV, state, t, lr)

    def multiplier(self, layer: int) -> float:
        """The factor on the learning rate in a layer, counted from 0."""
        return 1.0 if self.lr_multipliers is None else self.lr_multipliers[layer]

    @abstractmethod
    def start(self, V: Array) -> State:
        """What is remembered of V before the first step."""

    @abstractmethod
    def update(self, V: Array, dV: Array, state: State, t: int, lr: float) -> None:
        """A step without decay. What does not depend on the element is worked out in float64."""


def _check_eps(eps: float, dtype: np.dtype[Any]) -> None:
    """Refuse an eps that is 0 or infinite in the dtype."""
    with np.errstate(over="ignore", under="ignore"):
        rounded = dtype.type(eps)
    if not 0 < rounded < math.inf:
        raise ValueError(f"eps must be > 0 and finite in {dtype}, got {eps}")


@dataclass(frozen=True)
class SGD(Optimizer):
    """buf ← momentum · buf + dW, W ← W − lr · buf: stochastic gradient descent.

    With nesterov, W ← W − lr · (dW + momentum · buf) (Sutskever, Martens, Dahl, Hinton: On the
    importance of initialization and momentum in deep learning, 2013).

    Parameters
    ----------
    lr : float, default 0.1
        The learning rate, finite and not negative.
    momentum : float, default 0
        How much of buf a step keeps, in [0, 1).
    nesterov : bool, default False
        Needs a momentum.
    weight_decay : float, default 0
        Not negative: how much of W is added to dW.
    decoupled : bool, default False
        Whether the decay is of W itself, W ← (1 − lr · weight_decay) W, and not through dW.
    decay_biases : bool, default False
        Whether the biases decay like the weights, and the scales and shifts of a norm.
    lr_multipliers : sequence of float, optional
        A factor on lr for each layer, not negative.
    """

    lr: float = 0.1
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    decoupled: bool = False
    decay_biases: bool = False
    lr_multipliers: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum > 0, got momentum 0.0")

    def start(self, V: Array) -> State:
        """buf = 0; nothing without momentum."""
        return {"buf": np.zeros_like(V)} if self.momentum > 0 else {}

    def update(self, V: Array, dV: Array, state: State, t: int, lr: float) -> None:
        """V ← V − lr · buf, or lr · (dV + momentum · buf), or lr · dV."""
        if self.momentum > 0:
            buf = state["buf"]
            buf *= self.momentum
            buf += dV
            dV = dV + self.momentum * buf if self.nesterov else buf
        V -= lr * dV


class _Adam(Optimizer):
    """The step that Adam and AdamW share; they differ in their settings."""

    betas: tuple[float, float]
    eps: float

    def start(self, V: Array) -> State:
        """m = v = 0. An eps that is 0 or infinite in the dtype of V is refused."""
        _check_eps(self.eps, V.dtype)
        return {"m": np.zeros_like(V), "v": np.zeros_like(V)}

    def update(self, V: Array, dV: Array, state: State, t: int, lr: float) -> None:
        """V ← V − lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + eps)."""
        beta1, beta2 = self.betas
        m, v = _moments(self.betas, dV, state)
        rate = lr / (1 - beta1**t)
        V -= rate * m / (np.sqrt(v) / math.sqrt(1 - beta2**t) + self.eps)


def _moments(betas: tuple[float, float], dV: Array, state: State) -> tuple[Array, Array]:
    """m ← β₁ m + (1 − β₁) dV, v ← β₂ v + (1 − β₂) dV²."""
    beta1, beta2 = betas
    state["m"] = beta1 * state["m"] + (1 - beta1) * dV
    state["v"] = beta2 * state["v"] + (1 - beta2) * dV**2
    return state["m"], state["v"]


@dataclass(frozen=True)
class Adam(_Adam):
    """W ← W − lr · m̂ / (√v̂ + eps), with m̂ and v̂ the running means of dW and dW².

    Kingma, Ba: Adam: a method for stochastic optimization, 2015, algorithm 1. The moments are zero
    at the start of each :func:`reference.fit`.

    Parameters
    ----------
    lr : float, default 0.001
        The learning rate, finite and not negative: about the size of a step, whatever dW is.
    betas : pair of floats, default (0.9, 0.999)
        How much of m and of v a step keeps, each in [0, 1).
    eps : float, default 1e-8
        Finite and positive: parameters whose gradient is much smaller than eps hardly move.
    weight_decay, decoupled, decay_biases, lr_multipliers
        As :class:`SGD` has them.
    """

    lr: float = 0.001
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    decoupled: bool = False
    decay_biases: bool = False
    lr_multipliers: tuple[float, ...] | None = None


@dataclass(frozen=True)
class AdamW(_Adam):
    """:class:`Adam` with decoupled decay: W ← (1 − lr · weight_decay) W before each step.

    Loshchilov, Hutter: Decoupled weight decay regularization, 2019, algorithm 2.

    Parameters
    ----------
    weight_decay : float, default 0.01
    lr, betas, eps, decay_biases, lr_multipliers
        As :class:`Adam` has them.
    """

    decoupled: ClassVar[bool] = True  # type: ignore[misc]  # a setting of others
    lr: float = 0.001
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.01
    decay_biases: bool = False
    lr_multipliers: tuple[float, ...] | None = None


@dataclass(frozen=True)
class NAdam(Optimizer):
    """:class:`Adam` whose m is looked at one step ahead, as Nesterov's momentum does.

    Dozat: Incorporating Nesterov momentum into Adam, 2016. With μₜ = β₁ (1 − 0.96^(ψ t) / 2) for
    β₁ in step t, where ψ is momentum_decay,

        W ← W − lr · ((1 − μₜ) / (1 − Πᵢ₌₁ᵗ μᵢ) · dW + μₜ₊₁ / (1 − Πᵢ₌₁ᵗ⁺¹ μᵢ) · m) / (√v̂ + eps)

    Parameters
    ----------
    lr : float, default 0.002
    momentum_decay : float, default 0.004
        ψ, not negative.
    betas, eps, weight_decay, decoupled, decay_biases, lr_multipliers
        As :class:`Adam` has them.
    """

    lr: float = 0.002
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    momentum_decay: float = 0.004
    weight_decay: float = 0.0
    decoupled: bool = False
    decay_biases: bool = False
    lr_multipliers: tuple[float, ...] | None = None

    def momentum(self, t: int) -> float:
        """μₜ."""
        return self.betas[0] * (1 - 0.5 * math.pow(0.96, t * self.momentum_decay))

    def start(self, V: Array) -> State:
        """m = v = 0, and the empty product of the μᵢ, 1, in float64."""
        _check_eps(self.eps, V.dtype)
        return {"m": np.zeros_like(V), "v": np.zeros_like(V), "product": np.ones(())}

    def update(self, V: Array, dV: Array, state: State, t: int, lr: float) -> None:
        """The line above, with what is a factor of dW and of m as one number each."""
        now, ahead = self.momentum(t), self.momentum(t + 1)
        state["product"] *= now
        product = float(state["product"])
        m, v = _moments(self.betas, dV, state)
        of_gradient = lr * (1 - now) / (1 - product)
        of_mean = lr * ahead / (1 - product * ahead)
        root = np.sqrt(v) / math.sqrt(1 - self.betas[1] ** t) + self.eps
        V -= (of_gradient * dV + of_mean * m) / root


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """v ← alpha · v + (1 − alpha) dW², W ← W − lr · dW / (√v + eps).

    Tieleman, Hinton: lecture 6.5 of Neural networks for machine learning, 2012. With a momentum,
    buf ← momentum · buf + dW / (√v + eps), W ← W − lr · buf.

    Parameters
    ----------
    lr : float, default 0.01
    alpha : float, default 0.99
        How much of v a step keeps, in [0, 1).
    eps : float, default 1e-8
        Finite and positive.
    momentum : float, default 0
        In [0, 1).
    weight_decay, decoupled, decay_biases, lr_multipliers
        As :class:`SGD` has them.
    """

    lr: float = 0.01
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    weight_decay: float = 0.0
    decoupled: bool = False
    decay_biases: bool = False
    lr_multipliers: tuple[float, ...] | None = None

    def start(self, V: Array) -> State:
        """v = 0, and buf = 0 with momentum."""
        _check_eps(self.eps, V.dtype)
        names = ["v", "buf"] if self.momentum > 0 else ["v"]
        return {name: np.zeros_like(V) for name in names}

    def update(self, V: Array, dV: Array, state: State, t: int, lr: float) -> None:
        """V ← V − lr · dV / (√v + eps), or by the running sum of such steps."""
        state["v"] = self.alpha * state["v"] + (1 - self.alpha) * dV**2
        move = dV / (np.sqrt(state["v"]) + self.eps)
        if self.momentum > 0:
            move = state["buf"] = self.momentum * state["buf"] + move
        V -= lr * move


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """s ← s + dW², W ← W − lr / (1 + (t − 1) lr_decay) · dW / (√s + eps).

    Duchi, Hazan, Singer: Adaptive subgradient methods for online learning, 2011.

    Parameters
    ----------
    lr : float, default 0.01
    lr_decay : float, default 0
        Not negative.
    initial_accumulator : float, default 0
        What s is before the first step, not negative.
    eps : float, default 1e-10
        Finite and positive.
    weight_decay, decoupled, decay_biases, lr_multipliers
        As :class:`SGD` has them.
    """

    lr: float = 0.01
    lr_decay: float = 0.0
    initial_accumulator: float = 0.0
    eps: float = 1e-10
    weight_decay: float = 0.0
    decoupled: bool = False
    decay_biases: bool = False
    lr_multipliers: tuple[float, ...] | None = None

    def start(self, V: Array) -> State:
        """s = initial_accumulator."""
        _check_eps(self.eps, V.dtype)
        return {"s": np.full_like(V, self.initial_accumulator)}

    def update(self, V: Array, dV: Array, state: State, t: int, lr: float) -> None:
        """V ← V − rate · dV / (√s + eps)."""
        state["s"] += dV**2
        rate = lr / (1 + (t - 1) * self.lr_decay)
        V -= rate * dV / (np.sqrt(state["s"]) + self.eps)


@dataclass(frozen=True)
class Lion(Optimizer):
    """W ← W − lr · sign(β₁ m + (1 − β₁) dW), m ← β₂ m + (1 − β₂) dW: all steps are of one size.

    Chen et al.: Symbolic discovery of optimization algorithms, 2023, algorithm 2; the decay is
    decoupled.

    Parameters
    ----------
    lr : float, default 1e-4
    betas : pair of floats, default (0.9, 0.99)
        How much of m the step is made of, and how much of m a step keeps, each in [0, 1).
    weight_decay, decay_biases, lr_multipliers
        As :class:`AdamW` has them.
    """

    decoupled: ClassVar[bool] = True  # type: ignore[misc]  # a setting of others
    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    decay_biases: bool = False
    lr_multipliers: tuple[float, ...] | None = None

    def start(self, V: Array) -> State:
        """m = 0."""
        return {"m": np.zeros_like(V)}

    def update(self, V: Array, dV: Array, state: State, t: int, lr: float) -> None:
        """V ← V − lr · sign(β₁ m + (1 − β₁) dV), then m."""
        beta1, beta2 = self.betas
        V -= lr * np.sign(beta1 * state["m"] + (1 - beta1) * dV)
        state["m"] = beta2 * state["m"] + (1 - beta2) * dV
