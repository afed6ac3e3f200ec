"""`FitSession`: a worker's answers where the work is a whole fit of an estimator."""

from __future__ import annotations

import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from benchmarks.fit_data import table
from benchmarks.fit_task import FitTask
from benchmarks.task import BRIEF_SECONDS


class FitSession:
    """The answers to the requests of `benchmarks.sides.Side`, by a class like MLPClassifier."""

    def __init__(self, estimator: type[Any]) -> None:
        self.estimator = estimator
        warnings.simplefilter("ignore", ConvergenceWarning)  # epochs are few on purpose

    def prepare(self, task: dict[str, Any]) -> dict[str, Any]:
        """Fit once, which compiles and is not counted; what has to agree between sides."""
        self.task = FitTask(**task)
        self.X, self.y = table(self.task)
        self.seconds = self._fit()
        if self.task.calls:
            self.seconds = self._predict()
        losses = [float(model.loss_) for model in self.models]
        n_iter = int(self.models[0].n_iter_)
        return {"variant": "", "failed": {}, "n_iter": n_iter, "losses": losses}

    def run(self, seed: int, rested: bool) -> dict[str, Any]:
        """Seconds; the seed is left alone: of another, a fit has another number of epochs."""
        measure = self._predict if self.task.calls else self._fit
        if rested and self.seconds < BRIEF_SECONDS:
            measure()
        self.seconds = measure()
        epochs = self.models[0].n_iter_ if self.task.per_epoch else 1
        return {"seconds": self.seconds / epochs}

    def _fit(self) -> float:
        threads = {"threads": 1} if self.task.at_once else {}
        models = [
            self.estimator(**self.task.arguments, random_state=0, **threads)
            for _ in range(max(self.task.at_once, 1))
        ]
        with ThreadPoolExecutor(len(models)) as pool:
            start = time.perf_counter()
            self.models = list(pool.map(lambda model: model.fit(self.X, self.y), models))
            return time.perf_counter() - start

    def _predict(self) -> float:
        model, X, rows, calls = self.models[0], self.X, self.task.rows, self.task.calls
        places = range(0, len(X) - rows + 1, rows)
        inputs = [X[k : k + rows] for k in places[:100]]
        start = time.perf_counter()
        for k in range(calls):
            model.predict_proba(inputs[k % len(inputs)])
        return (time.perf_counter() - start) / calls
