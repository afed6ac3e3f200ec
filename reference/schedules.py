"""Schedules: the learning rate of every step of a training, counted t = 1, 2, ... over all of it.

Most count in units, epochs or steps: k is the number of whole units that lie behind step t, and n
the number that the training has.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .functions import Array
from .inputs import (
    check_integer,
    check_name,
    check_number,
    check_positive,
    check_share,
    shown,
)

State = dict[str, Any]

# How many steps a unit has, given how many an epoch has.
UNITS: dict[str, Callable[[int], int]] = {
    "epoch": lambda steps_per_epoch: steps_per_epoch,
    "step": lambda steps_per_epoch: 1,
}

# What each monitored quantity is multiplied by, so that less is better.
MONITORS = {"val_loss": 1, "val_accuracy": -1, "train_loss": 1, "train_accuracy": -1}

# The value to beat, given the best one so far and the threshold, negative where less is better.
THRESHOLDS: dict[str, Callable[[float, float], float]] = {
    "rel": lambda best, threshold: best * (1 + threshold),
    "abs": lambda best, threshold: best + threshold,
}

# PyTorch's ReduceLROnPlateau calls it eps: by less than this a rate is not reduced.
LEAST_CHANGE = 1e-8


def cosine(start: float, end: float, share: float) -> float:
    """Half a wave of the cosine from start (share 0) to end (share 1), flat at both."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def line(start: float, end: float, share: float) -> float:
    """A straight line from start (share 0) to end (share 1)."""
    return start + (end - start) * share


ANNEALS = {"cos": cosine, "linear": line}


class Schedule:
    """The learning rate as a function of the step, and for some of how training went.

    A schedule is a description that no training changes. What it must remember from one epoch to
    the next is kept apart, in a dictionary that JSON can hold.
    """

    def start(self) -> State:
        """What is remembered before the first epoch: nothing, unless a class says otherwise."""
        return {}

    def rates(
        self, lr: float, steps: Array, steps_per_epoch: int, epochs: int, state: State
    ) -> Array:
        """The learning rate of each of `steps`.

        Parameters
        ----------
        lr : float
            The optimiser's.
        steps : (n,) int64
            Counted from 1 over the whole training, which has steps_per_epoch · epochs of them.
        steps_per_epoch, epochs : int
        state : dict
            From :meth:`start`, as :meth:`epoch_ended` left it.

        Returns
        -------
        (n,) float64
        """
        rates = [self.rate(lr, int(t), steps_per_epoch, epochs, state) for t in steps]
        return np.array(rates, np.float64)

    def rate(self, lr: float, t: int, steps_per_epoch: int, epochs: int, state: State) -> float:
        """The learning rate of step t: lr, unless a class says otherwise."""
        return lr

    def epoch_ended(self, state: State, record: Any) -> None:
        """Change the state by what an epoch's record says."""

    def check(self, epochs: int, steps_per_epoch: int, validation: bool) -> None:
        """ValueError if the schedule makes no sense for this training."""


@dataclass(frozen=True)
class Constant(Schedule):
    """The optimiser's own rate in every step: rate = lr."""


