"""What fastmlp and its NumPy reference share: one API, so one way to be measured."""

from __future__ import annotations

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

    def reset(self) -> None:
        task = self.task
        self.model: Any = self.implementation.MLP(
            task.layers,
            dtype=task.dtype,
            activation=task.activation,
            norm=task.norm,
            dropout=task.dropout,
        )

    def epoch(self, seed: int) -> tuple[float, float]:
        history = self.implementation.fit(
            self.model,
            self.x,
            self.y,
            epochs=1,
            batch_size=self.task.batch_size,
            optimizer=self.optimizer,
            seed=seed,
            threads=self.threads,
        )
        return history.epochs[0].seconds, history.epochs[0].train_loss

    def parameters(self) -> list[Any]:
        pairs = zip(self.model.weights, self.model.biases, strict=True)
        return [array for pair in pairs for array in pair]
