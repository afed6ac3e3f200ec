"""The engine's matrix product: register tiles, panels of B in the cache, an epilogue."""

from __future__ import annotations

from typing import Any

from fastmlp.kernels.calls import call_epilogue
from fastmlp.kernels.compilation import inner
from fastmlp.kernels.simd import count_bits, lanes
from fastmlp.kernels.target import TARGET
from fastmlp.kernels.tile import (
    MASK_BITS,
    MASKED_ROWS,
    MASKED_VECTORS,
    TILE_ROWS,
    TILE_VECTORS,
    tiles,
)
from fastmlp.kernels.views import block, window

GROUP_ROWS = 8 * TILE_ROWS
"""Rows of a dense product to a call of the epilogue, which finds their sums in the first level."""

PASS_ROWS = 128
"""The same where B is cut into several panels: while they pass, one panel stays in its cache."""

PANEL_BYTES = 192 * 1024
"""Of B in a dense product: a few vectors' width of 1024 rows, at home in the second-level cache."""

MASKED_PANEL_BYTES = 32 * 1024
"""Of B in a masked product, so fast that only the first level keeps up. 128 MNIST rows x 784 x 128
took 39 us so and 81 us over all of W at once; dW 37 us so and 45 us with panels of 64 KiB."""

SCRATCH_BYTES = PASS_ROWS * max(TILE_VECTORS, MASKED_VECTORS) * TARGET.vector_bytes
"""What a product needs of scratch: the sums of a group of rows."""

ALL = -1
"""Every tile of a group."""


@inner
def largest_power(limit, most):
    """Largest power of two that is neither above ``limit`` nor above ``most``, a power of two."""
    while most > limit:
        most //= 2
    return most


@inner
def occupied_tiles(masks, i, rows, tile_rows):
    """Bit t is set where any row of tile t, [i + t * tile_rows, ...) of ``rows``, has a bit set."""
    bits = 0
    for r in range(rows):
        found = 0
        for w in range(masks.shape[1]):
            found |= masks[i + r, w]
        bits |= (1 if found else 0) << (r // tile_rows)
    return bits


@inner
def lowest_bit(word):
    """Number of the lowest bit that is set in ``word``, 64 if none is."""
    return count_bits((word & -word) - 1)


@inner
def next_run(occupied, r, rows, tile_rows):
    """The rows [begin, end) of the next run of occupied tiles, from row r on; empty at the end."""
    ahead = occupied >> min(r // tile_rows, 63)  # a shift by 64 is undefined
    skipped = lowest_bit(ahead)
    begin = r + skipped * tile_rows
    end = begin + lowest_bit(~(ahead >> min(skipped, 63))) * tile_rows
    return min(begin, rows), min(end, rows)


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
    skip: int,
) -> None:
    """D = epilogue(S + A @ B).

    A (m, k), B (k, n), S and D (m, n). M (m, planes * n): none or some planes of D's shape, which
    lie one after another in M's rows. ``masks`` (m, words) are A's, see `tile`; (m, 0) for a dense
    A. ``T`` is scratch, SCRATCH_BYTES. ``skip``: where the masks show rows of A to be zero, D stays
    as it is (S being 0, and the epilogue one that changes nothing then).

    From the outside in: a few vectors' width of columns; a group of rows, whose sums wait in T; a
    panel of B, which stays in the cache; the tiles of the group (Goto and van de Geijn, Anatomy of
    high-performance matrix multiplication, 2008; A is read where it lies).
    """
    m, n = D.shape
    L, K = lanes(D), A.shape[1]
    masked = masks.shape[1] > 0
    skip = skip and masked
    planes = M.shape[1] // n
    tile_rows = MASKED_ROWS if masked else TILE_ROWS
    vectors = (n + L - 1) // L
    v = 0
    while v < vectors:
        if masked:
            vector_count = largest_power(vectors - v, MASKED_VECTORS)
        else:  # as even as can be: 2 + 2, not 3 + 1
            blocks = (vectors - v + TILE_VECTORS - 1) // TILE_VECTORS
            vector_count = (vectors - v + blocks - 1) // blocks
        j, columns = v * L, vector_count * L
        v += vector_count
        most = (MASKED_PANEL_BYTES if masked else PANEL_BYTES) // (columns * D.itemsize)
        panels = max((K + most - 1) // most, 1)
        depth = ((K + panels - 1) // panels + MASK_BITS - 1) // MASK_BITS * MASK_BITS
        depth = max(min(depth, most // MASK_BITS * MASK_BITS), MASK_BITS)
        group = GROUP_ROWS if depth >= K and not masked else PASS_ROWS
        for i in range(0, m, group):
            rows = min(group, m - i)
            occupied = occupied_tiles(masks, i, rows, tile_rows) if skip else ALL
            start, sums = block(S, i, j, rows, columns), window(T, 0, rows, columns)
            for k in range(0, max(K, 1), depth):
                k_count = min(depth, K - k)
                words = (k_count + MASK_BITS - 1) // MASK_BITS if masked else 0
                ask = 1 if k == 0 else 0
                begin, end = next_run(occupied, 0, rows, tile_rows)
                while begin < end:
                    count = end - begin
                    tiles(
                        block(sums, begin, 0, count, columns),
                        block(A, i + begin, k, count, k_count),
                        block(B, k, j, k_count, columns),
                        block(start, begin, 0, count, columns),
                        block(masks, i + begin, k // MASK_BITS, count, words),
                        block(D, i + begin, j, count, columns),
                        block(M, i + begin, j, count, columns),
                        *(planes, vector_count, ask),
                    )
                    begin, end = next_run(occupied, end, rows, tile_rows)
                start = sums
            begin, end = next_run(occupied, 0, rows, tile_rows)
            while begin < end:
                count = end - begin
                call_epilogue(
                    epilogue,
                    block(sums, begin, 0, count, columns),
                    block(D, i + begin, j, count, columns),
                    block(M, i + begin, j, count, columns),
                    h,
                )
                begin, end = next_run(occupied, end, rows, tile_rows)
