"""The machine, the versions and the commit that a measurement belongs to."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
import subprocess
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks.sides import ROOT, Side
from benchmarks.task import Task
from fastmlp.machine import cpu
from fastmlp.threads import available_cores

PACKAGES = ("fastmlp", "numpy", "numba", "llvmlite", "jax", "torch", "scikit-learn", "onnxruntime")

PEAK_TASK = Task(layers=(784, 128, 10), samples=20_000)
PEAK_RUNS = 9

STREAMS = {
    # Two arrays of 256 MiB: twice the largest cache that we have met (260 MB, shared by servers).
    "memory": lambda threads: Task((2**16,), samples=2**10, threads=threads),
    # Two arrays of 64 KiB a core: more than a first-level cache has, less than any second.
    "cache": lambda threads: Task((2**14,), samples=threads, threads=threads),
}


def describe(threads: int) -> dict[str, Any]:
    """What stands above the table."""
    peaks = {str(n): _fma_peak(n) for n in sorted({1, threads})}
    streams = {level: _stream(make(threads)) for level, make in STREAMS.items()}
    return {**about(threads), "fma_peak_gflops": peaks, "stream_gbytes": streams}


def about(threads: int) -> dict[str, Any]:
    """The same without the peaks, which take seconds to measure."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cpu": cpu(),
        "cores": available_cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": _versions(),
        "threads": threads,
        "memory": _memory(),
    }


class Calibration:
    """Bare FMAs on all threads, time and again, by a process that waits in between."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def __enter__(self) -> Calibration:
        self.side = Side("fma_peak", self.threads)
        try:
            self.side.prepare(replace(PEAK_TASK, threads=self.threads))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.side.__exit__(*exception)

    def measure(self) -> dict[str, float]:
        """Now, medians of three.

        Returns
        -------
        dict of str to float
            gflops : the rate.
            cores : share of the cores' time that the FMAs had; the rest went to other programs.
        """
        runs = [self.side.measure(0) for _ in range(3)]
        seconds = statistics.median(run["seconds"] for run in runs)
        cores = statistics.median(
            run["processor_seconds"] / run["seconds"] / self.threads for run in runs
        )
        return {"gflops": PEAK_TASK.flops / seconds / 1e9, "cores": cores}


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
        side.prepare(replace(PEAK_TASK, threads=threads))
        seconds = statistics.median(side.run(0) for _ in range(PEAK_RUNS))
    return PEAK_TASK.flops / seconds / 1e9


def _stream(task: Task) -> float:
    """GB/s of reads and writes together."""
    from benchmarks.peers.stream import bytes_once, times

    with Side("stream", task.threads) as side:
        side.prepare(task)
        seconds = statistics.median(side.run(0) for _ in range(PEAK_RUNS))
    return bytes_once(task) * times(task) / seconds / 1e9


def _memory() -> int | None:
    """Bytes of main memory, where the system tells."""
    with suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None