@dataclass(frozen=True)
class Step(Schedule):
    """A change by the same factor every so many units: PyTorch's StepLR.

    Parameters
    ----------
    size : int
        Units from one change to the next, at least 1.
    gamma : float, default 0.1
        The factor, finite and positive.
    unit : "epoch" (default) or "step"
    """

    size: int
    gamma: float = 0.1
    unit: str = "epoch"

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", check_integer("size", self.size, 1))
        object.__setattr__(self, "gamma", check_positive("gamma", self.gamma))
        check_name("unit", self.unit, UNITS)

    def rate(self, lr: float, t: int, steps_per_epoch: int, epochs: int, state: State) -> float:
        """rate = lr · gamma^⌊k / size⌋."""
        k = units_before(t, self.unit, steps_per_epoch)
        return float(lr * self.gamma ** (k // self.size))

    def check(self, epochs: int, steps_per_epoch: int, validation: bool) -> None:
        """Refused where gamma > 1 lets the rate grow beyond float64."""
        last = units_of(self.unit, epochs, steps_per_epoch) - 1
        check_growth(self.gamma, last // self.size)


@dataclass(frozen=True)
class Exponential(Schedule):
    """A change by the same factor after every unit: PyTorch's ExponentialLR.

    Parameters
    ----------
    gamma : float
        The factor, finite and positive.
    unit : "epoch" (default) or "step"
    """

    gamma: float
    unit: str = "epoch"

    def __post_init__(self) -> None:
        object.__setattr__(self, "gamma", check_positive("gamma", self.gamma))
        check_name("unit", self.unit, UNITS)

    def rate(self, lr: float, t: int, steps_per_epoch: int, epochs: int, state: State) -> float:
        """rate = lr · gammaᵏ."""
        return float(lr * self.gamma ** units_before(t, self.unit, steps_per_epoch))

    def check(self, epochs: int, steps_per_epoch: int, validation: bool) -> None:
        """Refused where gamma > 1 lets the rate grow beyond float64."""
        check_growth(self.gamma, units_of(self.unit, epochs, steps_per_epoch) - 1)


@dataclass(frozen=True)
class InverseScaling(Schedule):
    """lr, lr / 2^power, lr / 3^power, ...: "invscaling" of scikit-learn's SGDRegressor.

    Parameters
    ----------
    power : float, default 0.5
        Finite and not negative.
    unit : "step" (default) or "epoch"
    """

    power: float = 0.5
    unit: str = "step"

    def __post_init__(self) -> None:
        object.__setattr__(self, "power", check_number("power", self.power, 0))
        check_name("unit", self.unit, UNITS)

    def rate(self, lr: float, t: int, steps_per_epoch: int, epochs: int, state: State) -> float:
        """rate = lr · (k + 1)^−power, which is 0, and no overflow, where the power is large."""
        return float(lr * (units_before(t, self.unit, steps_per_epoch) + 1.0) ** -self.power)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a wave of the cosine from lr to a minimum, once or again and again, after a warm-up.

    Once: PyTorch's CosineAnnealingLR. With a period: CosineAnnealingWarmRestarts (Loshchilov,
    Hutter: SGDR: stochastic gradient descent with warm restarts, 2017).

    The warm-up is PyTorch's LinearLR in every step, whatever the unit: in epochs, the whole first
    one would pass at the first rate, which may be 0. (Goyal and others: Accurate, large minibatch
    SGD, 2017, section 2.2, raise the rate in every step for five epochs.)

    Parameters
    ----------
    minimum : float, default 0
        The rate to go down to: not negative, and not above lr.
    warmup : int, default 0
        Units of the warm-up, fewer than the training has.
    warmup_start : float, default 0
        The first rate of the warm-up divided by lr, in [0, 1].
    period : int or None (default)
        Units up to the first restart, at least 1; None: the training ends first.
    period_factor : int, default 1
        How many times as long as the last the next period is, at least 1.
    unit : "epoch" (default) or "step"
    """

    minimum: float = 0.0
    warmup: int = 0
    warmup_start: float = 0.0
    period: int | None = None
    period_factor: int = 1
    unit: str = "epoch"

    def __post_init__(self) -> None:
        object.__setattr__(self, "minimum", check_number("minimum", self.minimum, 0))
        object.__setattr__(self, "warmup", check_integer("warmup", self.warmup, 0))
        object.__setattr__(self, "warmup_start", check_share("warmup_start", self.warmup_start))
        if self.period is not None:
            object.__setattr__(self, "period", check_integer("period", self.period, 1))
        factor = check_integer("period_factor", self.period_factor, 1)
        object.__setattr__(self, "period_factor", factor)
        check_name("unit", self.unit, UNITS)

    def rate(self, lr: float, t: int, steps_per_epoch: int, epochs: int, state: State) -> float:
        """In place k of a period of T units: minimum + (lr − minimum) · (1 + cos(π k / T)) / 2."""
        check_minimum(self.minimum, lr)
        warmup = self.warmup * UNITS[self.unit](steps_per_epoch)
        if t <= warmup:
            return lr * line(self.warmup_start, 1, (t - 1) / warmup)
        k = units_before(t - warmup, self.unit, steps_per_epoch)
        T = self.period
        if T is None:
            T = units_of(self.unit, epochs, steps_per_epoch) - self.warmup
        elif self.period_factor == 1:
            k %= T
        else:
            while k >= T:
                k, T = k - T, T * self.period_factor
        return cosine(lr, self.minimum, k / T)

    def check(self, epochs: int, steps_per_epoch: int, validation: bool) -> None:
        """Refused where the warm-up leaves nothing of the training."""
        n = units_of(self.unit, epochs, steps_per_epoch)
        if self.warmup > 0 and self.warmup >= n:
            raise ValueError(
                f"warmup must be < {n}, the {self.unit}s of this training, got {shown(self.warmup)}"
            )


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up to lr and far down again, once in the training: PyTorch's OneCycleLR.

    Smith, Topin: Super-convergence: very fast training of neural networks using large learning
    rates, 2018. The momentum, which PyTorch moves in the other direction, stays as it is.

    Parameters
    ----------
    pct_start : float, default 0.3
        The way up as a share of all steps, in [0, 1].
    div_factor : float, default 25
        lr divided by the first rate, finite and positive.
    final_div_factor : float, default 1e4
        The first rate divided by the last, finite and positive.
    anneal : "cos" (default) or "linear"
        The shape of both ways.
    """

    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    anneal: str = "cos"

    def __post_init__(self) -> None:
        object.__setattr__(self, "pct_start", check_share("pct_start", self.pct_start))
        for name in ("div_factor", "final_div_factor"):
            object.__setattr__(self, name, check_positive(name, getattr(self, name)))
        check_name("anneal", self.anneal, ANNEALS)

    def rate(self, lr: float, t: int, steps_per_epoch: int, epochs: int, state: State) -> float:
        """lr / div_factor in step 1, lr in step pct_start · n, the least in step n of n.

        The peak may fall between two steps, or before the first one.
        """
        anneal = ANNEALS[self.anneal]
        n = steps_per_epoch * epochs
        first, peak = lr / self.div_factor, self.pct_start * n
        if t > peak:
            return anneal(lr, first / self.final_div_factor, (t - peak) / (n - peak))
        if peak == 1:  # which is step 1 itself
            return lr
        return anneal(first, lr, (t - 1) / (peak - 1))

    def check(self, epochs: int, steps_per_epoch: int, validation: bool) -> None:
        """Refused for a training of no steps."""
        if epochs * steps_per_epoch == 0:
            raise ValueError(f"epochs must be >= 1 for a one-cycle schedule, got {epochs}")


@dataclass(frozen=True)
class Linear(Schedule):
    """A straight line from one factor of lr to another, which then stays: PyTorch's LinearLR.

    Parameters
    ----------
    start_factor : float, default 1
        Finite and not negative.
    end_factor : float, default 0
        Finite and not negative.
    length : int or None (default)
        Units from the one to the other, at least 1; None: all that the training has.
    unit : "epoch" (default) or "step"
    """

    start_factor: float = 1.0
    end_factor: float = 0.0
    length: int | None = None
    unit: str = "epoch"

    def __post_init__(self) -> None:
        for name in ("start_factor", "end_factor"):
            object.__setattr__(self, name, check_number(name, getattr(self, name), 0))
        if self.length is not None:
            object.__setattr__(self, "length", check_integer("length", self.length, 1))
        check_name("unit", self.unit, UNITS)

    def rate(self, lr: float, t: int, steps_per_epoch: int, epochs: int, state: State) -> float:
        """rate = lr · (start + (end − start) · min(k / length, 1))."""
        k = units_before(t, self.unit, steps_per_epoch)
        n = units_of(self.unit, epochs, steps_per_epoch) if self.length is None else self.length
        return lr * line(self.start_factor, self.end_factor, min(k / n, 1))


@dataclass(frozen=True)
class ReduceOnPlateau(Schedule):
    """Less by a factor whenever the training no longer gets better: PyTorch's ReduceLROnPlateau.

    Parameters
    ----------
    factor : float, default 0.1
        In [0, 1).
    patience : int, default 10
        An epoch is bad if it is no better than the best so far. This many bad ones in a row, at
        least 0, are borne; after one more the rate is reduced.
    threshold : float, default 1e-4
        How much better counts as better, finite and not negative.
    threshold_mode : "rel" (default) or "abs"
        Whether the threshold is multiplied by the best value.
    cooldown : int, default 0
        This many epochs after a reduction are not counted as bad, at least 0.
    minimum : float, default 0
        The least rate: not negative, and not above lr.
    monitor : str, default "val_loss"
        A field of the epoch's record, a name of :data:`MONITORS`.
    """

    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0
    minimum: float = 0.0
    monitor: str = "val_loss"

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", check_share("factor", self.factor))
        if self.factor == 1:
            raise ValueError(f"factor must be a number >= 0 and < 1, got {self.factor}")
        for name in ("patience", "cooldown"):
            object.__setattr__(self, name, check_integer(name, getattr(self, name), 0))
        for name in ("threshold", "minimum"):
            object.__setattr__(self, name, check_number(name, getattr(self, name), 0))
        check_name("threshold_mode", self.threshold_mode, THRESHOLDS)
        check_name("monitor", self.monitor, MONITORS)

    def start(self) -> State:
        """No best value, no bad epochs, no epochs of cooldown to go, no reductions."""
        return {"best": None, "bad_epochs": 0, "cooldown": 0, "reductions": 0}

    def rate(self, lr: float, t: int, steps_per_epoch: int, epochs: int, state: State) -> float:
        """rate ← max(factor · rate, minimum), from lr, once for each reduction so far."""
        check_minimum(self.minimum, lr)
        rate = lr
        for _ in range(state["reductions"]):
            reduced = max(self.factor * rate, self.minimum)
            if rate - reduced > LEAST_CHANGE:
                rate = reduced
        return rate

    def epoch_ended(self, state: State, record: Any) -> None:
        """Compare the epoch with the best one so far; reduce the rate if patience has run out."""
        value = getattr(record, self.monitor)
        if value is None:
            raise ValueError(f"monitor must be measured in this training, got {self.monitor!r}")
        if self._is_better(float(value), state["best"]):
            state["best"] = float(value)
            state["bad_epochs"] = 0
        else:
            state["bad_epochs"] += 1
        if state["cooldown"] > 0:
            state["cooldown"] -= 1
            state["bad_epochs"] = 0
        if state["bad_epochs"] > self.patience:
            state["reductions"] += 1
            state["cooldown"] = self.cooldown
            state["bad_epochs"] = 0

    def _is_better(self, value: float, best: float | None) -> bool:
        sign = MONITORS[self.monitor]
        if best is None:
            return sign * value < math.inf
        to_beat = THRESHOLDS[self.threshold_mode](best, -sign * self.threshold)
        return sign * value < sign * to_beat

    def check(self, epochs: int, steps_per_epoch: int, validation: bool) -> None:
        """Refused for a quantity of validation in a training without."""
        if not validation and self.monitor in ("val_loss", "val_accuracy"):
            raise ValueError(
                "monitor must be 'train_loss' or 'train_accuracy' without validation data, "
                f"got {self.monitor!r}"
            )


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "step": Step,
    "exponential": Exponential,
    "inverse_scaling": InverseScaling,
    "cosine": Cosine,
    "one_cycle": OneCycle,
    "linear": Linear,
    "plateau": ReduceOnPlateau,
}


def units_before(t: int, unit: str, steps_per_epoch: int) -> int:
    """k: the whole units before step t, 0 in the first unit."""
    return (t - 1) // UNITS[unit](steps_per_epoch)


def units_of(unit: str, epochs: int, steps_per_epoch: int) -> int:
    """n: the units of the whole training."""
    return epochs * steps_per_epoch // UNITS[unit](steps_per_epoch)


def check_growth(gamma: float, changes: int) -> None:
    """ValueError if gamma^changes is beyond float64."""
    try:
        gamma ** max(changes, 0)
    except OverflowError:
        raise ValueError(
            f"gamma must leave the rate finite for {changes} changes, got {gamma}"
        ) from None


def check_minimum(minimum: float, lr: float) -> None:
    """ValueError if a schedule that goes down to its minimum would have to go up."""
    if minimum > lr:
        raise ValueError(f"minimum must be <= the learning rate, {lr:g}, got {minimum:g}")
