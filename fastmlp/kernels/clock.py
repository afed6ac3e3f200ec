"""The processor's own clock, read in jitted code."""

from __future__ import annotations

import platform
import time
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastmlp.kernels.simd import JIT, call_llvm


def _ticks(typingctx):
    # 20 cycles on x86, whose counter runs at a constant rate. Others have a steady counter apart
    # from that of cycles, which may not be read by users.
    x86 = platform.machine() in ("x86_64", "AMD64")
    name = "llvm.readcyclecounter" if x86 else "llvm.readsteadycounter"

    def codegen(context, builder, sig, args):
        return call_llvm(builder, name, ir.IntType(64), [])

    return types.int64(), codegen


ticks: Any = intrinsic(_ticks) if JIT else time.perf_counter_ns
"""``ticks()``: a count that grows at a constant rate; only ratios of differences have a meaning."""
