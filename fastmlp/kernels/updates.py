"""Optimiser updates, applied to a tile of the gradient on its way out of the product.

Same four matrices as an activation: ``T`` the gradient, ``D`` the parameters, ``M`` the
optimiser's state, ``h`` its hyperparameters in this step. A row of M holds, one after another,
that row of each of the state's planes, so that M's row stride tells where the next plane begins.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastmlp.kernels.compilation import inner
from fastmlp.kernels.simd import lanes, load, sqrt, store

LEARNING_RATE = 0
"""Column of ``h`` for `sgd`."""

STEP_SIZE, KEEP_MEAN, TAKE_MEAN, KEEP_SQUARE, TAKE_SQUARE, ROOT_SCALE, EPSILON = range(7)
"""Columns of ``h`` for `adam`: lr / (1 - b1**t), b1, 1 - b1, b2, 1 - b2, (1 - b2**t)**-1/2, eps."""

HYPERPARAMETERS = 8
"""Columns of ``h``."""


@inner
def plane_stride(M, planes):
    """Columns from one plane of the state to the next."""
    return M.strides[0] // (planes * M.itemsize)


def sgd(T: Any, D: Any, M: Any, h: Any) -> None:
    """W = W - lr * dW (Robbins and Monro, 1951), T = dW, D = W."""
    lr = h[0, LEARNING_RATE]
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            store(D, i, j, load(D, i, j) - lr * load(T, i, j))


def adam(T: Any, D: Any, M: Any, h: Any) -> None:
    """m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g²;  W = W - step m / (sqrt(v) root + eps).

    T = g, D = W, M = m and v (Kingma and Ba, 2015; epsilon where PyTorch has it).
    """
    second = plane_stride(M, 2)
    step_size, root_scale, epsilon = h[0, STEP_SIZE], h[0, ROOT_SCALE], h[0, EPSILON]
    keep_mean, take_mean = h[0, KEEP_MEAN], h[0, TAKE_MEAN]
    keep_square, take_square = h[0, KEEP_SQUARE], h[0, TAKE_SQUARE]
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            g = load(T, i, j)
            mean = keep_mean * load(M, i, j) + take_mean * g
            square = keep_square * load(M, i, second + j) + take_square * (g * g)
            store(M, i, j, mean)
            store(M, i, second + j, square)
            root = sqrt(square) * root_scale + epsilon
            store(D, i, j, load(D, i, j) - step_size * mean / root)


class Update(NamedTuple):
    """An optimiser's kernel, the planes of its state, and whether dW = 0 changes nothing."""

    kernel: Any
    planes: int
    idle_at_zero: bool


UPDATES = {"sgd": Update(sgd, 0, True), "adam": Update(adam, 2, False)}
"""Name of the optimiser: its update."""
