"""roofline.png: GFLOP/s of each workload against its operations per byte, below the peaks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers import PEERS
from benchmarks.result import Result
from benchmarks.style import STYLES, save

OURS = PEERS["fast"].title
ROOFS = {"memory": "main memory", "cache": "second-level caches"}
NOTE: dict[str, Any] = {"textcoords": "offset points", "fontsize": 10.5}
NAME_WIDTH = 0.021  # of the axes' width


@dataclass(frozen=True)
class Point:
    """A side at a work.

    Attributes
    ----------
    intensity : float
        Operations per byte, dense; see `benchmarks.counts.counts`.
    rate : float
        GFLOP/s, dense.
    nonzero : float
        Share of the dense count that is left without the zeros of the input.
    """

    work: str
    side: str
    intensity: float
    rate: float
    nonzero: float


def points(results: Mapping[str, Result]) -> list[Point]:
    """Of all sides of the works whose operations are counted, in float32, as the peaks are."""
    return [
        Point(
            name,
            line.side,
            result.counts["flop"] / result.counts["bytes"],
            result.counts["flop"] / line.median / 1e9,
            result.counts["flop_nonzero"] / result.counts["flop"],
        )
        for name, result in results.items()
        if result.counts and "float64" not in name
        for line in result.lines
        if line.side in STYLES and _peers(result)
    ]


def _peers(result: Result) -> bool:
    return any(line.side in STYLES and line.side != OURS for line in result.lines)


def draw(dots: list[Point], peak: float, streams: Mapping[str, float], path: Path) -> None:
    """A column for each work; below the roofs of all threads, in GFLOP/s and GB/s."""
    from matplotlib import pyplot
    from matplotlib.lines import Line2D

    left = min(dot.intensity * dot.nonzero for dot in dots) / 2
    right = max(dot.intensity for dot in dots) * 2
    bottom = min(dot.rate * dot.nonzero for dot in dots) / 2
    top = 1.6 * max(peak, *(dot.rate for dot in dots))
    figure, axes = pyplot.subplots(figsize=(12, 8.5))
    figure.subplots_adjust(left=0.07, right=0.985, top=0.8, bottom=0.07)
    axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=(bottom, top))
    _roofs(axes, streams, peak, left, bottom)
    _names(axes, {dot.work: dot.intensity for dot in dots}, left, right)
    for dot in dots:
        colour, marker = STYLES[dot.side]
        settings: dict[str, Any] = {"marker": marker, "color": colour, "ms": 8, "zorder": 3}
        if dot.side != OURS or dot.nonzero > 0.99:
            axes.plot(dot.intensity, dot.rate, **settings)
            continue
        # The hollow one is what peers are to be held against, who multiply the zeros too.
        less = dot.intensity * dot.nonzero, dot.rate * dot.nonzero
        dense = dot.intensity, dot.rate
        axes.plot(*zip(dense, less, strict=True), color=colour, lw=0.8, alpha=0.6)
        axes.plot(*dense, **settings, mfc="white", mew=1.8)
        axes.plot(*less, **settings)
    axes.set_xlabel("operations per byte", fontsize=12)
    axes.set_ylabel("GFLOP/s", fontsize=12)
    axes.grid(alpha=0.25, which="major")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    seen = dict.fromkeys(dot.side for dot in dots)
    handles = [
        Line2D([], [], color=STYLES[side][0], marker=STYLES[side][1], ls="", ms=8, label=side)
        for side in seen
    ]
    hollow = {"color": STYLES[OURS][0], "marker": STYLES[OURS][1], "mfc": "white", "ls": ""}
    label = f"{OURS}, zeros of the input counted as work"
    handles.insert(1, Line2D([], [], **hollow, ms=8, mew=1.8, label=label))
    axes.legend(handles=handles, loc="lower right", fontsize=11)
    save(figure, path)


def _roofs(
    axes: Any, streams: Mapping[str, float], peak: float, left: float, bottom: float
) -> None:
    """Level: FMAs in registers. Slanted: what a stream of bytes allows."""
    axes.plot([peak / max(streams.values()), axes.get_xlim()[1]], [peak, peak], "k", lw=1.5)
    axes.annotate(
        f"FMA peak {peak:.0f} GFLOP/s", (peak / max(streams.values()), peak), (4, 5), **NOTE
    )
    for level, dashes in (("memory", "-"), ("cache", "--")):
        rate = streams[level]
        start, end = max(left, bottom / rate), peak / rate
        axes.plot([start, end], [start * rate, peak], "k", lw=1.5, ls=dashes)
        low, high = axes.transData.transform([(start, start * rate), (end, peak)])
        angle = math.degrees(math.atan2(high[1] - low[1], high[0] - low[0]))
        axes.annotate(
            f"{ROOFS[level]} {rate:.0f} GB/s",
            (start * 1.15, start * rate * 1.15),
            (-5, 5),
            rotation=angle,
            rotation_mode="anchor",
            **NOTE,
        )


def _names(axes: Any, columns: Mapping[str, float], left: float, right: float) -> None:
    """Names above the axes, pushed apart until none touches the next, each led to its column."""
    names = sorted(columns, key=columns.__getitem__)
    wanted = [math.log(columns[name] / left) / math.log(right / left) for name in names]
    places = list(wanted)
    for _ in range(500):
        for k in range(len(places) - 1):
            push = max(0.0, NAME_WIDTH - (places[k + 1] - places[k])) / 2
            places[k] -= push
            places[k + 1] += push
    lines = {"color": "#999999", "lw": 0.8, "transform": axes.transAxes, "clip_on": False}
    for name, x, place in zip(names, wanted, places, strict=True):
        axes.plot([x, x], [0, 1], ls=":", zorder=1, **lines)
        axes.plot([x, place], [1, 1.04], zorder=1, **lines)
        axes.text(
            place, 1.045, name, rotation=90, ha="center", va="bottom", transform=axes.transAxes
        )
