"""The images that were wrong, and sure of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.report.style import DARK_ORANGE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 5


def confident_mistakes(
    true: ArrayLike, predicted: ArrayLike, probabilities: ArrayLike, count: int = 20
) -> NDArray[np.intp]:
    """Samples that are wrong, the most probable first; of equals the first.

    Parameters
    ----------
    true, predicted : array-like of int (n_samples,)
        Classes.
    probabilities : array-like (n_samples,)
        Of the predicted classes.
    count : int, default 20
        Samples at most.

    Returns
    -------
    ndarray of intp (n_mistakes,)
        Indices, at most ``count``.
    """
    wrong = np.flatnonzero(np.asarray(true) != np.asarray(predicted))
    order = np.argsort(-np.asarray(probabilities)[wrong], kind="stable")
    chosen: NDArray[np.intp] = wrong[order[:count]]
    return chosen


def draw_mistakes(
    images: ArrayLike,
    true: ArrayLike,
    predicted: ArrayLike,
    probabilities: ArrayLike,
    names: Sequence[str] | None = None,
) -> Figure:
    """Grey images, high values dark, with both labels and the probability of the predicted one.

    Parameters
    ----------
    images : array-like (n_images, height, width)
        One or more; uint8 from 0 to 255, others from their least to their largest value.
    true, predicted : array-like of int (n_images,)
    probabilities : array-like (n_images,)
        Of the predicted classes.
    names : sequence of str (n_classes,), optional
        Of the classes; 0, 1, ... without.
    """
    pictures = np.asarray(images)
    rows = -(-len(pictures) // COLUMNS)
    figure = new_figure(1.5 * rows)
    grid: Any = figure.subplots(rows, COLUMNS, squeeze=False)
    lowest, highest = (0, 255) if pictures.dtype == np.uint8 else (pictures.min(), pictures.max())
    layout: Any = figure.get_layout_engine()
    layout.set(hspace=0.08)
    for axes in grid.flat:
        axes.set_axis_off()
    labels = zip(np.asarray(true), np.asarray(predicted), np.asarray(probabilities), strict=True)
    for axes, picture, (is_, said, share) in zip(grid.flat, pictures, labels, strict=False):
        axes.imshow(picture, cmap="gray_r", vmin=lowest, vmax=highest)
        is_name, said_name = (str(k) if names is None else names[k] for k in (is_, said))
        axes.set_title(f"true {is_name}", fontsize=10, pad=3)
        axes.text(
            *(0.5, -0.06, f"said {said_name}, {_percent(share)}"),
            transform=axes.transAxes,
            ha="center",
            va="top",
            fontsize=10,
            color=DARK_ORANGE,
        )
    return figure


def _percent(share: float) -> str:
    """No mistake is made with 100 %, which rounding would say."""
    return ">99.9%" if share > 0.999 else f"{share:.1%}"
