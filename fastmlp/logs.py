"""Callbacks that write a training run down while it goes on: JSON Lines, TensorBoard."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from fastmlp.atomic import check_writable, write_atomically
from fastmlp.callbacks import Callback
from fastmlp.checks import shown
from fastmlp.history import json_lines

SCALARS = {
    "loss/train": "train_loss",
    "loss/validation": "val_loss",
    "accuracy/train": "train_accuracy",
    "accuracy/validation": "val_accuracy",
    "learning_rate": "learning_rate",
    "seconds": "seconds",
}
"""TensorBoard's names, the part before the slash being that of a group, of an epoch's fields."""


class JSONLinesLog(Callback):
    """One line an epoch: the fields of its `Epoch` as a JSON object; NaN and infinity are null.

    A line is in the file as soon as its epoch ends, whatever comes then.

    Parameters
    ----------
    path : path-like
    append : bool, default False
        Whether a training adds to a file that is there; else it begins the file anew.

    Raises
    ------
    ValueError
        If the file could not be written.
    """

    def __init__(self, path: str | os.PathLike[str], append: bool = False) -> None:
        self.path = Path(path)
        check_writable(self.path, "path")
        if not isinstance(append, bool):
            raise TypeError(f"append must be True or False, not {shown(append)}")
        self.append = append

    def check_start(self, resume: Any) -> None:
        """Cut off what a run that goes on will write again: epochs after that which it resumes."""
        if resume is None or not self.append or not self.path.is_file():
            return
        lines = self.path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if _epoch_of(line) <= resume.epoch]
        if len(kept) < len(lines):
            write_atomically(self.path, b"".join(kept))

    def on_train_begin(self, model: Any, epochs: int, n_samples: int) -> None:
        """Begin the file."""
        if not self.append:
            self.path.write_bytes(b"")

    def on_epoch_end(self, model: Any, record: Any) -> None:
        """Add the line."""
        # Opened for each: 30 us, and an exception in the training leaves no open file.
        try:
            with open(self.path, "ab") as file:
                file.write(json_lines([record]).encode())
        except OSError as error:  # a full disk does not say of which file
            raise OSError(error.errno, error.strerror, str(self.path)) from None


def _epoch_of(line: bytes) -> float:
    """The epoch of a line; infinity if it is cut off, or none of ours."""
    try:
        return float(json.loads(line)["epoch"])
    except (ValueError, KeyError, TypeError):
        return math.inf


class TensorBoard(Callback):
    """The numbers of each epoch as scalars for TensorBoard: ``tensorboard --logdir log_dir``.

    A training writes an event file of its own in the folder. It needs the package tensorboard
    alone: ``pip install 'fastmlp[tensorboard]'``.

    Parameters
    ----------
    log_dir : path-like
        A folder, made if it is not there; one for each run that is to be a curve of its own.

    Raises
    ------
    ImportError
        Without the package.
    """

    def __init__(self, log_dir: str | os.PathLike[str]) -> None:
        self.log_dir = os.fspath(log_dir)
        _import_writer()  # now, not after the first epoch
        self._writer: Any = None

    def on_train_begin(self, model: Any, epochs: int, n_samples: int) -> None:
        """Open the event file."""
        self._close()  # of a training that an exception ended
        self._writer = _import_writer()(self.log_dir)

    def on_epoch_end(self, model: Any, record: Any) -> None:
        """Write the numbers; what the epoch does not have is left out."""
        numbers = {name: getattr(record, field) for name, field in SCALARS.items()}
        numbers |= {f"metrics/{name}": value for name, value in record.metrics.items()}
        for name, value in numbers.items():
            if value is not None:
                self._writer.add_scalar(name, value, record.epoch)
        self._writer.flush()

    def on_train_end(self, model: Any, history: Any) -> None:
        """Close the event file."""
        self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _import_writer() -> Any:
    try:
        from tensorboard.summary import Writer
    except ImportError as error:
        raise ImportError(
            f"TensorBoard needs a package of that name, pip install 'fastmlp[tensorboard]': {error}"
        ) from None
    return Writer
