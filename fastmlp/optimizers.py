"""Optimisers: plain descriptions, which the engine turns into updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import (
    check_fits,
    check_flag,
    check_integer,
    check_number,
    check_positive,
    shown,
)

Rows = NDArray[np.float64]

L2, KEEP, RATE, FIRST, COLUMNS = 0, 1, 2, 3, 10
"""Columns of hyperparameters: coupled decay, 1 - decoupled decay, learning rate, then those of the
update in the order in which `fastmlp.kernels.updates` names them."""


class Optimizer:
    """Base of optimisers.

    Attributes
    ----------
    update : str
        Name of its kernel in `fastmlp.kernels.updates`.
    lr : float
        Learning rate.
    weight_decay : float
        Decay of the weights, of biases too with ``decay_biases``; not of the learning rate.
    decoupled : bool
        Whether weights shrink by lr * weight_decay (Loshchilov and Hutter, 2019) or the gradient of
        weight_decay / 2 * W^2 is added to dW.
    lr_multipliers : tuple of float or None
        Factor on the learning rate of each layer.
    """

    lr: float
    eps: float
    weight_decay: float
    decay_biases: bool
    lr_multipliers: Sequence[float] | None
    decoupled: bool = False
    changes_with_time: ClassVar[bool] = False

    @property
    def update(self) -> str:
        """Name of its kernel."""
        raise NotImplementedError

    @property
    def initial_state(self) -> float:
        """Value of its state before the first step."""
        return 0.0

    def fill(self, rows: Rows, steps: NDArray[np.int64], rates: NDArray[np.float64]) -> None:
        """Write the columns from RATE on, for ``steps`` counted from 1 with learning ``rates``.

        ``rows`` (n_steps, COLUMNS) holds the rates in column RATE.
        """

    def hyperparameters(
        self, steps: NDArray[np.int64], rates: NDArray[np.float64], n_layers: int
    ) -> NDArray[np.float64]:
        """What the update needs to know: (n_steps or 1, n_groups, COLUMNS).

        One row for all steps if they are equal. One group for all parameters, or two for each layer
        where these differ: its weights, and what is below them.
        """
        if not self.changes_with_time and (rates == rates[:1]).all():
            steps, rates = steps[:1], rates[:1]
        multipliers = self.lr_multipliers or (1.0,) * n_layers
        apart = self.lr_multipliers is not None or (self.weight_decay and not self.decay_biases)
        groups = 2 * n_layers if apart else 1
        rows = np.zeros((len(steps), groups, COLUMNS))
        for group in range(groups):
            columns, scaled = rows[:, group], rates * multipliers[group // 2]
            decay = self.weight_decay if self.decay_biases or group % 2 == 0 else 0.0
            columns[:, L2] = 0.0 if self.decoupled else decay
            columns[:, KEEP] = 1.0 - scaled * (decay if self.decoupled else 0.0)
            columns[:, RATE] = scaled
            self.fill(columns, steps, scaled)
        return rows

    def check_dtype(self, dtype: np.dtype[Any]) -> None:
        """ValueError if a setting has no place among the numbers of ``dtype``.

        An eps of 0 would make 0 / 0 of a gradient of 0; an infinite one would stop all steps.
        """
        if not hasattr(self, "eps"):
            return
        check_fits("eps", self.eps, dtype)

    def check_layers(self, n_layers: int) -> None:
        """ValueError if there is not one learning rate multiplier for each layer."""
        if self.lr_multipliers is not None and len(self.lr_multipliers) != n_layers:
            raise ValueError(
                f"lr_multipliers must hold one number for each of {n_layers} layers, not "
                f"{shown(self.lr_multipliers)}"
            )

    def _check(self, **least: float) -> None:
        """Check what all have in common, and that further numbers are not below ``least``."""
        for name in ("lr", "weight_decay", *least):
            self._set(name, check_number(name, getattr(self, name), least.get(name, 0)))
        for name in ("decoupled", "decay_biases"):
            check_flag(name, getattr(self, name))
        if hasattr(self, "eps"):
            self._set("eps", check_positive("eps", self.eps))
        if self.lr_multipliers is not None:
            self._set("lr_multipliers", _check_multipliers(self.lr_multipliers))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent: ``W = W - lr * g`` (Robbins and Monro, 1951).

    With momentum ``V = momentum * V + g; W = W - lr * V``, by Nesterov's rule
    ``W = W - lr * (g + momentum * V)``; as `torch.optim.SGD` (Sutskever et al., 2013).

    Parameters
    ----------
    lr : float, default 0.1
        Learning rate, finite and 0 or more.
    momentum : float, default 0
        0 or more and below 1.
    nesterov : bool, default False
        Needs a momentum above 0.
    weight_decay : float, default 0
        Of the weights, 0 or more.
    decoupled : bool, default False
        ``W = W - lr * weight_decay * W`` before the step, instead of
        ``g = dW + weight_decay * W``.
    decay_biases : bool, default False
        Whether biases, and scales and shifts of norms, decay as the weights do.
    lr_multipliers : sequence of float, optional
        Factor on the learning rate of each layer, 0 or more.
    """

    lr: float = 0.1
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    decoupled: bool = False
    decay_biases: bool = False
    lr_multipliers: Sequence[float] | None = None

    def __post_init__(self) -> None:
        self._check()
        self._set("momentum", check_number("momentum", self.momentum, 0, 1))
        check_flag("nesterov", self.nesterov)
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0, not 0")

    @property
    def update(self) -> str:
        """Name of its kernel: the simplest that does it."""
        return "momentum" if self.momentum else "decayed_sgd" if self.weight_decay else "sgd"

    def fill(self, rows: Rows, steps: NDArray[np.int64], rates: NDArray[np.float64]) -> None:
        """Columns: momentum, how much of g and of V a step is, how much of g is in V."""
        parts = (1.0, self.momentum) if self.nesterov else (0.0, 1.0)
        rows[:, FIRST : FIRST + 4] = self.momentum, *parts, 1


