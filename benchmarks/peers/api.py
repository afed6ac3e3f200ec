"""What fastmlp and its NumPy reference share: one API, so one way to be measured."""

from __future__ import annotations

import time
from types import ModuleType
from typing import Any

from benchmarks.task import OPTIMIZERS, Task, samples


class ApiTrainer:
    """Epochs by ``fit``, whose own clock is the one that counts."""

    implementation: ModuleType
    threads: int | None

    def __init__(self, task: Task, variant: str) -> None:
        self.task = task
        self.x, self.y = samples(task.data, task.samples)
        kind, settings = OPTIMIZERS[task.optimizer]
        self.optimizer = getattr(self.implementation, kind)(lr=task.learning_rate, **settings)
        self.reset()

    def reset(self, seed: int = 0) -> None:
        task = self.task
        settings = task.network
        if task.label_smoothing:
            settings["loss"] = self.implementation.CrossEntropy(
                label_smoothing=task.label_smoothing
            )
        self.model: Any = self.implementation.MLP(
            task.layers, dtype=task.dtype, seed=seed, **settings
        )

    def epoch(self, seed: int, number: int = 1) -> tuple[float, float]:
        record = self._fit(seed, epochs=1).epochs[0]
        return record.seconds, record.train_loss

    def train(self, seed: int) -> float:
        """Seconds of the whole training, from the data in memory to the trained model."""
        start = time.perf_counter()
        self.reset(seed)
        self._fit(seed, self.task.epochs)
        return time.perf_counter() - start

    def accuracy(self, x: Any, y: Any) -> float:
        return float(self.implementation.evaluate(self.model, x, y).accuracy)

    def _fit(self, seed: int, epochs: int) -> Any:
        task, implementation = self.task, self.implementation
        changes: dict[str, Any] = {}  # from the defaults, which is what older commits know
        if task.augmentation is not None:
            changes["augmentation"] = implementation.Augmentation((28, 28), **task.augmentation)
        if task.one_cycle is not None:
            changes["schedule"] = implementation.OneCycle(pct_start=task.one_cycle)
        return implementation.fit(
            self.model,
            self.x,
            self.y,
            epochs=epochs,
            batch_size=task.batch_size,
            optimizer=self.optimizer,
            seed=seed,
            threads=self.threads,
            **changes,
        )

    def parameters(self) -> list[Any]:
        pairs = zip(self.model.weights, self.model.biases, strict=True)
        return [array for pair in pairs for array in pair]
