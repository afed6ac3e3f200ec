"""Transposition in registers: of squares of numbers, and of squares of bits.

Both exchange off-diagonal blocks of d x d in every 2d x 2d, for d = 1, 2, 4, ... (Warren, Hacker's
Delight, 7-3).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types

from fastmlp.kernels.compilation import inner
from fastmlp.kernels.simd import (
    constant,
    element_pointer,
    indices,
    lanes,
    numpy_lanes,
    numpy_window,
    primitive,
    splat,
    vector_type,
)


@inner
def transpose(A, D):
    """D = A.T. Rows of D are filled with zeros to the end of their last vector."""
    m, n = A.shape
    L = lanes(A)
    for i in range(0, m, L):
        for j in range(0, n, L):
            transpose_square(A, i, j, m, D, n)


def _numpy_transpose_square(A: Any, i: int, j: int, m: int, D: Any, n: int) -> None:
    L = numpy_lanes(A)
    square = np.zeros((L, L), A.dtype)
    rows = min(m - i, L)
    square[:rows] = numpy_window(A, i, j, rows, L)
    rows = min(n - j, L)
    numpy_window(D, j, i, rows, L)[...] = square.T[:rows]


def _transpose_square(typingctx, A, i, j, m, D, n):
    vector = vector_type(A.dtype)
    L, item = vector.lanes, A.dtype.bitwidth // 8

    def codegen(context, builder, sig, args):
        kind = context.get_value_type(vector)
        i, j, m, n = indices(context, builder, sig, args, (1, 2, 3, 5))

        def pointer(position: int, row: ir.Value, column: ir.Value) -> ir.Value:
            matrix = sig.args[position], args[position]
            place = element_pointer(context, builder, *matrix, [row, column])
            return builder.bitcast(place, kind.as_pointer())

        rows = []
        for r in range(L):
            row = builder.add(i, ir.Constant(i.type, r))
            exists = builder.icmp_signed("<", row, m)
            row = builder.load(pointer(0, builder.select(exists, row, i), j), align=item)
            rows.append(builder.select(exists, row, constant(kind, 0.0)))
        d = 1
        while d < L:
            rows = _exchange(builder, rows, d)
            d *= 2
        for r in range(L):
            row = builder.add(j, ir.Constant(j.type, r))
            with builder.if_then(builder.icmp_signed("<", row, n), likely=True):
                builder.store(rows[r], pointer(4, row, i), align=item)
        return context.get_dummy_value()

    return types.void(A, types.intp, types.intp, types.intp, D, types.intp), codegen


def _exchange(builder: ir.IRBuilder, rows: list[ir.Value], d: int) -> list[ir.Value]:
    """Exchange the off-diagonal blocks of d x d in every 2d x 2d of the rows."""
    L = len(rows)
    index_type = ir.VectorType(ir.IntType(32), L)
    # In a shuffle of two vectors, lane k of the second has number L + k.
    upper = ir.Constant(index_type, [L + k - d if k & d else k for k in range(L)])
    lower = ir.Constant(index_type, [L + k if k & d else k + d for k in range(L)])
    exchanged = list(rows)
    for r in range(L):
        if not r & d:
            exchanged[r] = builder.shuffle_vector(rows[r], rows[r + d], upper)
            exchanged[r + d] = builder.shuffle_vector(rows[r], rows[r + d], lower)
    return exchanged


def _numpy_transpose_bits(A: Any, i: int, j: int, D: Any, k: int, l: int, keep: int) -> None:
    bit = np.arange(64, dtype=np.uint64)
    words = numpy_window(A, i, j, 1, 64)[0].view(np.uint64)
    square = words[:, None] >> bit & np.uint64(1)
    turned = (square.T << bit).sum(axis=1, dtype=np.uint64)
    numpy_window(D, k, l, 1, 64)[0] = turned.view(np.int64) & keep


def _transpose_bits(typingctx, A, i, j, D, k, l, keep):
    words = ir.VectorType(ir.IntType(64), 64)

    def codegen(context, builder, sig, args):
        def pointer(position: int) -> ir.Value:
            at = indices(context, builder, sig, args, (position + 1, position + 2))
            place = element_pointer(context, builder, sig.args[position], args[position], at)
            return builder.bitcast(place, words.as_pointer())

        square = builder.load(pointer(0), align=8)
        for d in (32, 16, 8, 4, 2, 1):
            square = _exchange_bits(builder, square, d)
        square = builder.and_(square, splat(builder, args[6], 64))
        builder.store(square, pointer(3), align=8)
        return context.get_dummy_value()

    word = types.intp
    return types.void(A, word, word, D, word, word, types.int64), codegen


def _exchange_bits(builder: ir.IRBuilder, square: ir.Value, d: int) -> ir.Value:
    """Exchange the off-diagonal blocks of d x d bits in every 2d x 2d, of all 64 words at once."""
    words = square.type
    low = sum(1 << bit for bit in range(64) if not bit & d)
    high = low << d
    is_lower = [bool(r & d) for r in range(64)]  # of the two rows that exchange

    def each(upper: int, lower: int, item: ir.Type = words.element) -> ir.Constant:
        values = [ir.Constant(item, lower if is_low else upper) for is_low in is_lower]
        return ir.Constant(ir.VectorType(item, 64), values)

    index = ir.Constant(ir.VectorType(ir.IntType(32), 64), [r ^ d for r in range(64)])
    partner = builder.shuffle_vector(square, square, index)
    by_d = constant(words, d)
    down, up = builder.lshr(partner, by_d), builder.shl(partner, by_d)
    moved = builder.select(each(0, 1, ir.IntType(1)), down, up)
    return builder.or_(builder.and_(square, each(low, high)), builder.and_(moved, each(high, low)))


transpose_square = primitive(_numpy_transpose_square, _transpose_square)
"""``transpose_square(A, i, j, m, D, n)``: ``D[j:n, i:m] = A[i:m, j:n].T``, at most ``lanes(A)`` of
each; columns of D from m to the end of the vector become 0."""
transpose_bits = primitive(_numpy_transpose_bits, _transpose_bits)
"""``transpose_bits(A, i, j, D, k, l, keep)``: bit r of ``D[k, l + c]`` = bit c of ``A[i, j + r]``,
for 64 words of 64 bits; of the results the bits in ``keep`` are kept."""
