"""What a result depends on beside its settings: versions and CPU; and the memory that it took."""

from __future__ import annotations

import contextlib
import platform
import sys
from pathlib import Path


def versions() -> dict[str, str]:
    """Of fastmlp and of what computes for it."""
    from importlib.metadata import version

    import numpy as np

    from fastmlp import __version__

    return {"fastmlp": __version__, "numpy": np.__version__, "numba": version("numba")}


def cpu() -> str:
    """Name of the processor."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def peak_rss_bytes() -> int | None:
    """Most memory that this process has had; None where the system does not tell."""
    # Not ru_maxrss on Linux: it begins with the memory of the process that started this one.
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
