"""Initial parameters: ``(rng, n_in, n_out) -> W (n_in, n_out), b (n_out,)`` in float64."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Parameters = tuple[NDArray[np.float64], NDArray[np.float64]]


def he_normal(rng: np.random.Generator, n_in: int, n_out: int) -> Parameters:
    """W ~ N(0, 2 / n_in), b = 0: keeps the variance of ReLU activations (He et al., 2015)."""
    return rng.standard_normal((n_in, n_out)) * math.sqrt(2 / n_in), np.zeros(n_out)


def uniform(rng: np.random.Generator, n_in: int, n_out: int) -> Parameters:
    """W and b ~ U(-0.5, 0.5), as in the teaching project that the reference comes from."""
    return rng.uniform(-0.5, 0.5, (n_in, n_out)), rng.uniform(-0.5, 0.5, n_out)


INITIALIZERS = {"he_normal": he_normal, "uniform": uniform}
