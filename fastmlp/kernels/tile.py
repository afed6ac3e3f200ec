"""The register tile: the one matrix product of the engine.

``T = S + A @ B`` for a few rows and vectors, with every sum held in a register from its first term
to its last: each item of T is one chain of fused multiply-adds over k in order. Its bits therefore
depend neither on the tile's shape nor on which thread computes it, and a product may be cut
anywhere along k by starting the next piece from the last one's result.

Where A is mostly zeros, bit masks say which k have any non-zero in the tile's rows, and the others
are skipped. A skipped term would add 0 to its sum, which changes no bit of it (B being finite).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fastmlp.kernels.simd import JIT, call_llvm, emit_fma, numpy_window, splat, vector_type
from fastmlp.kernels.target import TARGET

TILE_ROWS = TARGET.tile_rows
TILE_VECTORS = TARGET.tile_vectors

# Powers of two down to one: any count of rows is at most log2(TILE_ROWS) tiles beyond the full
# ones. With AVX-512 8x3, 6x4, 8x2 and 14x2 all ran at 98-101 % of the FMA peak.
SHAPES = [(2**p, v) for p in range(TILE_ROWS.bit_length()) for v in range(1, TILE_VECTORS + 1)]

# A masked tile is wide, so that finding the next k is paid once for many products, and has few
# rows, whose masks are united. 128 MNIST rows x 784 x 128 took 34 us forward with 1x8, 37 with
# 2x8, 47 with 4x4; dW 35, 30 and 37; the dense tile takes 110.
MASKED_ROWS = 2
MASKED_VECTORS = 8
MASKED_SHAPES = [(r, v) for r in (1, 2) for v in (1, 2, 4, 8)]

MASK_BITS = 64
"""Columns of A to a word of its mask."""

_WORD = ir.IntType(64)


def _numpy_tile(
    T: Any,
    A: Any,
    i: int,
    B: Any,
    j: int,
    S: Any,
    masks: Any,
    k_begin: int,
    k_end: int,
    row_count: int,
    vector_count: int,
) -> None:
    columns = vector_count * TARGET.vector_bytes // T.dtype.itemsize
    start = numpy_window(S, i, j, row_count, columns)
    right = numpy_window(B, k_begin, j, k_end - k_begin, columns)
    T[:row_count, :columns] = start + A[i : i + row_count, k_begin:k_end] @ right


def _tile(typingctx, T, A, i, B, j, S, masks, k_begin, k_end, row_count, vector_count):
    """T[:rows, :columns] = S[i:, j:] + A[i:, k] @ B[k, j:], k_begin <= k < k_end.

    Matrices have contiguous rows, but for A and its masks, whose strides are free: A may be a
    transposed view, and S and A may repeat one row or one number (stride 0). ``masks`` (int64) has
    a row for each row of A, in which bit k says that the item k is not zero; without columns: all
    are taken.
    """

    def codegen(context, builder, sig, args):
        masks_view = context.make_array(sig.args[6])(context, builder, value=args[6])
        words = cgutils.unpack_tuple(builder, masks_view.shape, 2)[1]
        masked = builder.zext(builder.icmp_signed(">", words, _int(0)), _WORD)
        key = builder.add(builder.mul(masked, _int(2**16)), builder.mul(args[9], _int(2**8)))
        key = builder.add(key, args[10])
        done = builder.append_basic_block("tile.done")
        switch = builder.switch(key, done)
        for is_masked, shapes in enumerate((SHAPES, MASKED_SHAPES)):
            for rows, vectors in shapes:
                block = builder.append_basic_block(f"tile.{rows}x{vectors}")
                switch.add_case(_int(is_masked * 2**16 + rows * 2**8 + vectors), block)
                builder.position_at_end(block)
                _emit_tile(context, builder, sig, args, rows, vectors, bool(is_masked))
                builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    word = types.intp
    return types.void(T, A, word, B, word, S, masks, word, word, word, word), codegen


def _emit_tile(
    context: Any,
    builder: ir.IRBuilder,
    sig: Any,
    args: Any,
    rows: int,
    vectors: int,
    masked: bool,
) -> None:
    """LLVM code of one tile shape."""
    dtype = sig.args[0].dtype
    lanes, item = vector_type(dtype).lanes, dtype.bitwidth // 8
    scalar = context.get_value_type(dtype)
    vector = ir.VectorType(scalar, lanes)

    def view(position: int) -> tuple[ir.Value, list[ir.Value]]:
        array = context.make_array(sig.args[position])(context, builder, value=args[position])
        return builder.ptrtoint(array.data, _WORD), cgutils.unpack_tuple(builder, array.strides, 2)

    def offset(address: ir.Value, index: ir.Value | int, stride: ir.Value | int) -> ir.Value:
        index = _int(index) if isinstance(index, int) else index
        stride = _int(stride) if isinstance(stride, int) else stride
        return builder.add(address, builder.mul(index, stride))

    def pointer(address: ir.Value, kind: ir.Type) -> ir.Value:
        return builder.inttoptr(address, kind.as_pointer())

    def vectors_at(address: ir.Value) -> list[ir.Value]:
        return [pointer(offset(address, v, lanes * item), vector) for v in range(vectors)]

    (t, (t_row, _)), (a, (a_row, a_k)), (b, (b_k, _)) = view(0), view(1), view(3)
    (s, (s_row, _)), (m, (m_row, m_word)) = view(5), view(6)
    i, j, k_begin, k_end = args[2], args[4], args[7], args[8]
    a, m = offset(a, i, a_row), offset(m, i, m_row)
    b = offset(b, j, item)
    s = offset(offset(s, i, s_row), j, item)

    # sums = S. LLVM turns these stack slots into registers.
    sums = [[cgutils.alloca_once(builder, vector) for _ in range(vectors)] for _ in range(rows)]
    for r in range(rows):
        for slot, start in zip(sums[r], vectors_at(offset(s, r, s_row)), strict=True):
            builder.store(builder.load(start, align=item), slot)
    # for k: sums[r] += A[r, k] * B[k]
    mask_rows = [offset(m, r, m_row) for r in range(rows)] if masked else None
    with _each_k(builder, k_begin, k_end, mask_rows, m_word) as k:
        b_vectors = [builder.load(p, align=item) for p in vectors_at(offset(b, k, b_k))]
        a_column = offset(a, k, a_k)
        for r in range(rows):
            a_item = builder.load(pointer(offset(a_column, r, a_row), scalar))
            broadcast = splat(builder, a_item, lanes)
            for slot, b_vector in zip(sums[r], b_vectors, strict=True):
                builder.store(emit_fma(builder, broadcast, b_vector, builder.load(slot)), slot)
    # T = sums
    for r in range(rows):
        for slot, target in zip(sums[r], vectors_at(offset(t, r, t_row)), strict=True):
            builder.store(builder.load(slot), target, align=item)


@contextlib.contextmanager
def _each_k(
    builder: ir.IRBuilder,
    begin: ir.Value,
    end: ir.Value,
    mask_rows: list[ir.Value] | None,
    word_stride: ir.Value,
) -> Iterator[ir.Value]:
    """Loop over k in [begin, end), or over those whose bit is set in any of the masks."""
    if mask_rows is None:
        with cgutils.for_range_slice(builder, begin, end, _int(1)) as (k, _):
            yield k
        return
    remaining = cgutils.alloca_once(builder, _WORD)
    with cgutils.for_range_slice(builder, begin, end, _int(MASK_BITS)) as (k_word, _):
        word = builder.mul(builder.udiv(k_word, _int(MASK_BITS)), word_stride)
        united = _int(0)
        for row in mask_rows:
            place = builder.inttoptr(builder.add(row, word), _WORD.as_pointer())
            united = builder.or_(united, builder.load(place))
        builder.store(united, remaining)
        head = builder.append_basic_block("bits")
        body = builder.append_basic_block("bit")
        done = builder.append_basic_block("bits.done")
        builder.branch(head)
        builder.position_at_end(head)
        bits = builder.load(remaining)
        builder.cbranch(builder.icmp_signed("!=", bits, _int(0)), body, done)
        builder.position_at_end(body)
        builder.store(builder.and_(bits, builder.sub(bits, _int(1))), remaining)  # lowest off
        lowest = call_llvm(builder, "llvm.cttz.i64", _WORD, [bits, ir.Constant(ir.IntType(1), 1)])
        yield builder.add(k_word, lowest)
        builder.branch(head)
        builder.position_at_end(done)


def _int(value: int) -> ir.Constant:
    return ir.Constant(_WORD, value)


tile: Any = intrinsic(_tile) if JIT else _numpy_tile
