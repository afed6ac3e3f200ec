"""Losses: what the logits of a sample cost, given its target, and the derivative of that.

Shapes: Z (n, K) logits; T targets, (n,) class numbers or (n, K); c weights of the classes. A loss
gives each sample its own loss and its own derivative. The mean loss of a batch is

    L = Σᵢ sᵢ lossᵢ / Σᵢ sᵢ massᵢ

where sᵢ is the sample's weight, and massᵢ how much of one sample it counts (its class's weight).
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .functions import Array, log_softmax, sigmoid, softmax, softplus
from .inputs import (
    as_array,
    check_class_weight,
    check_fraction,
    check_positive,
    check_probabilities,
    check_targets,
    check_y,
    shown,
)


class Loss(ABC):
    """What :func:`reference.fit` minimises, and what its predictions mean.

    Attributes
    ----------
    name : str
        Its key in :data:`LOSSES`.
    kind : "labels", "binary" or "real"
        What it predicts: one class of several, yes or no for each output, or numbers.
    """

    name: ClassVar[str]
    kind: ClassVar[str]

    @abstractmethod
    def check_targets(self, name: str, y: Any, n: int, K: int, dtype: np.dtype[Any]) -> Array:
        """Y as targets T of n samples and K outputs, or an error that names the argument."""

    @abstractmethod
    def check_class_weight(self, value: Any, T: Array, K: int) -> Array:
        """The argument class_weight as the weights c, ones for None."""

    @abstractmethod
    def losses(self, Z: Array, T: Array, c: Array) -> Array:
        """Loss of each sample (n,)."""

    @abstractmethod
    def derivative(self, Z: Array, T: Array, c: Array) -> Array:
        """∂lossᵢ/∂Z (n, K): each row is the derivative of its own sample's loss."""

    def masses(self, T: Array, c: Array) -> Array:
        """What each sample counts in the mean (n,): one."""
        return np.ones(len(T))

    def hits(self, Z: Array, T: Array) -> Array | None:
        """Whether each sample is predicted right (n,) of bool; None for regression."""
        return None

    @abstractmethod
    def predict(self, Z: Array) -> Array:
        """The predictions that the logits stand for."""

    def probabilities(self, Z: Array) -> Array:
        """Probabilities (n, K) that the logits stand for."""
        raise TypeError(
            "predict_proba needs a loss of classes, cross_entropy or binary_cross_entropy, "
            f"got {self.name}"
        )


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """loss = −Σⱼ uⱼ log softmax(z)ⱼ, where u is the sample's target distribution times c.

    Parameters
    ----------
    label_smoothing : float, default 0
        eps in [0, 1): t ← (1 − eps) t + eps / K (Szegedy et al.: Rethinking the Inception
        architecture, 2016, section 7).
    """

    name = "cross_entropy"
    kind = "labels"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        eps = check_fraction("label_smoothing", self.label_smoothing)
        object.__setattr__(self, "label_smoothing", eps)

    def check_targets(self, name: str, y: Any, n: int, K: int, dtype: np.dtype[Any]) -> Array:
        """Class numbers (n,), or rows of probabilities (n, K)."""
        targets = as_array(name, y)
        if targets.ndim != 2:
            return check_y(name, targets, n, K)
        return check_probabilities(name, targets, n, K).astype(dtype, copy=False)

    def check_class_weight(self, value: Any, T: Array, K: int) -> Array:
        """A weight for each of the K classes."""
        return check_class_weight(
            "class_weight", value, K, lambda: np.bincount(T, minlength=K) if T.ndim == 1 else None
        )

    def shares(self, T: Array, K: int, c: Array) -> Array:
        """U (n, K): uⱼ = cⱼ ((1 − eps) tⱼ + eps / K), where t is one-hot for a class number."""
        eps = self.label_smoothing
        if T.ndim == 2:
            return c * ((1 - eps) * T + eps / K)
        U = np.full((len(T), K), eps / K, c.dtype)
        U[np.arange(len(T)), T] += 1 - eps
        return c * U

    def losses(self, Z: Array, T: Array, c: Array) -> Array:
        """−Σⱼ uⱼ log Pⱼ; a class without a share adds nothing, even where log Pⱼ is −∞."""
        U = self.shares(T, Z.shape[1], c)
        log_P = log_softmax(Z)
        total: Array = np.multiply(U, -log_P, where=U != 0, out=np.zeros_like(Z)).sum(axis=1)
        return total

    def derivative(self, Z: Array, T: Array, c: Array) -> Array:
        """∂loss/∂zⱼ = (Σₖ uₖ) Pⱼ − uⱼ; the derivation is in README.md.

        Softmax and cross-entropy are differentiated as one function of the logits: apart, 1/P[y]
        would divide by zero for a hopeless sample.
        """
        U = self.shares(T, Z.shape[1], c)
        dZ: Array = U.sum(axis=1, keepdims=True) * softmax(Z) - U
        return dZ

    def masses(self, T: Array, c: Array) -> Array:
        """c of the sample's class; one for a row of probabilities."""
        return c[T] if T.ndim == 1 else np.ones(len(T))

    def hits(self, Z: Array, T: Array) -> Array:
        """argmax(z) = the class, or the first of the largest probabilities."""
        hits: Array = Z.argmax(axis=1) == (T if T.ndim == 1 else T.argmax(axis=1))
        return hits

    def predict(self, Z: Array) -> Array:
        """argmax(z), the first if several are equal: (n,) of intp."""
        classes: Array = Z.argmax(axis=1)
        return classes

    def probabilities(self, Z: Array) -> Array:
        """softmax(z): each row sums to one."""
        return softmax(Z)


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """loss = mean over the outputs of −t log σ(z) − (1 − t) log(1 − σ(z)), each times its weight.

    With a single output the weights are of the classes 0 and 1, and count in the mass; with several
    they are of the outputs.
    """

    name = "binary_cross_entropy"
    kind = "binary"

    def check_targets(self, name: str, y: Any, n: int, K: int, dtype: np.dtype[Any]) -> Array:
        """0, 1 or probabilities, (n, K)."""
        return check_targets(name, y, n, K, dtype, 0, 1)

    def check_class_weight(self, value: Any, T: Array, K: int) -> Array:
        """A weight for each of the classes 0 and 1 of a single output, or of the K outputs."""

        def counts() -> Array | None:
            is_label = K == 1 and bool(((T == 0) | (T == 1)).all())
            return np.bincount(T[:, 0].astype(np.intp), minlength=2) if is_label else None

        return check_class_weight("class_weight", value, 2 if K == 1 else K, counts)

    def weights(self, T: Array, c: Array) -> Array:
        """c of the sample's class (n, 1), or of the output (K,)."""
        weights: Array = c[(T > 0.5).astype(np.intp)] if T.shape[1] == 1 else c
        return weights

    def losses(self, Z: Array, T: Array, c: Array) -> Array:
        """log(1 + exp(z)) − t z, in which nothing overflows.

        −log σ(z) = log(1 + exp(−z)) = log(1 + exp(z)) − z, and −log(1 − σ(z)) = log(1 + exp(z)).
        """
        losses: Array = (self.weights(T, c) * (softplus(Z) - T * Z)).mean(axis=1)
        return losses

    def derivative(self, Z: Array, T: Array, c: Array) -> Array:
        """(σ(z) − t) / K."""
        dZ: Array = self.weights(T, c) * (sigmoid(Z) - T) / Z.shape[1]
        return dZ

    def masses(self, T: Array, c: Array) -> Array:
        """c of the sample's class if there is one output, else one."""
        return self.weights(T, c)[:, 0] if T.shape[1] == 1 else np.ones(len(T))

    def hits(self, Z: Array, T: Array) -> Array:
        """Whether all outputs are on the target's side."""
        hits: Array = ((Z > 0) == (T > 0.5)).all(axis=1)
        return hits

    def predict(self, Z: Array) -> Array:
        """1 where z > 0, else 0, of intp: (n,) for one output, else (n, K)."""
        return _without_a_single_axis((Z > 0).astype(np.intp))

    def probabilities(self, Z: Array) -> Array:
        """σ(z): (n, K)."""
        return sigmoid(Z)


