"""Kernels compiled apart and called through their address.

The product, activations, losses, updates, gathers and the augmentation are compiled (and cached
on disk) each on its own, when first needed. The step calls them by address: it is compiled once for
each dtype and does not change when an activation is added, and LLVM optimises the tiles once, not
once for each place that multiplies.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastmlp.kernels.compilation import jit
from fastmlp.kernels.simd import JIT
from fastmlp.kernels.views import matrix_type

Kernel = Callable[..., None]

C_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)

_PYTHON_KERNELS: list[Kernel] = []


def epilogue_arguments(dtype: types.Type) -> tuple[types.Type, ...]:
    """``(T, D, M, h)``: the tile's product, its destination, D's companion, hyperparameters."""
    return (matrix_type(dtype),) * 4


def product_arguments(dtype: types.Type) -> tuple[types.Type, ...]:
    """``(A, masks, B, S, D, M, h, T, epilogue, skip)``, see `product`."""
    M = matrix_type(dtype)
    return (M, matrix_type(types.int64), *(M,) * 6, types.intp, types.intp)


def head_arguments(dtype: types.Type) -> tuple[types.Type, ...]:
    """``(Z, labels, targets, weights, order, first, D, scores, options, scale)``, see `losses`."""
    indices = types.Array(types.int64, 1, "C")
    M = matrix_type(dtype)
    return (M, indices, M, M, indices, types.intp, M, M, M, dtype)


def gather_arguments(dtype: types.Type) -> tuple[types.Type, ...]:
    """``(source, order, first, X, masks, found, scale)``, see `gather`."""
    indices, words = types.Array(types.int64, 1, "C"), matrix_type(types.int64)
    return (
        words,
        indices,
        types.intp,
        matrix_type(dtype),
        words,
        matrix_type(types.float64),
        dtype,
    )


def augment_arguments(dtype: types.Type) -> tuple[types.Type, ...]:
    """``(X, settings, key0, key1, first, scratch)``, see `augment`."""
    numbers = matrix_type(types.float64)
    return (matrix_type(dtype), numbers, *(types.intp,) * 3, numbers)


@cache
def address(kernel: Kernel, family: Callable[..., tuple[types.Type, ...]], dtype: np.dtype) -> int:
    """Address of ``kernel`` compiled for ``dtype``, an argument of `call_epilogue` and its like."""
    if not JIT:
        _PYTHON_KERNELS.append(kernel)
        return len(_PYTHON_KERNELS) - 1
    arguments = family(numba.from_dtype(dtype))
    compiled = jit(types.void(*arguments))(kernel).overloads[arguments]
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))


def callback(function: Callable[[int, int], None]) -> tuple[int, object]:
    """Address of a Python function of two integers for `call_back`, and what keeps it alive.

    Called without the GIL, it takes it. It must not raise.
    """
    if not JIT:
        _PYTHON_KERNELS.append(function)
        return len(_PYTHON_KERNELS) - 1, function
    made = C_CALLBACK(function)
    return ctypes.cast(made, ctypes.c_void_p).value or 0, made


def _call(typingctx: Any, where: Any, arguments: tuple[types.Type, ...]) -> Any:
    def codegen(context, builder, sig, args):
        function_type = context.call_conv.get_function_type(types.none, arguments)
        function = builder.inttoptr(args[0], function_type.as_pointer())
        context.call_conv.call_function(builder, function, types.none, arguments, args[1:])
        return context.get_dummy_value()

    return types.void(types.intp, *arguments), codegen


def _call_epilogue(typingctx, where, T, D, M, h):
    return _call(typingctx, where, epilogue_arguments(D.dtype))


def _call_product(typingctx, where, A, masks, B, S, D, M, h, T, epilogue, skip):
    return _call(typingctx, where, product_arguments(D.dtype))


def _call_head(
    typingctx, where, Z, labels, targets, weights, order, first, D, scores, options, scale
):
    return _call(typingctx, where, head_arguments(Z.dtype))


def _call_gather(typingctx, where, source, order, first, X, masks, found, scale):
    return _call(typingctx, where, gather_arguments(X.dtype))


def _call_extra(typingctx, where, jobs, layers, T, h, numbers):
    return _call(typingctx, where, (jobs, layers, T, h, numbers))


def _call_augment(typingctx, where, X, settings, key0, key1, first, scratch):
    return _call(typingctx, where, augment_arguments(X.dtype))


def _call_back(typingctx, where, first, second):
    def codegen(context, builder, sig, args):
        integer = context.get_value_type(types.int64)
        kind = ir.FunctionType(ir.VoidType(), [integer, integer])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


def _python_call(where: int, *arguments: Any) -> None:
    _PYTHON_KERNELS[where](*arguments)


call_epilogue: Any = intrinsic(_call_epilogue) if JIT else _python_call
call_product: Any = intrinsic(_call_product) if JIT else _python_call
call_head: Any = intrinsic(_call_head) if JIT else _python_call
call_gather: Any = intrinsic(_call_gather) if JIT else _python_call
call_extra: Any = intrinsic(_call_extra) if JIT else _python_call
call_augment: Any = intrinsic(_call_augment) if JIT else _python_call
call_back: Any = intrinsic(_call_back) if JIT else _python_call
"""``call_back(where, first, second)``: the Python function of `callback`, with two integers."""
