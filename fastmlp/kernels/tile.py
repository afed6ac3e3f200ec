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

from fastmlp.kernels.simd import JIT, call_llvm, emit_fma, emit_prefetch, splat, vector_type
from fastmlp.kernels.target import LINE_BYTES, TARGET

TILE_ROWS = TARGET.tile_rows
TILE_VECTORS = TARGET.tile_vectors

# A masked tile is wide, so that finding the next k is paid once for many products, and has few
# rows, whose masks are united. 128 MNIST rows x 784 x 128 took 34 us forward with 1x8, 37 with
# 2x8, 47 with 4x4; dW 35, 30 and 37; the dense tile takes 110.
MASKED_ROWS = 2
MASKED_VECTORS = 8
MASKED_WIDTHS = (1, 2, 4, 8)

MASK_BITS = 64
"""Columns of A to a word of its mask."""

_WORD = ir.IntType(64)


def _numpy_tiles(
    T: Any,
    A: Any,
    B: Any,
    S: Any,
    masks: Any,
    D: Any,
    M: Any,
    planes: int,
    vectors: int,
    ask: int,
) -> None:
    T[...] = S + A @ B[: A.shape[1]]


def _tiles(typingctx, T, A, B, S, masks, D, M, planes, vectors, ask):
    """T = S + A @ B, tile by tile; T and S (rows, vectors * lanes).

    Matrices have contiguous rows, but for A and its masks, whose strides are free: A may be a
    transposed view, and S and A may repeat one row or one number (stride 0). ``masks`` (int64) has
    a row for each row of A, in which bit k says that the item k is not zero; without columns: all
    are taken. If ``ask`` is 1, the lines of D, where the epilogue will write, are asked for before
    each tile, and before a dense one those of the ``planes`` of M, which the epilogue will use. To
    write to what another core has read a core must ask that core: on two cores of an Intel server
    (Emerald Rapids) an update took 71 us without, 63 with. A trial on Zen 5 had found no change.
    """

    def codegen(context, builder, sig, args):
        masks_view = context.make_array(masks)(context, builder, value=args[4])
        words = cgutils.unpack_tuple(builder, masks_view.shape, 2)[1]
        masked = builder.zext(builder.icmp_signed(">", words, _int(0)), _WORD)
        key = builder.add(builder.mul(masked, _int(2**8)), args[8])
        done = builder.append_basic_block("tiles.done")
        switch = builder.switch(key, done)
        for is_masked, widths in enumerate((range(1, TILE_VECTORS + 1), MASKED_WIDTHS)):
            for width in widths:
                block = builder.append_basic_block(f"tiles.{is_masked}.{width}")
                switch.add_case(_int(is_masked * 2**8 + width), block)
                builder.position_at_end(block)
                _emit_tiles(context, builder, sig, args, width, bool(is_masked))
                builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    word = types.intp
    return types.void(T, A, B, S, masks, D, M, word, word, word), codegen


def _emit_tiles(
    context: Any, builder: ir.IRBuilder, sig: Any, args: Any, vectors: int, masked: bool
) -> None:
    """LLVM code of a column of tiles: as many of full height as there are, then of half, ..."""
    a_view = context.make_array(sig.args[1])(context, builder, value=args[1])
    rows, k_count = cgutils.unpack_tuple(builder, a_view.shape, 2)
    height = MASKED_ROWS if masked else TILE_ROWS
    tile = _Tile(context, builder, sig, args, vectors, k_count, masked)
    remainder = builder.and_(rows, _int(height - 1))
    whole = builder.sub(rows, remainder)
    with cgutils.for_range_slice(builder, _int(0), whole, _int(height)) as (row, _):
        tile.emit(row, height)
    row = whole
    while height > 1:
        height //= 2
        present = builder.and_(rows, _int(height))
        with builder.if_then(builder.icmp_signed("!=", present, _int(0))):
            tile.emit(row, height)
        row = builder.add(row, present)


