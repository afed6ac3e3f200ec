"""Cold start: what a training needs is compiled in two processes at once.

numba compiles under one lock, so a second core helps only in a second process. The step is half of
the work; a helper compiles the kernels that it calls, and leaves them in the cache on disk. A first
run took 7.9 s of compilation in one process and 4.9 s in two.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numba
import numpy as np

from fastmlp.engine import step
from fastmlp.engine.records import JOB, LAYER
from fastmlp.kernels import calls
from fastmlp.kernels.compilation import kernel_cache
from fastmlp.kernels.simd import JIT
from fastmlp.kernels.updates import HYPERPARAMETERS
from fastmlp.threads import available_cores

Kernel = tuple[Callable[..., Any], Callable[..., Any]]
"""A kernel and the family of its arguments, as for `calls.address`."""

_READY: set[np.dtype[Any]] = set()
"""Dtypes for which this process has the step: numba would take 1 ms of each `fit` to find out."""

MOST_SECONDS = 120
"""Of waiting for the helper, who has less to do: after that it is given up."""


def compile_step(kernels: Sequence[Kernel], dtype: np.dtype[Any]) -> None:
    """Compile the step, or load it; on a first run ``kernels`` at the same time.

    A helper that fails costs time only: whoever needs a kernel then compiles it.
    """
    if not JIT or dtype in _READY:
        return
    mark = _mark(dtype)
    cold = mark is not None and not mark.exists()
    helper = _start_helper(kernels, dtype) if cold and available_cores() > 1 else None
    try:
        jobs, layers = numba.typeof(np.zeros(1, JOB)), numba.typeof(np.zeros(1, LAYER))
        hyper = numba.typeof(np.zeros((1, HYPERPARAMETERS), dtype))
        step.run.compile((jobs, layers, hyper, numba.int64))
        if helper is not None:
            helper.wait(MOST_SECONDS)
        _READY.add(dtype)
        if cold and mark is not None:
            mark.touch()
    except (OSError, subprocess.TimeoutExpired):
        pass
    finally:
        if helper is not None:
            helper.kill()  # does nothing to one that has ended
            helper.communicate()


def _mark(dtype: np.dtype[Any]) -> Path | None:
    """An empty file beside the kernels that says: the step for this dtype and CPU was compiled.

    What a later run needs beside it, another optimiser, is less work than to start a helper.
    """
    folder = kernel_cache()
    if folder is None:
        return None
    target = numba.core.registry.cpu_target.target_context.codegen().magic_tuple()
    digest = hashlib.sha256(repr(target).encode()).hexdigest()[:16]
    return Path(folder) / f"compiled-{dtype.name}-{digest}"


Helper = subprocess.Popen[bytes]

HELPING = "FASTMLP_COMPILES_FOR_ANOTHER"
"""Set in the helper's environment: below it no further one is started, whatever runs there."""

SEPARATOR = "\n"
"""Between the folders of a path; a null byte cannot be in an argument."""

PROGRAM = "import sys; sys.path[:] = sys.argv.pop(1).split({1!r}); from {0} import main; main()"
"""What the helper runs, with the modules of this process and none of its working directory."""


def _start_helper(kernels: Sequence[Kernel], dtype: np.dtype[Any]) -> Helper | None:
    # An embedded interpreter or a frozen program has no Python to start, but perhaps itself.
    python = os.path.basename(sys.executable or "").lower().startswith(("python", "pypy"))
    if not python or getattr(sys, "frozen", False) or os.environ.get(HELPING):
        return None
    names = [f"{k.__module__}:{k.__name__}:{family.__name__}" for k, family in kernels]
    program = PROGRAM.format(__name__, SEPARATOR)
    try:
        return subprocess.Popen(
            # -I: no site directory, variable or working directory but those of this process's path
            [sys.executable, "-I", "-c", program, SEPARATOR.join(sys.path), dtype.name, *names],
            stdin=subprocess.PIPE,  # which ends with this process
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {HELPING: "1"},
        )
    except (OSError, ValueError):
        return None


def main() -> None:
    """The helper: compile the kernels named on the command line, while its parent lives."""

    def end_with_parent() -> None:
        os.read(0, 1)  # nothing is ever written: it returns at the end of the file
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    dtype = np.dtype(sys.argv[1])
    for name in sys.argv[2:]:
        module, kernel, family = name.split(":")
        function = getattr(importlib.import_module(module), kernel)
        calls.address(function, getattr(calls, family), dtype)
