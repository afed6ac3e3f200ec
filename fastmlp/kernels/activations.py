"""Activations and their derivatives, applied to a tile on its way to memory.

Every function here has the same four matrices, of which it may ignore some: ``T`` the tile's
product, ``D`` where the result goes, ``M`` a companion of D's shape, ``h`` hyperparameters.

The companion of a derivative is A = f(Z) where f'(Z) can be told from it. Where it cannot, the
activation itself leaves f'(Z) there: it has at hand what both are made of.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from fastmlp.kernels.compilation import inner
from fastmlp.kernels.simd import (
    absolute,
    erfcx,
    exp,
    expm1,
    lanes,
    load,
    log1p,
    maximum,
    store,
    where,
)

LEAKY_SLOPE = 0.01
"""Of leaky_relu at z < 0 (Maas et al., 2013; PyTorch's default)."""

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
"""With which activations keep mean 0 and variance 1 (Klambauer et al., 2017)."""

GELU_SCALE, GELU_CUBE = math.sqrt(2 / math.pi), 0.044715
"""Of gelu's tanh form (Hendrycks and Gimpel, 2016)."""


def identity(T: Any, D: Any, M: Any, h: Any) -> None:
    """D = T."""
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            store(D, i, j, load(T, i, j))


def times(T: Any, D: Any, M: Any, h: Any) -> None:
    """D = T * M, T = dA, M = f'(Z)."""
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            store(D, i, j, load(T, i, j) * load(M, i, j))


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


def leaky_relu(T: Any, D: Any, M: Any, h: Any) -> None:
    """D = z if z > 0 else 0.01 z."""
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            z = load(T, i, j)
            store(D, i, j, where(z > 0, z, z * LEAKY_SLOPE))


def leaky_relu_derivative(T: Any, D: Any, M: Any, h: Any) -> None:
    """D = T if A > 0 else 0.01 T, M = A."""
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            dA = load(T, i, j)
            store(D, i, j, where(load(M, i, j) > 0, dA, dA * LEAKY_SLOPE))


@inner
def _exponential_unit(T, D, scale, alpha):
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            z = load(T, i, j)
            negative = expm1(where(z > 0, 0, z)) * alpha
            store(D, i, j, where(z > 0, z, negative) * scale)


@inner
def _exponential_unit_derivative(T, D, M, scale, alpha):
    """f'(z) = scale if z > 0, else scale alpha exp(z) = f(z) + scale alpha."""
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            A = load(M, i, j)
            store(D, i, j, load(T, i, j) * where(A > 0, scale, A + scale * alpha))


def elu(T: Any, D: Any, M: Any, h: Any) -> None:
    """D = z if z > 0 else exp(z) - 1 (Clevert et al., 2016)."""
    _exponential_unit(T, D, 1.0, 1.0)


def elu_derivative(T: Any, D: Any, M: Any, h: Any) -> None:
    """D = T if A > 0 else T (A + 1), M = A."""
    _exponential_unit_derivative(T, D, M, 1.0, 1.0)


def selu(T: Any, D: Any, M: Any, h: Any) -> None:
    """D = scale (z if z > 0 else alpha (exp(z) - 1)) (Klambauer et al., 2017)."""
    _exponential_unit(T, D, SELU_SCALE, SELU_ALPHA)


def selu_derivative(T: Any, D: Any, M: Any, h: Any) -> None:
    """D = T scale if A > 0 else T (A + scale alpha), M = A."""
    _exponential_unit_derivative(T, D, M, SELU_SCALE, SELU_ALPHA)


def tanh(T: Any, D: Any, M: Any, h: Any) -> None:
    """|D| = -q / (2 + q), q = exp(-2 |z|) - 1, with the sign of z."""
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            z = load(T, i, j)
            q = expm1(absolute(z) * -2)
            size = 0 - q / (q + 2)
            store(D, i, j, where(z < 0, 0 - size, size))


def tanh_derivative(T: Any, D: Any, M: Any, h: Any) -> None:
    """D = T (1 - A²), M = A."""
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            A = load(M, i, j)
            store(D, i, j, load(T, i, j) * (1 - A * A))


def sigmoid(T: Any, D: Any, M: Any, h: Any) -> None:
    """D = 1 / (1 + exp(-z))."""
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            store(D, i, j, 1 / (1 + exp(0 - load(T, i, j))))


def sigmoid_derivative(T: Any, D: Any, M: Any, h: Any) -> None:
    """D = T A (1 - A), M = A."""
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            A = load(M, i, j)
            store(D, i, j, load(T, i, j) * (A * (1 - A)))


def softplus(T: Any, D: Any, M: Any, h: Any) -> None:
    """D = log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|)); M = f'(z) = 1 / (1 + exp(-z))."""
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            z = load(T, i, j)
            e = exp(0 - absolute(z))
            store(D, i, j, maximum(z, 0) + log1p(e))
            store(M, i, j, where(z < 0, e, 1) / (1 + e))


def silu(T: Any, D: Any, M: Any, h: Any) -> None:
    """D = z s, s = 1 / (1 + exp(-z)); M = s + z s (1 - s) (Elfwing et al., 2018)."""
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            z = load(T, i, j)
            s = 1 / (1 + exp(0 - z))
            A = z * s
            store(D, i, j, A)
            store(M, i, j, s + A * (1 - s))


def mish(T: Any, D: Any, M: Any, h: Any) -> None:
    """D = z t, t = tanh(log(1 + exp(z))); M = t + z (1 - t²) s, s the sigmoid (Misra, 2020).

    With e = exp(-|z|), (1 + exp(z))² - 1 over (1 + exp(z))² + 1 is (1 + 2 e) / (1 + 2 e + 2 e²)
    where z > 0, else (e² + 2 e) / (e² + 2 e + 2): no exponent overflows.
    """
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            z = load(T, i, j)
            e = exp(0 - absolute(z))
            up, down = where(z > 0, 1 + 2 * e, e * (e + 2)), where(z > 0, 2 * e * e, 2)
            t = up / (up + down)
            s = where(z < 0, e, 1) / (1 + e)
            store(D, i, j, z * t)
            store(M, i, j, t + z * (1 - t * t) * s)


def gelu(T: Any, D: Any, M: Any, h: Any) -> None:
    """D = z P, P = erfc(-z / sqrt(2)) / 2; M = P + z exp(-z² / 2) / sqrt(2 pi).

    P is the normal distribution (Hendrycks and Gimpel, 2016).
    """
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            z = load(T, i, j)
            x = absolute(z) * math.sqrt(0.5)
            e = exp(0 - x * x)
            tail = 0.5 * e * erfcx(x)
            P = where(z < 0, tail, 1 - tail)
            store(D, i, j, z * P)
            store(M, i, j, P + z * e * math.sqrt(0.5 / math.pi))


def gelu_tanh(T: Any, D: Any, M: Any, h: Any) -> None:
    """D = z s, s = (1 + tanh(u)) / 2 = 1 / (1 + exp(-2 u)), u = sqrt(2 / pi) (z + 0.044715 z³).

    M = s + z s (1 - s) 2 u'.
    """
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            z = load(T, i, j)
            square = z * z
            s = 1 / (1 + exp(z * (1 + GELU_CUBE * square) * (-2 * GELU_SCALE)))
            store(D, i, j, z * s)
            slope = s * (1 - s)
            inner_slope = (1 + 3 * GELU_CUBE * square) * (2 * GELU_SCALE)
            # z² may overflow where s is 0 or 1 long since.
            store(M, i, j, s + where(slope > 0, z * slope * inner_slope, 0))


class Activation(NamedTuple):
    """A = f(Z); dZ = dA * f'(Z); whether f leaves f'(Z) in its companion, for the derivative."""

    function: Any
    derivative: Any
    leaves_slope: bool = False


ACTIVATIONS = {
    "relu": Activation(relu, relu_derivative),
    "leaky_relu": Activation(leaky_relu, leaky_relu_derivative),
    "elu": Activation(elu, elu_derivative),
    "selu": Activation(selu, selu_derivative),
    "gelu": Activation(gelu, times, leaves_slope=True),
    "gelu_tanh": Activation(gelu_tanh, times, leaves_slope=True),
    "silu": Activation(silu, times, leaves_slope=True),
    "mish": Activation(mish, times, leaves_slope=True),
    "tanh": Activation(tanh, tanh_derivative),
    "sigmoid": Activation(sigmoid, sigmoid_derivative),
    "softplus": Activation(softplus, times, leaves_slope=True),
    "identity": Activation(identity, identity),
}
"""By name."""
