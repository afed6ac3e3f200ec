"""Vectors as values in jitted code: ``load``, ``store``, arithmetic, ``exp``, sums over lanes.

A vector holds ``lanes(A)`` neighbouring items of one row of a matrix ``A`` and lives in one
register. Jitted code computes with it as with a number, so that a kernel reads like its equation:

    store(D, i, j, maximum(load(T, i, j), 0))            # D = relu(T)

Each primitive is given twice: as LLVM instructions, and as the NumPy function that it equals. The
latter runs when numba is disabled (``NUMBA_DISABLE_JIT=1``); there a vector is a slice of a row.
"""

from __future__ import annotations

import ctypes
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from fastmlp.kernels.target import TARGET

JIT = not numba.config.DISABLE_JIT


class VectorType(types.Type):
    """``lanes`` items of one dtype in one register (of booleans: a comparison's mask)."""

    def __init__(self, dtype: Any, lanes: int) -> None:
        self.dtype = dtype
        self.lanes = lanes
        super().__init__(name=f"Vector({dtype}, {lanes})")


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: VectorType) -> None:
        item = ir.IntType(1) if fe_type.dtype == types.boolean else _ir_type(fe_type.dtype)
        super().__init__(dmm, fe_type, ir.VectorType(item, fe_type.lanes))


def _ir_type(dtype: Any) -> ir.Type:
    return ir.FloatType() if dtype == types.float32 else ir.DoubleType()


def vector_type(dtype: Any) -> VectorType:
    """The vector of one register on this target: 16 float32 with AVX-512, 8 with AVX2, ..."""
    return VectorType(dtype, TARGET.vector_bytes * 8 // dtype.bitwidth)


def call_llvm(builder: ir.IRBuilder, name: str, result: ir.Type, args: list[ir.Value]) -> ir.Value:
    """Call the LLVM intrinsic ``name`` (vectors too, which llvmlite's own declaration lacks)."""
    function_type = ir.FunctionType(result, [a.type for a in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, name), args)


def mangle(vector: ir.Type) -> str:
    """LLVM's suffix for a vector type: ``v16f32``."""
    return f"v{vector.count}{'f32' if isinstance(vector.element, ir.FloatType) else 'f64'}"


def splat(builder: ir.IRBuilder, value: ir.Value, lanes: int) -> ir.Value:
    """All lanes equal to the scalar ``value``."""
    vector = ir.VectorType(value.type, lanes)
    first = builder.insert_element(
        ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0)
    )
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), None)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros)


def constant(vector: ir.Type, value: float | int) -> ir.Constant:
    """All lanes equal to a number known at compile time."""
    return ir.Constant(vector, [ir.Constant(vector.element, value)] * vector.count)


