"""Loss, accuracy and learning rate, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastmlp.report.style import GREEN, GREY, TRAIN, VALIDATION, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Column = Sequence[float | None]

MARKED = 30
"""Epochs up to which each is marked: more marks would hide the line."""


def draw_curves(columns: Mapping[str, Column]) -> Figure:
    """Loss and, where there are any, accuracy and a learning rate that varies: a panel for each.

    Parameters
    ----------
    columns : dict of str to sequence (n_epochs,)
        As `fastmlp.History.to_dict` gives it: ``epoch``, ``train_loss``, and if there are any
        ``val_loss``, ``train_accuracy``, ``val_accuracy`` and ``learning_rate``; others are
        passed over. None, and NaN, is a gap.
    """
    epochs = columns["epoch"]
    panels = ["loss"]
    if _holds(columns, "train_accuracy") or _holds(columns, "val_accuracy"):
        panels.append("accuracy")
    rates = columns.get("learning_rate", ())
    if len(set(rates)) > 1:
        panels.append("learning rate")
    heights = [1.0 if panel == "learning rate" else 2.0 for panel in panels]
    figure = new_figure(1.25 * sum(heights) + 0.5)
    grid = figure.subplots(
        len(panels), sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    for axes, panel in zip(grid[:, 0], panels, strict=True):
        if panel == "learning rate":
            axes.plot(epochs, rates, color=GREEN, lw=2)
        else:
            _draw_pair(axes, columns, panel)
        axes.set_ylabel(panel, fontsize=11)
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    last = grid[-1, 0]
    last.set_xlabel("epoch", fontsize=11)
    last.xaxis.get_major_locator().set_params(integer=True)
    return figure


def _holds(columns: Mapping[str, Column], name: str) -> bool:
    return any(value is not None for value in columns.get(name, ()))


def _draw_pair(axes: Any, columns: Mapping[str, Column], panel: str) -> None:
    """The lines of training and validation, with the last value of each."""
    percent = panel == "accuracy"
    scale = 100.0 if percent else 1.0
    for part, name, (colour, marker) in (
        ("train", "training", TRAIN),
        ("val", "validation", VALIDATION),
    ):
        values = columns.get(f"{part}_{panel}", ())
        known = [value for value in values if value is not None]
        if not known:
            continue
        written = f"{known[-1]:.2%}" if percent else f"{known[-1]:.4g}"
        axes.plot(
            columns["epoch"],
            [float("nan") if value is None else scale * value for value in values],
            color=colour,
            marker=marker if len(values) <= MARKED else None,
            ms=5,
            lw=2,
            label=f"{name}, last {written}",
        )
    if percent:
        axes.yaxis.set_major_formatter("{x:g}%")
    axes.legend(fontsize=10, labelcolor=GREY, frameon=False)
