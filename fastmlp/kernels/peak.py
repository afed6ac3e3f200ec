"""The most that a core can do: vector FMAs in registers, without memory."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from fastmlp.kernels.compilation import jit
from fastmlp.kernels.simd import fma, full, sum_lanes
from fastmlp.kernels.target import TARGET

CHAINS = 12
"""Independent sums. Two FMAs begin in a cycle and one takes 4 or 5: 10 chains keep a core busy, and
12, with two operands, fit into 16 registers."""

PIECES = 16
"""Shortest measurements to the whole time; the best of them counts, as others may use the core."""


@jit(from_python=True)
def chains(A: Any, count: int) -> Any:
    """Sum of all lanes of CHAINS vectors after x = x / 2 + 1, ``count`` times, from x = 0, 1, ...

    ``A`` gives the dtype. In the end every x is 2: no number overflows or becomes denormal, which
    would be slow.
    """
    m, c = full(A, 0.5), full(A, 1)
    x0, x1, x2, x3 = full(A, 0), full(A, 1), full(A, 2), full(A, 3)
    x4, x5, x6, x7 = full(A, 4), full(A, 5), full(A, 6), full(A, 7)
    x8, x9, x10, x11 = full(A, 8), full(A, 9), full(A, 10), full(A, 11)
    for _ in range(count):
        x0, x1, x2, x3 = fma(x0, m, c), fma(x1, m, c), fma(x2, m, c), fma(x3, m, c)
        x4, x5, x6, x7 = fma(x4, m, c), fma(x5, m, c), fma(x6, m, c), fma(x7, m, c)
        x8, x9, x10, x11 = fma(x8, m, c), fma(x9, m, c), fma(x10, m, c), fma(x11, m, c)
    return sum_lanes(x0 + x1 + x2 + x3 + x4 + x5 + x6 + x7 + x8 + x9 + x10 + x11)


def flops_of(count: int, dtype: np.dtype) -> int:
    """Floating-point operations of ``chains(A, count)``; an FMA is two."""
    return 2 * CHAINS * (TARGET.vector_bytes // dtype.itemsize) * count


def fma_peak(dtype: np.dtype, seconds: float = 0.05) -> float:
    """GFLOP/s of one core that does nothing but fused multiply-adds on full vectors.

    Parameters
    ----------
    dtype : dtype
        float32 or float64.
    seconds : float, default 0.05
        How long to measure, above 0. What is compiled first, once, is not in it.
    """
    A = np.ones((1, 1), dtype=dtype)
    chains(A, 1)
    count, best, spent = 1, 0.0, 0.0
    while spent < seconds:
        start = time.perf_counter()
        chains(A, count)
        elapsed = time.perf_counter() - start
        if elapsed < seconds / PIECES:
            count *= 2
        else:
            best = max(best, flops_of(count, A.dtype) / elapsed / 1e9)
            spent += elapsed
    return best
