"""What the units of the first layer look for in an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastmlp.report.style import GREY, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 64
"""Units that are drawn."""

SATURATED = 99.5
"""Percentile of the weights' sizes at which the colours end: one large weight pales no others."""


def draw_weights(
    weights: ArrayLike,
    image_shape: tuple[int, int],
    names: Sequence[str] | None = None,
) -> Figure:
    """An image for each unit: those of the largest norm, where there are more than `MOST`.

    Parameters
    ----------
    weights : array-like (n_in, n_out)
        Of the first layer; finite.
    image_shape : (int, int)
        Height and width of an input, which has ``n_in = height * width`` values.
    names : sequence of str (n_out,), optional
        Of the units, where they are classes.
    """
    W = np.asarray(weights)
    norms = np.linalg.norm(W, axis=0)
    shown = np.sort(np.argsort(-norms, kind="stable")[:MOST])
    columns = min(len(shown), 5 if len(shown) <= 10 else 8)
    rows = -(-len(shown) // columns)
    end = float(np.percentile(np.abs(W[:, shown]), SATURATED)) or 1.0

    height, width = image_shape
    gap = max(1, height // 8)
    # One image of all: 64 axes take 1.5 s to be laid out and drawn, one takes 0.1.
    tiles = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    figure = new_figure(5.6 * tiles.shape[0] / tiles.shape[1] + 0.7)
    axes = figure.subplots()
    for k, unit in enumerate(shown):
        row, column = (k // columns) * (height + gap), (k % columns) * (width + gap)
        tiles[row : row + height, column : column + width] = W[:, unit].reshape(image_shape)
        if names is not None:
            axes.text(column - 0.5, row - 0.5, f" {names[unit]}", va="top", fontsize=11)
    # Purple and orange are told apart with every kind of colour vision; white is 0.
    image = axes.imshow(tiles, cmap="PuOr", vmin=-end, vmax=end, interpolation="nearest")
    axes.set_axis_off()
    bar: Any = figure.colorbar(
        image, ax=axes, location="bottom", shrink=0.6, aspect=35, pad=0.02, extend="both"
    )
    bar.locator.set_params(nbins=4)
    bar.update_ticks()
    bar.set_label("weight", fontsize=10, color=GREY)
    bar.ax.tick_params(labelsize=9)
    return figure
