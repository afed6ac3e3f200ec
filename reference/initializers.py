"""Initial parameters: each function draws one layer, W (n_in, n_out) and b (n_out,), in float64."""

import numpy as np

from .functions import Array


def he_normal(rng: np.random.Generator, n_in: int, n_out: int) -> tuple[Array, Array]:
    """W ~ N(0, 2 / n_in), b = 0: keeps the size of the signal from layer to layer under relu.

    He, Zhang, Ren, Sun: Delving deep into rectifiers, 2015, equation 10.
    """
    return rng.standard_normal((n_in, n_out)) * np.sqrt(2 / n_in), np.zeros(n_out)


def uniform(rng: np.random.Generator, n_in: int, n_out: int) -> tuple[Array, Array]:
    """W, b ~ U(−0.5, 0.5), whatever the layer's size: where many first networks start."""
    return rng.uniform(-0.5, 0.5, (n_in, n_out)), rng.uniform(-0.5, 0.5, n_out)


INITIALIZERS = {"he_normal": he_normal, "uniform": uniform}
