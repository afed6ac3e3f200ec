"""Early stopping: the best epoch on data that are not trained on is rarely the last one."""

import math
from typing import Any

from .callbacks import Callback
from .history import Epoch, History
from .inputs import check_integer, check_number, shown
from .metrics import LOWER_IS_BETTER, check_name

FIELDS = ["val_loss", "val_accuracy", "train_loss", "train_accuracy"]


class EarlyStopping(Callback):
    """Stop after `patience` epochs in a row without a new best; then take back the best model.

    Parameters
    ----------
    monitor : str, default "val_loss"
        A field of :class:`Epoch`, or a name among the metrics. Less is better of losses, mae and
        mse, more of all others.
    patience : int, default 5
    min_delta : float, default 0
        By how much a value must be better than the best to be the new one.
    restore_best : bool, default True
        Whether the model gets the parameters of the best epoch when the training ends.

    Attributes
    ----------
    best_epoch, best_value
        None as long as no value was finite.
    stopped_epoch
        The epoch that was the last for want of a new best; None if there was none.
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
        self.min_delta = check_number("min_delta", min_delta, 0)
        if not isinstance(restore_best, bool):
            raise TypeError(f"restore_best must be True or False, got {shown(restore_best)}")
        self.restore_best = restore_best
        self.resumed = False
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.best_epoch: int | None = None
        self.best_value: float | None = None
        self.stopped_epoch: int | None = None
        self.waited = 0
        self.best_parameters: dict[str, Any] | None = None

    def check(self, validation: bool, metrics: tuple[str, ...]) -> None:
        """Refuse a training that will not measure what is monitored."""
        if self.monitor.startswith("train_"):
            return
        if self.monitor not in [*FIELDS, *metrics]:
            raise ValueError(
                f"EarlyStopping monitors {self.monitor}, which must be among metrics, "
                f"got {shown(metrics)}"
            )
        if not validation:
            raise ValueError(
                f"EarlyStopping monitors {self.monitor}, which needs validation data; "
                "train_loss needs none"
            )

    def on_train_begin(self, model: Any, epochs: int, n_samples: int) -> None:
        """Begin anew, but for a training that goes on where another ended."""
        if not self.resumed:
            self.forget()
        self.resumed = False

    def on_epoch_end(self, model: Any, record: Epoch) -> bool:
        """Compare with the best; True stops."""
        value = self.value_of(record)
        if self.is_new_best(value):
            self.best_epoch, self.best_value, self.waited = record.epoch, value, 0
            if self.restore_best:
                self.best_parameters = model.state_dict()
        else:
            self.waited += 1
            if self.waited >= self.patience:
                self.stopped_epoch = record.epoch
        return self.stopped_epoch is not None

    def on_train_end(self, model: Any, history: History) -> None:
        """Take back the best."""
        if self.best_parameters is not None:
            model.load_state_dict(self.best_parameters)
        self.resumed = False

    def value_of(self, record: Epoch) -> float:
        """What is monitored."""
        name = self.monitor
        value = getattr(record, name) if name in FIELDS else record.metrics.get(name)
        if value is None:
            raise ValueError(
                f"EarlyStopping monitors {name}, which epoch {record.epoch} does not have: val_ "
                "and metrics need validation data, accuracies a loss of classes"
            )
        return float(value)

    def is_new_best(self, value: float) -> bool:
        """Whether the value is better than the best by more than min_delta."""
        if not math.isfinite(value):
            return False
        if self.best_value is None:
            return True
        if self.monitor.endswith("_loss") or self.monitor in LOWER_IS_BETTER:
            return self.best_value - value > self.min_delta
        return value - self.best_value > self.min_delta

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold: numbers, and arrays by names that begin "parameters."."""
        return {
            "monitor": self.monitor,
            "best_epoch": self.best_epoch,
            "best_value": self.best_value,
            "waited": self.waited,
            **{f"parameters.{name}": V for name, V in (self.best_parameters or {}).items()},
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over a :meth:`state`: the next training goes on from there."""
        if state["monitor"] != self.monitor:
            raise ValueError(
                f"EarlyStopping monitors {self.monitor}, and cannot go on from "
                f"{shown(state['monitor'])}"
            )
        self.forget()
        self.resumed = True
        self.best_epoch, self.best_value = state["best_epoch"], state["best_value"]
        self.waited = state["waited"]
        prefix = "parameters."
        best = {k.removeprefix(prefix): V for k, V in state.items() if k.startswith(prefix)}
        self.best_parameters = best if best and self.restore_best else None
