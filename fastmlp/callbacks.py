"""The callback protocol: what a training run tells those who watch it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastmlp.checks import shown


class Callback:
    """Base of callbacks; every method does nothing until overridden.

    A callback may read the model, and change its weights and biases at the end of an epoch. An
    exception in it ends the training and reaches the caller.
    """

    def on_train_begin(self, model: Any, epochs: int, n_samples: int) -> None:
        """Before the first epoch, with the number of epochs and of samples in each."""

    def on_progress(self, samples: int, loss: float, accuracy: float) -> None:
        """Now and then during an epoch: samples seen in it so far, their mean loss and accuracy."""

    def on_epoch_end(self, model: Any, epoch_record: Any) -> bool | None:
        """After an epoch, with its `Epoch` record; a true answer ends the training."""
        return None


def check_callbacks(callbacks: Any) -> Sequence[Callback]:
    """Check that each has the methods of a `Callback`; it need not be one by class."""
    try:
        checked = list(callbacks)
    except TypeError:
        raise TypeError(f"callbacks must be a sequence, not {shown(callbacks)}") from None
    for callback in checked:
        for method in ("on_train_begin", "on_progress", "on_epoch_end"):
            if not callable(getattr(callback, method, None)):
                raise TypeError(
                    f"callbacks must have a method {method}: {shown(callback)} has none"
                )
    return checked
