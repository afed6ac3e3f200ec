"""heatmap.png: widths times batch sizes, where fastmlp is how much faster than the best peer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import PEERS
from benchmarks.result import Result
from benchmarks.style import save


def draw(result: Result, path: Path) -> None:
    """Cells with the ratio and the best peer written in them."""
    from matplotlib import pyplot
    from matplotlib.colors import LogNorm

    cells: Any = [cell for cell in result.cells if "ratio" in cell]
    widths = sorted({cell["width"] for cell in cells})
    batch_sizes = sorted({cell["batch_size"] for cell in cells})
    ratios = np.full((len(widths), len(batch_sizes)), np.nan)
    best = {}
    for cell in cells:
        place = widths.index(cell["width"]), batch_sizes.index(cell["batch_size"])
        ratios[place], best[place] = cell["ratio"], PEERS[cell["best"]].title
    # Symmetric on the log scale: white is "as fast as the best peer". Purple and orange are told
    # apart with every kind of colour vision.
    end = max(2.0, math.exp(np.nanmax(np.abs(np.log(ratios)))))
    figure, axes = pyplot.subplots(figsize=(11, 6), layout="constrained")
    image = axes.imshow(
        ratios, cmap="PuOr", norm=LogNorm(1 / end, end), origin="lower", aspect="auto"
    )
    for (row, column), peer in best.items():
        ratio = ratios[row, column]
        far = abs(math.log(ratio)) > 0.6 * math.log(end)
        style = {"ha": "center", "color": "white" if far else "black"}
        number = f"{ratio:.2f}" if ratio < 1 else f"{ratio:.1f}"
        axes.text(column, row, number, va="bottom", fontsize=12, **style)
        axes.text(column, row, peer, va="top", fontsize=8.5, **style)
    axes.set_xticks(range(len(batch_sizes)), batch_sizes)
    axes.set_yticks(range(len(widths)), widths)
    axes.set_xlabel("batch size")
    axes.set_ylabel("width of the hidden layer")
    peers = [peer for peer in cells[0]["seconds"] if peer != "fast"]
    names = " and ".join(PEERS[peer].title for peer in peers)
    side = f"the faster of {names}" if len(peers) > 1 else names
    axes.set_title(f"time of {side} / time of fastmlp, MNIST 784-h-10, SGD")
    bar = figure.colorbar(image, label="ratio, above 1: fastmlp is faster")
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if 1 / end <= t <= end]
    bar.set_ticks(ticks, labels=[f"{t:g}" for t in ticks], minor=False)
    bar.ax.minorticks_off()
    save(figure, path)
