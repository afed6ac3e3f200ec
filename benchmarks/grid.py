"""`Grid`: widths times batch sizes, to see where fastmlp is not the fastest."""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from benchmarks.duel import LOSS_AGREES
from benchmarks.options import Options
from benchmarks.peers import PEERS
from benchmarks.result import Result
from benchmarks.sides import NotInstalledError, Side, SideError, alternate
from benchmarks.task import Task

ROUNDS = 5
"""In a cell, at most: there are a hundred."""

SECONDS = 0.08
FLOPS_PER_SECOND = 2.5e11
"""Steps in a cell: so many that their operations take these seconds, at this rough rate."""

MOST_STEPS = 1500
"""Small steps are overhead: at batch 1, 9 µs with fastmlp, 10 with JAX, 150 with PyTorch."""

LEARNING_RATE = 0.01
"""At 0.1 single samples make the loss jump about, and no two sides agree."""


@dataclass(frozen=True)
class Grid:
    """The first work's network with every width of its hidden layer, in every batch size."""

    title: str
    widths: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    opponents: tuple[str, ...]

    def measure(self, options: Options) -> Result:
        result = Result(self.title)
        widths, batch_sizes = self.widths, self.batch_sizes
        if options.quick:
            widths, batch_sizes = widths[::3], batch_sizes[::6]
        with ExitStack() as stack:
            sides = {}
            for peer in ("fast", *self.opponents):
                try:
                    sides[peer] = stack.enter_context(Side(peer, options.threads))
                except NotInstalledError as error:
                    result.skipped[PEERS[peer].title] = str(error)
            for width in widths:
                for batch_size in batch_sizes:
                    options.say(f"{self.title}: width {width}, batch {batch_size}")
                    task = cell_task(width, batch_size, options.threads)
                    result.cells.append(_cell(sides, task, options, result))
        result.title += f": {_ends('width', widths)}, {_ends('batch', batch_sizes)}"
        _judge(result)
        return result


def cell_task(width: int, batch_size: int, threads: int) -> Task:
    """Whole batches only."""
    layers = (784, width, 10)
    flops = Task(layers, samples=batch_size).flops
    steps = max(round(SECONDS * FLOPS_PER_SECOND / flops), 4)
    steps = min(steps, MOST_STEPS, 60_000 // batch_size)
    return Task(
        layers,
        batch_size=batch_size,
        learning_rate=LEARNING_RATE,
        samples=steps * batch_size,
        threads=threads,
        search=False,
    )


def _ends(name: str, values: tuple[int, ...]) -> str:
    return f"{name} {values[0]} to {values[-1]} in {len(values)}"


def _cell(sides: dict[str, Side], task: Task, options: Options, result: Result) -> dict[str, Any]:
    """Of the sides that can; one that cannot is left out from here on, and named."""
    losses = {}
    for peer, side in list(sides.items()):
        try:
            losses[peer] = side.prepare(task)["loss"]
        except SideError as error:
            if peer == "fast":
                raise
            result.remarks.append(f"{PEERS[peer].title} left out: {error}")
            del sides[peer]
    seconds = alternate(sides, min(ROUNDS, options.rounds), options.advance)
    medians = {peer: statistics.median(samples) for peer, samples in seconds.items()}
    cell: dict[str, Any] = {
        "width": task.layers[1],
        "batch_size": task.batch_size,
        "samples": task.samples,
        "seconds": seconds,
        "variants": {peer: side.variant for peer, side in sides.items()},
        "losses": losses,
    }
    others = [peer for peer in medians if peer != "fast"]
    if others:
        cell["best"] = min(others, key=medians.__getitem__)
        cell["ratio"] = medians[cell["best"]] / medians["fast"]
    return cell


def _judge(result: Result) -> None:
    cells: Any = [cell for cell in result.cells if "ratio" in cell]
    if not cells:
        return
    slower = [cell for cell in cells if cell["ratio"] < 1]
    text = f"no cell slower than a peer: {len(slower)} of {len(cells)} are"
    result.targets[text] = not slower
    ratios = [cell["ratio"] for cell in cells]
    result.remarks.append(
        f"ratio of the best peer to fastmlp: {min(ratios):.2f} to {max(ratios):.2f}, "
        f"median {statistics.median(ratios):.2f}"
    )
    for cell in slower:
        result.remarks.append(
            f"width {cell['width']}, batch {cell['batch_size']}: "
            f"{PEERS[cell['best']].title} takes {cell['ratio']:.2f} of our time"
        )
    apart = max(
        abs(loss / cell["losses"]["fast"] - 1) for cell in cells for loss in cell["losses"].values()
    )
    result.checks[f"mean losses differ by {apart:.2%} at most"] = apart <= LOSS_AGREES