class _Moments(Optimizer):
    """What optimisers with running moments of the gradient have in common."""

    betas: tuple[float, float]

    def __post_init__(self) -> None:
        self._check()
        self._set("betas", _check_betas(self.betas))


class _AdamRule(_Moments):
    changes_with_time = True

    @property
    def update(self) -> str:
        """Name of its kernel."""
        return "adam"

    def fill(self, rows: Rows, steps: NDArray[np.int64], rates: NDArray[np.float64]) -> None:
        """Columns: b1, 1 - b1, b2, 1 - b2, (1 - b2^t)^(-1/2), eps, 0; rate lr / (1 - b1^t)."""
        b1, b2 = self.betas
        rows[:, RATE] = rates / (1 - b1**steps)
        rows[:, FIRST : FIRST + 4] = b1, 1 - b1, b2, 1 - b2
        rows[:, FIRST + 4] = (1 - b2**steps) ** -0.5
        rows[:, FIRST + 5] = self.eps


@dataclass(frozen=True)
class Adam(_AdamRule):
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
    weight_decay, decoupled, decay_biases, lr_multipliers
        As of `SGD`.
    """

    lr: float = 0.001
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    decoupled: bool = False
    decay_biases: bool = False
    lr_multipliers: Sequence[float] | None = None


@dataclass(frozen=True)
class AdamW(_AdamRule):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019), as `torch.optim.AdamW`.

    ``W = W - lr * weight_decay * W`` comes before the step of `Adam`.

    Parameters
    ----------
    lr, betas, eps
        As of `Adam`.
    weight_decay : float, default 0.01
        Of the weights, 0 or more.
    decay_biases, lr_multipliers
        As of `SGD`.
    """

    decoupled = True
    lr: float = 0.001
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.01
    decay_biases: bool = False
    lr_multipliers: Sequence[float] | None = None


