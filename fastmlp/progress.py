"""Progress of a training run on stderr: a bar on a terminal, one plain line an epoch elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TextIO

from fastmlp.callbacks import Callback

if TYPE_CHECKING:
    from rich.console import Console

REFRESH_SECONDS = 0.1

LEAST_BAR_COLUMNS = 4
"""rich's least. Where it would be less, numbers after the bar give way: 80 columns hold all."""


FREE_COLUMNS = 2
"""At the end of the line, for the ^C that a terminal shows: in a full line it would start another,
and the bar would stand there twice."""


def show_progress(stream: TextIO) -> ProgressBar | ProgressLines:
    """Return the callback that suits ``stream``; call its ``close`` in the end."""
    if stream.isatty():
        from rich.console import Console

        console = Console(file=stream)  # looks at TERM and NO_COLOR
        if not console.is_dumb_terminal:
            return ProgressBar(console)
    return ProgressLines(stream)


class ProgressLines(Callback):
    """One plain line an epoch.

    Parameters
    ----------
    stream : text stream
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def on_train_begin(self, model: Any, epochs: int, n_samples: int) -> None:
        """Remember what the lines count."""
        self.epochs, self.n_samples = epochs, n_samples

    def on_epoch_end(self, model: Any, record: Any) -> None:
        """Print the line."""
        e = record
        parts = [f"epoch {e.epoch:{len(str(self.epochs))}}/{self.epochs}"]
        for prefix, loss, accuracy in (
            ("", e.train_loss, e.train_accuracy),
            ("val ", e.val_loss, e.val_accuracy),
        ):
            if loss is not None:
                parts.append(f"{prefix}loss {loss:.4f}")
            if accuracy is not None:
                parts.append(f"{prefix}accuracy {accuracy:6.2%}")
        parts += [f"{name} {value:.4f}" for name, value in e.metrics.items()]
        if e.seconds > 0:
            parts.append(f"{self.n_samples / e.seconds:,.0f} samples/s")
        print("  ".join([*parts, f"{e.seconds:.3f} s"]), file=self.stream, flush=True)

    def close(self) -> None:
        """Every line is complete already."""


class ProgressBar(Callback):
    """A bar over all epochs with loss, accuracy, samples/s and the time that remains.

    Parameters
    ----------
    console : rich.console.Console
    """

    def __init__(self, console: Console) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.terminal = console
        self.console = Console(file=console.file)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=self.console,
            # Refreshed by hand: rich's own refreshing thread would take a core from the training.
            auto_refresh=False,
            expand=True,
        )
        self._refreshed = 0.0

    def on_train_begin(self, model: Any, epochs: int, n_samples: int) -> None:
        """Start the bar."""
        self.epochs, self.n_samples, self.done = epochs, n_samples, 0
        self._validation: list[str] = []
        self._state: tuple[int, list[str]] = (0, [])
        self._task = self.progress.add_task("", total=epochs * n_samples, numbers="")
        self._draw()
        self.progress.start()
        self._epoch_began = time.perf_counter()

    def on_epoch_begin(self, model: Any, epoch: int) -> None:
        """Take the epochs before as done: a run that goes on begins with a later one."""
        self.done = epoch - 1

    def on_progress(self, samples: int, loss: float, accuracy: float | None) -> None:
        """Move the bar inside an epoch."""
        seconds = time.perf_counter() - self._epoch_began
        self._move(self.done * self.n_samples + samples, loss, accuracy, samples, seconds)

    def on_epoch_end(self, model: Any, record: Any) -> None:
        """Move the bar to the end of the epoch."""
        e = record
        self.done = e.epoch
        if e.val_accuracy is not None:
            self._validation = [f"val {e.val_accuracy:6.2%}"]
        elif e.val_loss is not None:
            self._validation = [f"val loss {e.val_loss:.4f}"]
        total = self.done * self.n_samples
        self._move(total, e.train_loss, e.train_accuracy, self.n_samples, e.seconds)
        self._epoch_began = time.perf_counter()

    def close(self) -> None:
        """Show the last numbers, leave the bar as it is and give the terminal back."""
        if self.progress.tasks:
            self._draw()
        self.progress.stop()

    def _move(
        self, total: int, loss: float, accuracy: float | None, samples: int, seconds: float
    ) -> None:
        parts = [f"loss {loss:.4f}"]
        if accuracy is not None:  # regression has none
            parts.append(f"accuracy {accuracy:6.2%}")
        parts += self._validation
        if seconds > 0:
            parts.append(f"{_short(samples / seconds)} samples/s")
        self._state = (total, parts)
        if time.perf_counter() - self._refreshed >= REFRESH_SECONDS:
            self._draw()

    def _draw(self) -> None:
        self.console.width = max(self.terminal.width - FREE_COLUMNS, 1)
        total, parts = self._state
        epoch = min(max(-(-total // self.n_samples), 1), self.epochs)
        description = f"epoch {epoch:{len(str(self.epochs))}}/{self.epochs}"
        # 8: three gaps and the time that remains.
        room = self.console.width - len(description) - LEAST_BAR_COLUMNS - 8
        while len(" ".join(parts)) > max(room, 0):
            parts = parts[:-1]
        self._refreshed = time.perf_counter()
        self.progress.update(
            self._task,
            completed=total,
            description=description,
            numbers=" ".join(parts),
            refresh=True,
        )


def _short(rate: float) -> str:
    """Rate in three to four digits, as its place in the bar asks for."""
    for unit, factor in (("M", 1e6), ("k", 1e3)):
        if rate >= factor:
            return f"{rate / factor:.{1 if rate < 10 * factor else 0}f}{unit}"
    return f"{rate:.0f}"
