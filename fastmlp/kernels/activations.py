"""Activations and their derivatives, applied to a tile on its way to memory.

Every function here has the same four matrices, of which it may ignore some: ``T`` the tile's
product, ``D`` where the result goes, ``M`` a companion of D's shape, ``h`` hyperparameters.
"""

from __future__ import annotations

from typing import Any

from fastmlp.kernels.simd import lanes, load, maximum, store, where


def identity(T: Any, D: Any, M: Any, h: Any) -> None:
    """D = T."""
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            store(D, i, j, load(T, i, j))


def relu(T: Any, D: Any, M: Any, h: Any) -> None:
    """D = max(T, 0), T = Z."""
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            store(D, i, j, maximum(load(T, i, j), 0))


def relu_derivative(T: Any, D: Any, M: Any, h: Any) -> None:
    """D = T * relu'(Z), T = dA, M = A = relu(Z): relu'(Z) = 1 where A > 0, else 0."""
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            store(D, i, j, where(load(M, i, j) > 0, load(T, i, j), 0))


ACTIVATIONS = {"relu": (relu, relu_derivative)}
"""Name: (A = f(Z), dZ = dA * f'(Z))."""