@dataclass(frozen=True)
class NAdam(_AdamRule):
    """Adam with Nesterov's look ahead (Dozat, 2016), as `torch.optim.NAdam`.

    With ``u_t = b1 (1 - 0.96^(t psi) / 2)`` and U_t the product of u_1 ... u_t, the mean of `Adam`
    is replaced by ``u_{t+1} m / (1 - U_{t+1}) + (1 - u_t) g / (1 - U_t)``.

    Parameters
    ----------
    lr : float, default 0.002
    betas, eps
        As of `Adam`.
    momentum_decay : float, default 0.004
        psi, 0 or more.
    weight_decay, decoupled, decay_biases, lr_multipliers
        As of `SGD`.
    """

    lr: float = 0.002
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    momentum_decay: float = 0.004
    weight_decay: float = 0.0
    decoupled: bool = False
    decay_biases: bool = False
    lr_multipliers: Sequence[float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("momentum_decay", check_number("momentum_decay", self.momentum_decay, 0))

    def fill(self, rows: Rows, steps: NDArray[np.int64], rates: NDArray[np.float64]) -> None:
        """As Adam's, with the rates of m and of g in place of lr / (1 - b1^t) and 0."""
        super().fill(rows, steps, rates)
        u, product = _nadam_table(
            self.betas[0], self.momentum_decay, int(steps.max(initial=0)).bit_length()
        )
        now, ahead = steps - 1, steps
        rows[:, RATE] = rates * u[ahead] / (1 - product[ahead])
        rows[:, FIRST + 6] = rates * (1 - u[now]) / (1 - product[now])


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """``v = alpha v + (1 - alpha) g^2;  W = W - lr g / (sqrt(v) + eps)``, as `torch.optim.RMSprop`.

    With momentum ``V = momentum V + g / (sqrt(v) + eps);  W = W - lr V`` (Tieleman and Hinton,
    2012).

    Parameters
    ----------
    lr : float, default 0.01
        Learning rate, finite and 0 or more.
    alpha : float, default 0.99
        Decay of v, 0 or more and below 1.
    eps : float, default 1e-8
        Finite and above 0, in the model's dtype too.
    momentum : float, default 0
        0 or more and below 1.
    weight_decay, decoupled, decay_biases, lr_multipliers
        As of `SGD`.
    """

    lr: float = 0.01
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    weight_decay: float = 0.0
    decoupled: bool = False
    decay_biases: bool = False
    lr_multipliers: Sequence[float] | None = None

    def __post_init__(self) -> None:
        self._check()
        for name in ("alpha", "momentum"):
            self._set(name, check_number(name, getattr(self, name), 0, 1))

    @property
    def update(self) -> str:
        """Name of its kernel."""
        return "scaled_momentum" if self.momentum else "scaled"

    def fill(self, rows: Rows, steps: NDArray[np.int64], rates: NDArray[np.float64]) -> None:
        """Columns: momentum, -, alpha, 1 - alpha, -, eps."""
        rows[:, FIRST : FIRST + 4] = self.momentum, 0, self.alpha, 1 - self.alpha
        rows[:, FIRST + 5] = self.eps


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """``v = v + g^2;  W = W - lr / (1 + (t - 1) lr_decay) g / (sqrt(v) + eps)``.

    As `torch.optim.Adagrad` (Duchi et al., 2011).

    Parameters
    ----------
    lr : float, default 0.01
        Learning rate, finite and 0 or more.
    lr_decay : float, default 0
        0 or more.
    initial_accumulator : float, default 0
        v before the first step, 0 or more.
    eps : float, default 1e-10
        Finite and above 0, in the model's dtype too.
    weight_decay, decoupled, decay_biases, lr_multipliers
        As of `SGD`.
    """

    lr: float = 0.01
    lr_decay: float = 0.0
    initial_accumulator: float = 0.0
    eps: float = 1e-10
    weight_decay: float = 0.0
    decoupled: bool = False
    decay_biases: bool = False
    lr_multipliers: Sequence[float] | None = None

    changes_with_time = True

    def __post_init__(self) -> None:
        self._check(lr_decay=0, initial_accumulator=0)

    @property
    def update(self) -> str:
        """Name of its kernel."""
        return "scaled"

    @property
    def initial_state(self) -> float:
        """Value of its state before the first step."""
        return self.initial_accumulator

    def check_dtype(self, dtype: np.dtype[Any]) -> None:
        """An infinite accumulator, too, would stop all steps."""
        super().check_dtype(dtype)
        if self.initial_accumulator > float(np.finfo(dtype).max):
            raise ValueError(
                f"initial_accumulator must be finite in {dtype}, not {self.initial_accumulator:g}"
            )

    def fill(self, rows: Rows, steps: NDArray[np.int64], rates: NDArray[np.float64]) -> None:
        """Columns: -, -, 1, 1, -, eps; rate lr / (1 + (t - 1) lr_decay)."""
        rows[:, RATE] = rates / (1 + (steps - 1) * self.lr_decay)
        rows[:, FIRST + 2 : FIRST + 4] = 1
        rows[:, FIRST + 5] = self.eps


@dataclass(frozen=True)
class Lion(_Moments):
    """``W = W - lr sign(b1 m + (1-b1) g);  m = b2 m + (1-b2) g`` (Chen et al., 2023).

    Parameters
    ----------
    lr : float, default 0.0001
        Learning rate, finite and 0 or more.
    betas : (float, float), default (0.9, 0.99)
        0 or more and below 1.
    weight_decay : float, default 0
        Decoupled, of the weights, 0 or more.
    decay_biases, lr_multipliers
        As of `SGD`.
    """

    decoupled = True
    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    decay_biases: bool = False
    lr_multipliers: Sequence[float] | None = None

    @property
    def update(self) -> str:
        """Name of its kernel."""
        return "lion"

    def fill(self, rows: Rows, steps: NDArray[np.int64], rates: NDArray[np.float64]) -> None:
        """Columns: b1, 1 - b1, b2, 1 - b2."""
        b1, b2 = self.betas
        rows[:, FIRST : FIRST + 4] = b1, 1 - b1, b2, 1 - b2


@dataclass(frozen=True)
class LBFGS(Optimizer):
    """Limited-memory BFGS on the full batch, by `scipy.optimize.minimize` ("L-BFGS-B").

    Minimises the mean loss plus weight_decay / 2 times the sum of squares of what decays; an epoch
    is one iteration with its line search (Liu and Nocedal, 1989). Computes in float64 beside the
    network's own dtype.

    Parameters
    ----------
    history_size : int, default 10
        Pairs of steps and gradients that are remembered, 1 or more.
    tolerance_grad : float, default 1e-5
        Ends when no item of the gradient is larger.
    tolerance_change : float, default 1e-9
        Ends when the objective falls by a smaller share.
    weight_decay, decay_biases
        As of `SGD`, coupled.
    """

    lr: ClassVar[float] = 1.0  # type: ignore[misc]
    lr_multipliers: ClassVar[None] = None  # type: ignore[misc]
    history_size: int = 10
    tolerance_grad: float = 1e-5
    tolerance_change: float = 1e-9
    weight_decay: float = 0.0
    decay_biases: bool = False

    def __post_init__(self) -> None:
        self._check(tolerance_grad=0, tolerance_change=0)
        self._set("history_size", check_integer("history_size", self.history_size, 1, 1000))

    @property
    def update(self) -> str:
        """None of its own: the line search sets the weights."""
        return "sgd"


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "nadam": NAdam,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "lion": Lion,
    "lbfgs": LBFGS,
}
"""By name."""


