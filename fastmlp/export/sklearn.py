"""To and from scikit-learn's `MLPClassifier` and `MLPRegressor`, and those of `fastmlp.sklearn`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.checks import check_choice, shown
from fastmlp.export.layers import Layer, layers_of, model_from
from fastmlp.model import ACTIVATIONS, MLP

NAMES = {"identity": "identity", "sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}
"""Our names of scikit-learn's activations, and its own."""

LOSSES = {
    "softmax": "cross_entropy",
    "logistic": "binary_cross_entropy",
    "identity": "squared_error",
    "exp": "poisson",
}
"""By the ``out_activation_`` of an estimator."""


def to_sklearn(model: MLP, classes: ArrayLike | None = None) -> Any:
    """Give ``model`` as a fitted estimator of scikit-learn.

    It predicts what the model does of the numbers that the network sees: scikit-learn does not
    scale uint8. Its settings of training are scikit-learn's defaults; `partial_fit` goes on from
    here. Of absolute_error and huber it is a regressor of squared_error, which predicts alike.

    Parameters
    ----------
    model : MLP
        With one of relu, tanh, sigmoid and identity on all hidden layers, and without norms.
        Dropout is nothing in prediction and left out.
    classes : array-like (n_classes,), optional
        Labels of the outputs in ascending order; by default 0, 1, ... One output of
        binary_cross_entropy has two.

    Returns
    -------
    sklearn.neural_network.MLPClassifier or MLPRegressor
        With copies of the parameters, of their dtype. A classifier of two classes has one output
        in scikit-learn: of cross_entropy with two outputs its last layer is the difference of
        theirs, which gives the same probabilities to rounding.

    Raises
    ------
    TypeError, ValueError
        If ``model`` is no `MLP`, scikit-learn has no such network, or ``classes`` do not fit.
    """
    layers = layers_of(model)
    kinds = {layer.activation for layer in layers[:-1]}
    if len(kinds) > 1 or not kinds <= set(NAMES):
        raise ValueError(
            f"scikit-learn has one of {', '.join(NAMES)} for all hidden layers, not "
            f"{shown(model.activation)}"
        )
    if any(layer.norm for layer in layers):
        raise ValueError(f"scikit-learn has no norm, and this network {shown(model.norm)}")
    n_outputs = model.layers[-1]
    if model.loss.targets == "classes" and n_outputs == 2:
        W, b = layers[-1].W, layers[-1].b
        layers[-1].W, layers[-1].b = np.diff(W, axis=1), np.diff(b)
    if model.loss.targets == "classes" and n_outputs == 1:
        raise ValueError("scikit-learn has no classifier of one class")
    settings = {
        "hidden_layer_sizes": model.layers[1:-1],
        "activation": NAMES[str(kinds.pop())] if kinds else "relu",
    }
    estimator = _fitted(model, settings, classes)
    estimator.coefs_ = [np.ascontiguousarray(layer.W) for layer in layers]
    estimator.intercepts_ = [layer.b for layer in layers]
    return estimator


def _fitted(model: MLP, settings: dict[str, Any], classes: ArrayLike | None) -> Any:
    """An estimator of these sizes. scikit-learn makes it, by a step on a sample of zeros.

    So it has whatever attributes this version of scikit-learn gives one.
    """
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    n_outputs = model.layers[-1]
    X = np.zeros((1, model.layers[0]), model.dtype)
    if not model.loss.has_accuracy:
        if classes is not None:
            raise ValueError(f"classes are of a classifier, not of {model.loss.name}")
        if model.loss.name == "poisson":
            settings["loss"] = "poisson"
        try:
            estimator = MLPRegressor(**settings)
        except TypeError:
            raise ValueError("scikit-learn has poisson from version 1.7 on") from None
        estimator.partial_fit(X, np.zeros(1 if n_outputs == 1 else (1, n_outputs)))
    else:
        estimator = MLPClassifier(**settings)
        if model.loss.targets == "binary" and n_outputs > 1:
            if classes is not None:
                raise ValueError("classes are not of several labels: each is 0 or 1")
            estimator.partial_fit(X, np.zeros((1, n_outputs), int), classes=range(n_outputs))
        else:
            labels = _check_classes(classes, max(n_outputs, 2))
            estimator.partial_fit(X, labels[:1], classes=labels)
    # Nothing of that step is left.
    estimator.n_iter_ = estimator.t_ = 0
    estimator.loss_curve_, estimator.best_loss_ = [], np.inf
    del estimator.loss_, estimator._optimizer
    return estimator


def _check_classes(classes: ArrayLike | None, count: int) -> NDArray[Any]:
    labels = np.arange(count) if classes is None else np.asarray(classes)
    if labels.shape != (count,) or not np.array_equal(np.unique(labels), labels):
        raise ValueError(
            f"classes must be {count} different labels in ascending order, not {shown(classes)}"
        )
    return labels


def from_sklearn(estimator: Any) -> MLP:
    """Make a model of a fitted estimator of scikit-learn or of `fastmlp.sklearn`.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor

    Returns
    -------
    MLP
        With copies of the parameters, of their dtype, and ``uint8_scale`` 1: estimators do not
        scale. Class k is ``estimator.classes_[k]``; of two classes there is one output, the
        probability of the second.

    Raises
    ------
    TypeError, ValueError
        If ``estimator`` is none of these, is not fitted, or a parameter is NaN or infinite.
    """
    if not (hasattr(estimator, "hidden_layer_sizes") and hasattr(estimator, "activation")):
        raise TypeError(
            "estimator must be an MLPClassifier or MLPRegressor, of scikit-learn or "
            f"fastmlp.sklearn, not {shown(estimator)}"
        )
    if not hasattr(estimator, "coefs_"):
        raise ValueError(f"estimator must be fitted, and {shown(estimator)} is not")
    names = _names(estimator.activation, len(estimator.coefs_) - 1)
    dropouts = _each(getattr(estimator, "dropout", 0.0), len(names))
    layers = [
        Layer(W, b, name, None, {}, dropout)
        for W, b, name, dropout in zip(
            estimator.coefs_, estimator.intercepts_, (*names, None), (*dropouts, 0.0), strict=True
        )
    ]
    return model_from(layers, loss=LOSSES[estimator.out_activation_], uint8_scale=1.0)


def _names(activation: Any, hidden: int) -> list[str]:
    """Our names of an estimator's activations."""
    ours = {theirs: name for name, theirs in NAMES.items()}
    names = [ours.get(name, name) for name in _each(activation, hidden)]
    return [check_choice("activation", name, ACTIVATIONS) for name in names]


def _each(value: Any, hidden: int) -> Sequence[Any]:
    """One value for each hidden layer, of one for all or of one for each."""
    return [value] * hidden if isinstance(value, str) or not hasattr(value, "__len__") else value
