"""`MLP`: sizes, one flat parameter buffer with ``W`` and ``b`` views, prediction."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastmlp.checks import check_choice, check_fits, check_integer, check_number, shown
from fastmlp.data.rows import Rows
from fastmlp.engine.layout import (
    PREDICT_ROWS,
    aligned_zeros,
    parameter_layout,
    parameter_views,
    views_of,
)
from fastmlp.initializers import initializer
from fastmlp.losses import Huber, Loss, check_loss
from fastmlp.predictor import Predictor

ACTIVATIONS = (
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "gelu_tanh",
    "silu",
    "mish",
    "tanh",
    "sigmoid",
    "softplus",
    "identity",
)
"""Names of the activations; `fastmlp.kernels.activations` holds their maths."""

NORMS = ("layer", "batch")
"""Names of the norms; `fastmlp.kernels.norms` holds their maths."""

DTYPES = ("float32", "float64")

FIXED = (
    *("layers", "activation", "activations", "loss", "norm", "norms", "dropout", "input_dropout"),
    *("dtype", "places"),
)
"""Attributes that cannot be set once they are."""

MADE_ANEW = ("_views", "_lists", "_predictor", "_trainer")
"""Attributes that a copy does not take over."""


class ParameterList(list[NDArray[np.floating]]):
    """A list of views whose items keep their place: an item that is set is copied into it."""

    def __setitem__(self, index: Any, value: Any) -> None:
        """Copy ``value``, of the same shape, into the item; slices item by item."""
        if isinstance(index, slice):
            for k, item in zip(range(len(self))[index], value, strict=True):
                self[k] = item
            return
        target = self[index]
        target[...] = _check_parameters("parameters", value, target)


def _check_parameters(name: str, value: Any, target: NDArray[np.floating]) -> NDArray[np.floating]:
    """``value`` as an array that can take the place of ``target``, of whose shape it is."""
    array = np.asarray(value)
    if array.dtype.kind not in "uifb":
        raise TypeError(f"{name} must be real numbers, not dtype {array.dtype}")
    if array.shape != target.shape:
        raise ValueError(f"{name} of shape {target.shape} cannot be set to {array.shape}")
    with np.errstate(over="ignore"):
        cast: NDArray[np.floating] = array.astype(target.dtype)
    if (np.isfinite(array) & ~np.isfinite(cast)).any():
        raise ValueError(f"{name} must be finite in {target.dtype}")
    return cast


class MLP:
    """Multilayer perceptron: ``A_l = f_l(norm_l(A_{l-1} @ W_l + b_l))``, the last layer linear.

    Parameters
    ----------
    layers : sequence of int
        Sizes from the input to the output, two or more, for example ``[784, 128, 10]``.
    activation : str or sequence of str, default "relu"
        Of the hidden layers, or of each: relu, leaky_relu (slope 0.01), elu, selu, gelu (with erf),
        gelu_tanh, silu, mish, tanh, sigmoid, softplus, identity; as PyTorch's with their defaults.
    loss : str or Loss, default "cross_entropy"
        What training minimises, and with it what the outputs mean: cross_entropy,
        binary_cross_entropy, squared_error, absolute_error, huber, poisson, or an object such as
        ``CrossEntropy(label_smoothing=0.1)``.
    norm : {None, "layer", "batch"} or a sequence of these, default None
        Between product and activation of the hidden layers, or of each (Ba et al., 2016; Ioffe and
        Szegedy, 2015); as `torch.nn.LayerNorm` and `torch.nn.BatchNorm1d`, eps 1e-5, momentum 0.1.
    dropout : float or sequence of float, default 0
        Share of the hidden layers' activations, or of each's, that a training step drops, below 1
        (Srivastava et al., 2014).
    input_dropout : float, default 0
        The same of the input.
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
    scales, shifts : list of ndarray (n_out,)
        As weights, of the norms, from the first layer that has one on.
    running_means, running_variances : list of ndarray (n_out,)
        The same of what batch norm predicts with.
    n_parameters : int
        Number of weights, biases, scales and shifts.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or a value that is not allowed.
    """

    def __init__(
        self,
        layers: Sequence[int],
        *,
        activation: str | Sequence[str] = "relu",
        loss: str | Loss = "cross_entropy",
        norm: str | Sequence[str | None] | None = None,
        dropout: float | Sequence[float] = 0.0,
        input_dropout: float = 0.0,
        init: str = "he_normal",
        dtype: DTypeLike = "float32",
        seed: int = 0,
        uint8_scale: float = 1 / 255,
    ) -> None:
        self.layers = _check_layers(layers)
        hidden = len(self.layers) - 2
        self.activation, self.activations = per_layer(
            "activation", activation, hidden, check_activation
        )
        self.loss = check_loss(loss)
        self.norm, self.norms = per_layer("norm", norm, hidden, _check_norm)
        self.dropout, dropouts = per_layer("dropout", dropout, hidden, _check_dropout)
        self.input_dropout = _check_dropout("input_dropout", input_dropout)
        draw = initializer(init)
        self.init = init
        self.dtype = _check_dtype(dtype)
        self.seed = check_integer("seed", seed, 0)
        self.uint8_scale = check_number("uint8_scale", uint8_scale, least=0)
        self._predictor: Predictor | None = None
        self._trainer: Any = None
        self.places, items = parameter_layout(
            self.layers, self.dtype, self.activations, self.norms, dropouts
        )
        try:
            self._hold(aligned_zeros(items, self.dtype))
        except (ValueError, MemoryError, OverflowError) as error:
            raise MemoryError(
                f"layers {shown(self.layers)} have {items} parameters, for which there is no "
                f"memory: {error}"
            ) from None
        if isinstance(self.loss, Huber):
            check_fits("delta", self.loss.delta, self.dtype)
        rng = np.random.default_rng(self.seed)
        for W, b in zip(self.weights, self.biases, strict=True):
            W[...], b[...] = draw(rng, *W.shape)
        for ones in (*self.scales, *self.running_variances):
            ones[...] = 1

    def __setattr__(self, name: str, value: Any) -> None:
        """AttributeError for what buffers and kernels were chosen by."""
        if name in FIXED and name in self.__dict__:
            raise AttributeError(f"{name} of an MLP cannot be changed: make another one")
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return (
            f"MLP({list(self.layers)}, activation={self.activation!r}, loss={self.loss!r}, "
            f"norm={self.norm!r}, dropout={self.dropout!r}, input_dropout={self.input_dropout!r}, "
            f"init={self.init!r}, dtype={self.dtype.name!r}, seed={self.seed})"
        )

    def _hold(self, parameters: NDArray[np.floating]) -> None:
        """Take ``parameters`` as the flat buffer that weights and biases are views of."""
        self.parameters = parameters
        self._views = parameter_views(parameters, self.places)
        kinds = ("W", "b", "scale", "shift", "mean", "variance")
        self._lists = {kind: ParameterList(views_of(self._views, kind)) for kind in kinds}

    @property
    def weights(self) -> ParameterList:
        """W of each layer, (n_in, n_out); an item that is set is copied into the model."""
        return self._lists["W"]

    @property
    def biases(self) -> ParameterList:
        """b of each layer, (n_out,); an item that is set is copied into the model."""
        return self._lists["b"]

    @property
    def scales(self) -> ParameterList:
        """Scale of each norm, (n_out,); an item that is set is copied into the model."""
        return self._lists["scale"]

    @property
    def shifts(self) -> ParameterList:
        """Shift of each norm, (n_out,); an item that is set is copied into the model."""
        return self._lists["shift"]

    @property
    def running_means(self) -> ParameterList:
        """Mean with which each batch norm predicts, (n_out,)."""
        return self._lists["mean"]

    @property
    def running_variances(self) -> ParameterList:
        """Variance with which each batch norm predicts, (n_out,)."""
        return self._lists["variance"]

    def state_dict(self) -> dict[str, NDArray[np.floating]]:
        """Copies of all arrays: W1, b1, scale1, shift1, mean1, variance1, W2, ..., as there are."""
        return {name: np.array(view) for name, view in self._views.items()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Copy in what `state_dict` gave.

        Raises
        ------
        ValueError
            If an array is missing, unknown or of another shape; nothing is changed then.
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"state must be a dict of arrays, not {shown(state)}")
        if set(state) != set(self._views):
            wrong = sorted(map(str, set(state).symmetric_difference(self._views)))
            raise ValueError(f"state must hold {', '.join(self._views)}: {shown(wrong)} differ")
        arrays = {
            name: _check_parameters(f"state {name}", state[name], view)
            for name, view in self._views.items()
        }
        for name, view in self._views.items():
            view[...] = arrays[name]

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle holds: the buffer, without the views of it."""
        return {k: v for k, v in self.__dict__.items() if k not in MADE_ANEW}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copied buffer need not start a cache line: it is brought into one that does."""
        self.__dict__.update(state)
        self._predictor = self._trainer = None
        parameters = aligned_zeros(len(self.parameters), self.dtype)
        parameters[...] = self.parameters
        self._hold(parameters)

    @property
    def n_parameters(self) -> int:
        """Number of weights, biases, scales and shifts."""
        lists = (self.weights, self.biases, self.scales, self.shifts)
        return sum(array.size for arrays in lists for array in arrays)

    def logits(self, x: ArrayLike | Rows, out: NDArray[Any] | None = None) -> NDArray[np.floating]:
        """Output of the last layer; any number of threads may ask at once.

        Parameters
        ----------
        x : array-like, scipy sparse matrix, DataFrame or Rows, (n_samples, n_features)
            uint8 is scaled by ``uint8_scale``; other numbers are cast to ``dtype``.
        out : ndarray (n_samples, n_outputs), optional
            Where the result goes: contiguous, writeable, of ``dtype``.

        Returns
        -------
        ndarray (n_samples, n_outputs) of ``dtype``
            ``out``, or a new array.

        Raises
        ------
        TypeError
            If ``x`` does not hold real numbers.
        ValueError
            If its shape is wrong, it is empty, or a value is not finite in ``dtype``.
        TypeError, ValueError
            If ``out`` is not as said.
        """
        return self._bound().logits(x, out)

    def predict_proba(
        self, x: ArrayLike | Rows, out: NDArray[Any] | None = None
    ) -> NDArray[np.floating]:
        """Probabilities: softmax of the logits, or of each output of a binary loss its sigmoid.

        Parameters
        ----------
        x, out
            As of `logits`.

        Returns
        -------
        ndarray (n_samples, n_outputs) of ``dtype``
            ``out``, or a new array.

        Raises
        ------
        TypeError
            If the loss is one of regression.
        TypeError, ValueError
            As `logits`.
        """
        return self._bound().predict_proba(x, out)

    def predict(self, x: ArrayLike | Rows) -> NDArray[Any]:
        """What the loss predicts; arguments and errors as `logits`.

        Returns
        -------
        ndarray (n_samples,) or (n_samples, n_outputs)
            cross_entropy: the class with the largest logit, the first of equals, (n_samples,) of
            intp. binary_cross_entropy: 1 where a logit is above 0, else 0, of intp; poisson: exp of
            the logits; other losses: the logits; these three (n_samples,) if there is one output.
        """
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


def per_layer(
    name: str, value: Any, hidden: int, check: Callable[[str, Any], Any]
) -> tuple[Any, tuple[Any, ...]]:
    """Check one ``value`` for all hidden layers, or a sequence of one for each.

    Gives it as the attribute (itself, or a tuple), and a tuple of one for each.
    """
    one = not hasattr(value, "__len__") or getattr(value, "ndim", 1) == 0
    if value is None or isinstance(value, str) or one:
        checked = check(name, value)
        return checked, (checked,) * hidden
    if isinstance(value, (Mapping, Set)):
        raise TypeError(f"{name} must be one value or a sequence, not {shown(value)}")
    items = tuple(check(f"{name}[{k}]", item) for k, item in enumerate(value))
    if len(items) != hidden:
        raise ValueError(
            f"{name} must be one value, or one for each of {hidden} hidden layers: {shown(value)}"
        )
    return items, items


def check_activation(name: str, value: Any) -> str:
    """Give ``value``, which must be one of `ACTIVATIONS`; ValueError if not."""
    return check_choice(name, value, ACTIVATIONS)


def _check_norm(name: str, value: Any) -> str | None:
    if value is not None and value not in NORMS:
        raise ValueError(f"{name} must be None, {' or '.join(NORMS)}, not {shown(value)}")
    return None if value is None else str(value)


def _check_dropout(name: str, value: Any) -> float:
    return check_number(name, value, 0, 1)


def _check_layers(layers: Sequence[int]) -> tuple[int, ...]:
    if isinstance(layers, Set | Mapping):  # in no order
        raise TypeError(f"layers must be a sequence of integers, not {shown(layers)}")
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
