"""Full-batch L-BFGS, by scipy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fastmlp.optimizers import LBFGS

Arrays = dict[str, NDArray[Any]]


def minimize(
    optimizer: LBFGS,
    parameters: Arrays,
    loss_and_gradients: Callable[[], tuple[float, Arrays]],
    iteration_ended: Callable[[], bool],
    iterations: int,
    evaluations: int | None = None,
) -> Any:
    """Minimise the loss by the ``parameters``, in place, until an iteration ends with True.

    Parameters
    ----------
    optimizer : LBFGS
    parameters : dict of str to ndarray
        W1, b1, ...: views of the model.
    loss_and_gradients : callable
        Mean loss and its gradients, named as the parameters, at what these hold now.
    iteration_ended : callable
        Called after each iteration, when the parameters hold its result; True ends the training.
    iterations : int
        Most of them.
    evaluations : int, optional
        Most calls of ``loss_and_gradients``; 20 times the iterations without.

    Returns
    -------
    scipy.optimize.OptimizeResult or None
        None if there are no iterations.

    Raises
    ------
    BaseException
        What the calls raise; the parameters are then those after the last whole iteration.
    """
    from scipy.optimize import minimize as scipy_minimize

    start = np.concatenate([view.astype(np.float64).ravel() for view in parameters.values()])
    dtype = next(iter(parameters.values())).dtype
    gradient, decays = np.empty_like(start), np.zeros_like(start)

    def parts_of(flat: NDArray[np.float64]) -> Arrays:
        """Views of ``flat``, shaped as the parameters."""
        ends = np.cumsum([view.size for view in parameters.values()])[:-1]
        parts = zip(parameters.items(), np.split(flat, ends), strict=True)
        return {name: part.reshape(view.shape) for (name, view), part in parts}

    gradient_parts = parts_of(gradient)
    for name, part in parts_of(decays).items():
        part[...] = optimizer.weight_decay if name[0] == "W" or optimizer.decay_biases else 0.0

    def assign(flat: NDArray[np.float64]) -> None:
        place = 0
        for view in parameters.values():
            view[...] = flat[place : place + view.size].reshape(view.shape)
            place += view.size

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        assign(flat)
        loss, gradients = loss_and_gradients()
        for name, part in gradient_parts.items():
            part[...] = gradients[name]
        values = flat.astype(dtype)  # as the network has them
        decayed = decays * values
        return loss + float(decayed @ values) / 2, gradient + decayed

    def ended(result: Any) -> None:
        accepted[:] = result
        assign(result)
        try:
            stop = iteration_ended()
        except StopIteration as error:  # which scipy would take for ours
            raise RuntimeError("a callback raised StopIteration") from error
        if stop:
            raise StopIteration

    if iterations == 0:
        return None
    accepted = start.copy()
    try:
        return scipy_minimize(
            objective,
            start,
            jac=True,
            method="L-BFGS-B",
            callback=ended,
            options={
                "maxiter": iterations,
                "maxfun": evaluations or 20 * iterations,
                "maxcor": optimizer.history_size,
                "gtol": optimizer.tolerance_grad,
                "ftol": optimizer.tolerance_change,
            },
        )
    finally:
        assign(accepted)  # not what a line search tried last
