"""Losses: plain descriptions, for which the engine has kernels."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from fastmlp.checks import check_number, check_positive, shown


class Loss:
    """Base of losses.

    Attributes
    ----------
    name : str
        As in `LOSSES`.
    targets : {"classes", "binary", "real", "counts"}
        What it is asked to predict.
    output : {"softmax", "sigmoid", "logits", "exponential"}
        How a prediction is made of the logits.
    parameter : float
        What its kernel needs to know beside logits and targets.
    """

    name: ClassVar[str]
    targets: ClassVar[str]
    output: ClassVar[str]

    @property
    def parameter(self) -> float:
        """Number that its kernel needs, 0 if none."""
        return 0.0

    @property
    def has_accuracy(self) -> bool:
        """Whether a prediction is right or wrong."""
        return self.targets in ("classes", "binary")


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """``-sum_j t_j log softmax(z)_j``, t one-hot or a row of probabilities, smoothed.

    As `torch.nn.CrossEntropyLoss`: t_j = (1 - s) t_j + s / n_classes, class weights within the sum.

    Parameters
    ----------
    label_smoothing : float, default 0
        s, 0 or more and below 1 (Szegedy et al., 2016).
    """

    name = "cross_entropy"
    targets = "classes"
    output = "softmax"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        value = check_number("label_smoothing", self.label_smoothing, 0, 1)
        object.__setattr__(self, "label_smoothing", value)

    @property
    def parameter(self) -> float:
        """The smoothing."""
        return self.label_smoothing


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Mean over outputs of ``max(z, 0) - z t + log(1 + exp(-|z|))``, t 0, 1 or between.

    As `torch.nn.BCEWithLogitsLoss`; one output for two classes, or one for each label.
    """

    name = "binary_cross_entropy"
    targets = "binary"
    output = "sigmoid"


@dataclass(frozen=True)
class SquaredError(Loss):
    """Mean over outputs of ``(z - t)^2``, as `torch.nn.MSELoss`."""

    name = "squared_error"
    targets = "real"
    output = "logits"


@dataclass(frozen=True)
class AbsoluteError(Loss):
    """Mean over outputs of ``|z - t|``, as `torch.nn.L1Loss`."""

    name = "absolute_error"
    targets = "real"
    output = "logits"


@dataclass(frozen=True)
class Huber(Loss):
    """Mean over outputs of ``d^2 / 2`` if ``|d| <= delta``, else ``delta (|d| - delta / 2)``.

    d = z - t (Huber, 1964), as `torch.nn.HuberLoss`.

    Parameters
    ----------
    delta : float, default 1
        Above 0, finite.
    """

    name = "huber"
    targets = "real"
    output = "logits"
    delta: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", check_positive("delta", self.delta))

    @property
    def parameter(self) -> float:
        """Delta."""
        return self.delta


@dataclass(frozen=True)
class Poisson(Loss):
    """Mean over outputs of ``exp(z) - t z``: counts t whose mean is exp(z).

    As `torch.nn.PoissonNLLLoss` with log_input and without its constant.
    """

    name = "poisson"
    targets = "counts"
    output = "exponential"


LOSSES: dict[str, type[Loss]] = {
    kind.name: kind
    for kind in (CrossEntropy, BinaryCrossEntropy, SquaredError, AbsoluteError, Huber, Poisson)
}
"""By name."""


def check_loss(loss: object) -> Loss:
    """A `Loss`, or the one of that name with its defaults.

    Raises
    ------
    TypeError, ValueError
        If it is none.
    """
    if isinstance(loss, Loss):
        return loss
    if not isinstance(loss, str):
        raise TypeError(f"loss must be a name or a fastmlp loss such as Huber(), not {shown(loss)}")
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, not {shown(loss)}")
    return LOSSES[loss]()


def loss_to_dict(loss: Loss) -> dict[str, Any]:
    """What `loss_from_dict` makes it of again: its name and its settings."""
    return {"name": loss.name, **dataclasses.asdict(loss)}  # type: ignore[call-overload]


def loss_from_dict(values: object) -> Loss:
    """The loss that ``values`` describes; ValueError if it describes none."""
    if not isinstance(values, dict) or values.get("name") not in LOSSES:
        raise ValueError(f"loss must be an object with one of {', '.join(LOSSES)} as its name")
    settings = {key: value for key, value in values.items() if key != "name"}
    try:
        return LOSSES[values["name"]](**settings)
    except TypeError:
        raise ValueError(f"loss {values['name']} has no such settings: {shown(settings)}") from None
