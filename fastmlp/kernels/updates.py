"""Optimiser updates, applied to a tile of the gradient on its way out of the product.

Same four matrices as an activation: ``T`` the gradient, ``D`` the parameters, ``M`` the
optimiser's state (same shape), ``h`` its hyperparameters.
"""

from __future__ import annotations

from typing import Any

from fastmlp.kernels.simd import lanes, load, store

LEARNING_RATE = 0
"""Column of ``h``."""


def sgd(T: Any, D: Any, M: Any, h: Any) -> None:
    """W = W - lr * dW (Robbins and Monro, 1951), T = dW, D = W."""
    lr = h[0, LEARNING_RATE]
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            store(D, i, j, load(D, i, j) - lr * load(T, i, j))
