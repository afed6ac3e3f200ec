"""The engine's matrix product: register tiles, each followed at once by an epilogue."""

from __future__ import annotations

from typing import Any

from fastmlp.kernels.calls import call_epilogue
from fastmlp.kernels.compilation import inner
from fastmlp.kernels.simd import lanes, load, store
from fastmlp.kernels.tile import MASKED_ROWS, MASKED_VECTORS, TILE_ROWS, TILE_VECTORS, tile
from fastmlp.kernels.views import block


@inner
def largest_power(limit, most):
    """Largest power of two that is neither above ``limit`` nor above ``most``, a power of two."""
    while most > limit:
        most //= 2
    return most


@inner
def copy(T, D):
    """D = T."""
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], lanes(D)):
            store(D, i, j, load(T, i, j))


def product(
    A: Any,
    masks: Any,
    B: Any,
    S: Any,
    D: Any,
    M: Any,
    h: Any,
    T: Any,
    epilogue: int,
    depth: int,
) -> None:
    """D = epilogue(S + A @ B).

    A (m, k), B (k, n), S, D and M (m, n). ``masks`` (m, words) are A's, see `tile`; (m, 0) for a
    dense A. ``T`` is a tile of scratch that stays in the first-level cache: the sums go there, and
    the epilogue reads them at once.

    Columns outside, rows inside: the few vectors' width of B that a column of tiles needs stays in
    the cache, while A's rows stream past (256 x 1024 x 1024 at the FMA peak, without packing). Of B
    at most ``depth`` rows are used in one pass, after which D keeps the sums for the next; where
    the epilogue needs D's old value, ``depth`` must be k.
    """
    m, n = D.shape
    L, K = lanes(D), A.shape[1]
    masked = masks.shape[1] > 0
    vectors = (n + L - 1) // L
    v = 0
    while v < vectors:
        if masked:
            vector_count = largest_power(vectors - v, MASKED_VECTORS)
        else:
            vector_count = min(TILE_VECTORS, vectors - v)
        j, columns = v * L, vector_count * L
        for k_begin in range(0, max(K, 1), depth):
            k_end = min(k_begin + depth, K)
            start = S if k_begin == 0 else D
            i = 0
            while i < m:
                rows = largest_power(m - i, MASKED_ROWS if masked else TILE_ROWS)
                tile(T, A, i, B, j, start, masks, k_begin, k_end, rows, vector_count)
                sums, target = block(T, 0, 0, rows, columns), block(D, i, j, rows, columns)
                if k_end < K:
                    copy(sums, target)
                else:
                    call_epilogue(epilogue, sums, target, block(M, i, j, rows, columns), h)
                i += rows
        v += vector_count
