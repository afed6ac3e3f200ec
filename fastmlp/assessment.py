"""What a network says of each sample of a data set, and how often that is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.losses import LOSSES


@dataclass(frozen=True)
class Classes:
    """Of a loss that gives each sample one class.

    Attributes
    ----------
    true, predicted : ndarray of int (n_samples,)
    probabilities : ndarray of float64 (n_samples,)
        Of the predicted classes.
    matrix : ndarray of int (n_classes, n_classes)
        Counts: rows are the true classes, columns the predicted ones.
    scores : list of dict
        Of each class: ``class``, ``precision``, ``recall``, ``f1`` (0 where nothing is divided by
        nothing), ``support``, the samples that have it.
    """

    true: NDArray[Any]
    predicted: NDArray[Any]
    probabilities: NDArray[np.float64]
    matrix: NDArray[Any]
    scores: list[dict[str, Any]]


@dataclass(frozen=True)
class Outputs:
    """Of any other loss: each output is yes or no, or a number, on its own.

    Attributes
    ----------
    true, predicted : ndarray (n_samples, n_outputs)
    scores : list of dict
        Of each output: ``output``; then ``precision``, ``recall``, ``f1``, ``support`` of yes, or
        ``r2``, ``mae`` and ``rmse``.
    """

    true: NDArray[Any]
    predicted: NDArray[Any]
    scores: list[dict[str, Any]]


def assess(model: Any, x: Any, y: Any) -> Classes | Outputs:
    """Predict every sample and compare.

    Parameters
    ----------
    model : MLP
        Of either engine.
    x : array-like or Rows (n_samples, n_features)
    y : array-like
        As the model's loss asks, see `fastmlp.fit`.
    """
    y = np.asarray(y)
    Z = model.logits(x)
    loss = LOSSES[model.loss.name]  # of which that of a reference's model is the twin
    if loss.targets == "classes":
        # The most probable class, of targets that are rows of probabilities.
        true = y if y.ndim == 1 else y.argmax(axis=1)
        largest = Z.max(axis=1, keepdims=True)
        shares = 1 / np.exp(Z - largest).sum(axis=1, dtype=np.float64)
        return _classes(true, Z.argmax(axis=1), shares, Z.shape[1])
    true = y.reshape(Z.shape)
    if loss.targets != "binary":
        predicted = np.exp(Z) if loss.output == "exponential" else Z
        return Outputs(true, predicted, _scores_of_numbers(true, predicted))
    said = (Z > 0).astype(np.int64)
    if Z.shape[1] == 1 and np.isin(true, (0, 1)).all():
        shares = 1 / (1 + np.exp(-np.abs(Z[:, 0], dtype=np.float64)))
        return _classes(true[:, 0].astype(np.int64), said[:, 0], shares, 2)
    is_yes = (true > 0.5).astype(np.int64)
    return Outputs(is_yes, said, _scores_of(is_yes, said, "output"))


def _classes(
    true: NDArray[Any], predicted: NDArray[Any], shares: NDArray[np.float64], n: int
) -> Classes:
    from sklearn.metrics import confusion_matrix

    matrix = confusion_matrix(true, predicted, labels=np.arange(n))
    return Classes(true, predicted, shares, matrix, _scores_of(true, predicted, "class", n))


def _scores_of(
    true: NDArray[Any], predicted: NDArray[Any], kind: str, n: int | None = None
) -> list[dict[str, Any]]:
    """Scores of each of ``n`` classes, or of each column."""
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(
        true,
        predicted,
        labels=None if n is None else np.arange(n),
        average="binary" if n is None and true.shape[1] == 1 else None,
        zero_division=0,
    )
    names = ("precision", "recall", "f1", "support")
    rows = zip(*(np.atleast_1d(column).tolist() for column in columns), strict=True)
    return [{kind: k, **dict(zip(names, row, strict=True))} for k, row in enumerate(rows)]


def _scores_of_numbers(true: NDArray[Any], predicted: NDArray[Any]) -> list[dict[str, Any]]:
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    def columns(score: Any) -> list[float | None]:
        # R2 of a single sample is not defined.
        values = np.atleast_1d(score(true, predicted, multioutput="raw_values"))
        return [float(value) if np.isfinite(value) else None for value in values]

    r2 = columns(r2_score) if len(true) > 1 else [None] * true.shape[1]
    rows = zip(r2, columns(mean_absolute_error), columns(root_mean_squared_error), strict=True)
    return [
        {"output": k, "r2": row[0], "mae": row[1], "rmse": row[2]} for k, row in enumerate(rows)
    ]
