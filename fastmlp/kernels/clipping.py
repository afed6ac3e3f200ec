"""Limits of whole gradients and weights: clipping, max-norm."""

from __future__ import annotations

from fastmlp.kernels.compilation import inner
from fastmlp.kernels.losses import masked_row
from fastmlp.kernels.simd import full, lanes, load, maximum, minimum, sqrt, store, sum_lanes


@inner
def row_squares(G, squares):
    """squares[0, r] = sum_j G[r, j]²."""
    for r in range(G.shape[0]):
        total = full(G, 0)
        for j in range(0, G.shape[1], lanes(G)):
            g = masked_row(G, r, j, 0)
            total = total + g * g
        squares[0, r] = sum_lanes(total)


@inner
def clip(G, factor, limit):
    """G = factor G, then between -limit and limit."""
    for r in range(G.shape[0]):
        for j in range(0, G.shape[1], lanes(G)):
            store(G, r, j, maximum(minimum(load(G, r, j) * factor, limit), 0 - limit))


@inner
def limit_columns(W, c):
    """Each column w of W becomes w c / max(|w|, c) (Srivastava et al., 2014)."""
    for j in range(0, W.shape[1], lanes(W)):
        total = full(W, 0)
        for r in range(W.shape[0]):
            w = load(W, r, j)
            total = total + w * w
        factor = c / maximum(sqrt(total), c)
        for r in range(W.shape[0]):
            store(W, r, j, load(W, r, j) * factor)
