"""The network: its parameters, the forward pass and the backward pass."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .functions import ACTIVATIONS, Array, softmax
from .initializers import initializer
from .inputs import (
    as_batch,
    check_dtype,
    check_integer,
    check_layers,
    check_name,
    check_number,
    check_x,
)

# Prediction goes through this many rows at a time: 25 MB of float64 for 784 features, whatever the
# number of samples, and long enough that a product runs at full speed.
ROWS_AT_A_TIME = 4096


class MLP:
    """softmax(… activation(activation(X W₁ + b₁) W₂ + b₂) …): a multilayer perceptron.

    Parameters
    ----------
    layers : sequence of int
        (n_features, hidden sizes ..., n_classes); without hidden sizes, softmax regression.
    activation : str, default "relu"
        A name of :data:`reference.functions.ACTIVATIONS`, for all hidden layers.
    init : str, default "he_normal"
        A name of :data:`reference.initializers.INITIALIZERS`, or "uniform(a, b)" with bounds.
    dtype : "float32" (default) or "float64"
        Of the parameters and of all arithmetic.
    seed : int, default 0
        Decides the initial parameters.
    uint8_scale : float, default 1/255
        What uint8 inputs are multiplied by.

    Attributes
    ----------
    weights : list of arrays (n_in, n_out)
    biases : list of arrays (n_out,)
        The parameters, layer by layer. Training changes these arrays in place.

    Raises
    ------
    ValueError, TypeError
        One line that names the argument.
    """

    def __init__(
        self,
        layers: Sequence[int],
        *,
        activation: str = "relu",
        init: str = "he_normal",
        dtype: Any = "float32",
        seed: int = 0,
        uint8_scale: float = 1 / 255,
    ) -> None:
        self.layers = check_layers(layers)
        self.activation = check_name("activation", activation, ACTIVATIONS)
        draw = initializer(init)
        self.init = init
        self.dtype = check_dtype(dtype)
        self.seed = check_integer("seed", seed, 0)
        self.uint8_scale = check_number("uint8_scale", uint8_scale, 0)

        self.weights: list[Array] = []  # weights[k] (layers[k], layers[k+1])
        self.biases: list[Array] = []  # biases[k] (layers[k+1],)
        rng = np.random.default_rng(self.seed)
        for n_in, n_out in zip(self.layers, self.layers[1:], strict=False):
            W, b = draw(rng, n_in, n_out)
            self.weights.append(W.astype(self.dtype))
            self.biases.append(b.astype(self.dtype))

    @property
    def n_parameters(self) -> int:
        """Σ n_in · n_out + n_out over the layers."""
        return sum(W.size + b.size for W, b in zip(self.weights, self.biases, strict=True))

    def forward(self, X: Array) -> tuple[list[Array], list[Array]]:
        """A₀ = X, Zₖ = Aₖ Wₖ + bₖ, Aₖ₊₁ = activation(Zₖ); the last Z is the logits.

        Parameters
        ----------
        X : (n, n_features)
            A batch in the model's dtype.

        Returns
        -------
        A : list of arrays (n, layers[k])
            What goes into layer k.
        Z : list of arrays (n, layers[k+1])
            What layer k makes of it, before the activation.
        """
        activation = ACTIVATIONS[self.activation].function
        A, Z = [X], [X @ self.weights[0] + self.biases[0]]
        for W, b in zip(self.weights[1:], self.biases[1:], strict=True):
            A.append(activation(Z[-1]))
            Z.append(A[-1] @ W + b)
        return A, Z

    def backward(
        self, A: list[Array], Z: list[Array], dZ: Array
    ) -> tuple[list[Array], list[Array]]:
        """dWₖ = Aₖᵀ dZₖ, dbₖ = Σ dZₖ over samples, dZₖ₋₁ = (dZₖ Wₖᵀ) ⊙ activation'(Zₖ₋₁).

        The chain rule from the last layer to the first; dV stands for ∂loss/∂V and has V's shape.
        The derivation is in README.md.

        Parameters
        ----------
        A, Z : lists of arrays
            From :meth:`forward`.
        dZ : (n, n_classes)
            The gradient of the loss with respect to the logits.

        Returns
        -------
        dW : list of arrays (n_in, n_out)
        db : list of arrays (n_out,)
        """
        derivative = ACTIVATIONS[self.activation].derivative
        dW, db = [], []
        for k in reversed(range(len(self.weights))):
            dW.append(A[k].T @ dZ)  # (n_in, n) @ (n, n_out)
            db.append(dZ.sum(axis=0))  # (n_out,)
            if k > 0:
                # (n, n_out) @ (n_out, n_in): Z[k-1] made what went into layer k
                dZ = (dZ @ self.weights[k].T) * derivative(Z[k - 1])
        return dW[::-1], db[::-1]

    def logits(self, x: Any) -> Array:
        """Z of the last layer for x (n, n_features): (n, n_classes) in the model's dtype."""
        x = check_x("x", x, self.layers[0], self.dtype)
        parts = []
        for start in range(0, x.shape[0], ROWS_AT_A_TIME):
            X = as_batch(x[start : start + ROWS_AT_A_TIME], self.dtype, self.uint8_scale)
            parts.append(self.forward(X)[1][-1])
        return np.concatenate(parts)

    def predict_proba(self, x: Any) -> Array:
        """P = softmax(logits): (n, n_classes) in the model's dtype, each row sums to one."""
        return softmax(self.logits(x))

    def predict(self, x: Any) -> Array:
        """Argmax of the logits, the first if several are equal: (n,) of intp."""
        classes: Array = self.logits(x).argmax(axis=1)
        return classes
