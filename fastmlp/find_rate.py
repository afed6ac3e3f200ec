"""`find_learning_rate`: one short run in which the learning rate rises until the loss explodes.

Smith, "Cyclical learning rates for training neural networks", 2017.
"""

from __future__ import annotations

import copy
import io
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.arguments import labelled
from fastmlp.atomic import check_writable, write_atomically
from fastmlp.checks import check_integer, check_number, shown
from fastmlp.model import MLP
from fastmlp.optimizers import Optimizer
from fastmlp.trainer import Trainer

SMOOTHING = 0.9
"""Share of the mean so far in that of the next step: the mean of about ten losses."""

WARM_UP = 10
"""Steps until as many losses are in the smoothed one as later; before, it follows their noise."""

EXPLODED = 4.0
"""Times the best smoothed loss at which the run ends."""


@dataclass(frozen=True, eq=False)
class RateCurve:
    """The loss at rising learning rates.

    Attributes
    ----------
    rates : ndarray (n_steps,)
        Of the steps that were taken, in a geometric row.
    losses : ndarray (n_steps,)
        Of each step's batch, before its update.
    smoothed : ndarray (n_steps,)
        Exponential mean of the losses up to each step.
    suggestion : float or None
        The rate at which the smoothed loss fell most steeply over the logarithm of the rate; None
        if it never fell. A schedule that lowers the rate may begin above it.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    suggestion: float | None

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw the curve into ``path``, whose ending says the format: png, svg, pdf.

        Raises
        ------
        ImportError
            Without matplotlib: ``pip install 'fastmlp[report]'``.
        ValueError
            If the file could not be written, or the format is none of matplotlib's.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError(
                f"RateCurve.plot needs matplotlib, pip install 'fastmlp[report]': {error}"
            ) from None
        path = Path(path)
        check_writable(path, "path")
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.rates, self.losses, ".", color="0.7", markersize=4, label="loss of a step")
        axes.plot(
            self.rates, self.smoothed, color="C0", linewidth=2, label=f"mean of about {WARM_UP}"
        )
        if self.suggestion is not None:
            k = int(np.searchsorted(self.rates, self.suggestion))
            axes.axvline(self.suggestion, color="C3", linestyle="--", linewidth=1)
            axes.plot(
                self.rates[k],
                self.smoothed[k],
                "o",
                color="C3",
                label=f"steepest: {self.suggestion:.2g}",
            )
        # Single batches that exploded would flatten all the rest.
        low, least = float(self.losses.min()), int(self.smoothed.argmin())
        high = float(self.smoothed[: least + 1].max())
        margin = 0.15 * ((high - low) or abs(high) or 1)
        axes.set_ylim(low - margin, high + 2 * margin)
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
        content = io.BytesIO()
        figure.savefig(content, format=path.suffix[1:] or "png", dpi=150)
        write_atomically(path, content.getvalue())


def find_learning_rate(
    model: MLP,
    x: ArrayLike,
    y: ArrayLike,
    *,
    optimizer: Optimizer | None = None,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 100,
    batch_size: int = 128,
    seed: int = 0,
    sample_weight: ArrayLike | None = None,
    class_weight: Any = None,
    threads: int | None = None,
) -> RateCurve:
    """Train a copy of ``model`` for some steps, each at a higher learning rate than the last.

    The run ends when the smoothed loss has risen to four times its best, or is not finite.

    Parameters
    ----------
    model : MLP
        Not changed.
    x, y, optimizer, seed, sample_weight, class_weight, threads
        As in `fit`, which draws the same batches from ``seed``. The optimizer's own rate, and a
        batch that is not full, are left out.
    lowest, highest : float, default 1e-6 and 10
        The first and the last rate, above 0.
    steps : int, default 100
        Rates from ``lowest`` to ``highest``, 2 or more; each is the last one times a constant.
    batch_size : int, default 128
        Samples in a step.

    Returns
    -------
    RateCurve

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or a value that is not allowed.
    FloatingPointError
        If the loss is not finite before the first update.
    """
    if not isinstance(model, MLP):
        raise TypeError(f"model must be a fastmlp.MLP, not {shown(model)}")
    lowest, highest = check_number("lowest", lowest), check_number("highest", highest)
    if not 0 < lowest < highest:
        raise ValueError(
            f"lowest must be above 0 and below highest, not {lowest:g} with highest {highest:g}"
        )
    steps = check_integer("steps", steps, 2)
    batch_size = check_integer("batch_size", batch_size, 1)
    seed = check_integer("seed", seed, 0)
    # All of them, before the first step.
    samples, checked = labelled(model, x, y, sample_weight, class_weight)
    # Cast once, not in every step; a sparse matrix gives its own rows.
    rows: Any = x.tocsr() if hasattr(x, "tocsr") else samples.arrays[0]
    targets = np.asarray(y)
    # A class weight is in those of the samples, where each has one class.
    weights = checked.weights if len(checked.weights) else None
    of_outputs = checked.options[1] if (checked.options[1] != 1).any() else None

    rates = np.geomspace(lowest, highest, steps)
    losses: list[float] = []
    smoothed: list[float] = []
    mean = 0.0
    batches = _batches(samples.count, min(batch_size, samples.count), seed)
    trial = copy.deepcopy(model)
    with Trainer(trial, optimizer, seed=seed, threads=threads) as trainer:
        for step, (rate, batch) in enumerate(zip(rates, batches, strict=False), start=1):
            weight = None if weights is None else weights[batch]
            try:
                loss = trainer.step(
                    rows[batch],
                    targets[batch],
                    sample_weight=weight,
                    class_weight=of_outputs,
                    lr=float(rate),
                ).loss
            except FloatingPointError:
                if step == 1:
                    raise
                break
            # Weights SMOOTHING**0, SMOOTHING**1, ... of the losses, from the last one back. In this
            # form a constant loss stays constant to the bit, without a slope that is rounding.
            mean += (loss - mean) * (1 - SMOOTHING) / (1 - SMOOTHING**step)
            losses.append(loss)
            smoothed.append(mean)
            best = min(smoothed)
            # Four times the best, where it is positive; some losses, as that of poisson, are not.
            if smoothed[-1] > best + (EXPLODED - 1) * abs(best):
                break
    taken = rates[: len(losses)]
    curve = np.array(smoothed)
    return RateCurve(taken, np.array(losses), curve, _steepest(taken, curve))


def _steepest(rates: NDArray[np.float64], smoothed: NDArray[np.float64]) -> float | None:
    """The rate of the steepest descent, up to the least smoothed loss."""
    least = int(smoothed.argmin())
    first = WARM_UP if least > WARM_UP else 0
    if least == 0:
        return None
    slopes = np.gradient(smoothed, np.log(rates))[first : least + 1]
    steepest = int(slopes.argmin())
    return float(rates[first + steepest]) if slopes[steepest] < 0 else None


def _batches(n_samples: int, batch_size: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Rows of full batches without end, epoch by epoch in the order of `fit`."""
    for epoch in itertools.count(1):
        order = np.random.default_rng((seed, epoch)).permutation(n_samples)
        for start in range(0, n_samples - batch_size + 1, batch_size):
            yield order[start : start + batch_size]
