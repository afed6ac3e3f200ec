"""scaling.png: time against samples, width, depth and threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.result import Result
from benchmarks.style import STYLES, save


def draw(result: Result, path: Path) -> None:
    """A panel for each way of growing; dashed: in proportion to the work, from the first point."""
    from matplotlib import pyplot
    from matplotlib.lines import Line2D

    size = (3.4 * len(result.curves), 5)
    figure, panels = pyplot.subplots(1, len(result.curves), figsize=size, layout="constrained")
    for axes, (way, sides) in zip(np.atleast_1d(panels), result.curves.items(), strict=True):
        drawn: list[float] = []
        for side, points in sides.items():
            colour, marker = STYLES[side]
            factors = [point["factor"] for point in points]
            seconds = [1e3 * point["seconds"] for point in points]
            growth = [point["growth"] / points[0]["growth"] for point in points]
            ideal = [seconds[0] * times for times in growth]
            axes.loglog(factors, ideal, "--", color=colour, alpha=0.6)
            axes.loglog(factors, seconds, "-", marker=marker, color=colour, lw=2, ms=8)
            drawn += seconds + ideal
        sign = "" if way == "threads" else "x "
        axes.set_xticks(factors, [f"{sign}{factor:g}" for factor in factors])
        _ticks(axes, min(drawn), max(drawn))
        axes.minorticks_off()
        axes.margins(x=0.12)
        axes.grid(alpha=0.3)
        axes.set_xlabel(way, fontsize=12)
    np.atleast_1d(panels)[0].set_ylabel("time of an epoch, ms", fontsize=12)
    seen = dict.fromkeys(side for sides in result.curves.values() for side in sides)
    handles = [
        Line2D([], [], color=STYLES[side][0], marker=STYLES[side][1], ms=8, label=side)
        for side in seen
    ]
    handles.append(Line2D([], [], color="grey", ls="--", label="in proportion to the work"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=11)
    figure.suptitle(result.title)
    save(figure, path)


def _ticks(axes: Any, low: float, high: float) -> None:
    """Round numbers that are written out; a logarithmic axis' own are powers of ten."""
    steps = (1, 2, 5) if high / low < 200 else (1,)
    ticks = [step * 10.0**power for power in range(-3, 7) for step in steps]
    ticks = [tick for tick in ticks if low * 0.8 <= tick <= high * 1.25]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
