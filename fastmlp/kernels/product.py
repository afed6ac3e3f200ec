"""The engine's matrix product: register tiles, each followed at once by an epilogue."""

from __future__ import annotations

from typing import Any

from fastmlp.kernels.calls import call_epilogue
from fastmlp.kernels.simd import lanes
from fastmlp.kernels.tile import TILE_ROWS, TILE_VECTORS, tile
from fastmlp.kernels.views import block


def product(A: Any, B: Any, S: Any, D: Any, M: Any, h: Any, T: Any, epilogue: int) -> None:
    """D = epilogue(S + A @ B).

    A (m, k), B (k, n), S, D and M (m, n). ``T`` is a tile of scratch that stays in the first-level
    cache: the sums go there, and the epilogue reads them at once. Columns outside, rows inside:
    the k x 3 vectors of B that a column of tiles needs stay in the second-level cache, while A's
    rows stream past (256 x 1024 x 1024 at the FMA peak, without packing).
    """
    m, n = D.shape
    L = lanes(D)
    vectors = (n + L - 1) // L
    for v in range(0, vectors, TILE_VECTORS):
        vector_count = min(TILE_VECTORS, vectors - v)
        j, columns = v * L, vector_count * L
        i = 0
        while i < m:
            rows = TILE_ROWS
            while rows > m - i:
                rows //= 2
            tile(T, A, i, B, j, S, rows, vector_count)
            call_epilogue(
                epilogue,
                block(T, 0, 0, rows, columns),
                block(D, i, j, rows, columns),
                block(M, i, j, rows, columns),
                h,
            )
            i += rows
