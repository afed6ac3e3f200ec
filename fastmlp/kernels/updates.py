"""Optimiser updates, applied to a tile of the gradient on its way out of the product.

Same four matrices as an activation: ``T`` the gradient, ``D`` the parameters, ``M`` the
optimiser's state, ``h`` its hyperparameters in this step. A row of M holds, one after another,
that row of each of the state's planes, so that M's row stride tells where the next plane begins.

Weight decay is of two kinds: coupled, g = dW + l2 W, and decoupled, W = keep W - ... Where there
is none, l2 = 0 and keep = 1 change no bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastmlp.kernels.compilation import inner
from fastmlp.kernels.simd import lanes, load, sqrt, store, where

L2, KEEP, RATE = 0, 1, 2
"""Columns of ``h`` that all have: coupled decay, 1 - lr times the decoupled, size of the step."""

MOMENTUM, GRADIENT_PART, BUFFER_PART, TAKE = 3, 4, 5, 6
"""Further columns of `momentum`: the buffer's decay, how much of g and of the buffer a step is, how
much of g the buffer takes."""

KEEP_MEAN, TAKE_MEAN, KEEP_SQUARE, TAKE_SQUARE, ROOT_SCALE, EPSILON, GRADIENT_RATE = range(3, 10)
"""Further columns of `adam`: b1, 1 - b1, b2, 1 - b2, (1 - b2**t)**-1/2, eps, the rate of g itself
beside its mean's; of `scaled`, `scaled_momentum` and `lion` those of that name."""

HYPERPARAMETERS = 10
"""Columns of ``h``."""


@inner
def plane_stride(M, planes):
    """Columns from one plane of the state to the next."""
    return M.strides[0] // (planes * M.itemsize)


def sgd(T: Any, D: Any, M: Any, h: Any) -> None:
    """W = W - lr * dW (Robbins and Monro, 1951), T = dW, D = W."""
    lr = h[0, RATE]
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            store(D, i, j, load(D, i, j) - lr * load(T, i, j))


def decayed_sgd(T: Any, D: Any, M: Any, h: Any) -> None:
    """W = keep W - lr (dW + l2 W)."""
    l2, keep, lr = h[0, L2], h[0, KEEP], h[0, RATE]
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            W = load(D, i, j)
            store(D, i, j, keep * W - lr * (load(T, i, j) + l2 * W))


def momentum(T: Any, D: Any, M: Any, h: Any) -> None:
    """V = mu V + t g;  W = W - lr V, or after Nesterov W - lr (g + mu V); M = V.

    As PyTorch has it with t = 1, the learning rate outside of V (Sutskever et al., 2013), and as
    scikit-learn with t = the rate and lr = 1, so that V keeps the rates of earlier steps.
    """
    l2, keep, lr = h[0, L2], h[0, KEEP], h[0, RATE]
    mu, take = h[0, MOMENTUM], h[0, TAKE]
    gradient_part, buffer_part = h[0, GRADIENT_PART], h[0, BUFFER_PART]
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            W = load(D, i, j)
            g = load(T, i, j) + l2 * W
            V = mu * load(M, i, j) + take * g
            store(M, i, j, V)
            store(D, i, j, keep * W - lr * (gradient_part * g + buffer_part * V))


def adam(T: Any, D: Any, M: Any, h: Any) -> None:
    """m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g²;  W = W - (rate m + r g) / (sqrt(v) root + eps).

    T = g, D = W, M = m and v (Kingma and Ba, 2015; epsilon where PyTorch has it). r is 0 in Adam,
    and what Nesterov's look ahead adds in NAdam (Dozat, 2016).
    """
    second = plane_stride(M, 2)
    l2, keep = h[0, L2], h[0, KEEP]
    rate, gradient_rate = h[0, RATE], h[0, GRADIENT_RATE]
    root_scale, epsilon = h[0, ROOT_SCALE], h[0, EPSILON]
    keep_mean, take_mean = h[0, KEEP_MEAN], h[0, TAKE_MEAN]
    keep_square, take_square = h[0, KEEP_SQUARE], h[0, TAKE_SQUARE]
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            W = load(D, i, j)
            g = load(T, i, j) + l2 * W
            mean = keep_mean * load(M, i, j) + take_mean * g
            square = keep_square * load(M, i, second + j) + take_square * (g * g)
            store(M, i, j, mean)
            store(M, i, second + j, square)
            root = sqrt(square) * root_scale + epsilon
            store(D, i, j, keep * W - (rate * mean + gradient_rate * g) / root)


def scaled(T: Any, D: Any, M: Any, h: Any) -> None:
    """v = k v + t g²;  W = W - lr g / (sqrt(v) + eps), M = v.

    RMSprop (Tieleman and Hinton, 2012) with t = 1 - k, Adagrad (Duchi et al., 2011) with k = t = 1.
    """
    l2, keep, lr, epsilon = h[0, L2], h[0, KEEP], h[0, RATE], h[0, EPSILON]
    keep_square, take_square = h[0, KEEP_SQUARE], h[0, TAKE_SQUARE]
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            W = load(D, i, j)
            g = load(T, i, j) + l2 * W
            square = keep_square * load(M, i, j) + take_square * (g * g)
            store(M, i, j, square)
            store(D, i, j, keep * W - lr * g / (sqrt(square) + epsilon))


def scaled_momentum(T: Any, D: Any, M: Any, h: Any) -> None:
    """v = k v + t g²;  V = mu V + g / (sqrt(v) + eps);  W = W - lr V, M = v and V."""
    second = plane_stride(M, 2)
    l2, keep, lr, epsilon = h[0, L2], h[0, KEEP], h[0, RATE], h[0, EPSILON]
    keep_square, take_square = h[0, KEEP_SQUARE], h[0, TAKE_SQUARE]
    mu = h[0, KEEP_MEAN]
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            W = load(D, i, j)
            g = load(T, i, j) + l2 * W
            square = keep_square * load(M, i, j) + take_square * (g * g)
            V = mu * load(M, i, second + j) + g / (sqrt(square) + epsilon)
            store(M, i, j, square)
            store(M, i, second + j, V)
            store(D, i, j, keep * W - lr * V)


def lion(T: Any, D: Any, M: Any, h: Any) -> None:
    """W = keep W - lr sign(b1 m + (1-b1) g);  m = b2 m + (1-b2) g, M = m (Chen et al., 2023)."""
    l2, keep, lr = h[0, L2], h[0, KEEP], h[0, RATE]
    keep_mean, take_mean = h[0, KEEP_MEAN], h[0, TAKE_MEAN]
    keep_late, take_late = h[0, KEEP_SQUARE], h[0, TAKE_SQUARE]
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            W, m = load(D, i, j), load(M, i, j)
            g = load(T, i, j) + l2 * W
            c = keep_mean * m + take_mean * g
            store(M, i, j, keep_late * m + take_late * g)
            store(D, i, j, keep * W - lr * where(c > 0, 1, where(c < 0, -1, c)))


class Update(NamedTuple):
    """An optimiser's kernel, the planes of its state, and whether dW = 0 changes nothing."""

    kernel: Any
    planes: int
    idle_at_zero: bool = False


UPDATES = {
    "sgd": Update(sgd, 0, idle_at_zero=True),
    "decayed_sgd": Update(decayed_sgd, 0),
    "momentum": Update(momentum, 1),
    "adam": Update(adam, 2),
    "scaled": Update(scaled, 1),
    "scaled_momentum": Update(scaled_momentum, 2),
    "lion": Update(lion, 1),
}
"""By the name that an `Optimizer` gives."""
