"""Subnormal numbers, below 1e-38 in float32, taken as zero while a thread trains.

A processor takes some hundred cycles for a result that is one. The momentum of a pixel that is
seldom not zero goes through them on its way to zero: an epoch of MNIST took 1.15 times as long with
momentum, and 1.2 times with Adam, the update alone 1.3. XLA's threads do the same.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fastmlp.kernels.simd import JIT, call_llvm

FLUSH = 0x8040
"""Bits of the x86 control register MXCSR: subnormal results, and operands, are zero."""

X86 = platform.machine() in ("x86_64", "AMD64")
"""Other processors keep them: on Arm, they cost little."""


def _word(builder: ir.IRBuilder) -> Any:
    return cgutils.alloca_once(builder, ir.IntType(32))


def _as_bytes(builder: ir.IRBuilder, pointer: ir.Value) -> ir.Value:
    return builder.bitcast(pointer, ir.IntType(8).as_pointer())


def _load_control(builder: ir.IRBuilder, value: ir.Value) -> None:
    place = _word(builder)
    builder.store(value, place)
    call_llvm(builder, "llvm.x86.sse.ldmxcsr", ir.VoidType(), [_as_bytes(builder, place)])


def _flush_subnormals(typingctx):
    def codegen(context, builder, sig, args):
        if not X86:
            return ir.Constant(ir.IntType(64), 0)
        place = _word(builder)
        call_llvm(builder, "llvm.x86.sse.stmxcsr", ir.VoidType(), [_as_bytes(builder, place)])
        before = builder.load(place)
        _load_control(builder, builder.or_(before, ir.Constant(ir.IntType(32), FLUSH)))
        return builder.zext(before, ir.IntType(64))

    return types.int64(), codegen


def _restore_subnormals(typingctx, before):
    def codegen(context, builder, sig, args):
        if X86:
            _load_control(builder, builder.trunc(args[0], ir.IntType(32)))
        return context.get_dummy_value()

    return types.void(types.int64), codegen


flush_subnormals: Any = intrinsic(_flush_subnormals) if JIT else lambda: 0
"""``flush_subnormals()``: from now on in this thread; what `restore_subnormals` needs."""
restore_subnormals: Any = intrinsic(_restore_subnormals) if JIT else lambda before: None
"""``restore_subnormals(before)``: as it was."""