@lru_cache(maxsize=4)
def _nadam_table(b1: float, decay: float, bits: int) -> tuple[Rows, Rows]:
    """u_1 ... u_n, and U_1 ... U_n, for n = 2**bits + 1: made anew when a run is twice as long."""
    t = np.arange(1, 2**bits + 2)
    u = b1 * (1 - 0.5 * 0.96 ** (t * decay))
    product: Rows = np.cumprod(u, dtype=np.float64)
    return u, product


def _check_betas(betas: object) -> tuple[float, ...]:
    # A set would be a pair in no order.
    if not isinstance(betas, Sequence) or len(betas) != 2:
        raise TypeError(f"betas must be a pair of numbers, not {shown(betas)}")
    return tuple(check_number(f"betas[{k}]", b, 0, 1) for k, b in enumerate(betas))


def _check_multipliers(multipliers: object) -> tuple[float, ...]:
    one = isinstance(multipliers, str) or getattr(multipliers, "ndim", 1) == 0
    if one or not isinstance(multipliers, Sequence | np.ndarray):
        raise TypeError(f"lr_multipliers must be a sequence of numbers, not {shown(multipliers)}")
    return tuple(
        check_number(f"lr_multipliers[{k}]", value, 0) for k, value in enumerate(multipliers)
    )