class _Tile:
    """Emits the LLVM code of one register tile."""

    def __init__(
        self,
        context: Any,
        builder: ir.IRBuilder,
        sig: Any,
        args: Any,
        vectors: int,
        k_count: ir.Value,
        masked: bool,
    ) -> None:
        dtype = sig.args[0].dtype
        self.builder, self.vectors, self.k_count, self.masked = builder, vectors, k_count, masked
        self.lanes, self.item = vector_type(dtype).lanes, dtype.bitwidth // 8
        self.scalar = context.get_value_type(dtype)
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.planes, self.ask = args[7], args[9]

        def view(position: int) -> tuple[ir.Value, list[ir.Value]]:
            array = context.make_array(sig.args[position])(context, builder, value=args[position])
            strides = cgutils.unpack_tuple(builder, array.strides, 2)
            return builder.ptrtoint(array.data, _WORD), strides

        self.T, self.A, self.B, self.S, self.masks, self.D, self.M = (view(p) for p in range(7))

    def at(self, start: ir.Value, index: ir.Value | int, stride: ir.Value | int) -> ir.Value:
        """Address ``start + index * stride``."""
        index = _int(index) if isinstance(index, int) else index
        stride = _int(stride) if isinstance(stride, int) else stride
        return self.builder.add(start, self.builder.mul(index, stride))

    def row_of(self, view: tuple[ir.Value, list[ir.Value]], row: ir.Value, r: int) -> ir.Value:
        """Address of row ``row + r`` of a matrix."""
        start, strides = view
        return self.at(self.at(start, row, strides[0]), r, strides[0])

    def vectors_at(self, address: ir.Value) -> list[ir.Value]:
        """Pointers to the tile's vectors of the row that starts at ``address``."""
        places = (self.at(address, v, self.lanes * self.item) for v in range(self.vectors))
        return [self.builder.inttoptr(place, self.vector.as_pointer()) for place in places]

    def prefetch(self, address: ir.Value, write: bool = False) -> None:
        """Ask for the lines of the tile's vectors in the row that starts at ``address``."""
        for place in range(0, self.vectors * self.lanes * self.item, LINE_BYTES):
            line = self.builder.inttoptr(self.at(address, place, 1), ir.IntType(8).as_pointer())
            emit_prefetch(self.builder, line, write)

    def emit(self, row: ir.Value, height: int) -> None:
        """The tile of ``height`` rows from ``row`` on."""
        builder, vector, item = self.builder, self.vector, self.item
        with builder.if_then(builder.icmp_signed("!=", self.ask, _int(0))):
            for r in range(height):
                self.prefetch(self.row_of(self.D, row, r), write=True)
            if not self.masked:
                with cgutils.for_range(builder, self.planes) as loop:
                    # A row of M holds its planes one after another.
                    stride = builder.sdiv(self.M[1][0], self.planes)
                    for r in range(height):
                        self.prefetch(self.at(self.row_of(self.M, row, r), loop.index, stride))
        # sums = S. LLVM turns these stack slots into registers.
        sums = [
            [cgutils.alloca_once(builder, vector) for _ in range(self.vectors)]
            for _ in range(height)
        ]
        for r in range(height):
            starts = self.vectors_at(self.row_of(self.S, row, r))
            for slot, start in zip(sums[r], starts, strict=True):
                builder.store(builder.load(start, align=item), slot)
        # for k: sums[r] += A[r, k] * B[k]
        (b, (b_k, _)), (_, (_, a_k)) = self.B, self.A
        a_rows = [self.row_of(self.A, row, r) for r in range(height)]
        mask_rows = [self.row_of(self.masks, row, r) for r in range(height)]
        mask_words = (mask_rows, self.masks[1][1]) if self.masked else None
        with _each_k(builder, self.k_count, mask_words) as k:
            b_vectors = [builder.load(p, align=item) for p in self.vectors_at(self.at(b, k, b_k))]
            for r in range(height):
                place = builder.inttoptr(self.at(a_rows[r], k, a_k), self.scalar.as_pointer())
                broadcast = splat(builder, builder.load(place), self.lanes)
                for slot, b_vector in zip(sums[r], b_vectors, strict=True):
                    builder.store(emit_fma(builder, broadcast, b_vector, builder.load(slot)), slot)
        # T = sums
        for r in range(height):
            targets = self.vectors_at(self.row_of(self.T, row, r))
            for slot, target in zip(sums[r], targets, strict=True):
                builder.store(builder.load(slot), target, align=item)


@contextlib.contextmanager
def _each_k(
    builder: ir.IRBuilder, count: ir.Value, masks: tuple[list[ir.Value], ir.Value] | None
) -> Iterator[ir.Value]:
    """Loop over k in [0, count), or over those whose bit is set in any row of the masks.

    ``masks``: the rows' addresses, and the stride from word to word.
    """
    if masks is None:
        with cgutils.for_range_slice(builder, _int(0), count, _int(1)) as (k, _):
            yield k
        return
    rows, stride = masks
    remaining = cgutils.alloca_once(builder, _WORD)
    with cgutils.for_range_slice(builder, _int(0), count, _int(MASK_BITS)) as (k_word, _):
        word = builder.mul(builder.udiv(k_word, _int(MASK_BITS)), stride)
        united = _int(0)
        for row in rows:
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


tiles: Any = intrinsic(_tiles) if JIT else _numpy_tiles
