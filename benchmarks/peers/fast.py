"""fastmlp itself."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastmlp
from benchmarks.peers.api import ApiTrainer
from benchmarks.task import Task


def variants(task: Task) -> list[str]:
    return [""]


class Trainer(ApiTrainer):
    implementation = fastmlp
    # Of the cores that the worker may use, as many threads as `fit` finds fastest, which is how its
    # users have it; PyTorch and onnxruntime try every number, and XLA decides for each operation.
    threads = None


class Predictor:
    def __init__(self, task: Task, variant: str) -> None:
        model = fastmlp.MLP(task.layers, dtype=task.dtype)
        bound = model.predictor(batch_size=task.samples)
        out = np.empty((task.samples, task.layers[-1]), dtype=task.dtype)
        self.predict: Any = lambda x: bound.predict_proba(x, out=out)
