"""How far a training has come: one record an epoch, and three ways to take them elsewhere."""

import json
import math
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training set did.

    `train_loss` and `train_accuracy` are means over all its samples, each measured before the
    update by its own batch. `val_loss`, `val_accuracy` and `metrics` are measured after the pass,
    and are None or empty without validation data; regression has no accuracy. `epoch` counts from
    1; `seconds` are those of the training pass, with on_progress but without validation and
    on_epoch_end. `learning_rate` is that of the last step.
    """

    epoch: int
    seconds: float
    train_loss: float
    train_accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    learning_rate: float
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass
class History:
    """One :class:`Epoch` for each finished epoch; `compile_seconds` is 0, nothing is compiled.

    `state` is that of the training at its end: :func:`reference.fit` goes on from it, as `resume`.
    """

    epochs: list[Epoch] = field(default_factory=list)
    compile_seconds: float = 0.0

    def __post_init__(self) -> None:
        self.state: Any = None  # no field: what a history is compared by are its records

    def to_dict(self) -> dict[str, list[Any]]:
        """{name: [value in epoch 1, in epoch 2, ...]} for the fields of Epoch, then the metrics."""
        names = [f.name for f in fields(Epoch) if f.name != "metrics"]
        columns = {name: [getattr(epoch, name) for epoch in self.epochs] for name in names}
        for epoch in self.epochs:
            for metric in epoch.metrics:
                columns[metric] = [e.metrics.get(metric) for e in self.epochs]
        return columns

    def to_jsonl(self, path: str | os.PathLike[str]) -> None:
        """One line of JSON for each epoch; what is not finite becomes null, JSON has no NaN."""
        lines = [json.dumps(_without_nan(asdict(epoch))) + "\n" for epoch in self.epochs]
        Path(path).write_text("".join(lines), encoding="utf-8", newline="")

    def to_dataframe(self) -> Any:
        """The columns of :meth:`to_dict` as a pandas.DataFrame."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError(
                f"History.to_dataframe needs pandas, pip install pandas: {error}"
            ) from None
        return pandas.DataFrame(self.to_dict())


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
