"""This project's own reference: plain NumPy in the task's dtype, products by OpenBLAS."""

from __future__ import annotations

import reference
from benchmarks.peers.api import ApiTrainer
from benchmarks.task import Task


def variants(task: Task) -> list[str]:
    return [""]


class Trainer(ApiTrainer):
    implementation = reference
    threads = None  # BLAS's own, which the worker's environment sets
