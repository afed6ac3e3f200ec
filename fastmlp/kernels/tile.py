"""The register tile: the one matrix product of the engine.

``T = S + A @ B`` for a few rows and vectors, with every sum held in a register from its first term
to its last: each item of T is one chain of fused multiply-adds over k in order. Its bits therefore
depend neither on the tile's shape nor on which thread computes it, and a product may be cut
anywhere along k by starting the next piece from the last one's result.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fastmlp.kernels.simd import JIT, emit_fma, numpy_window, splat, vector_type
from fastmlp.kernels.target import TARGET

TILE_ROWS = TARGET.tile_rows
TILE_VECTORS = TARGET.tile_vectors

# Powers of two down to one: any count of rows is at most log2(TILE_ROWS) tiles beyond the full
# ones. With AVX-512 8x3, 6x4, 8x2 and 14x2 all ran at 98-101 % of the FMA peak.
ROW_COUNTS = tuple(2**p for p in range(TILE_ROWS.bit_length()))
VECTOR_COUNTS = tuple(range(1, TILE_VECTORS + 1))

_WORD = ir.IntType(64)


def _numpy_tile(
    T: Any, A: Any, i: int, B: Any, j: int, S: Any, row_count: int, vector_count: int
) -> None:
    columns = vector_count * TARGET.vector_bytes // T.dtype.itemsize
    start = numpy_window(S, i, j, row_count, columns)
    right = numpy_window(B, 0, j, len(B), columns)
    T[:row_count, :columns] = start + A[i : i + row_count] @ right


def _tile(typingctx, T, A, i, B, j, S, row_count, vector_count):
    """T[:rows, :columns] = S[i:, j:] + A[i:] @ B[:, j:], columns = vector_count * lanes.

    Matrices have contiguous rows, but for A, whose strides are free: A may be a transposed view,
    and S and A may repeat one row or one number (stride 0).
    """

    def codegen(context, builder, sig, args):
        key = builder.add(builder.mul(args[6], _int(TILE_VECTORS + 1)), args[7])
        done = builder.append_basic_block("tile.done")
        switch = builder.switch(key, done)
        for rows in ROW_COUNTS:
            for vectors in VECTOR_COUNTS:
                block = builder.append_basic_block(f"tile.{rows}x{vectors}")
                switch.add_case(_int(rows * (TILE_VECTORS + 1) + vectors), block)
                builder.position_at_end(block)
                _emit_tile(context, builder, sig, args, rows, vectors)
                builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(T, A, types.intp, B, types.intp, S, types.intp, types.intp), codegen


def _emit_tile(
    context: Any, builder: ir.IRBuilder, sig: Any, args: Any, rows: int, vectors: int
) -> None:
    """LLVM code of one tile shape."""
    dtype = sig.args[0].dtype
    lanes, item = vector_type(dtype).lanes, dtype.bitwidth // 8
    scalar = context.get_value_type(dtype)
    vector = ir.VectorType(scalar, lanes)

    def view(position: int) -> tuple[ir.Value, list[ir.Value], list[ir.Value]]:
        array = context.make_array(sig.args[position])(context, builder, value=args[position])
        shape, strides = (cgutils.unpack_tuple(builder, t, 2) for t in (array.shape, array.strides))
        return builder.ptrtoint(array.data, _WORD), shape, strides

    def offset(address: ir.Value, index: ir.Value | int, stride: ir.Value | int) -> ir.Value:
        index = _int(index) if isinstance(index, int) else index
        stride = _int(stride) if isinstance(stride, int) else stride
        return builder.add(address, builder.mul(index, stride))

    def pointer(address: ir.Value, kind: ir.Type) -> ir.Value:
        return builder.inttoptr(address, kind.as_pointer())

    def vectors_at(address: ir.Value) -> list[ir.Value]:
        return [pointer(offset(address, v, lanes * item), vector) for v in range(vectors)]

    (t, _, (t_row, _)), (a, (_, depth), (a_row, a_k)) = view(0), view(1)
    (b, _, (b_k, _)), (s, _, (s_row, _)) = view(3), view(5)
    a = offset(a, args[2], a_row)
    b = offset(b, args[4], item)
    s = offset(offset(s, args[2], s_row), args[4], item)

    # sums = S. LLVM turns these stack slots into registers.
    sums = [[cgutils.alloca_once(builder, vector) for _ in range(vectors)] for _ in range(rows)]
    for r in range(rows):
        for slot, start in zip(sums[r], vectors_at(offset(s, r, s_row)), strict=True):
            builder.store(builder.load(start, align=item), slot)
    # for k: sums[r] += A[r, k] * B[k]
    with cgutils.for_range(builder, depth) as loop:
        b_vectors = [builder.load(p, align=item) for p in vectors_at(offset(b, loop.index, b_k))]
        a_column = offset(a, loop.index, a_k)
        for r in range(rows):
            a_item = builder.load(pointer(offset(a_column, r, a_row), scalar))
            broadcast = splat(builder, a_item, lanes)
            for slot, b_vector in zip(sums[r], b_vectors, strict=True):
                builder.store(emit_fma(builder, broadcast, b_vector, builder.load(slot)), slot)
    # T = sums
    for r in range(rows):
        for slot, target in zip(sums[r], vectors_at(offset(t, r, t_row)), strict=True):
            builder.store(builder.load(slot), target, align=item)


def _int(value: int) -> ir.Constant:
    return ir.Constant(_WORD, value)


tile: Any = intrinsic(_tile) if JIT else _numpy_tile
