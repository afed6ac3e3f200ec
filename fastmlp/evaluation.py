"""`evaluate` and `loss_and_gradients`: what a network makes of a data set, unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.arguments import labelled
from fastmlp.data.rows import Rows
from fastmlp.engine.layout import PREDICT_ROWS, parameter_views, views_of
from fastmlp.model import MLP
from fastmlp.threads import threads_for
from fastmlp.windows import score

if TYPE_CHECKING:
    from fastmlp.engine.engine import Totals


class Evaluation(NamedTuple):
    """Mean loss, and accuracy (None for regression), over a data set."""

    loss: float
    accuracy: float | None


class Gradients(NamedTuple):
    """Mean loss and its gradients, by layer; shapes as of the model's attributes of the name."""

    loss: float
    weights: list[NDArray[np.floating]]
    biases: list[NDArray[np.floating]]
    scales: list[NDArray[np.floating]]
    shifts: list[NDArray[np.floating]]


def evaluate(
    model: MLP,
    x: ArrayLike | Rows,
    y: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    class_weight: Any = None,
    threads: int | None = None,
) -> Evaluation:
    """Mean loss and accuracy of ``model`` on ``x`` and ``y``.

    Parameters
    ----------
    model, x, y, sample_weight, class_weight, threads
        As in `fit`. Weights count in the loss, not in the accuracy.

    Raises
    ------
    TypeError, ValueError
        As in `fit`.
    """
    samples, targets = labelled(model, x, y, sample_weight, class_weight, in_windows=True)
    threads = threads_for(threads, samples.count * len(model.parameters))

    from fastmlp.engine.engine import Engine

    with Engine(model, min(samples.count, PREDICT_ROWS), threads) as engine:
        return evaluation_of(model, score(engine, samples, targets))


def loss_and_gradients(
    model: MLP,
    x: ArrayLike,
    y: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    class_weight: Any = None,
    threads: int | None = None,
) -> Gradients:
    """Mean loss on ``x`` and ``y`` as one batch, and its gradient by every parameter.

    Batch norm takes the statistics of this batch, as in training; nothing is dropped.

    Parameters
    ----------
    model, x, y, sample_weight, class_weight, threads
        As in `fit`; the model is not changed.

    Raises
    ------
    TypeError, ValueError
        As in `fit`.
    """
    samples, targets = labelled(model, x, y, sample_weight, class_weight)
    threads = threads_for(threads, samples.count * len(model.parameters))

    from fastmlp.engine.engine import Engine

    with Engine(model, samples.count, threads, learns=True) as engine:
        totals = engine.gradients_of(samples, targets)
        views = parameter_views(engine.gradients, model.places)
        kinds = ("W", "b", "scale", "shift")
        return Gradients(totals.mean_loss, *(views_of(views, kind) for kind in kinds))


def evaluation_of(model: MLP, totals: Totals) -> Evaluation:
    """Means of a job's sums."""
    accuracy = totals.accuracy if model.loss.has_accuracy else None
    return Evaluation(totals.mean_loss, accuracy)
