"""heatmap.png: where fastmlp is how much faster; scaling.png: time against work."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import PEERS
from benchmarks.result import Result


def check(folder: Path) -> None:
    """Make the folder; an error before hours of measuring, not after."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError("--pictures needs matplotlib (pip install -e '.[peers]')")
    folder.mkdir(parents=True, exist_ok=True)


def draw(results: Mapping[str, Result], folder: Path) -> None:
    """Draw what the results hold."""
    import matplotlib

    matplotlib.use("Agg")
    for result in results.values():
        if any("ratio" in cell for cell in result.cells):
            _heatmap(result, folder / "heatmap.png")
        if result.curves:
            _scaling(result, folder / "scaling.png")


def _heatmap(result: Result, path: Path) -> None:
    from matplotlib import pyplot
    from matplotlib.colors import LogNorm

    cells: Any = [cell for cell in result.cells if "ratio" in cell]
    widths = sorted({cell["width"] for cell in cells})
    batch_sizes = sorted({cell["batch_size"] for cell in cells})
    ratios = np.full((len(widths), len(batch_sizes)), np.nan)
    for cell in cells:
        ratios[widths.index(cell["width"]), batch_sizes.index(cell["batch_size"])] = cell["ratio"]
    # Symmetric on the log scale: white is "as fast as the best peer". Purple and orange are told
    # apart with every kind of colour vision.
    end = max(2.0, math.exp(np.nanmax(np.abs(np.log(ratios)))))
    figure, axes = pyplot.subplots(figsize=(11, 6), layout="constrained")
    image = axes.imshow(
        ratios, cmap="PuOr", norm=LogNorm(1 / end, end), origin="lower", aspect="auto"
    )
    for (row, column), ratio in np.ndenumerate(ratios):
        if not np.isnan(ratio):
            far = abs(math.log(ratio)) > 0.6 * math.log(end)
            axes.text(
                column,
                row,
                f"{ratio:.2f}" if ratio < 1 else f"{ratio:.1f}",
                ha="center",
                va="center",
                color="white" if far else "black",
            )
    axes.set_xticks(range(len(batch_sizes)), batch_sizes)
    axes.set_yticks(range(len(widths)), widths)
    axes.set_xlabel("batch size")
    axes.set_ylabel("width of the hidden layer")
    peers = [peer for peer in cells[0]["seconds"] if peer != "fast"]
    names = " and ".join(PEERS[peer].title for peer in peers)
    best = f"best of {names}" if len(peers) > 1 else names
    axes.set_title(f"time of the {best} / time of fastmlp, MNIST 784-h-10, SGD")
    bar = figure.colorbar(image, label="ratio, above 1: fastmlp is faster")
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if 1 / end <= t <= end]
    bar.set_ticks(ticks, labels=[f"{t:g}" for t in ticks], minor=False)
    bar.ax.minorticks_off()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _scaling(result: Result, path: Path) -> None:
    from matplotlib import pyplot

    figure, rows = pyplot.subplots(1, len(result.curves), figsize=(12, 4.2), layout="constrained")
    for axes, (way, points) in zip(np.atleast_1d(rows), result.curves.items(), strict=True):
        factors = [point["factor"] for point in points]
        first = points[0]
        by_work = [first["seconds"] * point["flops"] / first["flops"] for point in points]
        axes.loglog(factors, [1e3 * s for s in by_work], "k--", label="in proportion to the work")
        seconds = [1e3 * point["seconds"] for point in points]
        axes.loglog(factors, seconds, "o-", color="#0072b2", label="measured")
        axes.set_xticks(factors, [f"x {factor:g}" for factor in factors])
        axes.minorticks_off()
        low, high = min(*seconds, *(1e3 * s for s in by_work)), max(*seconds, 1e3 * by_work[-1])
        ticks = [
            t for e in range(-3, 6) for t in (10**e, 1.5 * 10**e, 2 * 10**e, 3 * 10**e, 5 * 10**e)
        ]
        ticks = [t for t in ticks if low * 0.9 <= t <= high * 1.1]
        axes.set_yticks(ticks, [f"{t:g}" for t in ticks])
        axes.grid(alpha=0.3)
        axes.set_xlabel(way)
        axes.set_ylabel("time of an epoch, ms")
    np.atleast_1d(rows)[0].legend()
    figure.suptitle(result.title)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
