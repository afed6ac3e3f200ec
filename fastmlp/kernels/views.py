"""Arrays and matrices at an address, made and passed in jitted code without reference counts.

numba's own slices count references to their buffer, with an atomic update of a cache line that all
threads would fight over. These views carry an address, a shape and strides, nothing else.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from fastmlp.kernels.simd import JIT, numpy_window


def matrix_type(dtype: types.Type) -> types.Array:
    """Type of every matrix in the engine: two axes, free strides."""
    return types.Array(dtype, 2, "A")


def _numpy_matrix(
    address: int,
    dtype: Any,
    offset: int,
    rows: int,
    columns: int,
    row_stride: int,
    column_stride: int,
) -> Any:
    item = np.dtype(dtype).itemsize
    extent = (max(rows - 1, 0) * row_stride + max(columns - 1, 0) * column_stride + 1) * item
    memory = (ctypes.c_char * int(extent)).from_address(int(address + offset * item))
    strides = (row_stride * item, column_stride * item)
    return np.ndarray((rows, columns), dtype, memoryview(memory), strides=strides)


def _matrix(typingctx, address, dtype, offset, rows, columns, row_stride, column_stride):
    result = matrix_type(dtype.dtype)
    size = dtype.dtype.bitwidth // 8

    def codegen(context, builder, sig, args):
        item = ir.Constant(ir.IntType(64), size)
        where = builder.add(args[0], builder.mul(args[2], item))
        data = builder.inttoptr(where, context.get_value_type(result.dtype).as_pointer())
        return _view(context, builder, result, data, args[3:5], args[5:7])

    return result(types.intp, dtype, *[types.intp] * 5), codegen


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


def _numpy_window(A: Any, offset: int, rows: int, columns: int) -> Any:
    return _numpy_matrix(A.ctypes.data, A.dtype, offset, rows, columns, columns, 1)


def _window(typingctx, A, offset, rows, columns):
    result = matrix_type(A.dtype)

    def codegen(context, builder, sig, args):
        view = context.make_array(sig.args[0])(context, builder, value=args[0])
        data = builder.gep(view.data, [args[1]])
        strides = [args[3], ir.Constant(args[3].type, 1)]
        return _view(context, builder, result, data, args[2:4], strides)

    return result(A, *[types.intp] * 3), codegen


def _numpy_array(address: int, dtype: Any, items: int) -> Any:
    return _numpy_matrix(address, dtype, 0, 1, items, items, 1)[0]


def _array(typingctx, address, dtype, items):
    result = types.Array(dtype.dtype, 1, "C")

    def codegen(context, builder, sig, args):
        item = ir.Constant(ir.IntType(64), result.dtype.bitwidth // 8)
        data = builder.inttoptr(args[0], context.get_value_type(result.dtype).as_pointer())
        view = context.make_array(result)(context, builder)
        populate_array(
            view, data=data, shape=[args[2]], strides=[item], itemsize=item, meminfo=None
        )
        return view._getvalue()

    return result(types.intp, dtype, types.intp), codegen


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
"""``matrix(address, dtype, offset, rows, columns, row_stride, column_stride)``: the matrix whose
first item is item ``offset`` of the memory at ``address``; strides in items."""
window: Any = intrinsic(_window) if JIT else _numpy_window
"""``window(A, offset, rows, columns)``: the memory of A from its item ``offset`` on, as contiguous
rows."""
array: Any = intrinsic(_array) if JIT else _numpy_array
"""``array(address, dtype, items)``: the contiguous array at ``address``."""
block: Any = intrinsic(_block) if JIT else numpy_window
"""``block(A, i, j, rows, columns)``: ``A[i : i + rows, j : j + columns]``, unchecked: the padding
at the end of a row may be part of it."""
