"""The functions of a classifier and their derivatives: activations, softmax, cross-entropy.

Shapes: Z (n_samples, n_units) of float32 or float64, y (n_samples,) of class numbers. Every
function returns the dtype it is given.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


def relu(Z: Array) -> Array:
    """relu(z) = max(z, 0), element by element."""
    return np.maximum(Z, 0)


def relu_derivative(Z: Array) -> Array:
    """relu'(z) = 1 where z > 0, else 0; at the kink z = 0, where none exists, it is taken as 0."""
    return (Z > 0).astype(Z.dtype)


class Activation(NamedTuple):
    """An elementwise function of the pre-activation Z, and its derivative with respect to Z."""

    function: Callable[[Array], Array]
    derivative: Callable[[Array], Array]


ACTIVATIONS = {"relu": Activation(relu, relu_derivative)}


def log_softmax(Z: Array) -> Array:
    """log_softmax(z)ⱼ = zⱼ − max(z) − log Σₖ exp(zₖ − max(z)), row by row.

    Softmax does not change when a row is shifted. Shifted by its maximum, the largest exponent is
    exp(0) = 1: nothing overflows (exp does above 88 in float32) and the sum is at least 1, so its
    logarithm is finite.
    """
    shifted = Z - Z.max(axis=1, keepdims=True)  # (n, n_classes), all <= 0
    total: Array = np.exp(shifted).sum(axis=1, keepdims=True)  # (n, 1), in 1..n_classes
    log_P: Array = shifted - np.log(total)
    return log_P


def softmax(Z: Array) -> Array:
    """softmax(z)ⱼ = exp(zⱼ) / Σₖ exp(zₖ), row by row: each row is positive and sums to one."""
    return np.exp(log_softmax(Z))


def cross_entropy(log_P: Array, y: Array) -> Array:
    """lossᵢ = −log Pᵢ[yᵢ]: the surprise at the true class of each sample.

    Parameters
    ----------
    log_P : (n_samples, n_classes)
        Logarithms of probabilities, from :func:`log_softmax`.
    y : (n_samples,) of integers
        The true classes, 0..n_classes-1.

    Returns
    -------
    (n_samples,)
        The loss of each sample, in nats.
    """
    return -log_P[np.arange(len(y)), y]


def cross_entropy_derivative(log_P: Array, y: Array) -> Array:
    """∂(mean loss)/∂Z = (P − Y) / n, where Y is the one-hot matrix of y and P = softmax(Z).

    The derivation is in README.md. Softmax and cross-entropy are differentiated as one function of
    the logits: apart, 1/P[y] would divide by zero for a hopeless sample.
    """
    n = len(y)
    dZ = np.exp(log_P)  # (n, n_classes): P
    dZ[np.arange(n), y] -= 1  # P − Y
    dZ /= n
    return dZ
