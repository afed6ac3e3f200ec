"""Running means of parameters."""

from __future__ import annotations

from fastmlp.kernels.compilation import inner
from fastmlp.kernels.simd import lanes, load, store


@inner
def average(V, mean, decay):
    """mean = decay mean + (1 - decay) V; a decay of 0 copies."""
    take = 1 - decay
    for r in range(V.shape[0]):
        for j in range(0, V.shape[1], lanes(V)):
            store(mean, r, j, decay * load(mean, r, j) + take * load(V, r, j))
