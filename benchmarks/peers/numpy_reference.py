"""This project's own reference: plain NumPy in the task's dtype, products by OpenBLAS."""

from __future__ import annotations

from typing import Any

import reference
from benchmarks.peers.api import ApiTrainer
from benchmarks.task import Task, initial


def variants(task: Task) -> list[str]:
    return [""]


class Trainer(ApiTrainer):
    implementation = reference
    threads = None  # BLAS's own, which the worker's environment sets


class Predictor:
    def __init__(self, task: Task, variant: str) -> None:
        self.predict: Any = initial(task).predict_proba
