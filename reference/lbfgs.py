"""L-BFGS: all samples in one batch, and steps that know the curvature of the loss."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize

from .data import Data
from .functions import Array
from .history import History
from .inputs import as_batch
from .network import MLP
from .optimizers import Settings
from .step import backpropagate, measure
from .watch import Watch

MOST_EVALUATIONS = 10**9
"""Of the objective: the number of iterations is limited, and each needs one or a few."""


@dataclass(frozen=True)
class LBFGS(Settings):
    """θ ← θ − α H g: the gradient times an estimate of the inverse Hessian, α from a line search.

    H comes from the last differences of θ and of g. The work is scipy.optimize's L-BFGS-B (Byrd,
    Lu, Nocedal, Zhu: A limited memory algorithm for bound constrained optimization, 1995), in
    float64; the loss and its gradient are in the model's dtype. The objective is the mean loss plus
    weight_decay / 2 · ΣV² over what decays. One iteration is one epoch of :func:`reference.fit`,
    whose batch_size, shuffle and seed have no effect; the loss of its record is that after it.

    Parameters
    ----------
    history_size : int, default 10
        How many differences are kept.
    tolerance_grad : float, default 1e-5
        It ends where no item of g is larger.
    tolerance_change : float, default 1e-9
        It ends where an iteration gains less, relative to the objective.
    weight_decay : float, default 0
    decay_biases : bool, default False
        As SGD has them.
    """

    history_size: int = 10
    tolerance_grad: float = 1e-5
    tolerance_change: float = 1e-9
    weight_decay: float = 0.0
    decay_biases: bool = False

    # Where its line searches begin.
    lr = 1.0


def fit_by_lbfgs(
    model: MLP, data: Data, c: Array, optimizer: LBFGS, epochs: int, watch: Watch
) -> History:
    """:func:`reference.fit` by L-BFGS: an epoch is an iteration, with all samples as the batch."""
    watch.begin(epochs, len(data))
    if epochs == 0:
        return watch.end()
    X = as_batch(data.x, model.dtype, model.uint8_scale)
    parameters = model.weights + model.biases + model.scales + model.shifts
    decays = [True] * len(model.weights)
    decays += [optimizer.decay_biases] * (len(parameters) - len(decays))
    begun, done = 0, 0  # epochs
    started = time.perf_counter()

    def loss_and_gradients() -> tuple[float, list[Array]]:
        nonlocal begun, started
        is_start = begun == 0
        if begun == done:
            begun += 1
            watch.begin_epoch(begun)
            started = time.perf_counter()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            batch, _, gradients = backpropagate(model, X, data.T, data.weights, c)
        # Later on it may be a trial of the line search, which then takes a shorter step.
        if is_start and not math.isfinite(batch.loss):
            raise FloatingPointError(f"loss is {batch.loss} at epoch 1, before any step")
        return batch.mean_loss, [dV for dVs in gradients for dV in dVs]

    def iterated() -> bool:
        nonlocal done
        done += 1
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            forward = model.forward(X, batch_statistics=True)
            batch = measure(model, forward.Z[-1], data.T, data.weights, c)
        if not math.isfinite(batch.loss):
            raise FloatingPointError(f"loss is {batch.loss} at epoch {done}")
        watch.progress(batch)
        return watch.end_epoch(done, time.perf_counter() - started, batch, optimizer.lr)

    minimize(parameters, decays, optimizer, epochs, loss_and_gradients, iterated)
    return watch.end()


def minimize(
    parameters: Sequence[Array],
    decay: Sequence[bool],
    optimizer: LBFGS,
    iterations: int,
    loss_and_gradients: Callable[[], tuple[float, Sequence[Array]]],
    iterated: Callable[[], bool],
) -> None:
    """Change the parameters, in place, until an iteration gains too little or all are done.

    Parameters
    ----------
    parameters : sequence of arrays
    decay : sequence of bool
        Whether each of them decays.
    loss_and_gradients : callable
        Mean loss at the parameters as they are, and its gradients.
    iterated : callable
        Called after each iteration; a true value ends it.
    """
    decays = np.concatenate([np.full(V.size, d) for V, d in zip(parameters, decay, strict=True)])
    weight_decay = optimizer.weight_decay * decays  # of each item of theta

    def put(theta: Array) -> None:
        start = 0
        for V in parameters:
            V[...] = theta[start : start + V.size].reshape(V.shape)
            start += V.size

    def objective(theta: Array) -> tuple[float, Array]:
        put(theta)
        loss, gradients = loss_and_gradients()
        return loss + 0.5 * float(weight_decay @ theta**2), _flat(gradients) + weight_decay * theta

    def callback(intermediate_result: Any) -> None:
        put(intermediate_result.x)
        if iterated():
            raise StopIteration

    result = scipy.optimize.minimize(
        objective,
        _flat(parameters),
        jac=True,
        method="L-BFGS-B",
        callback=callback,
        options={
            "maxcor": optimizer.history_size,
            "gtol": optimizer.tolerance_grad,
            "ftol": optimizer.tolerance_change,
            "maxiter": iterations,
            "maxfun": MOST_EVALUATIONS,
        },
    )
    put(result.x)


def _flat(arrays: Sequence[Array]) -> Array:
    """All items in one vector of float64."""
    return np.concatenate([V.ravel() for V in arrays]).astype(np.float64)
