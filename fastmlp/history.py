"""What a training run measured: `Epoch` by `Epoch`, as columns, JSON Lines or a DataFrame."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastmlp.atomic import write_atomically

if TYPE_CHECKING:
    from fastmlp.state import TrainingState


@dataclass(frozen=True)
class Epoch:
    """One pass over the training set.

    Attributes
    ----------
    epoch : int
        Counted from 1.
    seconds : float
        Of the training pass alone: shuffle, gather, forward, loss, backward, update.
    train_loss : float
        Mean over the epoch's samples, each measured before the update of its batch.
    train_accuracy : float or None
        As train_loss; None for regression, which has none.
    val_loss, val_accuracy : float or None
        On the validation data after the epoch; None without validation data.
    learning_rate : float
        Of the epoch's last step.
    metrics : dict of str to float
        On the validation data after the epoch, by name; empty unless asked for.
    """

    epoch: int
    seconds: float
    train_loss: float
    train_accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    learning_rate: float
    metrics: dict[str, float] = field(default_factory=dict)


PHASES = ("gather", "forward", "head", "backward", "update", "wait")
"""Phases of a step, in their order; ``wait`` is that of threads for each other."""


@dataclass
class History:
    """What a training run measured, epoch by epoch.

    Attributes
    ----------
    epochs : list of Epoch
    compile_seconds : float
        Time to compile the kernels, or to load them from the cache.
    phase_seconds : dict of str to float
        Time in each of `PHASES`: the mean over the threads that took part, summed over all epochs'
        training passes.
    state : TrainingState or None
        Where training ended: ``fit(..., resume=history.state)`` goes on from there.
    """

    epochs: list[Epoch] = field(default_factory=list)
    compile_seconds: float = 0.0

    def __post_init__(self) -> None:
        # No fields: those are the reference's too, which has no phases to time.
        self.phase_seconds = dict.fromkeys(PHASES, 0.0)
        self.state: TrainingState | None = None

    def to_dict(self) -> dict[str, list[Any]]:
        """Columns by name: each field of `Epoch`, then each metric, with an item for each epoch.

        A metric that was not measured in an epoch, as before a resumption that asked for more, is
        None there.
        """
        columns: dict[str, list[Any]] = {
            item.name: [getattr(record, item.name) for record in self.epochs]
            for item in fields(Epoch)
            if item.name != "metrics"
        }
        names = dict.fromkeys(name for record in self.epochs for name in record.metrics)
        for name in names:
            columns[name] = [record.metrics.get(name) for record in self.epochs]
        return columns

    def to_jsonl(self, path: str | os.PathLike[str]) -> None:
        """Write one JSON object an epoch, a line each, to ``path``: all of it, or nothing.

        The lines are those of `fastmlp.JSONLinesLog`.

        Raises
        ------
        OSError
            If the file cannot be written; what was there stays.
        """
        write_atomically(Path(path), json_lines(self.epochs).encode())

    def to_dataframe(self) -> Any:
        """`to_dict` as a pandas.DataFrame, a row an epoch.

        Raises
        ------
        ImportError
            Without pandas.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError(
                f"History.to_dataframe needs pandas, pip install pandas: {error}"
            ) from None
        return pandas.DataFrame(self.to_dict())


def plain(record: Any) -> dict[str, Any]:
    """Fields of ``record``, an `Epoch` of either engine, for JSON: NaN and infinity are None."""
    return {name: _plain_value(value) for name, value in asdict(record).items()}


def json_lines(records: Iterable[Epoch]) -> str:
    """JSON Lines: `plain` of each record, and the end of its line."""
    return "".join(f"{json.dumps(plain(record), allow_nan=False)}\n" for record in records)


def _plain_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain_value(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
