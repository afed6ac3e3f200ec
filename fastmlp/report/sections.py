"""The sections of a report: each shows what has a meaning, or says why there is nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.assessment import Classes, Outputs
from fastmlp.data.rows import Rows
from fastmlp.report.confusion import draw_confusion
from fastmlp.report.curves import draw_curves
from fastmlp.report.fit import MOST as MOST_OUTPUTS
from fastmlp.report.fit import draw_fit
from fastmlp.report.mistakes import confident_mistakes, draw_mistakes
from fastmlp.report.page import Page
from fastmlp.report.phases import draw_phases
from fastmlp.report.weights import MOST, draw_weights

SQUARES = {784: (28, 28), 64: (8, 8)}
"""Inputs that are taken for images, by their number of values: those of MNIST and of the digits."""

PHASES = (
    "gather reads the batch; forward, backward and update are the products of the layers, the last "
    "with the optimiser's step; head is the loss; in wait threads wait for each other."
)


def curves(page: Page, history: Any) -> None:
    """Loss, accuracy, learning rate."""
    page.heading("Learning curves")
    columns = history.to_dict()
    n = len(columns["epoch"])
    if not n:
        page.text("No epoch was finished.")
        return
    validated = any(value is not None for value in columns["val_loss"])
    parts = "training and validation" if validated else "training"
    caption = "Training: means over an epoch's batches, each before its update."
    caption += " Validation: after the epoch." if validated else " No validation set was held out."
    page.picture(
        "curves.png",
        draw_curves(columns),
        f"Line chart of {parts} over {n} {'epoch' if n == 1 else 'epochs'}; the training loss ends "
        f"at {columns['train_loss'][-1]:.4g}",
        caption,
    )


def classes(page: Page, found: Classes) -> None:
    """Confusion matrix, and scores of each class."""
    page.heading("Confusion matrix")
    counts = found.matrix
    off = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    most = np.argsort(-off, axis=None, kind="stable")[:3]
    pairs = [(int(k) // len(counts), int(k) % len(counts)) for k in most]
    said = [f"{row} taken for {column}, {off[row, column]}" for row, column in pairs]
    said = [text for text, pair in zip(said, pairs, strict=True) if off[pair]]
    frequent = f"Most frequent: {'; '.join(said)} times." if said else "There are no mistakes."
    page.picture(
        "confusion.png",
        draw_confusion(counts),
        f"Confusion matrix of {len(counts)} classes. {frequent}",
        f"Counts on the test set: {np.trace(counts):,} of {counts.sum():,} right. {frequent}",
    )
    page.numbers(
        "Scores of each class",
        ("class", "precision", "recall", "F1", "samples"),
        [_scores(row, "class") for row in found.scores],
    )


def outputs(page: Page, found: Outputs) -> None:
    """Scores of each output, and numbers against numbers."""
    if "precision" in found.scores[0]:
        page.heading("Scores of each output")
        page.text(
            "A confusion matrix and single mistakes have no meaning here: each output is a yes or "
            "no of its own."
        )
        page.numbers(
            "Scores of yes",
            ("output", "precision", "recall", "F1", "samples of yes"),
            [_scores(row, "output") for row in found.scores],
        )
        return
    page.heading("Predictions")
    page.text(
        "The loss predicts numbers, which are not right or wrong: there is no accuracy, confusion "
        "matrix or list of mistakes."
    )
    n = len(found.scores)
    page.picture(
        "fit.png",
        draw_fit(found.true, found.predicted),
        f"Predicted against true values, {min(n, MOST_OUTPUTS)} of {n} outputs",
        f"Predicted against true values of {len(found.true):,} test samples; dashed: both are "
        "equal." + (f" The first {MOST_OUTPUTS} of {n} outputs." if n > MOST_OUTPUTS else ""),
    )
    page.numbers(
        "On the test set",
        ("output", "R²", "mean absolute error", "root mean squared error"),
        [
            (f"{row['output']}", *(_number(row[name]) for name in ("r2", "mae", "rmse")))
            for row in found.scores
        ],
    )


def mistakes(page: Page, found: Classes, x: Any, shape: tuple[int, int] | None) -> None:
    """The images that were wrong with the highest probability."""
    page.heading("Most confident mistakes")
    chosen = confident_mistakes(found.true, found.predicted, found.probabilities)
    if not len(chosen):
        page.text(f"All {len(found.true):,} samples of the test set are right.")
        return
    if shape is None:
        page.text(_no_images(x.shape[1]))
        page.numbers(
            "Samples, counted from 0",
            ("sample", "true", "predicted", "probability"),
            [
                (
                    *(f"{row}", f"{found.true[row]}", f"{found.predicted[row]}"),
                    f"{found.probabilities[row]:.1%}",
                )
                for row in chosen
            ],
        )
        return
    page.picture(
        "mistakes.png",
        draw_mistakes(
            _images(x, chosen, shape),
            *(found.true[chosen], found.predicted[chosen], found.probabilities[chosen]),
        ),
        f"{len(chosen)} images of the test set that were wrong, the most probable first",
        f"{len(chosen)} of {int((found.true != found.predicted).sum()):,} wrong samples, the most "
        "probable first: what they are, and what the network took them for, with its probability.",
    )


def weights(page: Page, model: Any, shape: tuple[int, int] | None) -> None:
    """What the first layer looks for."""
    page.heading("First-layer weights")
    W = model.weights[0]
    n_in, n_out = W.shape
    if shape is None:
        page.text(_no_images(n_in))
        return
    linear = len(model.weights) == 1
    names = [str(k) for k in range(n_out)] if linear and n_out > 1 else None
    which = f"The {MOST} of {n_out} units" if n_out > MOST else f"All {n_out} units"
    page.picture(
        "weights.png",
        draw_weights(W, shape, names),
        f"Weights of {min(n_out, MOST)} units as images of {shape[0]} by {shape[1]}",
        f"{which}{' with the largest weights' if n_out > MOST else ''}, each as an image of "
        f"{shape[0]} x {shape[1]}: where it is purple, a high pixel raises "
        f"{'the score of the class' if linear else 'the unit'}, where orange, lowers it.",
    )


def phases(page: Page, history: Any, why_not: str | None) -> None:
    """Time per phase of the training steps."""
    page.heading("Time per phase")
    seconds: Mapping[str, float] = getattr(history, "phase_seconds", {})
    if not any(seconds.values()):
        page.text(f"Not measured: {why_not or 'no step was timed'}.")
        return
    largest = max(seconds, key=lambda phase: seconds[phase])
    page.picture(
        "phases.png",
        draw_phases(seconds),
        f"Bar chart of the seconds in each phase of a step; most in {largest}, "
        f"{seconds[largest]:.3g} s",
        f"Of all training steps. {PHASES} Not in it: loading, compiling, validation, callbacks.",
    )


def settings(page: Page, values: Mapping[str, Any]) -> None:
    """The configuration, but for what was left at None."""
    page.heading("Configuration")
    page.rows(
        (name, " ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else value)
        for name, value in values.items()
        if value is not None
    )


def origin(page: Page, versions: Mapping[str, str], cpu: str, repeat: str | None) -> None:
    """What it was made by, and how to make it again."""
    page.heading("How to repeat it")
    if repeat is not None:
        page.command(repeat)
    page.rows([("CPU", cpu), *versions.items()])


def shape_of(n_features: int, shape: Sequence[int] | None) -> tuple[int, int] | None:
    """Height and width of an input; None if it is no image that can be drawn."""
    if shape is None:
        return SQUARES.get(n_features)
    height, width = shape
    if height * width != n_features:
        raise ValueError(
            f"image_shape must have {n_features} pixels, one for each feature, not {height} x "
            f"{width}"
        )
    return height, width


def _images(x: Any, rows: NDArray[np.intp], shape: tuple[int, int]) -> NDArray[Any]:
    """Those rows of ``x``, which may lie on disk or be sparse."""
    if isinstance(x, Rows):
        found = np.concatenate([x[int(row) : int(row) + 1] for row in rows])
    else:
        found = x[rows]
        found = found.toarray() if hasattr(found, "toarray") else np.asarray(found)
    return found.reshape(-1, *shape)


def _no_images(n_features: int) -> str:
    return (
        f"No pictures: an input of {n_features} values is no image whose height and width are "
        "known."
    )


def _scores(row: Mapping[str, Any], kind: str) -> tuple[str, ...]:
    shares = (f"{row[name]:.4f}" for name in ("precision", "recall", "f1"))
    return f"{row[kind]}", *shares, f"{row['support']:,}"


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4g}"