def element_pointer(
    context: Any,
    builder: ir.IRBuilder,
    array_type: Any,
    array: ir.Value,
    at: list[ir.Value],
) -> ir.Value:
    """Address of ``array[at[0], at[1]]``; the last axis is contiguous."""
    view = context.make_array(array_type)(context, builder, value=array)
    strides = cgutils.unpack_tuple(builder, view.strides, array_type.ndim)
    address = builder.ptrtoint(view.data, ir.IntType(64))
    for index, stride in zip(at[:-1], strides[:-1], strict=True):
        address = builder.add(address, builder.mul(index, stride))
    item = ir.Constant(ir.IntType(64), array_type.dtype.bitwidth // 8)
    address = builder.add(address, builder.mul(at[-1], item))
    return builder.inttoptr(address, context.get_value_type(array_type.dtype).as_pointer())


# Elementwise primitives ---------------------------------------------------------------------


def _common_vector(args: tuple[types.Type, ...]) -> Any:
    vectors = [a for a in args if isinstance(a, VectorType) and a.dtype != types.boolean]
    return vectors[0] if vectors else None


def _as_vectors(
    context: Any, builder: ir.IRBuilder, sig: Any, args: Any, vector: VectorType
) -> list[ir.Value]:
    """Arguments as vectors: scalars are cast to the vector's dtype and splatted."""
    return [
        value
        if isinstance(kind, VectorType)
        else splat(builder, context.cast(builder, value, kind, vector.dtype), vector.lanes)
        for value, kind in zip(args, sig.args, strict=True)
    ]


def _define_operator(symbol: Any, emit: Callable[..., ir.Value], mask: bool = False) -> None:
    """Give ``symbol`` (``operator.add``, ...) its meaning on vectors, or a vector and a scalar."""

    @infer_global(symbol)
    class _Typing(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            vector = _common_vector(args)
            if vector is None:
                return None
            result = VectorType(types.boolean, vector.lanes) if mask else vector
            return signature(result, *args)

    def lower(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return emit(builder, *_as_vectors(context, builder, sig, args, _common_vector(sig.args)))

    for kinds in [(VectorType, VectorType), (VectorType, types.Number), (types.Number, VectorType)]:
        lower_builtin(symbol, *kinds)(lower)


_define_operator(operator.add, lambda b, x, y: b.fadd(x, y))
_define_operator(operator.sub, lambda b, x, y: b.fsub(x, y))
_define_operator(operator.mul, lambda b, x, y: b.fmul(x, y))
_define_operator(operator.truediv, lambda b, x, y: b.fdiv(x, y))
_define_operator(operator.gt, lambda b, x, y: b.fcmp_ordered(">", x, y), mask=True)
_define_operator(operator.lt, lambda b, x, y: b.fcmp_ordered("<", x, y), mask=True)
_define_operator(operator.eq, lambda b, x, y: b.fcmp_ordered("==", x, y), mask=True)


def _elementwise(arity: int, numpy: Callable[..., Any], emit: Callable[..., ir.Value]) -> Any:
    """A function of ``arity`` vectors or scalars: ``emit`` in LLVM, ``numpy`` without the JIT."""
    if not JIT:
        return numpy

    def typing(args: tuple[types.Type, ...]) -> Any:
        vector = _common_vector(args)

        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, values: Any) -> ir.Value:
            return emit(builder, *_as_vectors(context, builder, sig, values, vector))

        return signature(vector, *args), codegen

    if arity == 1:
        return intrinsic(lambda typingctx, a: typing((a,)))
    if arity == 2:
        return intrinsic(lambda typingctx, a, b: typing((a, b)))
    return intrinsic(lambda typingctx, a, b, c: typing((a, b, c)))


def _emit_maximum(builder: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    # An unordered comparison is true for a NaN: one in x stays.
    return builder.select(builder.fcmp_unordered(">", x, y), x, y)


def _emit_minimum(builder: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    return builder.select(builder.fcmp_unordered("<", x, y), x, y)


def emit_fma(builder: ir.IRBuilder, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
    """``x * y + z``, one rounding where the CPU has FMA.

    ``llvm.fma`` would become a library call per lane on a CPU without it; ``fmuladd`` does not.
    """
    return call_llvm(builder, f"llvm.fmuladd.{mangle(x.type)}", x.type, [x, y, z])


def _polynomial(builder: ir.IRBuilder, x: ir.Value, coefficients: Sequence[float]) -> ir.Value:
    """``c[0] + c[1] x + c[2] x**2 + ...`` (Horner)."""
    result: ir.Value = constant(x.type, coefficients[-1])
    for c in coefficients[-2::-1]:
        result = emit_fma(builder, result, x, constant(x.type, c))
    return result


def _is_single(vector: ir.Type) -> bool:
    return isinstance(vector.element, ir.FloatType)


def _reduce_exponent(builder: ir.IRBuilder, x: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    """``exp(x) = s * t * exp(r)``, ``s * t = 2**n``, ``|r| <= ln(2) / 2`` (Cody and Waite).

    Gives r, s, t. ``n = round(x / ln 2)``: adding ``1.5 * 2**mantissa_bits`` rounds to an integer
    and leaves it in the low bits, from where a shift puts it into the exponent: no conversion,
    which has no answer for NaN. 2**n in two factors: n = 128 (1024 in float64) has no exponent of
    its own.
    """
    vector = x.type
    single = _is_single(vector)
    mantissa_bits = 23 if single else 52
    bits = ir.VectorType(ir.IntType(32 if single else 64), vector.count)
    # ln 2 in two parts; the first has so few bits that n * high is exact.
    high = float(np.float32(0.693359375)) if single else float.fromhex("0x1.62e42fefa0000p-1")
    low = math.log(2) - high if single else float.fromhex("0x1.cf79abc9e3b39p-40")
    magic = constant(vector, 1.5 * 2.0**mantissa_bits)
    shifted = builder.fadd(builder.fmul(x, constant(vector, 1 / math.log(2))), magic)
    n = builder.fsub(shifted, magic)
    r = emit_fma(builder, n, constant(vector, -high), x)
    r = emit_fma(builder, n, constant(vector, -low), r)
    whole = builder.sub(builder.bitcast(shifted, bits), builder.bitcast(magic, bits))
    half = builder.ashr(whole, constant(bits, 1))
    one = builder.bitcast(constant(vector, 1.0), bits)
    s, t = (
        builder.bitcast(builder.add(builder.shl(power, constant(bits, mantissa_bits)), one), vector)
        for power in (half, builder.sub(whole, half))
    )
    return r, s, t


def _taylor_exp(vector: ir.Type) -> list[float]:
    """Of exp(r), ``|r| <= ln(2) / 2``.

    Degree 7 leaves 5e-9 in float32, degree 13 leaves 4e-18 in float64, both below half a unit in
    the last place.
    """
    return [1 / math.factorial(k) for k in range(8 if _is_single(vector) else 14)]


def _emit_exp(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """``exp(x)``; results below the smallest normal number are 0."""
    vector = x.type
    smallest, largest = (-87.33, 88.72) if _is_single(vector) else (-708.39, 709.78)
    r, s, t = _reduce_exponent(builder, x)
    result = builder.fmul(builder.fmul(_polynomial(builder, r, _taylor_exp(vector)), s), t)
    underflow = builder.fcmp_ordered("<", x, constant(vector, smallest))
    overflow = builder.fcmp_ordered(">", x, constant(vector, largest))
    result = builder.select(underflow, constant(vector, 0.0), result)
    return builder.select(overflow, constant(vector, math.inf), result)


def _emit_expm1(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """``exp(x) - 1 = 2**n (exp(r) - 1) + (2**n - 1)``: for small x not a difference of ones.

    For x <= 0, the only ones that it is used for, or a little above.
    """
    vector = x.type
    smallest = -87.33 if _is_single(vector) else -708.39
    r, s, t = _reduce_exponent(builder, x)
    power = builder.fmul(s, t)
    slope = _polynomial(builder, r, _taylor_exp(vector)[1:])  # (exp(r) - 1) / r
    rest = builder.fsub(power, constant(vector, 1.0))
    result = emit_fma(builder, builder.fmul(slope, r), power, rest)
    underflow = builder.fcmp_ordered("<", x, constant(vector, smallest))
    return builder.select(underflow, constant(vector, -1.0), result)


def _emit_log1p(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """``log(1 + x) = 2 artanh(q) = 2 (q + q**3 / 3 + q**5 / 5 + ...)``, ``q = x / (2 + x)``.

    For 0 <= x <= 1, where q <= 1/3: 8 terms leave 2e-9 of it in float32, 18 leave 1e-18 in float64.
    """
    vector = x.type
    q = builder.fdiv(x, builder.fadd(x, constant(vector, 2.0)))
    terms = 8 if _is_single(vector) else 18
    series = _polynomial(builder, builder.fmul(q, q), [2 / (2 * k + 1) for k in range(terms)])
    return builder.fmul(q, series)


ERFCX = {
    "float": (
        0.4216127281,
        0.3218607736,
        0.1815656999,
        0.06849976746,
        0.01134354684,
        -0.003353155286,
        -0.001921382043,
        0.0001654415199,
        0.0002664883181,
        -1.074623664e-5,
        -2.916858251e-5,
    ),
    "double": (
        0.4216127281222871613,
        0.3218607397756591303,
        0.1815656466592362381,
        0.06850045809845694907,
        0.01134462005300694791,
        -0.003357217722072216863,
        -0.001927514214859935583,
        0.0001756833212963332959,
        0.0002810775570404496867,
        -0.00002332322759007919999,
        -0.00004504238382691761808,
        7.813337149053161717e-6,
        7.299578723967484638e-6,
        -2.702922972906334563e-6,
        -9.376595050441132582e-7,
        7.871539353744317938e-7,
        5.645562788588924873e-9,
        -1.815421286301779995e-7,
        4.635286990491473843e-8,
        2.953391913850016895e-8,
        -1.492497640936325544e-8,
        -2.515203424331194436e-9,
        1.92399221125584521e-9,
    ),
}
"""Coefficients of ``erfcx(x) / t`` by powers of ``2 t - 1``, ``t = 2.5 / (2.5 + x)``: its Chebyshev
interpolant of degree 10 or 22, worked out with 50 digits (mpmath), within 3e-7 or 1.1e-15 of it for
all x >= 0."""


def _emit_erfcx(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """``erfcx(x) = exp(x**2) * erfc(x)``, for x >= 0; see `ERFCX`."""
    vector = x.type
    scale = constant(vector, 2.5)
    t = builder.fdiv(scale, builder.fadd(x, scale))
    centred = builder.fsub(builder.fadd(t, t), constant(vector, 1.0))
    coefficients = ERFCX["float" if _is_single(vector) else "double"]
    return builder.fmul(_polynomial(builder, centred, coefficients), t)


def _numpy_erfcx(x: np.ndarray) -> np.ndarray:
    t = 2.5 / (2.5 + x)
    coefficients = np.array(ERFCX["float" if x.dtype == np.float32 else "double"], x.dtype)
    return np.polynomial.polynomial.polyval(2 * t - 1, coefficients) * t


def _numpy_exp(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # infinity is meant
        return np.exp(x)


maximum = _elementwise(2, np.maximum, _emit_maximum)
minimum = _elementwise(2, np.minimum, _emit_minimum)
exp = _elementwise(1, _numpy_exp, _emit_exp)
expm1 = _elementwise(1, np.expm1, _emit_expm1)
log1p = _elementwise(1, np.log1p, _emit_log1p)
erfcx = _elementwise(1, _numpy_erfcx, _emit_erfcx)
absolute = _elementwise(
    1, np.abs, lambda b, x: call_llvm(b, f"llvm.fabs.{mangle(x.type)}", x.type, [x])
)
expm1 = _elementwise(1, np.expm1, _emit_expm1)
log1p = _elementwise(1, np.log1p, _emit_log1p)
erfcx = _elementwise(1, _numpy_erfcx, _emit_erfcx)
absolute = _elementwise(
    1, np.abs, lambda b, x: call_llvm(b, f"llvm.fabs.{mangle(x.type)}", x.type, [x])
)
sqrt = _elementwise(
    1, np.sqrt, lambda b, x: call_llvm(b, f"llvm.sqrt.{mangle(x.type)}", x.type, [x])
)
floor = _elementwise(
    1, np.floor, lambda b, x: call_llvm(b, f"llvm.floor.{mangle(x.type)}", x.type, [x])
)
fma = _elementwise(3, lambda x, y, z: x * y + z, emit_fma)
where = _elementwise(3, np.where, lambda b, mask, x, y: b.select(mask, x, y))


# Memory, lanes, sums ------------------------------------------------------------------------


def primitive(numpy: Callable[..., Any], typing: Callable[..., Any]) -> Any:
    """``typing`` as a numba intrinsic, or ``numpy`` when the JIT is off."""
    return intrinsic(typing) if JIT else numpy


def numpy_window(A: np.ndarray, i: int, j: int, rows: int, columns: int) -> np.ndarray:
    """``A[i : i + rows, j : j + columns]``, beyond A's shape too: into the padding of a row.

    Without the JIT it stands for the unchecked addresses that jitted code computes.
    """
    if rows == 0 or columns == 0:
        return np.empty((rows, columns), A.dtype)
    down, right = A.strides
    extent = int((rows - 1) * down + (columns - 1) * right + A.itemsize)
    memory = (ctypes.c_char * extent).from_address(int(A.ctypes.data + i * down + j * right))
    return np.ndarray((rows, columns), A.dtype, memoryview(memory), strides=A.strides)


def _numpy_load(A: np.ndarray, i: int, j: int) -> np.ndarray:
    return numpy_window(A, i, j, 1, numpy_lanes(A))[0].copy()


def numpy_lanes(A: np.ndarray) -> int:
    """Items of A's dtype in one vector, outside jitted code."""
    return TARGET.vector_bytes // A.dtype.itemsize


def _lanes(typingctx, A):
    count = vector_type(A.dtype).lanes
    return types.intp(A), lambda *_: ir.Constant(ir.IntType(64), count)


def indices(
    context: Any, builder: ir.IRBuilder, sig: Any, args: Any, at: Sequence[int] = (1, 2)
) -> list[ir.Value]:
    """Arguments ``at``, for example the row and column of an item, as machine words."""
    return [context.cast(builder, args[k], sig.args[k], types.intp) for k in at]


def _load(typingctx, A, i, j):
    vector = vector_type(A.dtype)

    def codegen(context, builder, sig, args):
        at = indices(context, builder, sig, args)
        pointer = element_pointer(context, builder, sig.args[0], args[0], at)
        pointer = builder.bitcast(pointer, context.get_value_type(vector).as_pointer())
        return builder.load(pointer, align=A.dtype.bitwidth // 8)

    return vector(A, i, j), codegen


def _numpy_load_bytes(x: np.ndarray, i: int, j: int, A: np.ndarray) -> np.ndarray:
    return x[i, j : j + numpy_lanes(A)].astype(A.dtype)


def _load_bytes(typingctx, x, i, j, A):
    vector = vector_type(A.dtype)

    def codegen(context, builder, sig, args):
        at = indices(context, builder, sig, args)
        pointer = element_pointer(context, builder, sig.args[0], args[0], at)
        octets = ir.VectorType(ir.IntType(8), vector.lanes)
        values = builder.load(builder.bitcast(pointer, octets.as_pointer()), align=1)
        # By way of 32 bits, which CPUs convert; there is no conversion from 8.
        words = builder.zext(values, ir.VectorType(ir.IntType(32), vector.lanes))
        return builder.sitofp(words, context.get_value_type(vector))

    return vector(x, i, j, A), codegen


def emit_prefetch(builder: ir.IRBuilder, pointer: ir.Value, write: bool = False) -> None:
    """Ask for a cache line: for reading or to write to it, to be kept in every level, data."""
    hints = [ir.Constant(ir.IntType(32), value) for value in (int(write), 3, 1)]
    call_llvm(builder, "llvm.prefetch.p0", ir.VoidType(), [pointer, *hints])


def _prefetch(typingctx, A, i, j):
    def codegen(context, builder, sig, args):
        at = indices(context, builder, sig, args)
        pointer = element_pointer(context, builder, sig.args[0], args[0], at)
        pointer = builder.bitcast(pointer, ir.IntType(8).as_pointer())
        emit_prefetch(builder, pointer)
        return context.get_dummy_value()

    return types.void(A, i, j), codegen


def _store(typingctx, A, i, j, value):
    def codegen(context, builder, sig, args):
        at = indices(context, builder, sig, args)
        pointer = element_pointer(context, builder, sig.args[0], args[0], at)
        pointer = builder.bitcast(pointer, args[3].type.as_pointer())
        builder.store(args[3], pointer, align=A.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(A, i, j, value), codegen


def _lane_index(typingctx, A):
    vector = vector_type(A.dtype)

    def codegen(context, builder, sig, args):
        kind = context.get_value_type(vector)
        return ir.Constant(kind, [ir.Constant(kind.element, float(k)) for k in range(kind.count)])

    return vector(A), codegen


def _numpy_non_zero_bits(v: np.ndarray) -> np.int64:
    return np.int64(sum(1 << k for k, item in enumerate(v) if item != 0))


def _non_zero_bits(typingctx, v):
    def codegen(context, builder, sig, args):
        zero = constant(args[0].type, 0.0)
        # Unordered: NaN is not zero.
        mask = builder.fcmp_unordered("!=", args[0], zero)
        return builder.zext(builder.bitcast(mask, ir.IntType(v.lanes)), ir.IntType(64))

    return types.int64(v), codegen


def _numpy_non_zero_bytes(x: np.ndarray, i: int, j: int) -> np.int64:
    return np.packbits(x[i, j : j + 64] != 0, bitorder="little").view(np.int64)[0]


def _non_zero_bytes(typingctx, x, i, j):
    def codegen(context, builder, sig, args):
        at = indices(context, builder, sig, args)
        pointer = element_pointer(context, builder, sig.args[0], args[0], at)
        octets = ir.VectorType(ir.IntType(8), 64)
        values = builder.load(builder.bitcast(pointer, octets.as_pointer()), align=1)
        mask = builder.icmp_unsigned("!=", values, constant(octets, 0))
        return builder.bitcast(mask, ir.IntType(64))

    return types.int64(x, i, j), codegen


def _count_bits(typingctx, word):
    def codegen(context, builder, sig, args):
        return call_llvm(builder, "llvm.ctpop.i64", ir.IntType(64), [args[0]])

    return types.int64(types.int64), codegen


def _full(typingctx, A, value):
    vector = vector_type(A.dtype)

    def codegen(context, builder, sig, args):
        item = context.cast(builder, args[1], sig.args[1], A.dtype)
        return splat(builder, item, vector.lanes)

    return vector(A, value), codegen


def _fold(combine: Callable[..., ir.Value]) -> Callable[..., Any]:
    """Lanes combined by halves: an order of summation that no compiler flag can change."""

    def typing(typingctx: Any, v: VectorType) -> Any:
        def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
            vector, width = args[0], v.lanes
            undefined = ir.Constant(vector.type, ir.Undefined)
            index_type = ir.VectorType(ir.IntType(32), width)
            distance = width // 2
            while distance:
                index = ir.Constant(index_type, [(k + distance) % width for k in range(width)])
                other = builder.shuffle_vector(vector, undefined, index)
                vector = combine(builder, vector, other)
                distance //= 2
            return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))

        return v.dtype(v), codegen

    return typing


def _numpy_sum_lanes(v: np.ndarray) -> Any:
    while len(v) > 1:
        v = v[: len(v) // 2] + v[len(v) // 2 :]
    return v[0]


def _numpy_store(A: np.ndarray, i: int, j: int, value: np.ndarray) -> None:
    numpy_window(A, i, j, 1, numpy_lanes(A))[0] = value


lanes = primitive(numpy_lanes, _lanes)
"""``lanes(A)``: items of A's dtype in one vector."""
load = primitive(_numpy_load, _load)
"""``load(A, i, j)``: the vector ``A[i, j : j + lanes(A)]``."""
store = primitive(_numpy_store, _store)
"""``store(A, i, j, v)``: ``A[i, j : j + lanes(A)] = v``."""
load_bytes = primitive(_numpy_load_bytes, _load_bytes)
"""``load_bytes(x, i, j, A)``: ``x[i, j : j + lanes(A)]``, uint8, as numbers of A's dtype."""
prefetch = primitive(lambda A, i, j: None, _prefetch)
"""``prefetch(A, i, j)``: ask for the cache line of ``A[i, j]``; any place is allowed."""
lane_index = primitive(lambda A: np.arange(numpy_lanes(A), dtype=A.dtype), _lane_index)
"""``lane_index(A)``: the vector 0, 1, 2, ... of A's dtype."""
non_zero_bits = primitive(_numpy_non_zero_bits, _non_zero_bits)
"""``non_zero_bits(v)``: bit k of the int64 is set where lane k is not zero."""
non_zero_bytes = primitive(_numpy_non_zero_bytes, _non_zero_bytes)
"""``non_zero_bytes(x, i, j)``: bit k of the int64 is set where ``x[i, j + k]``, uint8, is not 0."""
count_bits = primitive(lambda word: (int(word) & (2**64 - 1)).bit_count(), _count_bits)
"""``count_bits(word)``: how many bits of the int64 are set."""
full = primitive(lambda A, value: np.full(numpy_lanes(A), value, dtype=A.dtype), _full)
"""``full(A, value)``: the vector of A's dtype with ``value`` in every lane."""
sum_lanes = primitive(_numpy_sum_lanes, _fold(lambda b, x, y: b.fadd(x, y)))
"""Sum of a vector's lanes, by halves."""
max_lanes = primitive(np.max, _fold(_emit_maximum))
"""Largest of a vector's lanes."""
min_lanes = primitive(np.min, _fold(_emit_minimum))
"""Smallest of a vector's lanes."""
