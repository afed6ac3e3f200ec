"""`MLP`: sizes, one flat parameter buffer with ``W`` and ``b`` views, prediction."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastmlp.checks import check_choice, check_integer, check_number, shown
from fastmlp.engine.layout import (
    PREDICT_ROWS,
    aligned_zeros,
    parameter_layout,
    parameter_views,
)
from fastmlp.initializers import initializer
from fastmlp.predictor import Predictor

ACTIVATIONS = ("relu",)
"""Names of the activations; `fastmlp.kernels.activations` holds their maths."""

DTYPES = ("float32", "float64")

MADE_ANEW = ("_weights", "_biases", "_predictor")
"""Attributes that a copy does not take over."""


class ParameterList(list[NDArray[np.floating]]):
    """A list of views whose items keep their place: an item that is set is copied into it."""

    def __setitem__(self, index: Any, value: Any) -> None:
        """Copy ``value``, of the same shape, into the item; slices item by item."""
        if isinstance(index, slice):
            for k, item in zip(range(len(self))[index], value, strict=True):
                self[k] = item
            return
        target, source = self[index], np.asarray(value)
        if source.shape != target.shape:
            raise ValueError(f"parameters of shape {target.shape} cannot be set to {source.shape}")
        target[...] = source


class MLP:
    """Multilayer perceptron: ``A_l = f(A_{l-1} @ W_l + b_l)``, the last layer linear (logits).

    Parameters
    ----------
    layers : sequence of int
        Sizes from the input to the output, two or more, for example ``[784, 128, 10]``.
    activation : {"relu"}, default "relu"
        Of the hidden layers.
    init : str, default "he_normal"
        Initial parameters: a name of `fastmlp.initializers.INITIALIZERS`, or ``"uniform(a, b)"``
        with bounds a < b. Drawn in float64 from ``numpy.random.default_rng(seed)``, layer by
        layer, then cast to ``dtype``.
    dtype : {"float32", "float64"}, default "float32"
        Of parameters and arithmetic.
    seed : int, default 0
        Of the initial parameters, 0 or more.
    uint8_scale : float, default 1/255
        Factor on input of dtype uint8, 0 or more.

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
        draw = initializer(init)
        self.init = init
        self.dtype = _check_dtype(dtype)
        self.seed = check_integer("seed", seed, 0)
        self.uint8_scale = check_number("uint8_scale", uint8_scale, least=0)
        self._predictor: Predictor | None = None
        self.places, items = parameter_layout(self.layers, self.dtype)
        self._hold(aligned_zeros(items, self.dtype))
        rng = np.random.default_rng(self.seed)
        for W, b in zip(self.weights, self.biases, strict=True):
            W[...], b[...] = draw(rng, *W.shape)

    def __repr__(self) -> str:
        return (
            f"MLP({list(self.layers)}, activation={self.activation!r}, init={self.init!r}, "
            f"dtype={self.dtype.name!r}, seed={self.seed})"
        )

    def _hold(self, parameters: NDArray[np.floating]) -> None:
        """Take ``parameters`` as the flat buffer that weights and biases are views of."""
        self.parameters = parameters
        weights, biases = parameter_views(parameters, self.places)
        self._weights, self._biases = ParameterList(weights), ParameterList(biases)

    @property
    def weights(self) -> ParameterList:
        """W of each layer, (n_in, n_out); an item that is set is copied into the model."""
        return self._weights

    @property
    def biases(self) -> ParameterList:
        """b of each layer, (n_out,); an item that is set is copied into the model."""
        return self._biases

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle holds: the buffer, without the views of it."""
        return {k: v for k, v in self.__dict__.items() if k not in MADE_ANEW}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copied buffer need not start a cache line: it is brought into one that does."""
        self.__dict__.update(state)
        self._predictor = None
        parameters = aligned_zeros(len(self.parameters), self.dtype)
        parameters[...] = self.parameters
        self._hold(parameters)

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

        Raises
        ------
        TypeError
            If ``x`` does not hold real numbers.
        ValueError
            If its shape is wrong, it is empty, or a value is not finite in ``dtype``.
        """
        return self._bound().logits(x)

    def predict_proba(self, x: ArrayLike) -> NDArray[np.floating]:
        """Class probabilities, ``softmax(logits(x))``; arguments, shapes and errors as `logits`."""
        return self._bound().predict_proba(x)

    def predict(self, x: ArrayLike) -> NDArray[np.intp]:
        """Class with the largest logit, the first of equals: (n_samples,) of intp; as `logits`."""
        return self._bound().predict(x)

    def predictor(self, batch_size: int = PREDICT_ROWS, threads: int | None = None) -> Predictor:
        """The model bound to buffers of its own, and to threads that stay, for many predictions.

        Parameters
        ----------
        batch_size : int, default 256
            Rows for which to make buffers, 1 or more; of them at most 256 are done at a time,
            further ones after them.
        threads : int, optional
            For large inputs, as in `fastmlp.fit`; small ones are done in the calling thread.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type or a value that is not allowed.
        """
        return Predictor(self, batch_size, threads)

    def _bound(self) -> Predictor:
        if self._predictor is None:
            self._predictor = Predictor(self, PREDICT_ROWS, keep_threads=False)
        return self._predictor

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to ``path`` as safetensors; see `fastmlp.load`."""
        from fastmlp.model_file import save

        save(self, path)


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
