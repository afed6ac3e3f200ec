"""How kernels are compiled, and where the compiled code is kept between runs."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba

from fastmlp.paths import cache_directory


@cache
def _kernel_cache() -> str | None:
    """Folder of compiled kernels, or None where no folder can be written.

    Its name holds a digest of every source file that ends up in a kernel: numba's own check sees
    a change in the file of the compiled function only, not in the modules that it calls.
    """
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__}".encode())
    package = Path(__file__).parent.parent
    for source in sorted([*package.glob("kernels/*.py"), *package.glob("engine/*.py")]):
        digest.update(source.read_bytes())
    base = Path(numba.config.CACHE_DIR) if numba.config.CACHE_DIR else cache_directory()
    folder = base / f"kernels-{digest.hexdigest()[:16]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
    except OSError as error:
        warnings.warn(
            f"compiled kernels are not kept: {folder} cannot be written ({error.strerror}); set "
            "FASTMLP_CACHE_DIR to a folder that can, or every run compiles again",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return str(folder)


def jit(*signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """numba's ``njit`` with the GIL released, NumPy's division and the project's kernel cache."""

    def decorate(function: Callable[..., Any]) -> Any:
        if numba.config.DISABLE_JIT:
            return function
        folder = _kernel_cache()
        previous = numba.config.CACHE_DIR
        # numba reads the folder once, when it decorates.
        numba.config.CACHE_DIR = folder or previous
        try:
            return numba.njit(
                *signature, nogil=True, error_model="numpy", cache=folder is not None
            )(function)
        finally:
            numba.config.CACHE_DIR = previous

    return decorate


# Called from other jitted code only: compiled into its caller, so it needs no cache of its own.
inner = numba.njit(nogil=True, error_model="numpy")
