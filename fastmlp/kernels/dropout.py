"""Dropout masks, a function of seed, step, layer, row and column."""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba.core import types

from fastmlp.kernels.compilation import inner
from fastmlp.kernels.random import PARITY, ROTATIONS, threefry
from fastmlp.kernels.simd import (
    call_llvm,
    constant,
    lanes,
    numpy_lanes,
    primitive,
    splat,
    store,
    vector_type,
)


def emit_threefry(builder, key, counter):
    """`random.threefry` of vectors of 32-bit words: two vectors."""
    vector = counter[0].type
    parity = constant(vector, PARITY)
    keys = [*key, builder.xor(builder.xor(*key), parity)]
    x0, x1 = builder.add(counter[0], keys[0]), builder.add(counter[1], keys[1])
    name = f"llvm.fshl.v{vector.count}i32"
    for turn in range(20):
        bits = constant(vector, ROTATIONS[turn % 8])
        x0 = builder.add(x0, x1)
        x1 = builder.xor(call_llvm(builder, name, vector, [x1, x1, bits]), x0)
        if turn % 4 == 3:
            k = turn // 4 + 1
            x0 = builder.add(x0, keys[k % 3])
            x1 = builder.add(builder.add(x1, keys[(k + 1) % 3]), constant(vector, k))
    return x0, x1


def _coins(typingctx, A, key0, key1, row, column, threshold):
    vector = vector_type(A.dtype)
    result = types.UniTuple(vector, 2)  # type: ignore[attr-defined]

    def codegen(context, builder, sig, args):
        words = ir.VectorType(ir.IntType(32), vector.lanes)
        numbers = [
            splat(
                builder,
                builder.trunc(context.cast(builder, value, kind, types.int64), words.element),
                vector.lanes,
            )
            for value, kind in zip(args[1:], sig.args[1:], strict=True)
        ]
        key0, key1, row, column, threshold = numbers
        column = builder.add(
            column, ir.Constant(words, [ir.Constant(words.element, k) for k in range(words.count)])
        )
        kind = context.get_value_type(vector)
        one, zero = constant(kind, 1.0), constant(kind, 0.0)
        kept = [
            builder.select(builder.icmp_unsigned(">=", word, threshold), one, zero)
            for word in emit_threefry(builder, (key0, key1), (row, column))
        ]
        return context.make_tuple(builder, result, kept)

    return result(A, key0, key1, row, column, threshold), codegen


def _numpy_coins(A, key0, key1, row, column, threshold):
    columns = column + np.arange(numpy_lanes(A), dtype=np.int64)
    words = threefry(int(key0), int(key1), int(row), columns)
    return tuple((word >= threshold).astype(A.dtype) for word in words)


coins = primitive(_numpy_coins, _coins)
"""``coins(A, key0, key1, row, column, threshold)``: two vectors of A's dtype, 1 where the words of
the counters (row, column), (row, column + 1), ... are not below the threshold, else 0."""


@inner
def draw_mask(K, key0, key1, first_row, threshold, kept):
    """K = ``kept`` where an item is kept, else 0 (Srivastava et al., 2014; inverted).

    Item (r, j) has the half ``row % 2`` of the words of the counter (row // 2, j), row being
    first_row + r.
    """
    for r in range(-(first_row % 2), K.shape[0], 2):
        row = (first_row + r) // 2
        for j in range(0, K.shape[1], lanes(K)):
            first, second = coins(K, key0, key1, row, j, threshold)
            if r >= 0:
                store(K, r, j, first * kept)
            if r + 1 < K.shape[0]:
                store(K, r + 1, j, second * kept)
