"""The confusion matrix, in which a few mistakes are seen beside a thousand hits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastmlp.report.style import GREY, WIDTH, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WRITTEN = 20
"""Classes up to which the counts are written into the cells, and every class is named."""

DARK = 0.75
"""Of the scale of blues: from here on white is read at 5 to 1, below it black at 4 to 1."""

LINED = 60
"""Classes up to which there are lines between the cells: more would leave no room for them."""


def draw_confusion(matrix: ArrayLike, names: Sequence[str] | None = None) -> Figure:
    """Rows are the true classes, columns the predicted ones.

    The colour of a mistake is its share of its row, on a scale that ends at the largest such share;
    the diagonal has none, which would drown them.

    Parameters
    ----------
    matrix : array-like of int (n_classes, n_classes)
        Counts, as `sklearn.metrics.confusion_matrix` gives them.
    names : sequence of str (n_classes,), optional
        Of the classes; 0, 1, ... without.
    """
    counts = np.asarray(matrix)
    n = len(counts)
    names = [str(k) for k in range(n)] if names is None else names
    samples = counts.sum(axis=1)
    shares = counts / np.maximum(samples, 1)[:, None]
    wrong = np.ma.masked_where((counts == 0) | np.eye(n, dtype=bool), shares)

    width = max(WIDTH, 0.37 * min(n, WRITTEN) + 2.1)
    figure = new_figure(0.84 * width, width)
    axes = figure.subplots()
    axes.imshow(np.where(np.eye(n), 0.88, np.nan), cmap="gray", vmin=0, vmax=1)
    worst = float(wrong.max()) if wrong.count() else 0.0
    if worst:
        image = axes.imshow(wrong, cmap="Blues", vmin=0, vmax=worst)
        bar: Any = figure.colorbar(image, ax=axes, shrink=0.75, pad=0.02)
        bar.locator.set_params(nbins=4)
        bar.formatter = lambda share, _: f"{100 * share:.3g}%"
        bar.update_ticks()
        bar.set_label("mistakes, share of their row", fontsize=10, color=GREY)
        bar.ax.tick_params(labelsize=9)
    if n <= WRITTEN:
        for row, column in np.argwhere(counts):
            dark = row != column and shares[row, column] > DARK * worst
            axes.text(
                *(column, row, f"{counts[row, column]}"),
                ha="center",
                va="center",
                fontsize=9 if counts.max() < 10_000 else 7,
                color="white" if dark else GREY if row == column else "black",
            )
    step = 1 if n <= WRITTEN else max(2, n // 10)
    shown = range(0, n, step)
    turned = 90 if max(map(len, names)) > 3 else 0
    axes.set_xticks(shown, [names[k] for k in shown], rotation=turned)
    axes.set_yticks(shown, [names[k] for k in shown])
    if n <= LINED:
        axes.set_xticks(np.arange(n - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(n - 1) + 0.5, minor=True)
        axes.grid(which="minor", color="0.9", lw=0.6)
        axes.tick_params(which="minor", length=0)
    axes.tick_params(labelsize=10)
    axes.set_xlabel("predicted", fontsize=11)
    axes.set_ylabel("true", fontsize=11)
    return figure
