"""How many threads to compute with."""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TypeVar

from fastmlp.checks import check_integer, parse_integer

MOST_THREADS = 256

PRODUCTS_PER_THREAD = 5_000_000
"""Samples times parameters that a thread of its own is worth: 30 MFLOP of training, 0.15 ms at 200
GFLOP/s, against 0.04 to 0.06 ms to wake a team."""


def threads_for(threads: int | None, products: int | None = None) -> int:
    """Threads of a job.

    Parameters
    ----------
    threads : int or None
        The user's wish, 1 to 256; more than there are cores is allowed, and slower. None takes
        ``FASTMLP_NUM_THREADS``, or else all physical cores that the process may use.
    products : int or None
        Samples times parameters of the job: with None for ``threads`` a small job gets fewer.

    Raises
    ------
    TypeError, ValueError
        If ``threads``, or the environment variable, is not an integer from 1 to 256.
    """
    if threads is not None:
        return check_integer("threads", threads, 1, MOST_THREADS)
    named = os.environ.get("FASTMLP_NUM_THREADS")
    if named:
        threads = parse_integer("FASTMLP_NUM_THREADS", named, 1, MOST_THREADS)
    else:
        threads = available_cores()
    return threads if products is None else max(1, min(threads, products // PRODUCTS_PER_THREAD))


def are_free(threads: int | None) -> bool:
    """Whether neither the argument nor ``FASTMLP_NUM_THREADS`` says how many threads to use."""
    return threads is None and not os.environ.get("FASTMLP_NUM_THREADS")


_trainings = 0
_counting = threading.Lock()


@contextlib.contextmanager
def counted_training() -> Iterator[None]:
    """While the block runs, it is one of `trainings_at_once`."""
    global _trainings
    with _counting:
        _trainings += 1
    try:
        yield
    finally:
        with _counting:
            _trainings -= 1


def trainings_at_once() -> int:
    """How many the process has under way, each in a Python thread of its own."""
    return max(_trainings, 1)


def _forget_trainings() -> None:
    """In a forked child: those of the parent are not there."""
    global _trainings, _counting
    _trainings, _counting = 0, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_trainings)


def available_cores() -> int:
    """Physical cores that the process may use: its affinity, and its cgroup's quota rounded up."""
    cores = len(processors_of_cores())
    quota = _cgroup_quota()
    limit = cores if quota is None else max(1, math.ceil(quota))
    return min(cores, limit, MOST_THREADS)


def processors_of_cores() -> list[int]:
    """The first processor of each physical core, of those that the process may run on."""
    if hasattr(os, "sched_getaffinity"):
        processors = sorted(os.sched_getaffinity(0))
    else:
        processors = list(range(os.cpu_count() or 1))
    first: dict[str, int] = {}
    for processor in processors:
        first.setdefault(_core_of(processor), processor)
    return list(first.values())


def _core_of(processor: int) -> str:
    """Name of the physical core: the list of the hardware threads that share it."""
    path = f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list"
    return _read(path) or str(processor)


def _cgroup_quota() -> float | None:
    """Processors' worth of time that the process's control group may use, or None.

    The least quota from the group up to the root counts: a group has no more than those around
    it. In a container the path may be the host's, and only the root is there to be read.
    """
    quotas = []
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = PurePosixPath("/sys/fs/cgroup", controllers)
        own = root / group.lstrip("/")
        for folder in (own, *own.parents):
            if controllers:
                quota = _read(f"{folder}/cpu.cfs_quota_us")
                period = _read(f"{folder}/cpu.cfs_period_us")
            else:
                quota, _, period = _read(f"{folder}/cpu.max").partition(" ")
            if quota.isdigit() and period.isdigit() and int(period):
                quotas.append(int(quota) / int(period))
            if folder == root:
                break
    return min(quotas, default=None)


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


Result = TypeVar("Result")


def in_another_thread(work: Callable[[], Result]) -> Result:
    """What ``work()`` returns or raises, called in another thread, so that Ctrl-C ends the wait.

    While numba compiles, a KeyboardInterrupt would be raised inside LLVM's callbacks, where it is
    lost or leaves a kernel half-made. The other thread goes on to the end; Python waits for it
    when it exits.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="fastmlp-compiler")
    thread.start()
    while thread.is_alive():
        thread.join(0.05)  # a wait without end could not be interrupted on Windows
    if errors:
        raise errors[0]
    return results[0]
