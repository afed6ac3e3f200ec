"""L-BFGS: all samples in one batch, and steps that know the curvature of the loss."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize

from .functions import Array
from .optimizers import Settings

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
