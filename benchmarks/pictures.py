"""The pictures: heat map, growth of time, roofline."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from benchmarks import curves, heatmap, roofline
from benchmarks.peers import INSTALL
from benchmarks.run import Run


def check(folder: Path, argument: str) -> None:
    """Make the folder; an error before hours of measuring, not after."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError(f"{argument} needs matplotlib: {INSTALL}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{argument}: {folder} is no folder: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise ValueError(f"{argument}: {folder} is write-protected")


def draw(run: Run, folder: Path) -> dict[str, list[str]]:
    """Draw what the run holds; the files' names, and the works that each shows."""
    import matplotlib

    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {}
    for name, result in run.results.items():
        if any("ratio" in cell for cell in result.cells):
            heatmap.draw(result, folder / "heatmap.png")
            drawn["heatmap.png"] = [name]
        if result.curves:
            curves.draw(result, folder / "scaling.png")
            drawn["scaling.png"] = [name]
    dots = roofline.points(run.results)
    if dots:
        roofline.draw(dots, run.peak, run.machine["stream_gbytes"], folder / "roofline.png")
        drawn["roofline.png"] = list(dict.fromkeys(dot.work for dot in dots))
    return drawn
