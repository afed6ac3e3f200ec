"""`EarlyStopping`: end a training that improves no more, and give back its best parameters."""

from __future__ import annotations

import math
from typing import Any

from fastmlp.callbacks import Callback
from fastmlp.checks import check_integer, check_number, shown
from fastmlp.metrics import LOWER_IS_BETTER, check_name

FIELDS = ("val_loss", "val_accuracy", "train_loss", "train_accuracy")
"""Fields of an `Epoch` that can be monitored; every other name is a metric's."""

PARAMETERS = "parameters."
"""Begins the names of the best parameters in a `state`."""


class EarlyStopping(Callback):
    """Ends the training when a monitored value has not improved for some epochs.

    Parameters
    ----------
    monitor : str, default "val_loss"
        val_loss, val_accuracy, train_loss, train_accuracy, or a name among the metrics of `fit`.
        Less is better of losses, mae and mse, more of all others.
    patience : int, default 5
        Epochs in a row without improvement after which the training ends, 1 or more.
    min_delta : float, default 0
        A value must be better than the best by more than this to be an improvement; NaN and
        infinity are none.
    restore_best : bool, default True
        Whether the model has the parameters of the best epoch in the end, whatever ended the
        training.

    Attributes
    ----------
    best_epoch : int or None
        None before the first finite value.
    best_value : float or None
    stopped_epoch : int or None
        The last epoch, if this ended the training; None if not.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or a value that is not allowed.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        restore_best: bool = True,
    ) -> None:
        self.monitor = check_name("monitor", monitor, FIELDS)
        self.patience = check_integer("patience", patience, 1)
        self.min_delta = check_number("min_delta", min_delta, least=0)
        if not isinstance(restore_best, bool):
            raise TypeError(f"restore_best must be True or False, not {shown(restore_best)}")
        self.restore_best = restore_best
        self._sign = 1 if monitor.endswith("_loss") or monitor in LOWER_IS_BETTER else -1
        self._goes_on = False
        self._reset()

    def __repr__(self) -> str:
        return (
            f"EarlyStopping(monitor={self.monitor!r}, patience={self.patience}, "
            f"min_delta={self.min_delta:g}, restore_best={self.restore_best})"
        )

    def _reset(self) -> None:
        self.best_epoch: int | None = None
        self.best_value: float | None = None
        self.stopped_epoch: int | None = None
        self._waited = 0
        self._parameters: dict[str, Any] | None = None

    def check(self, validation: bool, metrics: tuple[str, ...]) -> None:
        """Raise ValueError if the training will not measure what is monitored."""
        if self.monitor in ("train_loss", "train_accuracy"):
            return
        if self.monitor not in (*FIELDS, *metrics):
            among = f"they are {', '.join(metrics)}" if metrics else "there are none"
            raise ValueError(
                f"EarlyStopping monitors {self.monitor}, which must be among metrics; {among}"
            )
        if not validation:
            raise ValueError(
                f"EarlyStopping monitors {self.monitor}, for which validation_data or "
                "validation_fraction is needed; without, monitor train_loss"
            )

    def on_train_begin(self, model: Any, epochs: int, n_samples: int) -> None:
        """Forget the last training, unless this one goes on from a `state`."""
        if not self._goes_on:
            self._reset()
        self._goes_on = False

    def on_epoch_end(self, model: Any, record: Any) -> bool:
        """Keep the parameters if they are the best so far; answer whether to end the training."""
        value = self._value(record)
        if self._improves(value):
            self.best_epoch, self.best_value, self._waited = record.epoch, value, 0
            if self.restore_best:
                self._parameters = model.state_dict()
            return False
        self._waited += 1
        if not self.has_ended():
            return False
        self.stopped_epoch = record.epoch
        return True

    def has_ended(self) -> bool:
        """Whether patience is at its end; a training that goes on may have more of it."""
        return self._waited >= self.patience

    def on_train_end(self, model: Any, history: Any) -> None:
        """Give the model its best parameters back."""
        if self._parameters is not None:
            model.load_state_dict(self._parameters)
        self._goes_on = False

    def state(self) -> dict[str, Any]:
        """JSON values, and the best parameters as arrays, for a checkpoint."""
        parameters = self._parameters or {}
        return {
            "monitor": self.monitor,
            "best_epoch": self.best_epoch,
            "best_value": self.best_value,
            "waited": self._waited,
            "stopped_epoch": self.stopped_epoch,
            **{f"{PARAMETERS}{name}": array for name, array in parameters.items()},
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave: the next training is a continuation.

        Raises
        ------
        ValueError
            If another value was monitored.
        """
        if state["monitor"] != self.monitor:
            raise ValueError(
                f"EarlyStopping monitors {self.monitor}, and goes on from a training in which it "
                f"monitored {shown(state['monitor'])}"
            )
        self._reset()
        self.best_epoch, self.best_value = state["best_epoch"], state["best_value"]
        self._waited = state["waited"]
        self.stopped_epoch = state["stopped_epoch"] if self.has_ended() else None
        parameters = {
            name.removeprefix(PARAMETERS): array
            for name, array in state.items()
            if name.startswith(PARAMETERS)
        }
        self._parameters = parameters if parameters and self.restore_best else None
        self._goes_on = True

    def _value(self, record: Any) -> float:
        if self.monitor in FIELDS:
            value = getattr(record, self.monitor)
        else:
            value = record.metrics.get(self.monitor)
        if value is None:
            raise ValueError(
                f"EarlyStopping monitors {self.monitor}, which epoch {record.epoch} does not have: "
                "val_ and metrics need validation data, accuracies a loss of classes"
            )
        return float(value)

    def _improves(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        return self.best_value is None or self._sign * (self.best_value - value) > self.min_delta
