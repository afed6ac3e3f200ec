"""How far a comparison is, on stderr: a bar on a terminal, a line for each work elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """What a run says about itself."""

    def begin(self, name: str) -> None: ...
    def say(self, text: str) -> None: ...
    def advance(self) -> None: ...
    def result(self, text: str) -> None: ...


class _Lines:
    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)

    def begin(self, name: str) -> None:
        place = f"{self.names.index(name) + 1}/{len(self.names)}"
        print(f"{place} {name}", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        pass

    def advance(self) -> None:
        pass

    def result(self, text: str) -> None:
        print(text, flush=True)


class _Bar:
    def __init__(self, names: Sequence[str], bar: object) -> None:
        self.names, self.bar = list(names), bar
        self.task = bar.add_task("", total=len(names), rounds=0)  # type: ignore[attr-defined]

    def begin(self, name: str) -> None:
        self.rounds = 0
        self._update(completed=self.names.index(name), rounds=0)

    def say(self, text: str) -> None:
        self._update(description=text)

    def advance(self) -> None:
        self.rounds += 1
        self._update(rounds=self.rounds)

    def result(self, text: str) -> None:
        """To stdout itself, not by way of the bar, which is on stderr and breaks long lines."""
        self.bar.stop()  # type: ignore[attr-defined]
        print(text, flush=True)
        self.bar.start()  # type: ignore[attr-defined]

    def _update(self, **what: object) -> None:
        self.bar.update(self.task, **what)  # type: ignore[attr-defined]


@contextmanager
def showing(names: Sequence[str]) -> Iterator[Progress]:
    """Show progress over works until the block ends."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield _Lines(names)
        return
    columns = (
        TimeElapsedColumn(),
        BarColumn(20),
        MofNCompleteColumn(),
        TextColumn("round {task.fields[rounds]}"),
        TextColumn("{task.description}"),
    )
    # Redrawing takes a core for a moment: twice a second is enough to see.
    with RichProgress(
        *columns, console=console, refresh_per_second=2, transient=True, redirect_stdout=False
    ) as bar:
        yield _Bar(names, bar)
