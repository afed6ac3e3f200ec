"""What happens around the steps of a training: validation, records, callbacks, and its end."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from .callbacks import Callback
from .data import Data
from .evaluation import score
from .history import Epoch, History
from .network import MLP
from .step import Batch


@dataclass
class Watch:
    """Those who watch a training, and what they may end it by.

    Attributes
    ----------
    validation : Data or None
        Measured after each epoch.
    metrics : sequence of str
        On the validation data.
    max_seconds, target_accuracy : float or None
        The first epoch that ends later, or has this validation accuracy, is the last.
    """

    model: MLP
    callbacks: Sequence[Callback]
    validation: Data | None
    metrics: Sequence[str]
    max_seconds: float | None
    target_accuracy: float | None
    history: History = field(default_factory=History)
    began: float = field(default_factory=time.perf_counter)

    def begin(self, epochs: int, n_samples: int) -> None:
        """Before the first epoch."""
        for callback in self.callbacks:
            callback.on_train_begin(self.model, epochs, n_samples)

    def begin_epoch(self, epoch: int) -> None:
        """Before each epoch."""
        for callback in self.callbacks:
            callback.on_epoch_begin(self.model, epoch)

    def progress(self, seen: Batch) -> None:
        """After each step: what the epoch has seen."""
        for callback in self.callbacks:
            callback.on_progress(seen.n, seen.mean_loss, seen.accuracy)

    def end_epoch(self, epoch: int, seconds: float, train: Batch, learning_rate: float) -> bool:
        """Validate, record, tell; whether the training ends here."""
        val = None
        if self.validation is not None:
            val = score(self.model, self.validation, self.metrics)
        record = Epoch(
            epoch=epoch,
            seconds=seconds,
            train_loss=train.mean_loss,
            train_accuracy=train.accuracy,
            val_loss=val.loss if val else None,
            val_accuracy=val.accuracy if val else None,
            learning_rate=learning_rate,
            metrics=val.metrics if val else {},
        )
        self.history.epochs.append(record)
        # A list, not any() over the calls, which would not reach those after the first that stops.
        stops = [callback.on_epoch_end(self.model, record) for callback in self.callbacks]
        if self.max_seconds is not None:
            stops.append(time.perf_counter() - self.began > self.max_seconds)
        if self.target_accuracy is not None and record.val_accuracy is not None:
            stops.append(record.val_accuracy >= self.target_accuracy)
        return any(stops)

    def end(self) -> History:
        """After the last epoch."""
        for callback in self.callbacks:
            callback.on_train_end(self.model, self.history)
        return self.history
