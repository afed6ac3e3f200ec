"""Barrier between the threads of a team: spin, then yield to the scheduler, or sleep.

A barrier is passed twice a step, every 50 to 200 microseconds: a lock of the operating system
would cost more than the work between. A thread that waits longer than the spin takes (its partner
has lost its core) yields, so that more threads than cores slow down and do not stall.

A yield to a partner ends when that partner waits in its turn. A yield to another program ends with
that program's time slice, 1.4 ms or more of Linux, and at each barrier: with one busy program to a
core an epoch of 35 ms took 1300 ms on 2 threads, 3400 ms on 3. A sleep of 50 us gives the core away
as well, but the time slept counts in the thread's favour when it wakes: 80 ms and 150 ms. So after
a yield that lasted `LONG_YIELD_SECONDS` the next waits sleep, four times as many each time that
happens again; they are halved when a first yield is short.
"""

from __future__ import annotations

import platform
import sys
import threading
import time
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fastmlp.kernels.clock import ticks
from fastmlp.kernels.compilation import inner
from fastmlp.kernels.simd import JIT, call_llvm, element_pointer

# Cells of a team's shared int64 array, a cache line (8 items) apart: a thread that spins on one
# does not disturb those that write another.
ARRIVED, GENERATION, STOP, HALT, FAILED, ABANDONED = range(0, 48, 8)
# Not set back when a job begins.
PATIENCE, LONG_YIELD, BACKOFF, DOZES = range(48, 80, 8)
CELLS = 80

SPINS = 2000
"""Pauses before a thread yields, where each has a core: 48 us on Zen 5, as long as half a step, so
that a thread with a core of its own hardly ever yields (0.4 us). Cell PATIENCE holds it, or 0 where
threads share cores."""

LONG_YIELD_SECONDS, LONG_YIELD_TICKS = 0.5e-3, 1_500_000
"""A yield that lasts longer went to another program. Cell LONG_YIELD holds it, in ticks: a guess,
right at 3 GHz, until a job has measured the clock's rate."""

MOST_DOZES = 1000
"""Waits that sleep until a yield is tried again: half an epoch of 60 000 samples in batches of 128,
so that trying costs less than 5 % of it."""

DOZE_MICROSECONDS = 50
"""Linux adds 50 to it. 1 and 100 were the same within the noise; so was a futex, but for more
threads than cores: 150 ms where this takes 165, with a program on each core."""

_python_lock = threading.Lock()


def _python_fetch_add(cells: Any, index: int, value: int) -> int:
    with _python_lock:
        previous = int(cells[index])
        cells[index] += value
    return previous


def _python_store(cells: Any, index: int, value: int) -> None:
    cells[index] = value


def _pointer(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
    index = context.cast(builder, args[1], sig.args[1], types.intp)
    return element_pointer(context, builder, sig.args[0], args[0], [index])


def _fetch_add(typingctx, cells, index, value):
    def codegen(context, builder, sig, args):
        return builder.atomic_rmw("add", _pointer(context, builder, sig, args), args[2], "seq_cst")

    return types.int64(cells, index, types.int64), codegen


def _atomic_load(typingctx, cells, index):
    def codegen(context, builder, sig, args):
        return builder.load_atomic(_pointer(context, builder, sig, args), "acquire", 8)

    return types.int64(cells, index), codegen


def _atomic_store(typingctx, cells, index, value):
    def codegen(context, builder, sig, args):
        builder.store_atomic(args[2], _pointer(context, builder, sig, args), "release", 8)
        return context.get_dummy_value()

    return types.void(cells, index, types.int64), codegen


def _pause(typingctx):
    """Tell the core that this is a spin loop."""

    def codegen(context, builder, sig, args):
        if platform.machine() in ("x86_64", "AMD64"):
            call_llvm(builder, "llvm.x86.sse2.pause", ir.VoidType(), [])
        elif platform.machine() in ("aarch64", "arm64"):
            hint = ir.Constant(ir.IntType(32), 1)  # "yield"
            call_llvm(builder, "llvm.aarch64.hint", ir.VoidType(), [hint])
        return context.get_dummy_value()

    return types.void(), codegen


def _yield_core(typingctx):
    """Give the core to another thread that is ready to run."""

    def codegen(context, builder, sig, args):
        name = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
        function_type = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, function_type, name), [])
        return context.get_dummy_value()

    return types.void(), codegen


def _doze(typingctx):
    """Sleep for DOZE_MICROSECONDS; on Windows, where the shortest sleep is 1 to 16 ms, yield."""
    if sys.platform == "win32":
        return _yield_core(typingctx)

    def codegen(context, builder, sig, args):
        i32 = ir.IntType(32)
        function_type = ir.FunctionType(i32, [i32])
        usleep = cgutils.get_or_insert_function(builder.module, function_type, "usleep")
        builder.call(usleep, [ir.Constant(i32, DOZE_MICROSECONDS)])
        return context.get_dummy_value()

    return types.void(), codegen


fetch_add: Any = intrinsic(_fetch_add) if JIT else _python_fetch_add
atomic_load: Any = intrinsic(_atomic_load) if JIT else (lambda cells, index: int(cells[index]))
atomic_store: Any = intrinsic(_atomic_store) if JIT else _python_store
pause: Any = intrinsic(_pause) if JIT else (lambda: None)
yield_core: Any = intrinsic(_yield_core) if JIT else (lambda: time.sleep(0))
doze: Any = intrinsic(_doze) if JIT else (lambda: time.sleep(DOZE_MICROSECONDS * 1e-6))


@inner
def barrier(cells, threads):
    """Return when all ``threads`` have called it; what they wrote before is then seen by all.

    Returns at once when ABANDONED is set: a thread has died of an exception and will never come.
    """
    if threads == 1:
        return
    generation = atomic_load(cells, GENERATION)
    if fetch_add(cells, ARRIVED, 1) == threads - 1:
        atomic_store(cells, ARRIVED, 0)
        atomic_store(cells, GENERATION, generation + 1)
        return
    patience, dozes = atomic_load(cells, PATIENCE), atomic_load(cells, DOZES)
    if dozes > 0:
        fetch_add(cells, DOZES, -1)
    spins = 0
    while atomic_load(cells, GENERATION) == generation and not atomic_load(cells, ABANDONED):
        spins += 1
        if spins < patience:
            pause()
        elif dozes > 0:
            doze()
        else:
            before = ticks()
            yield_core()
            backoff = atomic_load(cells, BACKOFF)
            if ticks() - before > atomic_load(cells, LONG_YIELD):
                dozes = min(4 * backoff + 4, MOST_DOZES)
                atomic_store(cells, BACKOFF, dozes)
                atomic_store(cells, DOZES, dozes)
            elif backoff > 0 and spins == max(patience, 1):
                atomic_store(cells, BACKOFF, backoff // 2)
