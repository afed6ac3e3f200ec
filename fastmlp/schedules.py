"""Schedules: plain descriptions of how the learning rate changes over a training run."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import (
    check_choice,
    check_integer,
    check_number,
    check_positive,
    check_share,
    shown,
)

Rates = NDArray[np.float64]
Steps = NDArray[np.int64]

UNITS = ("epoch", "step")
"""What a schedule may count: its rate stays the same within a unit."""

MONITORS = {
    "val_loss": operator.lt,
    "val_accuracy": operator.gt,
    "train_loss": operator.lt,
    "train_accuracy": operator.gt,
}
"""Field of an epoch's record: what a better value is to the best one so far."""

THRESHOLDS = ("rel", "abs")

FOREVER = 2**62
"""Units that no training has: a longer period is cut to it, and so fits int64."""

LEAST_CHANGE = 1e-8
"""A smaller reduction of the rate is not made: ``eps`` of PyTorch's ReduceLROnPlateau."""


def _cosine(start: float, end: float, share: Any) -> Any:
    return end + (start - end) / 2 * (np.cos(np.pi * share) + 1)


def _line(start: float, end: float, share: Any) -> Any:
    return (end - start) * share + start


ANNEALS = {"cos": _cosine, "linear": _line}
"""Ways from ``start``, at a share of 0, to ``end``, at 1."""


class Schedule:
    """Base of schedules: here the rate is the optimiser's, in every step.

    A schedule is a description that no training changes. What it must remember from epoch to epoch
    is a dictionary apart, which `start` makes and `epoch_ended` changes; JSON can hold it.
    """

    def start(self) -> dict[str, Any]:
        """What is remembered before the first epoch; {} if the rate depends on the step alone."""
        return {}

    def rates(
        self, lr: float, steps: Steps, steps_per_epoch: int, epochs: int, state: dict[str, Any]
    ) -> Rates:
        """Learning rate of each of the ``steps``.

        Parameters
        ----------
        lr : float
            Of the optimiser.
        steps : ndarray of int64
            Counted from 1 over the whole run, which has ``steps_per_epoch * epochs`` of them.
        steps_per_epoch, epochs : int
        state : dict
            As `start` made it and `epoch_ended` changed it.

        Returns
        -------
        ndarray of float64, of the shape of ``steps``

        Raises
        ------
        ValueError
            If a ``minimum`` is above ``lr``.
        """
        return np.full(steps.shape, lr, np.float64)

    def epoch_ended(self, state: dict[str, Any], record: Any) -> None:
        """Take into ``state`` what the `Epoch` ``record`` says; ValueError if it lacks that."""

    def check(self, epochs: int, steps_per_epoch: int, validation: bool) -> None:
        """ValueError if a training of ``epochs``, with ``validation`` or without, makes no sense.

        ``rates`` may rely on it.
        """


@dataclass(frozen=True)
class Constant(Schedule):
    """``rate = lr``."""


