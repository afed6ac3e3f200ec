"""One step of training: gradients of a batch, limits, decay, update; and what steps remember."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .augmentation import Augmentation, augment
from .averaging import Average, Averaging
from .clipping import clip_by_norm, clip_by_value, limit_columns
from .dropout import draw_masks
from .functions import Array
from .inputs import check_positive
from .network import MLP, Backward, Forward
from .norms import AXES
from .optimizers import Optimizer, State


class Batch(NamedTuple):
    """Sums over the samples of a batch: Σ s · loss, Σ s · mass, hits (None for regression)."""

    loss: float
    mass: float
    hits: int | None
    n: int

    @property
    def mean_loss(self) -> float:
        """Σ s · loss / Σ s · mass, 0 if nothing counts."""
        return self.loss / self.mass if self.mass else 0.0

    @property
    def accuracy(self) -> float | None:
        """The share of samples that are predicted right."""
        return None if self.hits is None else self.hits / self.n

    def __add__(self, other: Any) -> "Batch":
        """Both batches as one."""
        hits = None if self.hits is None else self.hits + other.hits
        return Batch(self.loss + other.loss, self.mass + other.mass, hits, self.n + other.n)


def measure(model: MLP, Z: Array, T: Array, weights: Array | None, c: Array) -> Batch:
    """What the logits cost.

    Parameters
    ----------
    Z : (n, n_outputs)
    T : (n,) or (n, n_outputs)
        Targets, checked by the model's loss.
    weights : (n,) or None
        The samples' weights s.
    c : (n_classes,)
        The classes' weights.
    """
    c = c.astype(model.dtype)
    s = 1.0 if weights is None else weights
    losses = s * model.loss.losses(Z, T, c).astype(np.float64)
    masses = s * model.loss.masses(T, c).astype(np.float64)
    hits = model.loss.hits(Z, T)
    return Batch(
        float(losses.sum()), float(masses.sum()), None if hits is None else int(hits.sum()), len(T)
    )


def backpropagate(
    model: MLP,
    X: Array,
    T: Array,
    weights: Array | None,
    c: Array,
    masks: Sequence[Array | None] | None = None,
) -> tuple[Batch, Forward, Backward]:
    """Forward, loss, backward: the gradients are of the mean loss of the batch."""
    forward = model.forward(X, batch_statistics=True, masks=masks)
    Z = forward.Z[-1]
    batch = measure(model, Z, T, weights, c)
    s = np.ones(len(T)) if weights is None else weights
    # ∂L/∂Zᵢ = sᵢ / Σ s · mass · ∂lossᵢ/∂Zᵢ; nothing moves if nothing counts
    shares = s / batch.mass if batch.mass else np.zeros(len(T))
    dZ = model.loss.derivative(Z, T, c.astype(model.dtype))
    dZ *= shares.astype(model.dtype)[:, np.newaxis]
    return batch, forward, model.backward(forward, dZ)


@dataclass(frozen=True)
class Limits:
    """Limits on gradients before a step, and on weights after it; None is none."""

    clip_norm: float | None = None
    clip_value: float | None = None
    max_norm: float | None = None

    def __post_init__(self) -> None:
        for name in ("clip_norm", "clip_value", "max_norm"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, check_positive(name, value))
        if self.clip_norm is not None and self.clip_value is not None:
            raise ValueError(
                f"clip_norm and clip_value exclude each other, got {self.clip_norm:g} and "
                f"{self.clip_value:g}"
            )


@dataclass
class TrainingState:
    """All that :func:`reference.fit` needs to go on where it ended, with the same bits.

    Attributes
    ----------
    epoch, step : int
        How many are done.
    optimizer : list of dicts of arrays
        What the optimiser remembers of each of weights + biases + scales + shifts.
    averaging : Average or None
        The average so far.
    schedule : dict
        What the schedule remembers.
    parameters : dict of arrays
        The arrays that were trained, by name; where an average was made, the model ends with that.
    epochs : list of Epoch
        The records of the epochs that are done.
    settings : dict of str
        What a training that goes on must have in common with this one.
    """

    epoch: int = 0
    step: int = 0
    optimizer: list[State] = field(default_factory=list)
    averaging: Average | None = None
    schedule: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Array] = field(default_factory=dict)
    epochs: list[Any] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What all steps of a training have in common."""

    optimizer: Optimizer
    class_weights: Array  # (n_classes,)
    limits: Limits
    seed: int
    averaging: Averaging | None = None
    augmentation: Augmentation | None = None


def start(model: MLP, plan: Plan, schedule: dict[str, Any] | None = None) -> TrainingState:
    """The state before the first step; `schedule` is that of the schedule."""
    n_layers, multipliers = len(model.weights), plan.optimizer.lr_multipliers
    if multipliers is not None and len(multipliers) != n_layers:
        raise ValueError(
            f"lr_multipliers must hold {n_layers} numbers, one for each layer, got {multipliers}"
        )
    parameters = model.weights + model.biases + model.scales + model.shifts
    return TrainingState(
        optimizer=[plan.optimizer.start(V) for V in parameters],
        averaging=None if plan.averaging is None else Average(),
        schedule=schedule or {},
    )


def take_step(
    model: MLP,
    X: Array,
    T: Array,
    weights: Array | None,
    plan: Plan,
    state: TrainingState,
    lr: float,
) -> Batch:
    """One update of the model's arrays and of the state, in place.

    A batch whose loss is NaN or infinite changes nothing but the count of steps.

    Parameters
    ----------
    X : (n, n_features)
    T : (n,) or (n, n_outputs)
    weights : (n,) or None
        As :func:`measure` takes them.
    lr : float
        The learning rate of this step.
    """
    state.step += 1
    if plan.augmentation is not None:
        X = augment(X, plan.augmentation, plan.seed, state.step, 0)
    sizes, rates = model.layers[:-1], model.dropout_rates
    masks = draw_masks(len(X), sizes, rates, plan.seed, state.step, model.dtype)
    limits = plan.limits
    # Overflow shows in the loss, which is looked at next; NumPy's warnings would say it twice.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        batch, forward, gradients = backpropagate(model, X, T, weights, plan.class_weights, masks)
        if not math.isfinite(batch.loss):
            return batch
        model.update_running_statistics(forward)
        dV = [gradient for gradients_of_kind in gradients for gradient in gradients_of_kind]
        if limits.clip_value is not None:
            clip_by_value(dV, limits.clip_value)
        if limits.clip_norm is not None:
            clip_by_norm(dV, limits.clip_norm)
        update(model, dV, plan.optimizer, state, lr)
        if limits.max_norm is not None:
            for W in model.weights:
                limit_columns(W, limits.max_norm)
        if plan.averaging is not None and state.averaging is not None:
            plan.averaging.after_step(state.averaging, model)
    return batch


def update(
    model: MLP, gradients: Sequence[Array], optimizer: Optimizer, state: TrainingState, lr: float
) -> None:
    """Every parameter by its gradient: lr times the layer's multiplier, decay where it is due."""
    layers = [*range(len(model.weights))] * 2 + model.layers_with(*AXES) * 2
    parameters = model.weights + model.biases + model.scales + model.shifts
    for i, (V, dV, layer) in enumerate(zip(parameters, gradients, layers, strict=True)):
        decays = i < len(model.weights) or optimizer.decay_biases
        rate = lr * optimizer.multiplier(layer)
        optimizer.step(V, dV, state.optimizer[i], state.step, rate, decays)
