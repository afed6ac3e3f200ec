"""Gather: rows of the data set, in the order of the epoch, into the batch buffer.

``source`` holds the addresses of the data set's arrays (with the JIT off, the arrays). Row r of X
becomes sample ``order[first + r]``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmlp.kernels.compilation import inner
from fastmlp.kernels.simd import lanes, load_bytes, prefetch, store
from fastmlp.kernels.target import LINE_BYTES
from fastmlp.kernels.views import array_at

ROWS_AHEAD = 8
"""A shuffled row comes from memory. 128 MNIST rows took 29 us when not asked for ahead, and 16, 12,
8.5, 7.4 us at 1, 2, 4, 8 rows ahead."""


@inner
def prefetch_row(x, order, position, n, line):
    """Ask for the sample at ``position`` of the order, ``line`` items to a cache line."""
    if position < len(order):
        start = order[position] * n
        for j in range(0, n, line):
            prefetch(x, start + j)


def gather_uint8(source: Any, order: Any, first: int, X: Any, scale: float) -> None:
    """X[r] = scale * x[order[first + r]]; source: x uint8 (n_samples, n_features)."""
    x = array_at(source, 0, UINT8)
    n, L = X.shape[1], lanes(X)
    for r in range(X.shape[0]):
        prefetch_row(x, order, first + r + ROWS_AHEAD, n, LINE_BYTES)
        start = order[first + r] * n
        whole = n - n % L
        for j in range(0, whole, L):
            store(X, r, j, load_bytes(x, start + j, X) * scale)
        for j in range(whole, n):
            X[r, j] = x[start + j]
            X[r, j] *= scale


def gather_float(source: Any, order: Any, first: int, X: Any, scale: float) -> None:
    """X[r] = x[order[first + r]]; source: x of X's dtype (n_samples, n_features)."""
    x = array_at(source, 0, X.dtype)
    n = X.shape[1]
    for r in range(X.shape[0]):
        prefetch_row(x, order, first + r + ROWS_AHEAD, n, LINE_BYTES // x.itemsize)
        start = order[first + r] * n
        for j in range(n):
            X[r, j] = x[start + j]


def gather_csr(source: Any, order: Any, first: int, X: Any, scale: float) -> None:
    """X[r] = row order[first + r] of a CSR matrix; source: data, indices int32, indptr int64."""
    data, indices, indptr = (
        array_at(source, 0, X.dtype),
        array_at(source, 1, INT32),
        array_at(source, 2, INT64),
    )
    for r in range(X.shape[0]):
        X[r, :] = 0
        row = order[first + r]
        for k in range(indptr[row], indptr[row + 1]):
            X[r, indices[k]] += data[k]


UINT8, INT32, INT64 = np.dtype(np.uint8), np.dtype(np.int32), np.dtype(np.int64)