@dataclass(frozen=True)
class Step(Schedule):
    """``rate = lr * gamma^floor(k / size)`` after k units (`torch.optim.lr_scheduler.StepLR`).

    Parameters
    ----------
    size : int
        Units from one change to the next, 1 or more.
    gamma : float, default 0.1
        Factor of a change, finite and above 0.
    unit : {"epoch", "step"}, default "epoch"
    """

    size: int
    gamma: float = 0.1
    unit: str = "epoch"

    def __post_init__(self) -> None:
        _keep(self, size=check_integer("size", self.size, 1))
        _keep(self, gamma=check_positive("gamma", self.gamma))
        check_choice("unit", self.unit, UNITS)

    def rates(
        self, lr: float, steps: Steps, steps_per_epoch: int, epochs: int, state: dict[str, Any]
    ) -> Rates:
        """As the class says."""
        units = _units_before(steps, _steps_in(self.unit, steps_per_epoch))
        changes = units // min(self.size, FOREVER)
        return np.asarray(lr * self.gamma ** changes.astype(np.float64))

    def check(self, epochs: int, steps_per_epoch: int, validation: bool) -> None:
        """A gamma above 1 must not make the rate infinite."""
        units = epochs * steps_per_epoch // _steps_in(self.unit, steps_per_epoch)
        _check_growth(self.gamma, max(units - 1, 0) // self.size)


@dataclass(frozen=True)
class Exponential(Schedule):
    """``rate = lr * gamma^k`` after k units (`torch.optim.lr_scheduler.ExponentialLR`).

    Parameters
    ----------
    gamma : float
        Finite and above 0; above 1 for a test of growing rates.
    unit : {"epoch", "step"}, default "epoch"
    """

    gamma: float
    unit: str = "epoch"

    def __post_init__(self) -> None:
        _keep(self, gamma=check_positive("gamma", self.gamma))
        check_choice("unit", self.unit, UNITS)

    def rates(
        self, lr: float, steps: Steps, steps_per_epoch: int, epochs: int, state: dict[str, Any]
    ) -> Rates:
        """As the class says."""
        units = _units_before(steps, _steps_in(self.unit, steps_per_epoch))
        return np.asarray(lr * self.gamma ** units.astype(np.float64))

    def check(self, epochs: int, steps_per_epoch: int, validation: bool) -> None:
        """A gamma above 1 must not make the rate infinite."""
        units = epochs * steps_per_epoch // _steps_in(self.unit, steps_per_epoch)
        _check_growth(self.gamma, max(units - 1, 0))


@dataclass(frozen=True)
class InverseScaling(Schedule):
    """``rate = lr / t^power`` in unit t = 1, 2, ...

    As ``learning_rate="invscaling"`` of scikit-learn's SGDRegressor, whose step is one sample.

    Parameters
    ----------
    power : float, default 0.5
        Finite and 0 or more.
    unit : {"epoch", "step"}, default "step"
    """

    power: float = 0.5
    unit: str = "step"

    def __post_init__(self) -> None:
        _keep(self, power=check_number("power", self.power, least=0))
        check_choice("unit", self.unit, UNITS)

    def rates(
        self, lr: float, steps: Steps, steps_per_epoch: int, epochs: int, state: dict[str, Any]
    ) -> Rates:
        """As the class says; a large power makes 0, where dividing by ``t^power`` overflowed."""
        t = 1.0 + _units_before(steps, _steps_in(self.unit, steps_per_epoch))
        return np.asarray(lr * t**-self.power)


@dataclass(frozen=True)
class Cosine(Schedule):
    """``rate = minimum + (lr - minimum) * (1 + cos(pi * k / T)) / 2`` after k of T units.

    Without ``period`` T is what the warm-up leaves of the training
    (`torch.optim.lr_scheduler.CosineAnnealingLR`); else k starts again at 0 after ``period``
    units, then after ``period * period_factor``, and so on (`CosineAnnealingWarmRestarts`;
    Loshchilov and Hutter, 2017).

    The warm-up comes before: ``rate = lr * (warmup_start + (1 - warmup_start) * i / n)`` in its
    step i = 0, ..., n - 1 (`LinearLR`, each step). It rises from step to step, whatever the unit:
    a first epoch at a rate of 0 would be lost (Goyal et al., 2017, section 2.2).

    Parameters
    ----------
    minimum : float, default 0
        Learning rate that the cosine goes to, 0 or more and at most the optimiser's.
    warmup : int, default 0
        Length of the warm-up in units, less than the training's.
    warmup_start : float, default 0
        Factor on the rate in the first step of the warm-up, from 0 to 1.
    period : int, optional
        Units until the first restart, 1 or more; None: no restart.
    period_factor : int, default 1
        Growth of the period at a restart, 1 or more.
    unit : {"epoch", "step"}, default "epoch"
    """

    minimum: float = 0.0
    warmup: int = 0
    warmup_start: float = 0.0
    period: int | None = None
    period_factor: int = 1
    unit: str = "epoch"

    def __post_init__(self) -> None:
        _keep(self, minimum=check_number("minimum", self.minimum, least=0))
        _keep(self, warmup=check_integer("warmup", self.warmup, 0))
        _keep(self, warmup_start=check_share("warmup_start", self.warmup_start))
        if self.period is not None:
            _keep(self, period=check_integer("period", self.period, 1))
        _keep(self, period_factor=check_integer("period_factor", self.period_factor, 1))
        check_choice("unit", self.unit, UNITS)

    def rates(
        self, lr: float, steps: Steps, steps_per_epoch: int, epochs: int, state: dict[str, Any]
    ) -> Rates:
        """As the class says."""
        _check_minimum(self.minimum, lr)
        per_unit = _steps_in(self.unit, steps_per_epoch)
        warmup = self.warmup * per_unit
        units = _units_before(np.maximum(steps - warmup, 1), per_unit)
        k, T = self._cycle(units, steps_per_epoch * epochs // per_unit - self.warmup)
        falling = _cosine(lr, self.minimum, k / T)
        rising = _line(self.warmup_start, 1, (steps - 1) / max(warmup, 1))
        return np.asarray(np.where(steps <= warmup, lr * rising, falling))

    def _cycle(self, units: Steps, length: int) -> tuple[Steps, Steps | int]:
        """Units since the last restart, and from that to the next; ``length`` without restarts."""
        if self.period is None:
            return units, length
        period = min(self.period, FOREVER)
        if self.period_factor == 1:
            return units % period, period
        starts, periods = [0], [period]
        while starts[-1] + periods[-1] <= units.max(initial=0):
            starts.append(starts[-1] + periods[-1])
            periods.append(min(periods[-1] * self.period_factor, FOREVER))
        cycle = np.searchsorted(starts, units, side="right") - 1
        return units - np.array(starts)[cycle], np.array(periods)[cycle]

    def check(self, epochs: int, steps_per_epoch: int, validation: bool) -> None:
        """The cosine must have a part of the training."""
        length = epochs * steps_per_epoch // _steps_in(self.unit, steps_per_epoch)
        if self.warmup and self.warmup >= length:
            raise ValueError(
                f"warmup must be less than the training's {length} {self.unit}s, "
                f"not {shown(self.warmup)}"
            )


@dataclass(frozen=True)
class OneCycle(Schedule):
    """From ``lr / div_factor`` up to ``lr``, then down to ``lr / div_factor / final_div_factor``.

    The peak is at step ``pct_start * n`` of the training's n steps
    (`torch.optim.lr_scheduler.OneCycleLR` with two phases, which also cycles the momentum; here it
    stays; Smith and Topin, 2018).

    Parameters
    ----------
    pct_start : float, default 0.3
        Share of the steps before the peak, from 0 to 1.
    div_factor, final_div_factor : float, default 25 and 1e4
        Finite and above 0.
    anneal : {"cos", "linear"}, default "cos"
        Way up and down.
    """

    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    anneal: str = "cos"

    def __post_init__(self) -> None:
        _keep(self, pct_start=check_share("pct_start", self.pct_start))
        _keep(self, div_factor=check_positive("div_factor", self.div_factor))
        _keep(self, final_div_factor=check_positive("final_div_factor", self.final_div_factor))
        check_choice("anneal", self.anneal, tuple(ANNEALS))

    def rates(
        self, lr: float, steps: Steps, steps_per_epoch: int, epochs: int, state: dict[str, Any]
    ) -> Rates:
        """As the class says."""
        anneal = ANNEALS[self.anneal]
        first = lr / self.div_factor
        end = steps_per_epoch * epochs - 1
        peak = self.pct_start * (end + 1) - 1  # a float: it may lie between two steps
        k = steps - 1
        up = k <= peak
        rates = np.empty(steps.shape)
        # A peak at the very first step has no way up.
        rates[up] = anneal(first, lr, k[up] / peak if peak > 0 else 1.0)
        rates[~up] = anneal(lr, first / self.final_div_factor, (k[~up] - peak) / (end - peak))
        return rates

    def check(self, epochs: int, steps_per_epoch: int, validation: bool) -> None:
        """A cycle needs a step."""
        if epochs * steps_per_epoch < 1:
            raise ValueError(f"epochs must be 1 or more for a one-cycle schedule, not {epochs}")


@dataclass(frozen=True)
class Linear(Schedule):
    """``rate = lr * (start_factor + (end_factor - start_factor) * min(k, n) / n)`` after k units.

    n is ``length`` (`torch.optim.lr_scheduler.LinearLR`).

    Parameters
    ----------
    start_factor, end_factor : float, default 1 and 0
        Finite and 0 or more.
    length : int, optional
        Units from the one to the other, 1 or more; None: as many as the training has.
    unit : {"epoch", "step"}, default "epoch"
    """

    start_factor: float = 1.0
    end_factor: float = 0.0
    length: int | None = None
    unit: str = "epoch"

    def __post_init__(self) -> None:
        _keep(self, start_factor=check_number("start_factor", self.start_factor, least=0))
        _keep(self, end_factor=check_number("end_factor", self.end_factor, least=0))
        if self.length is not None:
            _keep(self, length=check_integer("length", self.length, 1))
        check_choice("unit", self.unit, UNITS)

    def rates(
        self, lr: float, steps: Steps, steps_per_epoch: int, epochs: int, state: dict[str, Any]
    ) -> Rates:
        """As the class says."""
        per_unit = _steps_in(self.unit, steps_per_epoch)
        length = self.length or steps_per_epoch * epochs // per_unit
        length = min(length, FOREVER)
        k = np.minimum(_units_before(steps, per_unit), length)
        return np.asarray(lr * _line(self.start_factor, self.end_factor, k / length))


@dataclass(frozen=True)
class ReduceOnPlateau(Schedule):
    """``rate = max(factor * rate, minimum)`` each time that ``monitor`` stops to get better.

    That is after more than ``patience`` epochs in a row, each no better than the best so far
    (`torch.optim.lr_scheduler.ReduceLROnPlateau`; lower is better for losses, higher for
    accuracies). The rate of an epoch is the same in all its steps.

    Parameters
    ----------
    factor : float, default 0.1
        0 or more and below 1.
    patience : int, default 10
        Epochs without a better value that are borne, 0 or more.
    threshold : float, default 1e-4
        A value is better if it is so by more than this share of the best (``"rel"``) or this
        amount (``"abs"``); finite and 0 or more.
    threshold_mode : {"rel", "abs"}, default "rel"
    cooldown : int, default 0
        Epochs after a reduction that are not counted, 0 or more.
    minimum : float, default 0
        Least learning rate, 0 or more and at most the optimiser's.
    monitor : {"val_loss", "val_accuracy", "train_loss", "train_accuracy"}, default "val_loss"
    """

    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0
    minimum: float = 0.0
    monitor: str = "val_loss"

    def __post_init__(self) -> None:
        _keep(self, factor=check_number("factor", self.factor, least=0, below=1))
        _keep(self, patience=check_integer("patience", self.patience, 0))
        _keep(self, threshold=check_number("threshold", self.threshold, least=0))
        check_choice("threshold_mode", self.threshold_mode, THRESHOLDS)
        _keep(self, cooldown=check_integer("cooldown", self.cooldown, 0))
        _keep(self, minimum=check_number("minimum", self.minimum, least=0))
        check_choice("monitor", self.monitor, tuple(MONITORS))

    def start(self) -> dict[str, Any]:
        """No best value yet; counters of epochs and of reductions."""
        return {"best": None, "bad_epochs": 0, "cooldown": 0, "reductions": 0}

    def rates(
        self, lr: float, steps: Steps, steps_per_epoch: int, epochs: int, state: dict[str, Any]
    ) -> Rates:
        """As the class says, after the state's ``reductions``."""
        _check_minimum(self.minimum, lr)
        for _ in range(state["reductions"]):
            reduced = max(lr * self.factor, self.minimum)
            if lr - reduced <= LEAST_CHANGE:
                break
            lr = reduced
        return np.full(steps.shape, lr, np.float64)

    def epoch_ended(self, state: dict[str, Any], record: Any) -> None:
        """Count the epoch as better or not, and a reduction when patience is at its end."""
        value = getattr(record, self.monitor)
        if value is None:
            raise ValueError(
                f"monitor must be what this training measures, not {shown(self.monitor)}"
            )
        better = self._is_better(float(value), state["best"])
        if better:
            state["best"] = float(value)
        # As PyTorch does: a better value in the cooldown counts, a worse one does not.
        bad_epochs = 0 if better or state["cooldown"] else state["bad_epochs"] + 1
        state["cooldown"] = max(state["cooldown"] - 1, 0)
        if bad_epochs > self.patience:
            state["reductions"] += 1
            state["cooldown"] = self.cooldown
            bad_epochs = 0
        state["bad_epochs"] = bad_epochs

    def _is_better(self, value: float, best: float | None) -> bool:
        compare = MONITORS[self.monitor]
        worst, sign = (math.inf, -1) if compare is operator.lt else (-math.inf, 1)
        if best is None:
            to_beat = worst
        elif self.threshold_mode == "rel":
            to_beat = best * (1 + sign * self.threshold)
        else:
            to_beat = best + sign * self.threshold
        return bool(compare(value, to_beat))

    def check(self, epochs: int, steps_per_epoch: int, validation: bool) -> None:
        """What is measured on validation data needs some."""
        if self.monitor.startswith("val_") and not validation:
            raise ValueError(
                "monitor must be train_loss or train_accuracy without validation data, "
                f"not {shown(self.monitor)}"
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
"""Names of the schedules."""


def _keep(schedule: Schedule, **checked: Any) -> None:
    """Set fields of a frozen schedule to what the checks made of them."""
    for name, value in checked.items():
        object.__setattr__(schedule, name, value)


def _steps_in(unit: str, steps_per_epoch: int) -> int:
    return steps_per_epoch if unit == "epoch" else 1


def _units_before(steps: Steps, steps_in_unit: int) -> Steps:
    """Whole units before each step: k = 0 in the first."""
    return (steps - 1) // steps_in_unit


def _check_growth(gamma: float, changes: int) -> None:
    if gamma > 1 and changes > math.log(np.finfo(np.float64).max) / math.log(gamma):
        raise ValueError(
            f"gamma must leave the learning rate finite after {changes} changes, not {gamma}"
        )


def _check_minimum(minimum: float, lr: float) -> None:
    if minimum > lr:
        raise ValueError(f"minimum must be at most the learning rate, {lr:g}, not {minimum:g}")
