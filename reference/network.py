"""The network: its parameters, the forward pass and the backward pass."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .activations import ACTIVATIONS
from .functions import Array
from .initializers import initializer
from .inputs import (
    as_array,
    as_batch,
    check_dtype,
    check_each_hidden,
    check_fraction,
    check_integer,
    check_layers,
    check_name,
    check_number,
    check_x,
    shown,
)
from .losses import Loss, check_loss
from .norms import AXES, Normalised, normalise, normalise_backward, normalise_by, update_running

# Prediction goes through this many rows at a time: 25 MB of float64 for 784 features, whatever the
# number of samples, and long enough that a product runs at full speed.
ROWS_AT_A_TIME = 4096


class Forward(NamedTuple):
    """What the forward pass made of a batch, layer by layer: all that the backward pass needs.

    Attributes
    ----------
    A : list of arrays (n, layers[k])
        What goes into layer k.
    Z : list of arrays (n, layers[k+1])
        What layer k makes of it; the last are the logits.
    N : list of arrays (n, layers[k+1])
        What goes into the activation of hidden layer k: the normalised Z, or Z itself.
    norms : list of Normalised or None
        How hidden layer k was normalised, if it was.
    masks : list of arrays (n, layers[k]) or None
        What A[k] was multiplied by, if it was.
    """

    A: list[Array]
    Z: list[Array]
    N: list[Array]
    norms: list[Normalised | None]
    masks: Sequence[Array | None]


class Backward(NamedTuple):
    """Gradients, in lists like those of the model: ∂loss/∂W, ∂loss/∂b, ∂loss/∂scale, …."""

    weights: list[Array]
    biases: list[Array]
    scales: list[Array]
    shifts: list[Array]


class MLP:
    """… dropout(activation(norm(X W₁ + b₁))) W₂ + b₂ …: a multilayer perceptron.

    The last layer is linear: its Z are the logits, of which the loss makes predictions.

    Parameters
    ----------
    layers : sequence of int
        (n_features, hidden sizes ..., n_outputs); without hidden sizes, a linear model.
    activation : str or sequence of str, default "relu"
        A name of :data:`reference.activations.ACTIVATIONS`, or one for each hidden layer.
    loss : str or Loss, default "cross_entropy"
        What training minimises: a :class:`reference.losses.Loss`, or a name of
        :data:`reference.losses.LOSSES`.
    norm : None, "layer", "batch", or a sequence of these, default None
        What hidden layers normalise Z by, see :mod:`reference.norms`.
    dropout : float or sequence of floats, default 0
        The share of each hidden layer's units that a training step leaves out, in [0, 1).
    input_dropout : float, default 0
        The same of the features.
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
    scales, shifts : lists of arrays (n_out,)
        The parameters, layer by layer; scales and shifts of the hidden layers with a norm alone.
        Training changes these arrays in place.
    running_means, running_variances : lists of arrays (n_out,)
        Of the hidden layers with a batch norm, by which prediction normalises.

    Raises
    ------
    ValueError, TypeError
        One line that names the argument.
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
        dtype: Any = "float32",
        seed: int = 0,
        uint8_scale: float = 1 / 255,
    ) -> None:
        self.layers = check_layers(layers)
        n_hidden = len(self.layers) - 2
        activations = check_each_hidden("activation", activation, n_hidden, _check_activation)
        norms = check_each_hidden("norm", norm, n_hidden, _check_norm)
        rates = check_each_hidden("dropout", dropout, n_hidden, check_fraction)
        self.activation = activation if isinstance(activation, str) else activations
        self.norm = norm if norm is None or isinstance(norm, str) else norms
        is_one_rate = not isinstance(dropout, (list, tuple, np.ndarray))
        self.dropout = check_fraction("dropout", dropout) if is_one_rate else rates
        self.input_dropout = check_fraction("input_dropout", input_dropout)
        self.loss = check_loss(loss)
        draw = initializer(init)
        self.init = init
        self.dtype = check_dtype(dtype)
        self.seed = check_integer("seed", seed, 0)
        self.uint8_scale = check_number("uint8_scale", uint8_scale, 0)

        # One of each for every hidden layer.
        self._activations = [ACTIVATIONS[name] for name in activations]
        self._norms = norms
        self._rates = rates
        # What train_step keeps from call to call: its settings, and the state that they led to.
        self.stepping: tuple[Any, Any] | None = None

        self.weights: list[Array] = []  # weights[k] (layers[k], layers[k+1])
        self.biases: list[Array] = []  # biases[k] (layers[k+1],)
        rng = np.random.default_rng(self.seed)
        for n_in, n_out in zip(self.layers, self.layers[1:], strict=False):
            W, b = draw(rng, n_in, n_out)
            self.weights.append(W.astype(self.dtype))
            self.biases.append(b.astype(self.dtype))
        sizes = [self.layers[k + 1] for k in self.layers_with(*AXES)]
        self.scales: list[Array] = [np.ones(n_out, self.dtype) for n_out in sizes]
        self.shifts: list[Array] = [np.zeros(n_out, self.dtype) for n_out in sizes]
        sizes = [self.layers[k + 1] for k in self.layers_with("batch")]
        self.running_means: list[Array] = [np.zeros(n_out, self.dtype) for n_out in sizes]
        self.running_variances: list[Array] = [np.ones(n_out, self.dtype) for n_out in sizes]

    @property
    def dropout_rates(self) -> tuple[float, ...]:
        """The rate of dropout of what goes into each layer: of the input, then hidden layers."""
        return self.input_dropout, *self._rates

    def layers_with(self, *norms: str) -> list[int]:
        """The hidden layers, counted from 0, that have one of these norms."""
        return [k for k, norm in enumerate(self._norms) if norm in norms]

    @property
    def n_parameters(self) -> int:
        """How many numbers training changes: all of weights, biases, scales and shifts."""
        return sum(V.size for V in self.weights + self.biases + self.scales + self.shifts)

    def arrays(self) -> dict[str, Array]:
        """Every array by its name: W1, b1, scale1, shift1, mean1, variance1, W2, … (no copies)."""
        normed, batch_normed = self.layers_with(*AXES), self.layers_with("batch")
        arrays = {}
        for k, (W, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            arrays[f"W{k + 1}"], arrays[f"b{k + 1}"] = W, b
            if k in normed:
                i = normed.index(k)
                arrays[f"scale{k + 1}"], arrays[f"shift{k + 1}"] = self.scales[i], self.shifts[i]
            if k in batch_normed:
                i = batch_normed.index(k)
                arrays[f"mean{k + 1}"] = self.running_means[i]
                arrays[f"variance{k + 1}"] = self.running_variances[i]
        return arrays

    def state_dict(self) -> dict[str, Array]:
        """Copies of all arrays by name: W1, b1, scale1, shift1, mean1, variance1, W2, …."""
        return {name: V.copy() for name, V in self.arrays().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copy the arrays of a :meth:`state_dict` into those of this model.

        Raises
        ------
        ValueError, TypeError
            If a name is missing or unknown, or an array has another shape; nothing is changed.
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"state must be a dict of arrays, got {shown(state)}")
        own = self.arrays()
        for reason, names in (("misses", own.keys() - state), ("has unknown", state.keys() - own)):
            if names:
                raise ValueError(f"state {reason} {', '.join(sorted(map(str, names)))}")
        values = {name: as_array(f"state {name}", value) for name, value in state.items()}
        for name, value in values.items():
            if value.dtype.kind not in "buif":
                raise TypeError(f"state {name} must hold real numbers, got dtype {value.dtype}")
            if value.shape != own[name].shape:
                raise ValueError(
                    f"state {name} must have shape {own[name].shape}, got {value.shape}"
                )
        for name, value in values.items():
            own[name][...] = value

    def forward(
        self,
        X: Array,
        *,
        batch_statistics: bool = False,
        masks: Sequence[Array | None] | None = None,
    ) -> Forward:
        """A₀ = X, Zₖ = Aₖ Wₖ + bₖ, Nₖ = norm(Zₖ), Aₖ₊₁ = activation(Nₖ); the last Z: the logits.

        Parameters
        ----------
        X : (n, n_features)
            A batch in the model's dtype.
        batch_statistics : bool, default False
            Whether a batch norm takes the mean and variance of X's own Z, and not the running ones.
        masks : list of arrays (n, layers[k]) or None
            From :func:`reference.dropout.draw_masks`, one for what goes into each layer.
        """
        masks = [None] * len(self.weights) if masks is None else masks
        A: list[Array] = []
        Z: list[Array] = []
        N: list[Array] = []
        norms: list[Normalised | None] = []
        for k, (W, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            below = X if k == 0 else self._activations[k - 1].function(N[k - 1])
            mask = masks[k]
            A.append(below if mask is None else below * mask)
            Z.append(A[k] @ W + b)
            if k < len(self._norms):  # the last layer has neither norm nor activation
                normalised = self._normalise(k, Z[k], batch_statistics)
                norms.append(normalised)
                N.append(Z[k] if normalised is None else self._rescale(k, normalised.Z_hat))
        return Forward(A, Z, N, norms, masks)

    def _normalise(self, k: int, Z: Array, batch_statistics: bool) -> Normalised | None:
        """Ẑ of hidden layer k, if it has a norm."""
        norm = self._norms[k]
        if norm is None:
            return None
        if norm == "layer" or batch_statistics:
            return normalise(Z, norm)
        i = self.layers_with("batch").index(k)
        return normalise_by(Z, self.running_means[i], self.running_variances[i])

    def _rescale(self, k: int, Z_hat: Array) -> Array:
        """N = scale ⊙ Ẑ + shift, one scale and one shift for each column."""
        i = self.layers_with(*AXES).index(k)
        N: Array = self.scales[i] * Z_hat + self.shifts[i]
        return N

    def backward(self, forward: Forward, dZ: Array) -> Backward:
        """dWₖ = Aₖᵀ dZₖ, dbₖ = Σ dZₖ over samples, dNₖ₋₁ = (dZₖ Wₖᵀ) ⊙ activation'(Nₖ₋₁).

        The chain rule from the last layer to the first; dV stands for ∂loss/∂V and has V's shape.
        The derivation is in README.md.

        Parameters
        ----------
        forward : Forward
            From :meth:`forward`, with batch_statistics.
        dZ : (n, n_outputs)
            The gradient of the loss with respect to the logits.
        """
        A, _, N, norms, masks = forward
        dW, db, dscale, dshift = [], [], [], []
        scales = reversed(self.scales)
        for k in reversed(range(len(self.weights))):
            dW.append(A[k].T @ dZ)  # (n_in, n) @ (n, n_out)
            db.append(dZ.sum(axis=0))  # (n_out,)
            if k == 0:
                break
            dA = dZ @ self.weights[k].T  # (n, n_out) @ (n_out, n_in)
            mask, normalised = masks[k], norms[k - 1]
            if mask is not None:
                dA = dA * mask
            # Layer k - 1 made what went into layer k.
            dZ = dN = dA * self._activations[k - 1].derivative(N[k - 1])
            if normalised is not None:
                dscale.append((dN * normalised.Z_hat).sum(axis=0))
                dshift.append(dN.sum(axis=0))
                dZ = normalise_backward(dN * next(scales), normalised, str(self._norms[k - 1]))
        return Backward(dW[::-1], db[::-1], dscale[::-1], dshift[::-1])

    def update_running_statistics(self, forward: Forward) -> None:
        """Take a training batch into the running means and variances, in place."""
        running = zip(self.running_means, self.running_variances, strict=True)
        for k in self.layers_with("batch"):
            normalised = forward.norms[k]
            assert normalised is not None  # the layer has a norm
            update_running(*next(running), normalised)

    def logits(self, x: Any) -> Array:
        """Z of the last layer for x (n, n_features): (n, n_outputs) in the model's dtype."""
        x = check_x("x", x, self.layers[0], self.dtype)
        parts = []
        for start in range(0, x.shape[0], ROWS_AT_A_TIME):
            X = as_batch(x[start : start + ROWS_AT_A_TIME], self.dtype, self.uint8_scale)
            parts.append(self.forward(X).Z[-1])
        return np.concatenate(parts)

    def predict_proba(self, x: Any) -> Array:
        """Probabilities (n, n_outputs) in the model's dtype; TypeError if the loss has none.

        softmax(logits), or σ(logits) for binary_cross_entropy.
        """
        return self.loss.probabilities(self.logits(x))

    def predict(self, x: Any) -> Array:
        """What the loss makes of the logits.

        cross_entropy: the class (n,) of intp; binary_cross_entropy: 1 or 0 of intp; regression: the
        outputs, for poisson exp(logits). The last three are (n,) for one output, else
        (n, n_outputs).
        """
        return self.loss.predict(self.logits(x))


def _check_activation(name: str, value: Any) -> str:
    return check_name(name, value, ACTIVATIONS)


def _check_norm(name: str, value: Any) -> str | None:
    if value is None or (isinstance(value, str) and value in AXES):
        return value
    raise ValueError(
        f"{name} must be None, {', '.join(map(repr, AXES))} or a sequence of these, got "
        f"{shown(value)}"
    )
