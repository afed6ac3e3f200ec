"""The callback protocol: what a training run tells those who watch it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastmlp.checks import shown


class Callback:
    """Base of callbacks; every method does nothing until overridden.

    A callback may read the model, and change its parameters at the end of an epoch and of the
    training; with ``averaging`` it sees averages, and what it changes at the end of an epoch is
    lost. An exception in it ends the training and reaches the caller.

    More is asked only of callbacks that have the methods for it:

    - ``check(validation, metrics)``, before any work: whether there will be validation data (bool),
      and the names of the metrics (tuple of str). Who needs what is missing raises ValueError.
    - ``check_start(resume)``, before any work: the `TrainingState` that training goes on from, or
      None.
    - ``on_checkpoint(model, state)``, after each epoch, when all have heard of it: ``state()``
      gives its `TrainingState`.
    - ``state()`` gives a dict of JSON values and arrays, which a checkpoint stores, and
      ``set_state(state)`` takes it back before a training that goes on. Among those that have
      them, each gets what the one in its place gave.
    - ``release()``, in the end, whatever ended the training.
    - ``has_ended()``, before a training that goes on: whether it had ended the one before.
    """

    def on_train_begin(self, model: Any, epochs: int, n_samples: int) -> None:
        """Before the first epoch, with the number of epochs and of samples in each."""

    def on_epoch_begin(self, model: Any, epoch: int) -> None:
        """Before an epoch, counted from 1."""

    def on_progress(self, samples: int, loss: float, accuracy: float | None) -> None:
        """Now and then during an epoch: samples seen in it so far, their mean loss and accuracy.

        Regression has no accuracy: it is None.
        """

    def on_epoch_end(self, model: Any, record: Any) -> bool | None:
        """After an epoch, with its `Epoch` record; a true answer ends the training."""
        return None

    def on_train_end(self, model: Any, history: Any) -> None:
        """After the last epoch, whatever ended the training but an exception."""


METHODS = ("on_train_begin", "on_epoch_begin", "on_progress", "on_epoch_end", "on_train_end")
"""What `fit` calls, in the order of a training."""


def check_callbacks(callbacks: Any) -> Sequence[Callback]:
    """Check that each has the methods of a `Callback`; it need not be one by class."""
    try:
        checked = list(callbacks)
    except TypeError:
        raise TypeError(f"callbacks must be a sequence, not {shown(callbacks)}") from None
    for callback in checked:
        for method in METHODS:
            if isinstance(callback, type) or not callable(getattr(callback, method, None)):
                raise TypeError(
                    f"callbacks must have a method {method}: {shown(callback)} has none"
                )
    return checked


def check_needs(
    callbacks: Sequence[Callback], validation: bool, metrics: tuple[str, ...], resume: Any = None
) -> None:
    """Let each callback that has methods for it refuse a training without what it needs."""
    for callback in callbacks:
        if hasattr(callback, "check"):
            callback.check(validation, metrics)
    # Checkpoints may make a folder: when all others have agreed.
    for callback in callbacks:
        if hasattr(callback, "check_start"):
            callback.check_start(resume)
