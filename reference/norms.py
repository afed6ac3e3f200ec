"""Normalisation between a layer's product and its activation: N = scale ⊙ Ẑ + shift.

Ẑ = (Z − mean) / √(variance + eps), mean and variance being those of one axis of Z (n, n_units):

- "layer": of each sample over its units (Ba, Kiros, Hinton: Layer normalization, 2016);
- "batch": of each unit over the samples of the batch (Ioffe, Szegedy: Batch normalization, 2015).
  What predicts has no batch: it takes running means of the batches that training has seen.

All variances are biased (divided by the count) but for the running one. scale and shift,
(n_units,), are learned.
"""

from typing import NamedTuple

import numpy as np

from .functions import Array

EPS = 1e-5
MOMENTUM = 0.1
"""The share of the newest batch in the running mean and the running variance."""

AXES = {"layer": 1, "batch": 0}
"""What mean and variance are taken over."""


class Normalised(NamedTuple):
    """Ẑ, and how it came about; mean and variance are (n, 1) or (1, n_units)."""

    Z_hat: Array
    mean: Array
    variance: Array


def normalise(Z: Array, norm: str) -> Normalised:
    """Ẑ by the mean and the variance of Z itself."""
    axis = AXES[norm]
    mean = Z.mean(axis=axis, keepdims=True)
    variance = Z.var(axis=axis, keepdims=True)
    return Normalised((Z - mean) / np.sqrt(variance + EPS), mean, variance)


def normalise_by(Z: Array, mean: Array, variance: Array) -> Normalised:
    """Ẑ by a mean and a variance, (n_units,), that do not depend on Z."""
    return Normalised((Z - mean) / np.sqrt(variance + EPS), mean, variance)


def normalise_backward(dZ_hat: Array, normalised: Normalised, norm: str) -> Array:
    """dZ = (dẐ − mean(dẐ) − Ẑ ⊙ mean(dẐ ⊙ Ẑ)) / √(variance + eps), the means over the same axis.

    Along that axis let m be the count, μ the mean, d = √(variance + eps). z_i is in ẑ_j = (z_j − μ)
    / d itself where i = j, through μ (∂μ/∂z_i = 1 / m), and through d: as ∂variance/∂z_i =
    2 (z_i − μ) / m, ∂d/∂z_i = (z_i − μ) / (m d) = ẑ_i / m. Therefore

        ∂ẑ_j/∂z_i = ([i = j] − 1 / m) / d − (z_j − μ) / d² · ẑ_i / m
                  = ([i = j] − 1 / m − ẑ_i ẑ_j / m) / d

    and dz_i = Σ_j dẑ_j ∂ẑ_j/∂z_i is the line above.
    """
    axis = AXES[norm]
    Z_hat, _, variance = normalised
    mean = dZ_hat.mean(axis=axis, keepdims=True)
    slope = (dZ_hat * Z_hat).mean(axis=axis, keepdims=True)
    dZ: Array = (dZ_hat - mean - Z_hat * slope) / np.sqrt(variance + EPS)
    return dZ


def update_running(running_mean: Array, running_variance: Array, normalised: Normalised) -> None:
    """Running ← 0.9 running + 0.1 of the batch, in place; the variance unbiased, · n / (n − 1).

    A single sample has no unbiased variance: it leaves the running one as it is.
    """
    n = len(normalised.Z_hat)
    running_mean *= 1 - MOMENTUM
    running_mean += MOMENTUM * normalised.mean[0]
    if n > 1:
        running_variance *= 1 - MOMENTUM
        running_variance += (MOMENTUM * n / (n - 1)) * normalised.variance[0]