class Regression(Loss):
    """loss = mean over the outputs of a function of z and t; its predictions are numbers."""

    kind = "real"
    lowest: ClassVar[float] = -math.inf

    def check_targets(self, name: str, y: Any, n: int, K: int, dtype: np.dtype[Any]) -> Array:
        """Numbers (n, K)."""
        targets = as_array(name, y)
        if K > 1 and targets.ndim == 1 and targets.dtype.kind in "ui":
            raise ValueError(
                f"{name} holds labels; {self.name} on {K} outputs needs (n_samples, {K})"
            )
        return check_targets(name, targets, n, K, dtype, self.lowest, math.inf)

    def check_class_weight(self, value: Any, T: Array, K: int) -> Array:
        """None alone: there are no classes."""
        if value is not None:
            raise ValueError(
                "class_weight needs a loss of classes, cross_entropy or binary_cross_entropy, "
                f"got {shown(value)} for {self.name}"
            )
        return np.ones(K)

    def predict(self, Z: Array) -> Array:
        """z: (n,) for one output, else (n, K)."""
        return _without_a_single_axis(Z)


@dataclass(frozen=True)
class SquaredError(Regression):
    """loss = mean over the outputs of (z − t)²."""

    name = "squared_error"

    def losses(self, Z: Array, T: Array, c: Array) -> Array:
        """Mean of (z − t)²."""
        losses: Array = np.square(Z - T).mean(axis=1)
        return losses

    def derivative(self, Z: Array, T: Array, c: Array) -> Array:
        """2 (z − t) / K."""
        dZ: Array = 2 / Z.shape[1] * (Z - T)
        return dZ


