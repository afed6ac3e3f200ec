"""What the peers' changes of images share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 28
"""Rows and columns of MNIST's images."""


def gaussian(sigma: float) -> NDArray[np.float64]:
    """G (28, 28): G v is v smoothed by a Gaussian that ends at 3 sigma, as in `reference`."""
    radius = int(3 * sigma + 0.5)
    g = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    distance = np.abs(np.subtract.outer(np.arange(SIDE), np.arange(SIDE)))
    inside = np.exp(-0.5 * (distance / sigma) ** 2) / g.sum()
    return np.where(distance <= radius, inside, 0)
