"""Matrix views of flat buffers, made and passed in jitted code without reference counts.

numba's own slices count references to their buffer, with an atomic update of a cache line that all
threads would fight over. These views carry an address, a shape and strides, nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from fastmlp.kernels.simd import JIT, element_pointer, numpy_window


def matrix_type(dtype: types.Type) -> types.Array:
    """Type of every matrix in the engine: two axes, free strides."""
    return types.Array(dtype, 2, "A")


def _numpy_matrix(
    buffer: Any, offset: int, rows: int, columns: int, row_stride: int, column_stride: int
) -> Any:
    strides = (row_stride * buffer.itemsize, column_stride * buffer.itemsize)
    return np.lib.stride_tricks.as_strided(buffer[offset:], (rows, columns), strides)


def _matrix(typingctx, buffer, offset, rows, columns, row_stride, column_stride):
    result = matrix_type(buffer.dtype)

    def codegen(context, builder, sig, args):
        data = element_pointer(context, builder, sig.args[0], args[0], [args[1]])
        return _view(context, builder, result, data, args[2:4], args[4:6])

    return result(buffer, *[types.intp] * 5), codegen


def _block(typingctx, A, i, j, rows, columns):
    result = matrix_type(A.dtype)

    def codegen(context, builder, sig, args):
        view = context.make_array(sig.args[0])(context, builder, value=args[0])
        item = ir.Constant(ir.IntType(64), A.dtype.bitwidth // 8)
        strides = [
            builder.sdiv(builder.extract_value(view.strides, axis), item) for axis in range(2)
        ]
        offset = builder.add(builder.mul(args[1], strides[0]), builder.mul(args[2], strides[1]))
        data = builder.gep(view.data, [offset])
        return _view(context, builder, result, data, args[3:5], strides)

    return result(A, *[types.intp] * 4), codegen


def _numpy_array_at(source: Any, index: int, dtype: Any) -> Any:
    return source[index].reshape(-1)


def _array_at(typingctx, source, index, dtype):
    result = types.Array(dtype.dtype, 1, "C")

    def codegen(context, builder, sig, args):
        item = ir.Constant(ir.IntType(64), result.dtype.bitwidth // 8)
        where = builder.load(element_pointer(context, builder, sig.args[0], args[0], [args[1]]))
        data = builder.inttoptr(where, context.get_value_type(result.dtype).as_pointer())
        view = context.make_array(result)(context, builder)
        unknown = ir.Constant(ir.IntType(64), 2**62)
        populate_array(
            view, data=data, shape=[unknown], strides=[item], itemsize=item, meminfo=None
        )
        return view._getvalue()

    return result(source, types.intp, dtype), codegen


def _view(
    context: Any, builder: ir.IRBuilder, result: Any, data: Any, shape: Any, strides: Any
) -> ir.Value:
    item = ir.Constant(ir.IntType(64), result.dtype.bitwidth // 8)
    view = context.make_array(result)(context, builder)
    populate_array(
        view,
        data=data,
        shape=shape,
        strides=[builder.mul(stride, item) for stride in strides],
        itemsize=item,
        meminfo=None,
    )
    return view._getvalue()


matrix: Any = intrinsic(_matrix) if JIT else _numpy_matrix
"""``matrix(buffer, offset, rows, columns, row_stride, column_stride)``, strides in items."""
block: Any = intrinsic(_block) if JIT else numpy_window
"""``block(A, i, j, rows, columns)``: ``A[i : i + rows, j : j + columns]``, unchecked: the padding
at the end of a row may be part of it."""
array_at: Any = intrinsic(_array_at) if JIT else _numpy_array_at
"""``array_at(source, index, dtype)``: the flat array whose address is ``source[index]``."""