@dataclass(frozen=True)
class AbsoluteError(Regression):
    """loss = mean over the outputs of |z − t|."""

    name = "absolute_error"

    def losses(self, Z: Array, T: Array, c: Array) -> Array:
        """Mean of |z − t|."""
        losses: Array = np.abs(Z - T).mean(axis=1)
        return losses

    def derivative(self, Z: Array, T: Array, c: Array) -> Array:
        """sign(z − t) / K, 0 where z = t."""
        dZ: Array = np.sign(Z - T) / Z.shape[1]
        return dZ


@dataclass(frozen=True)
class Huber(Regression):
    """loss = mean over the outputs of (z − t)² / 2 up to |z − t| = delta, and linear beyond it.

    Huber: Robust estimation of a location parameter, 1964.

    Parameters
    ----------
    delta : float, default 1
        Where the line begins, finite and positive.
    """

    name = "huber"
    delta: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", check_positive("delta", self.delta))

    def losses(self, Z: Array, T: Array, c: Array) -> Array:
        """Mean of d² / 2 where |d| <= delta, else delta (|d| − delta / 2), for d = z − t."""
        d = np.abs(Z - T)
        near = np.minimum(d, self.delta)  # d² / 2 = near (d − near / 2), beyond delta, too
        losses: Array = (near * (d - 0.5 * near)).mean(axis=1)
        return losses

    def derivative(self, Z: Array, T: Array, c: Array) -> Array:
        """z − t, within −delta..delta, / K."""
        dZ: Array = np.clip(Z - T, -self.delta, self.delta) / Z.shape[1]
        return dZ


@dataclass(frozen=True)
class Poisson(Regression):
    """loss = mean over the outputs of exp(z) − t z: t >= 0 counts what happens at the rate exp(z).

    It is −log of the probability exp(−λ) λᵗ / t! of t for λ = exp(z), without log t!, which does
    not depend on z.
    """

    name = "poisson"
    lowest = 0.0

    def losses(self, Z: Array, T: Array, c: Array) -> Array:
        """Mean of exp(z) − t z."""
        losses: Array = (np.exp(Z) - T * Z).mean(axis=1)
        return losses

    def derivative(self, Z: Array, T: Array, c: Array) -> Array:
        """(exp(z) − t) / K."""
        dZ: Array = (np.exp(Z) - T) / Z.shape[1]
        return dZ

    def predict(self, Z: Array) -> Array:
        """exp(z), the rate: (n,) for one output, else (n, K)."""
        return _without_a_single_axis(np.exp(Z))


LOSSES: dict[str, Loss] = {
    loss.name: loss
    for loss in (
        CrossEntropy(),
        BinaryCrossEntropy(),
        SquaredError(),
        AbsoluteError(),
        Huber(),
        Poisson(),
    )
}
"""Each loss by its name, with its defaults."""


def check_loss(value: Any) -> Loss:
    """Value if it is a Loss, or the one of that name."""
    if isinstance(value, Loss):
        return value
    if isinstance(value, str) and value in LOSSES:
        return LOSSES[value]
    error = ValueError if isinstance(value, str) else TypeError
    raise error(f"loss must be one of {', '.join(map(repr, LOSSES))} or a Loss, got {shown(value)}")


def _without_a_single_axis(outputs: Array) -> Array:
    """(n, 1) as (n,)."""
    return outputs[:, 0] if outputs.shape[1] == 1 else outputs
