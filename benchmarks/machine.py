"""The machine, the versions and the commit that a measurement belongs to."""

from __future__ import annotations

import datetime
import platform
import statistics
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks.sides import ROOT, Side
from benchmarks.task import Task
from fastmlp.result import _cpu
from fastmlp.threads import available_cores

PACKAGES = ("fastmlp", "numpy", "numba", "llvmlite", "jax", "torch", "scikit-learn", "onnxruntime")

PEAK_TASK = Task(layers=(784, 128, 10))
PEAK_RUNS = 9


def describe(threads: int) -> dict[str, Any]:
    """What stands above the table."""
    peaks = {str(n): _fma_peak(n) for n in sorted({1, threads})}
    return {**about(threads), "fma_peak_gflops": peaks}


def about(threads: int) -> dict[str, Any]:
    """The same without the peaks, which take seconds to measure."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cpu": _cpu(),
        "cores": available_cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": _versions(),
        "threads": threads,
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _commit() -> str:
    """Short hash, with a + where tracked files have been changed since."""
    with suppress(OSError, subprocess.CalledProcessError):
        command = ["git", "describe", "--always", "--exclude=*", "--dirty=+"]
        return subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
    return "unknown"


def _fma_peak(threads: int) -> float:
    """GFLOP/s in float32 of ``threads`` cores."""
    with Side("fma_peak", threads) as side:
        side.prepare(Task(PEAK_TASK.layers, threads=threads))
        seconds = statistics.median(side.run(0) for _ in range(PEAK_RUNS))
    return PEAK_TASK.flops / seconds / 1e9
