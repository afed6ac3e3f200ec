"""A model as a list of its layers, which every export goes through in order."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import shown
from fastmlp.model import MLP

NORM_EPSILON = 1e-5
"""Of both norms; `fastmlp.kernels.norms` has it beside what needs numba."""

LEAK = 0.01
"""Slope of leaky_relu below 0."""

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
GELU_CUBIC = 0.044715


@dataclass
class Layer:
    """``A = activation(norm(A @ W + b))``; the last layer is linear.

    Attributes
    ----------
    W, b : ndarray (n_in, n_out), (n_out,)
    activation : str or None
        None after the last layer.
    norm : {None, "layer", "batch"}
    norm_arrays : dict of str to ndarray (n_out,)
        scale and shift of a norm; mean and variance of that of batches.
    dropout : float
        Of what the activation gives.
    """

    W: NDArray[np.floating]
    b: NDArray[np.floating]
    activation: str | None
    norm: str | None
    norm_arrays: dict[str, NDArray[np.floating]]
    dropout: float


def layers_of(model: object) -> list[Layer]:
    """Copies of what ``model`` is made of.

    Raises
    ------
    TypeError
        If it is no `MLP`.
    ValueError
        If a parameter is NaN or infinite.
    """
    if not isinstance(model, MLP):
        raise TypeError(f"model must be a fastmlp.MLP, not {shown(model)}")
    state = model.state_dict()
    for name, value in state.items():
        if not np.isfinite(value).all():
            raise ValueError(f"the model is not exported: {name} holds NaN or infinity")
    layers = []
    for k, place in enumerate(model.places, start=1):
        names = [name for name in place.names(k) if name not in (f"W{k}", f"b{k}")]
        arrays = {name.removesuffix(str(k)): state[name] for name in names}
        what = place.activation, place.norm, arrays, place.dropout
        layers.append(Layer(state[f"W{k}"], state[f"b{k}"], *what))
    return layers


def model_from(
    layers: list[Layer], *, loss: Any, input_dropout: float = 0.0, uint8_scale: float = 1 / 255
) -> MLP:
    """A model of these layers, at least one; ValueError if their sizes do not follow."""
    for k, (below, above) in enumerate(pairwise(layers), start=1):
        if below.W.shape[1] != above.W.shape[0]:
            raise ValueError(
                f"layer {k} has {below.W.shape[1]} outputs, layer {k + 1} {above.W.shape[0]} inputs"
            )
    arrays = [a for layer in layers for a in (layer.W, layer.b, *layer.norm_arrays.values())]
    dtypes = sorted({str(array.dtype) for array in arrays})
    if len(dtypes) > 1:
        raise ValueError(f"parameters must be of one dtype, not {' and '.join(dtypes)}")
    hidden = layers[:-1]
    model = MLP(
        [layers[0].W.shape[0], *(layer.W.shape[1] for layer in layers)],
        activation=_one_or_each([str(layer.activation) for layer in hidden], "relu"),
        norm=_one_or_each([layer.norm for layer in hidden], None),
        dropout=_one_or_each([layer.dropout for layer in hidden], 0.0),
        input_dropout=input_dropout,
        loss=loss,
        init="zeros",
        dtype=dtypes[0],
        uint8_scale=uint8_scale,
    )
    state: dict[str, NDArray[np.floating]] = {}
    for k, layer in enumerate(layers, start=1):
        named = {"W": layer.W, "b": layer.b, **layer.norm_arrays}
        state |= {f"{name}{k}": array for name, array in named.items()}
    for name, value in state.items():
        if not np.isfinite(value).all():
            raise ValueError(f"{name} holds NaN or infinity")
    model.load_state_dict(state)
    return model


def _one_or_each(values: list[Any], default: Any) -> Any:
    """What `MLP` is told: one value where all are the same."""
    if len(set(values)) <= 1:
        return values[0] if values else default
    return values
