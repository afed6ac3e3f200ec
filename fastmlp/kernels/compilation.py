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
from numba.core.runtime.nrt import rtsys

from fastmlp.paths import cache_directory


@cache
def kernel_cache() -> str | None:
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


KNOWN_NUMBA = (0, 68)
"""The latest version of which it is known what loading a kernel needs."""


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
            if numba.version_info.short > KNOWN_NUMBA:
                return self._cache.load_overload(*arguments)
            # numba's own first registers all that can be compiled, by way of which it imports
            # scipy.linalg: 0.3 of the 0.65 s until kernels are loaded. They link to its allocator
            # alone; what is compiled later registers the rest.
            rtsys.initialize(arguments[-1])
            return self._cache._load_overload(*arguments)
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


def _refuse_python(compiled: Any) -> None:
    """Let a call from Python fail with a TypeError: without wrappers it would be one of address 0.

    What is compiled is not entered into the table that such a call looks at.
    """

    def add_overload(result: Any) -> None:
        compiled.overloads[tuple(result.signature.args)] = result

    def refuse(*arguments: Any, **settings: Any) -> None:
        raise TypeError(f"{compiled.__name__} can be called from jitted code only")

    compiled.add_overload, compiled._compile_for_args = add_overload, refuse


OPTIONS = {"nogil": True, "error_model": "numpy"}

NO_WRAPPERS = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""For what only jitted code calls, and Python never can: without the code that unpacks Python's
objects for each argument a cold start took 9.3 s instead of 11.9."""


def jit(*signature: Any, from_python: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """numba's ``njit`` with the GIL released, NumPy's division and the project's kernel cache.

    ``from_python``: whether Python calls it, or only jitted code, by its address.
    """
    options = OPTIONS if from_python else OPTIONS | NO_WRAPPERS

    def decorate(function: Callable[..., Any]) -> Any:
        if numba.config.DISABLE_JIT:
            return function
        folder = kernel_cache()
        previous = numba.config.CACHE_DIR
        # numba reads the folder once, when it decorates.
        numba.config.CACHE_DIR = folder or previous
        try:
            compiled = numba.njit(cache=folder is not None, **options)(function)
            if not from_python:
                _refuse_python(compiled)
        finally:
            numba.config.CACHE_DIR = previous
        if folder is not None:
            compiled._cache = _TolerantCache(compiled._cache)
        for arguments in signature:
            compiled.compile(arguments)
        return compiled

    return decorate


def inner(function: Callable[..., Any]) -> Any:
    """For what is compiled into the jitted code that calls it: it needs no cache of its own.

    numba would compile it anew for each literal among its arguments: 16 of 63 times in a cold
    start.
    """
    compiled = numba.njit(**OPTIONS, **NO_WRAPPERS)(function)
    if not numba.config.DISABLE_JIT:
        template_of = compiled.get_call_template

        def without_literals(args: Any, kws: Any) -> Any:
            kws = {name: numba.types.unliteral(kind) for name, kind in kws.items()}
            return template_of(tuple(map(numba.types.unliteral, args)), kws)

        compiled.get_call_template = without_literals
        _refuse_python(compiled)
    return compiled
