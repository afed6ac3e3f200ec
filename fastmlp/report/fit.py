"""Predicted numbers against true ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastmlp.report.style import BLUE, GREY, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 4
"""Outputs that are drawn."""


def draw_fit(true: ArrayLike, predicted: ArrayLike) -> Figure:
    """A panel for each of the first outputs; on the dashed line both are equal.

    Parameters
    ----------
    true, predicted : array-like (n_samples, n_outputs)
    """
    t, z = np.asarray(true), np.asarray(predicted)
    n = min(t.shape[1], MOST)
    columns = min(n, 2)
    figure = new_figure((4.6 if n == 1 else 2.9) * -(-n // columns))
    grid: Any = figure.subplots(-(-n // columns), columns, squeeze=False)
    for k, axes in enumerate(grid.flat):
        if k >= n:
            axes.set_axis_off()
            continue
        # Few are seen each, many as a density.
        alpha = float(np.clip(300 / len(t), 0.05, 0.7))
        axes.plot(t[:, k], z[:, k], ".", color=BLUE, alpha=alpha, ms=6, mew=0, rasterized=True)
        ends = [min(t[:, k].min(), z[:, k].min()), max(t[:, k].max(), z[:, k].max())]
        axes.plot(ends, ends, "--", color=GREY, lw=1)
        axes.set_xlabel("true" if n == 1 else f"true, output {k}", fontsize=11)
        axes.set_ylabel("predicted", fontsize=11)
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    return figure
