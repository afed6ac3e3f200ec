"""Callbacks: what a training tells those who watch it, and when."""

from collections.abc import Sequence
from typing import Any

from .history import Epoch, History
from .inputs import shown
from .network import MLP


class Callback:
    """Hooks into :func:`fit`; a subclass defines those it needs.

    A callback that needs certain values in an epoch's record may have a method
    `check(validation, metrics)`: whether there are validation data, and the metrics' names.
    """

    def on_train_begin(self, model: MLP, epochs: int, n_samples: int) -> None:
        """Before the first epoch."""

    def on_epoch_begin(self, model: MLP, epoch: int) -> None:
        """Before each epoch, counted from 1."""

    def on_progress(self, samples: int, loss: float, accuracy: float | None) -> None:
        """After each step: samples seen in this epoch, and their mean loss and accuracy, if any."""

    def on_epoch_end(self, model: MLP, record: Epoch) -> bool | None:
        """After each epoch; a true value stops the training."""

    def on_train_end(self, model: MLP, history: History) -> None:
        """After the last epoch, the epochs' number or a callback having ended the training."""


METHODS = ("on_train_begin", "on_epoch_begin", "on_progress", "on_epoch_end", "on_train_end")


def check_callbacks(callbacks: Any) -> list[Callback]:
    """Check that each has the methods of a Callback; it need not be one by class."""
    try:
        checked = list(callbacks)
    except TypeError:
        raise TypeError(f"callbacks must be a sequence, got {shown(callbacks)}") from None
    for callback in checked:
        for method in METHODS:
            if not callable(getattr(callback, method, None)):
                raise TypeError(f"callbacks must have a method {method}, got {shown(callback)}")
    return checked


def check_needs(callbacks: Sequence[Callback], validation: bool, metrics: tuple[str, ...]) -> None:
    """Let each callback that has a method `check` refuse a training without what it needs."""
    for callback in callbacks:
        check = getattr(callback, "check", None)
        if check is not None:
            check(validation, metrics)
