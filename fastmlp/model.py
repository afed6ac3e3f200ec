"""`MLP`: sizes, one flat parameter buffer with ``W`` and ``b`` views, prediction."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastmlp.checks import check_choice, check_integer, check_number, shown
from fastmlp.engine.layout import aligned_zeros, parameter_layout, parameter_views
from fastmlp.initializers import INITIALIZERS
from fastmlp.inputs import check_samples
from fastmlp.threads import threads_for

ACTIVATIONS = ("relu",)
"""Names of the activations; `fastmlp.kernels.activations` holds their maths."""

DTYPES = ("float32", "float64")

PREDICT_ROWS = 256
"""Rows of one chunk in prediction: large enough for full tiles, small enough for the L2 cache."""


class MLP:
    """Multilayer perceptron: ``A_l = f(A_{l-1} @ W_l + b_l)``, the last layer linear (logits).

    Parameters
    ----------
    layers : sequence of int
        Sizes from the input to the output, two or more, for example ``[784, 128, 10]``.
    activation : {"relu"}, default "relu"
        Of the hidden layers.
    init : {"he_normal", "uniform"}, default "he_normal"
        Initial parameters: W normal with variance 2 / n_in and b zero (He et al., 2015), or both
        uniform in [-0.5, 0.5]. Drawn in float64 from ``numpy.random.default_rng(seed)``, layer by
        layer, then cast to ``dtype``.
    dtype : {"float32", "float64"}, default "float32"
        Of parameters and arithmetic.
    seed : int, default 0
        Of the initial parameters, 0 or more.
    uint8_scale : float, default 1/255
        Factor on input of dtype uint8.

    Attributes
    ----------
    weights : list of ndarray (n_in, n_out)
        Views of one flat buffer: writing into them changes the model.
    biases : list of ndarray (n_out,)
        As weights.
    n_parameters : int
        Number of weights and biases.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or a value that is not allowed.
    """

    def __init__(
        self,
        layers: Sequence[int],
        *,
        activation: str = "relu",
        init: str = "he_normal",
        dtype: DTypeLike = "float32",
        seed: int = 0,
        uint8_scale: float = 1 / 255,
    ) -> None:
        self.layers = _check_layers(layers)
        self.activation = check_choice("activation", activation, ACTIVATIONS)
        self.init = check_choice("init", init, tuple(INITIALIZERS))
        self.dtype = _check_dtype(dtype)
        self.seed = check_integer("seed", seed, 0)
        self.uint8_scale = check_number("uint8_scale", uint8_scale)
        self.places, items = parameter_layout(self.layers, self.dtype)
        self.parameters = aligned_zeros(items, self.dtype)
        self.weights, self.biases = parameter_views(self.parameters, self.places)
        rng = np.random.default_rng(self.seed)
        for W, b in zip(self.weights, self.biases, strict=True):
            W[...], b[...] = INITIALIZERS[self.init](rng, *W.shape)

    def __repr__(self) -> str:
        return (
            f"MLP({list(self.layers)}, activation={self.activation!r}, init={self.init!r}, "
            f"dtype={self.dtype.name!r}, seed={self.seed})"
        )

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
        return sum(W.size + b.size for W, b in zip(self.weights, self.biases, strict=True))

    def logits(self, x: ArrayLike) -> NDArray[np.floating]:
        """Output of the last layer.

        Parameters
        ----------
        x : array-like, scipy sparse matrix or DataFrame, (n_samples, n_features)
            uint8 is scaled by ``uint8_scale``; other numbers are cast to ``dtype``.

        Returns
        -------
        ndarray (n_samples, n_classes) of ``dtype``
        """
        return self._apply(x, "logits")

    def predict_proba(self, x: ArrayLike) -> NDArray[np.floating]:
        """Class probabilities, ``softmax(logits(x))``; arguments and shapes as `logits`."""
        return self._apply(x, "softmax")

    def predict(self, x: ArrayLike) -> NDArray[np.intp]:
        """Class with the largest logit (the first of equals), (n_samples,); ``x`` as `logits`."""
        classes: NDArray[np.intp] = np.argmax(self._apply(x, "logits"), axis=1)
        return classes

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to ``path`` as safetensors; see `fastmlp.load`."""
        from fastmlp.model_file import save

        save(self, path)

    def _apply(self, x: Any, head: str) -> NDArray[np.floating]:
        from fastmlp.engine.engine import Engine

        samples = check_samples(x, self.layers[0], self.dtype, self.uint8_scale)
        threads = threads_for(None, samples.count * len(self.parameters))
        with Engine(self, min(samples.count, PREDICT_ROWS), threads) as engine:
            return engine.predict(samples, head)


def _check_layers(layers: Sequence[int]) -> tuple[int, ...]:
    try:
        sizes = tuple(check_integer("every size in layers", size, 1) for size in layers)
    except TypeError as error:
        raise TypeError(f"layers must be a sequence of integers, not {shown(layers)}") from error
    if len(sizes) < 2:
        raise ValueError(f"layers needs an input and an output size, not {list(sizes)}")
    return sizes


def _check_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    for name in DTYPES:
        # None would be equal to NumPy's default, float64.
        if dtype is not None and dtype == np.dtype(name):
            return np.dtype(name)
    raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, not {shown(dtype)}")
