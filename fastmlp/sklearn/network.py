"""Between an estimator's ``coefs_`` and ``intercepts_`` and the `MLP` that the engine reads."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.model import MLP
from fastmlp.predictor import Predictor
from fastmlp.sklearn.parameters import threads_of

UNKEPT = ("_network", "_network_key", "_engine")
"""Attributes that no copy or pickle takes: buffers, and what is bound to their addresses."""


def make_network(estimator: Any, layers: Sequence[int], dtype: np.dtype[Any]) -> MLP:
    """Let ``estimator`` have a network of zeros; its ``coefs_`` and ``intercepts_`` are views."""
    key = _key(estimator, layers, dtype)
    network = MLP(
        layers,
        activation=_activation_of(estimator),
        loss=estimator._network_loss(),
        dropout=estimator.dropout,
        init="zeros",
        dtype=dtype,
        uint8_scale=1.0,
    )
    estimator._network, estimator._network_key = network, key
    estimator.coefs_, estimator.intercepts_ = list(network.weights), list(network.biases)
    return network


def network_of(estimator: Any, adopt: bool = False) -> MLP:
    """The network with the parameters that ``estimator`` has now.

    Where ``coefs_`` and ``intercepts_`` are not its views, set by hand, they are copied into it at
    every call: whoever has them may change them. ``adopt`` makes them its views.
    """
    coefs, intercepts = estimator.coefs_, estimator.intercepts_
    network: MLP | None = estimator.__dict__.get("_network")
    layers = [coefs[0].shape[0], *(W.shape[1] for W in coefs)]
    if network is not None:
        own = _same(coefs, network.weights) and _same(intercepts, network.biases)
        dtype = network.dtype if own else np.result_type(*coefs, *intercepts)
        if estimator._network_key == _key(estimator, layers, dtype):
            if not own:
                _copy(coefs, intercepts, network)
                if adopt:
                    estimator.coefs_ = list(network.weights)
                    estimator.intercepts_ = list(network.biases)
            return network
    dtype = np.result_type(*coefs, *intercepts, np.float32)
    network = make_network(estimator, layers, dtype)
    _copy(coefs, intercepts, network)
    if not adopt:
        estimator.coefs_, estimator.intercepts_ = coefs, intercepts
    return network


def predictor_of(estimator: Any, network: MLP) -> Predictor:
    """A predictor of ``network`` with the threads that the constructor was told."""
    # Not by how many there are by default: to find that out takes longer than to predict. On the
    # network, since a prediction may not change the estimator's attributes.
    kept = network.__dict__.get("_predictor_of_estimator")
    if kept is None or kept[0] != estimator.threads:
        threads = threads_of(estimator.threads)
        kept = estimator.threads, Predictor(network, threads=threads, keep_threads=False)
        network._predictor_of_estimator = kept
    made: Predictor = kept[1]
    return made


def draw_parameters(estimator: Any, network: MLP, random_state: Any) -> None:
    """Initial weights and biases, uniform within +-sqrt(c / (n_in + n_out)).

    c = 6, with the logistic function 2 (Glorot and Bengio, 2010), in scikit-learn's order of draws.
    """
    activations = (*network.activations, network.activations[-1] if network.activations else "relu")
    if isinstance(estimator.activation, str):  # which counts without hidden layers, too
        activations = (_names(estimator.activation),) * len(activations)
    for W, b, activation in zip(network.weights, network.biases, activations, strict=True):
        bound = np.sqrt((2.0 if activation == "sigmoid" else 6.0) / sum(W.shape))
        W[...] = random_state.uniform(-bound, bound, W.shape)
        b[...] = random_state.uniform(-bound, bound, b.shape)


def _key(estimator: Any, layers: Sequence[int], dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """What a network is made by."""
    dropout = estimator.dropout
    return (
        tuple(layers),
        _activation_of(estimator),
        estimator._network_loss(),
        tuple(dropout) if hasattr(dropout, "__len__") else dropout,
        dtype,
    )


def _activation_of(estimator: Any) -> Any:
    return _names(estimator.activation)


def _names(activation: Any) -> Any:
    """scikit-learn's names as fastmlp's."""
    if isinstance(activation, str) or not hasattr(activation, "__iter__"):
        return "sigmoid" if activation == "logistic" else activation
    return tuple(_names(item) for item in activation)


def _same(arrays: Sequence[Any], views: Sequence[Any]) -> bool:
    return len(arrays) == len(views) and all(map(operator.is_, arrays, views))


def _copy(coefs: Sequence[NDArray[Any]], intercepts: Sequence[NDArray[Any]], network: MLP) -> None:
    for view, array in zip((*network.weights, *network.biases), (*coefs, *intercepts), strict=True):
        view[...] = array


def layer_sizes(estimator: Any) -> list[int]:
    """Sizes of the hidden layers, as the constructor was told."""
    hidden = estimator.hidden_layer_sizes
    sizes = list(hidden) if hasattr(hidden, "__iter__") else [hidden]
    if np.any(np.array(sizes) <= 0):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return sizes
