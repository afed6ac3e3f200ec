"""Functions of the logits that losses and predictions share: softmax and sigmoid.

Shapes: Z (n_samples, n_units) of float32 or float64. Every function returns the dtype it is given.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


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


def sigmoid(Z: Array) -> Array:
    """σ(z) = 1 / (1 + exp(−z)) = exp(z) / (1 + exp(z)), by the form whose exponent is not positive.

    Then nothing overflows, and σ(z) keeps its digits where it is close to 0.
    """
    e = np.exp(-np.abs(Z))
    S: Array = np.where(Z >= 0, 1, e) / (1 + e)
    return S


def softplus(Z: Array) -> Array:
    """log(1 + exp(z)) = max(z, 0) + log(1 + exp(−|z|)), the second form without overflow."""
    A: Array = np.maximum(Z, 0) + np.log1p(np.exp(-np.abs(Z)))
    return A
