"""Where the time of the training steps went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fastmlp.report.style import BLUE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_phases(seconds: Mapping[str, float]) -> Figure:
    """A bar for each phase, with its seconds and its share.

    Parameters
    ----------
    seconds : dict of str to float
        Of one phase or more, in the order in which they are drawn, as ``history.phase_seconds``.
    """
    whole = sum(seconds.values()) or 1.0
    figure = new_figure(0.36 * len(seconds) + 0.6)
    axes = figure.subplots()
    bars = axes.barh(list(seconds), list(seconds.values()), color=BLUE)
    written = [f" {value:.3g} s, {value / whole:.0%}" for value in seconds.values()]
    axes.bar_label(bars, written, fontsize=10)
    axes.invert_yaxis()
    axes.margins(x=0.25)
    axes.set_xlabel("seconds, mean over the threads", fontsize=11)
    axes.tick_params(labelsize=10)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
