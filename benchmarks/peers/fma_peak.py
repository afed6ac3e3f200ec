"""The most that the CPU can do: the floating-point operations of a task as bare vector FMAs.

The kernel is the one that ``--profile`` measures with.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from benchmarks.task import Task
from fastmlp.kernels.peak import chains, flops_of


def variants(task: Task) -> list[str]:
    return [""]


class Trainer:
    """An "epoch" is the task's count of operations, shared out among its threads."""

    def __init__(self, task: Task, variant: str) -> None:
        self.threads = task.threads
        self.one = np.ones((1, 1), dtype=task.dtype)
        self.count = round(task.flops / task.threads / flops_of(1, self.one.dtype))
        chains(self.one, 1)

    def reset(self) -> None:
        pass

    def epoch(self, seed: int) -> tuple[float, Any]:
        team = [
            threading.Thread(target=chains, args=(self.one, self.count))
            for _ in range(self.threads)
        ]
        start = time.perf_counter()
        for thread in team:
            thread.start()
        for thread in team:
            thread.join()
        return time.perf_counter() - start, None

    def parameters(self) -> list[Any]:
        return []
