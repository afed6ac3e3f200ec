"""Activations: elementwise functions of the pre-activation Z, each with its derivative by Z.

Every function returns the dtype it is given, and is finite for every finite Z.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import erfc

from .functions import Array, sigmoid, softplus

LEAK = 0.01
"""Slope of leaky_relu below 0."""

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
"""With these, means 0 and variances 1 stay so from layer to layer.

Klambauer, Unterthiner, Mayr, Hochreiter: Self-normalizing neural networks, 2017, equation 14.
"""

CUBIC = 0.044715
"""In gelu_tanh; Hendrycks and Gimpel: Gaussian error linear units, 2016, section 2."""


def relu(Z: Array) -> Array:
    """relu(z) = max(z, 0), element by element."""
    return np.maximum(Z, 0)


def relu_derivative(Z: Array) -> Array:
    """relu'(z) = 1 where z > 0, else 0; at the kink z = 0, where none exists, it is taken as 0."""
    return (Z > 0).astype(Z.dtype)


def leaky_relu(Z: Array) -> Array:
    """leaky_relu(z) = z where z > 0, else 0.01 z."""
    return np.where(Z > 0, Z, LEAK * Z)


def leaky_relu_derivative(Z: Array) -> Array:
    """1 where z > 0, else 0.01."""
    D: Array = np.where(Z > 0, Z.dtype.type(1), Z.dtype.type(LEAK))
    return D


def elu(Z: Array) -> Array:
    """elu(z) = z where z > 0, else exp(z) − 1."""
    return np.where(Z > 0, Z, np.expm1(np.minimum(Z, 0)))


def elu_derivative(Z: Array) -> Array:
    """1 where z > 0, else exp(z)."""
    return np.exp(np.minimum(Z, 0))


def selu(Z: Array) -> Array:
    """selu(z) = λ z where z > 0, else λ α (exp(z) − 1)."""
    return np.where(Z > 0, SELU_SCALE * Z, (SELU_SCALE * SELU_ALPHA) * np.expm1(np.minimum(Z, 0)))


def selu_derivative(Z: Array) -> Array:
    """λ where z > 0, else λ α exp(z)."""
    below = (SELU_SCALE * SELU_ALPHA) * np.exp(np.minimum(Z, 0))
    return np.where(Z > 0, Z.dtype.type(SELU_SCALE), below)


def normal_cdf(Z: Array) -> Array:
    """Φ(z) = erfc(−z / √2) / 2, which keeps its digits where it is close to 0."""
    Phi: Array = 0.5 * erfc(-math.sqrt(0.5) * Z)
    return Phi


def gelu(Z: Array) -> Array:
    """gelu(z) = z Φ(z), where Φ is the distribution function of N(0, 1)."""
    return Z * normal_cdf(Z)


def gelu_derivative(Z: Array) -> Array:
    """Φ(z) + z φ(z), where φ(z) = exp(−z² / 2) / √(2π) is the density of N(0, 1)."""
    near = np.clip(Z, -40, 40)  # beyond, φ is 0 in float64, too, and z² may overflow
    phi = np.exp(-0.5 * near * near) / math.sqrt(2 * math.pi)
    D: Array = normal_cdf(Z) + near * phi
    return D


def _gelu_tanh_parts(Z: Array) -> tuple[Array, Array]:
    """S = (1 + tanh(u)) / 2 = σ(2u) and 2u', where u(z) = √(2/π) (z + 0.044715 z³)."""
    near = np.clip(Z, -30, 30)  # beyond, S is 0 or 1 in float64, too, and z³ may overflow
    two_u = (2 * math.sqrt(2 / math.pi)) * (near + CUBIC * near**3)
    slope = (2 * math.sqrt(2 / math.pi)) * (1 + (3 * CUBIC) * near**2)
    return sigmoid(two_u), slope


def gelu_tanh(Z: Array) -> Array:
    """gelu_tanh(z) = z (1 + tanh(u)) / 2, where u(z) = √(2/π) (z + 0.044715 z³)."""
    return Z * _gelu_tanh_parts(Z)[0]


def gelu_tanh_derivative(Z: Array) -> Array:
    """S + z S (1 − S) 2u' for S = (1 + tanh(u)) / 2 = σ(2u)."""
    S, slope = _gelu_tanh_parts(Z)
    D: Array = S + np.clip(Z, -30, 30) * S * (1 - S) * slope
    return D


def silu(Z: Array) -> Array:
    """silu(z) = z σ(z)."""
    return Z * sigmoid(Z)


def silu_derivative(Z: Array) -> Array:
    """σ + z σ (1 − σ)."""
    S = sigmoid(Z)
    D: Array = S + Z * S * (1 - S)
    return D


def mish(Z: Array) -> Array:
    """mish(z) = z tanh(log(1 + exp(z)))."""
    return Z * np.tanh(softplus(Z))


def mish_derivative(Z: Array) -> Array:
    """t + z (1 − t²) σ for t = tanh(log(1 + exp(z))), whose inner derivative is σ(z)."""
    t = np.tanh(softplus(Z))
    D: Array = t + Z * sigmoid(Z) * (1 - t * t)
    return D


def tanh_derivative(Z: Array) -> Array:
    """1 − tanh(z)²."""
    t = np.tanh(Z)
    return 1 - t * t


def sigmoid_derivative(Z: Array) -> Array:
    """σ(z) (1 − σ(z)) = σ(z) σ(−z)."""
    return sigmoid(Z) * sigmoid(-Z)


def identity(Z: Array) -> Array:
    """z: the layer stays linear."""
    return Z


class Activation(NamedTuple):
    """An elementwise function of the pre-activation Z, and its derivative with respect to Z."""

    function: Callable[[Array], Array]
    derivative: Callable[[Array], Array]


ACTIVATIONS = {
    "relu": Activation(relu, relu_derivative),
    "leaky_relu": Activation(leaky_relu, leaky_relu_derivative),
    "elu": Activation(elu, elu_derivative),
    "selu": Activation(selu, selu_derivative),
    "gelu": Activation(gelu, gelu_derivative),
    "gelu_tanh": Activation(gelu_tanh, gelu_tanh_derivative),
    "silu": Activation(silu, silu_derivative),
    "mish": Activation(mish, mish_derivative),
    "tanh": Activation(np.tanh, tanh_derivative),
    "sigmoid": Activation(sigmoid, sigmoid_derivative),
    "softplus": Activation(softplus, sigmoid),
    "identity": Activation(identity, np.ones_like),
}
