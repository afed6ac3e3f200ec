"""The engine's matrix product: register tiles, each followed at once by an epilogue."""

from __future__ import annotations

from typing import Any

from fastmlp.kernels.calls import call_epilogue
from fastmlp.kernels.compilation import inner
from fastmlp.kernels.simd import lanes, load, prefetch, store
from fastmlp.kernels.target import LINE_BYTES
from fastmlp.kernels.tile import MASKED_ROWS, MASKED_VECTORS, TILE_ROWS, TILE_VECTORS, tile
from fastmlp.kernels.views import block

GROUP_TILES = 4
"""Tiles to a call of the epilogue."""


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


@inner
def prefetch_block(D):
    """Ask for all of D: of a large layer, the epilogue would wait for each line of it."""
    line = LINE_BYTES // D.itemsize
    for i in range(D.shape[0]):
        for j in range(0, D.shape[1], line):
            prefetch(D, i, j)


@inner
def any_bits(masks, begin, end):
    """Whether any of the rows [begin, end) has a bit set."""
    found = 0
    for i in range(begin, end):
        for w in range(masks.shape[1]):
            found |= masks[i, w]
    return found != 0


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
    skip: int,
) -> None:
    """D = epilogue(S + A @ B).

    A (m, k), B (k, n), S and D (m, n). M (m, planes * n): none or some planes of D's shape, which
    lie one after another in M's rows. ``masks`` (m, words) are A's, see `tile`; (m, 0) for a dense
    A. ``T`` is scratch for a group of tiles that stays in the first-level cache:
    the sums go there, and the epilogue reads them at once.

    Columns outside, rows inside: the few vectors' width of B that a column of tiles needs stays in
    the cache, while A's rows stream past (256 x 1024 x 1024 at the FMA peak, without packing). Of B
    at most ``depth`` rows are used in one pass, after which D keeps the sums for the next; where
    the epilogue needs D's old value, ``depth`` must be k.

    ``skip``: where the masks show rows of A to be zero, D stays as it is (S being 0, and the
    epilogue one that changes nothing then).
    """
    m, n = D.shape
    L, K = lanes(D), A.shape[1]
    masked = masks.shape[1] > 0
    planes = M.shape[1] // n
    plane_stride = M.strides[0] // (max(planes, 1) * M.itemsize)
    tile_rows = MASKED_ROWS if masked else TILE_ROWS
    vectors = (n + L - 1) // L
    v = 0
    while v < vectors:
        if masked:
            vector_count = largest_power(vectors - v, MASKED_VECTORS)
        else:  # as even as can be: 2 + 2, not 3 + 1
            tiles = (vectors - v + TILE_VECTORS - 1) // TILE_VECTORS
            vector_count = (vectors - v + tiles - 1) // tiles
        j, columns = v * L, vector_count * L
        for k_begin in range(0, max(K, 1), depth):
            k_end = min(k_begin + depth, K)
            start = S if k_begin == 0 else D
            for i in range(0, m, GROUP_TILES * tile_rows):
                rows = min(GROUP_TILES * tile_rows, m - i)
                if skip and masked and not any_bits(masks, i, i + rows):
                    continue
                sums, target = block(T, 0, 0, rows, columns), block(D, i, j, rows, columns)
                companion = block(M, i, j, rows, columns)
                prefetch_block(target)
                for plane in range(planes):
                    prefetch_block(block(M, i, plane * plane_stride + j, rows, columns))
                r = 0
                while r < rows:
                    count = largest_power(rows - r, tile_rows)
                    row = block(T, r, 0, count, columns)
                    tile(row, A, i + r, B, j, start, masks, k_begin, k_end, count, vector_count)
                    r += count
                if k_end < K:
                    copy(sums, target)
                else:
                    call_epilogue(epilogue, sums, target, companion, h)
        v += vector_count
