"""How kernels are compiled, and where the compiled code is kept between runs."""

from __future__ import annotations

import contextlib
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


class _TolerantCache:
    """numba's cache of one function, of which a failure costs time and not the run.

    numba raises whatever happens: a damaged file would stop this and every later run, and a full
    disk a run that needs nothing from it.
    """

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, *arguments: Any) -> Any:
        """What is kept, or None where it cannot be read."""
        try:
            return self._cache.load_overload(*arguments)
        except Exception:
            with contextlib.suppress(OSError):
                self._cache.flush()  # forget the damaged index; what is compiled now replaces it
            return None

    def save_overload(self, *arguments: Any) -> None:
        """Keep what was compiled, or say once that it cannot be kept."""
        try:
            self._cache.save_overload(*arguments)
        except Exception as error:
            _warn_not_kept(getattr(error, "strerror", None) or type(error).__name__)


@cache
def _warn_not_kept(reason: str) -> None:
    warnings.warn(
        f"compiled kernels are not kept: {reason}; the next run compiles again",
        RuntimeWarning,
        stacklevel=2,
    )


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
            compiled = numba.njit(nogil=True, error_model="numpy", cache=folder is not None)(
                function
            )
        finally:
            numba.config.CACHE_DIR = previous
        if folder is not None:
            compiled._cache = _TolerantCache(compiled._cache)
        for arguments in signature:
            compiled.compile(arguments)
        return compiled

    return decorate


# Called from other jitted code only: compiled into its caller, so it needs no cache of its own.
inner = numba.njit(nogil=True, error_model="numpy")
