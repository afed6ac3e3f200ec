"""How good a model is on a data set, and which way it would get better."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .data import Data, check_data
from .functions import Array
from .inputs import as_batch, check_threads
from .metrics import measure as measure_metric
from .network import MLP
from .step import backpropagate, measure


class Evaluation(NamedTuple):
    """Mean loss, and the share of samples that are predicted right, 0..1 (None for regression)."""

    loss: float
    accuracy: float | None


class Gradients(NamedTuple):
    """Mean loss, and its gradients in lists like those of the model."""

    loss: float
    weights: list[Array]
    biases: list[Array]
    scales: list[Array]
    shifts: list[Array]


def evaluate(
    model: MLP,
    x: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    class_weight: Any = None,
    threads: int | None = None,
) -> Evaluation:
    """Mean loss over all samples, and the share that is predicted right (None for regression).

    Parameters
    ----------
    x : (n_samples, n_features)
    y : (n_samples,) or (n_samples, n_outputs)
        What the model's loss takes.
    sample_weight, class_weight
        As :func:`fit` has them, in the mean loss; in the accuracy all count the same.
    threads
        For the shared signature; has no effect here.
    """
    data = check_data(model, x, y, sample_weight)
    check_threads(threads)
    of_all = score(model, data, (), class_weight)
    return Evaluation(of_all.loss, of_all.accuracy)


def loss_and_gradients(
    model: MLP,
    x: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    class_weight: Any = None,
    threads: int | None = None,
) -> Gradients:
    """Mean loss over all of x as one batch, with its gradients; the model is unchanged.

    A batch norm takes the mean and variance of this batch; dropout does not act.

    Parameters
    ----------
    x : (n_samples, n_features)
    y : (n_samples,) or (n_samples, n_outputs)
        What the model's loss takes.
    sample_weight, class_weight
        As :func:`fit` has them.
    threads
        For the shared signature; has no effect here.
    """
    data = check_data(model, x, y, sample_weight)
    c = model.loss.check_class_weight(class_weight, data.T, model.layers[-1])
    check_threads(threads)
    X = as_batch(data.x, model.dtype, model.uint8_scale)
    batch, _, gradients = backpropagate(model, X, data.T, data.weights, c)
    return Gradients(batch.mean_loss, *gradients)


class Score(NamedTuple):
    """What a data set measured."""

    loss: float
    accuracy: float | None
    metrics: dict[str, float]


def score(model: MLP, data: Data, metrics: Sequence[str], class_weight: Any = None) -> Score:
    """Evaluate the model as it predicts: by running statistics."""
    loss, kind, K = model.loss, model.loss.kind, model.layers[-1]
    with np.errstate(over="ignore", invalid="ignore"):  # shows in the loss
        Z = model.logits(data.x)  # (n, n_outputs)
        c = loss.check_class_weight(class_weight, data.T, K)
        sums = measure(model, Z, data.T, data.weights, c)
        outputs = loss.predict(Z).reshape(Z.shape) if kind == "real" else Z
        values = {
            name: sums.mean_loss if name == "loss" else measure_metric(name, data.T, outputs, kind)
            for name in metrics
        }
    return Score(sums.mean_loss, sums.accuracy, values)
