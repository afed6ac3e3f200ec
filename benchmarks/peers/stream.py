"""The most that memory gives: ``a += s * b`` on long arrays, three transfers for each item.

In place, so that no line of ``a`` is fetched only to be overwritten: what is counted is what moves.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Any

import numba
import numpy as np

from benchmarks.task import Task

RUN_BYTES = 2**31
"""Moved in an epoch at least: 0.1 s or so from memory."""


def variants(task: Task) -> list[str]:
    return [""]


def times(task: Task) -> int:
    """How often an epoch goes through both arrays, each as large as the task's samples."""
    return math.ceil(RUN_BYTES / bytes_once(task))


def bytes_once(task: Task) -> int:
    return 3 * task.samples * task.layers[0] * np.dtype(task.dtype).itemsize


@numba.njit(nogil=True)
def _add(a, b, s, times):
    for _ in range(times):
        for i in range(len(a)):
            a[i] += s * b[i]


class Trainer:
    """Each thread has arrays of its own, which it has touched first."""

    def __init__(self, task: Task, variant: str) -> None:
        self.times = times(task)
        self.scale = np.dtype(task.dtype).type(1e-3)
        items = task.samples * task.layers[0] // task.threads
        self.arrays: list[Any] = [None] * task.threads

        def fill(k: int) -> None:
            self.arrays[k] = np.ones((2, items), task.dtype)

        self._team(fill)
        self.epoch(0)

    def reset(self) -> None:
        pass

    def epoch(self, seed: int) -> tuple[float, Any]:
        start = time.perf_counter()
        self._team(lambda k: _add(*self.arrays[k], self.scale, self.times))
        return time.perf_counter() - start, None

    def parameters(self) -> list[Any]:
        return []

    def _team(self, work: Any) -> None:
        team = [threading.Thread(target=work, args=(k,)) for k in range(len(self.arrays))]
        for thread in team:
            thread.start()
        for thread in team:
            thread.join()
