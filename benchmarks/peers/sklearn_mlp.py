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
        self.model = _model(self.task, self.x, self.y)

    def epoch(self, seed: int) -> tuple[float, float]:
        start = time.perf_counter()
        self.model.partial_fit(self.x, self.y)
        return time.perf_counter() - start, float(self.model.loss_)

    def parameters(self) -> list[Any]:
        pairs = zip(self.model.coefs_, self.model.intercepts_, strict=True)
        return [array for pair in pairs for array in pair]


class Predictor:
    def __init__(self, task: Task, variant: str) -> None:
        self.predict: Any = _model(task, *floats(task)).predict_proba


def _model(task: Task, x: Any, y: Any) -> MLPClassifier:
    """The classifier with the common parameters."""
    rows = min(task.batch_size, task.samples)
    model = MLPClassifier(
        task.layers[1:-1],
        solver=task.optimizer,
        batch_size=rows,
        learning_rate_init=task.learning_rate,
        momentum=0,
        nesterovs_momentum=False,
        alpha=0,
        random_state=0,
    )
    # Makes the arrays, which then get the common parameters, and the optimiser, made anew by the
    # first epoch.
    model.partial_fit(x[:rows], y[:rows], classes=range(task.layers[-1]))
    del model._optimizer
    common = initial(task)
    model.coefs_[:], model.intercepts_[:] = common.weights, common.biases
    return model
