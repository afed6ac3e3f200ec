"""Progress of a training run on stderr: a bar on a terminal, one plain line an epoch elsewhere."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, TextIO

from fastmlp.callbacks import Callback

REFRESH_SECONDS = 0.1


def show_progress(stream: TextIO) -> Callback:
    """Return the callback that suits ``stream``."""
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        return ProgressBar(stream)
    return ProgressLines(stream)


def _numbers(loss: float, accuracy: float) -> str:
    return f"loss {loss:.4f}  accuracy {accuracy:7.2%}"


def _describe(record: Any, n_samples: int) -> str:
    text = _numbers(record.train_loss, record.train_accuracy)
    if record.val_loss is not None:
        text += f"  validation {_numbers(record.val_loss, record.val_accuracy)}"
    if record.seconds > 0:
        text += f"  {n_samples / record.seconds:,.0f} samples/s"
    return text


class ProgressLines(Callback):
    """One plain line an epoch."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self.stream = stream

    def on_train_begin(self, model: Any, epochs: int, n_samples: int) -> None:
        """Remember what the lines count."""
        self.epochs, self.n_samples = epochs, n_samples

    def on_epoch_end(self, model: Any, epoch: Any) -> None:
        """Print the line."""
        line = f"epoch {epoch.epoch}/{self.epochs}  {_describe(epoch, self.n_samples)}"
        print(f"{line}  {epoch.seconds:.3f} s", file=self.stream, flush=True)


class ProgressBar(Callback):
    """A bar over all epochs with loss, accuracy, samples/s and the time that remains."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        # Refreshed by hand: rich's own refreshing thread would take a core from the training.
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(),
            console=Console(file=stream),
            auto_refresh=False,
        )
        self._refreshed = 0.0

    def on_train_begin(self, model: Any, epochs: int, n_samples: int) -> None:
        """Start the bar."""
        self.epochs, self.n_samples, self.done = epochs, n_samples, 0
        self.task = self.progress.add_task("", total=epochs * n_samples, numbers="")
        self.progress.start()
        self.began = time.perf_counter()

    def on_progress(self, samples: int, loss: float, accuracy: float) -> None:
        """Move the bar inside an epoch."""
        total = self.done * self.n_samples + samples
        rate = total / max(time.perf_counter() - self.began, 1e-9)
        self._show(self.done + 1, total, f"{_numbers(loss, accuracy)}  {rate:,.0f} samples/s")

    def on_epoch_end(self, model: Any, epoch: Any) -> None:
        """Move the bar to the end of the epoch."""
        self.done = epoch.epoch
        total = self.done * self.n_samples
        self._show(
            self.done, total, _describe(epoch, self.n_samples), last=self.done == self.epochs
        )

    def _show(self, epoch: int, total: int, numbers: str, last: bool = False) -> None:
        now = time.perf_counter()
        if last or now - self._refreshed >= REFRESH_SECONDS:
            self._refreshed = now
            self.progress.update(
                self.task,
                completed=total,
                description=f"epoch {min(epoch, self.epochs)}/{self.epochs}",
                numbers=numbers,
                refresh=True,
            )

    def close(self) -> None:
        """Leave the bar as it is and give the terminal back."""
        self.progress.stop()
