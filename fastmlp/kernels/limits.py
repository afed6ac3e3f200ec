"""What is done to whole gradients and weights: clipping, max-norm, averaging.

Every kernel has six matrices and a row of numbers, see `calls.part_arguments`.
"""

from __future__ import annotations

from fastmlp.kernels.losses import masked_row
from fastmlp.kernels.simd import full, lanes, load, maximum, minimum, sqrt, store, sum_lanes


def row_squares(G, squares, unused_1, unused_2, unused_3, unused_4, numbers):
    """squares[0, r] = sum_j G[r, j]²."""
    for r in range(G.shape[0]):
        total = full(G, 0)
        for j in range(0, G.shape[1], lanes(G)):
            g = masked_row(G, r, j, 0)
            total = total + g * g
        squares[0, r] = sum_lanes(total)


def clip(G, settings, unused_1, unused_2, unused_3, unused_4, numbers):
    """G = G factor, then between -limit and limit; settings (1, 2): factor, limit."""
    factor, limit = settings[0, 0], settings[0, 1]
    for r in range(G.shape[0]):
        for j in range(0, G.shape[1], lanes(G)):
            store(G, r, j, maximum(minimum(load(G, r, j) * factor, limit), 0 - limit))


def limit_columns(W, settings, unused_1, unused_2, unused_3, unused_4, numbers):
    """Each column w of W becomes w c / max(|w|, c), c = settings[0, 0] (Srivastava, 2014)."""
    c = settings[0, 0]
    for j in range(0, W.shape[1], lanes(W)):
        total = full(W, 0)
        for r in range(W.shape[0]):
            w = load(W, r, j)
            total = total + w * w
        factor = c / maximum(sqrt(total), c)
        for r in range(W.shape[0]):
            store(W, r, j, load(W, r, j) * factor)


def average(V, mean, settings, unused_1, unused_2, unused_3, numbers):
    """mean = keep mean + take V; settings (1, 2): keep, take. With keep = 0 a copy."""
    keep, take = settings[0, 0], settings[0, 1]
    for r in range(V.shape[0]):
        for j in range(0, V.shape[1], lanes(V)):
            store(mean, r, j, keep * load(mean, r, j) + take * load(V, r, j))
