"""What the CPU that we compile for offers: vector width, and the tile that fills its registers.

numba's own answer is asked (not the operating system's), so that ``NUMBA_CPU_NAME`` and
``NUMBA_CPU_FEATURES`` choose the tile too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba

LINE_BYTES = 64
"""Bytes in a cache line. Every buffer, row and thread's share starts on one."""


@dataclass(frozen=True)
class Target:
    """Vector unit of the CPU that kernels are compiled for.

    Attributes
    ----------
    vector_bytes : int
        Bytes in one vector register: 64 (AVX-512), 32 (AVX2) or 16 (SSE, Arm NEON).
    tile_rows, tile_vectors : int
        Rows and vectors of the largest register tile. Its accumulators plus one row of B fill the
        register file: 8x3 + 3 of 32 registers, 4x2 + 2 + a broadcast of 16.
    """

    vector_bytes: int
    tile_rows: int
    tile_vectors: int


def detect() -> Target:
    """Target for the features that numba compiles for."""
    if numba.config.DISABLE_JIT:
        return Target(vector_bytes=64, tile_rows=8, tile_vectors=3)
    from numba.core.registry import cpu_target

    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    enabled = set(str(features).split(","))
    if "+avx512f" in enabled and "+prefer-256-bit" not in enabled:
        return Target(vector_bytes=64, tile_rows=8, tile_vectors=3)
    if "+avx" in enabled:
        return Target(vector_bytes=32, tile_rows=4, tile_vectors=2)
    if triple.startswith(("aarch64", "arm64")):
        return Target(vector_bytes=16, tile_rows=8, tile_vectors=3)
    return Target(vector_bytes=16, tile_rows=4, tile_vectors=2)


TARGET = detect()
