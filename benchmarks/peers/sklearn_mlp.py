"""scikit-learn: ``MLPClassifier.partial_fit`` on all samples is one epoch, shuffled by itself."""

from __future__ import annotations

import time
from typing import Any

import sklearn
from sklearn.neural_network import MLPClassifier

from benchmarks.task import Task, floats, initial

sklearn.set_config(assume_finite=True)  # or every epoch begins with a look at every number


def variants(task: Task) -> list[str]:
    return [""]


class Trainer:
    def __init__(self, task: Task, variant: str) -> None:
        self.task = task
        self.x, self.y = floats(task)
        self.reset()

    def reset(self) -> None:
        task = self.task
        self.model = MLPClassifier(
            task.layers[1:-1],
            solver=task.optimizer,
            batch_size=task.batch_size,
            learning_rate_init=task.learning_rate,
            momentum=0,
            nesterovs_momentum=False,
            alpha=0,
            random_state=0,
        )
        # Makes the arrays, which then get the common parameters, and the optimiser, made anew by
        # the first epoch.
        classes = range(task.layers[-1])
        self.model.partial_fit(
            self.x[: task.batch_size], self.y[: task.batch_size], classes=classes
        )
        del self.model._optimizer
        model = initial(task)
        self.model.coefs_[:], self.model.intercepts_[:] = model.weights, model.biases

    def epoch(self, seed: int) -> tuple[float, float]:
        start = time.perf_counter()
        self.model.partial_fit(self.x, self.y)
        return time.perf_counter() - start, float(self.model.loss_)

    def parameters(self) -> list[Any]:
        pairs = zip(self.model.coefs_, self.model.intercepts_, strict=True)
        return [array for pair in pairs for array in pair]
