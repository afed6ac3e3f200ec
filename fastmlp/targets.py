"""Targets and weights of samples, checked and brought to the form that the engine reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import shown
from fastmlp.inputs import as_array, check_finite, check_labels
from fastmlp.losses import Loss

SUM_TOLERANCE = 1e-4
"""By which a row of probabilities may miss 1: float32 rows of 1000 classes miss it by 1e-6."""


@dataclass(frozen=True)
class Targets:
    """What a loss is measured against: no copy where it already has that form.

    Attributes
    ----------
    kind : {"labels", "smooth", "rows", "rounded"}
        Which of the loss's kernels reads them.
    labels : ndarray of int64 (n_samples,)
        Empty for rows.
    rows : ndarray (n_samples, n_outputs)
        Empty for labels.
    weights : ndarray (n_samples,)
        Factor on each sample's loss; empty for ones.
    masses : ndarray (n_samples,)
        What each counts in the mean of losses; empty for ones.
    options : ndarray (4, n_outputs)
        See `loss_options`.
    """

    kind: str
    labels: NDArray[np.int64]
    rows: NDArray[Any]
    weights: NDArray[Any]
    masses: NDArray[Any]
    options: NDArray[Any]


def check_targets(
    y: Any,
    count: int,
    n_outputs: int,
    loss: Loss,
    dtype: np.dtype[Any],
    sample_weight: Any = None,
    class_weight: Any = None,
    prefix: str = "",
    counted: NDArray[np.int64] | None = None,
    all_zero_allowed: bool = False,
) -> Targets:
    """Check targets and weights of ``count`` samples.

    Parameters
    ----------
    y : array-like
        As the loss asks: class labels or rows of probabilities, 0 and 1, real numbers, counts.
    n_outputs : int
        Of the network.
    loss : Loss
    dtype : dtype
        Of the network.
    sample_weight : array-like (n_samples,), optional
    class_weight : dict, array-like or "balanced", optional
    prefix : str
        What names begin with in messages, such as "validation_data ".
    counted : ndarray of int (n,), optional
        Samples in which "balanced" counts the classes; all without.
    all_zero_allowed : bool
        Whether weights may be 0 throughout, as those of one batch of many may.

    Raises
    ------
    TypeError, ValueError
        In one line that names the argument.
    """
    name = f"{prefix}y"
    array = as_array(y, name)
    labels, rows = np.empty(0, dtype=np.int64), np.empty((0, n_outputs), dtype=dtype)
    if loss.targets == "classes" and array.ndim != 2:
        labels = check_labels(array, count, n_outputs, name)
    else:
        rows = _check_rows(array, count, n_outputs, loss, dtype, name)
    classes = None  # of a sample, where each has one
    if len(labels) or (n_outputs == 1 and loss.targets == "binary"):
        classes = labels if len(labels) else (rows[:, 0] > 0.5).astype(np.int64)
    seen = classes if classes is None or counted is None else classes[counted]
    factors = _check_class_weight(class_weight, seen, n_outputs, loss, dtype)
    weights = _check_sample_weight(sample_weight, count, dtype, f"{prefix}sample_weight")
    if len(weights) and not weights.any() and not all_zero_allowed:
        raise ValueError(f"{prefix}sample_weight must hold a number above 0: all are 0 in {dtype}")
    options = loss_options(loss, n_outputs, dtype)
    kind = "rows" if not len(labels) else "smooth" if loss.parameter > 0 else "labels"
    masses = weights
    if factors is not None:
        if classes is not None:  # by which a sample counts in the mean
            masses = factors[classes] * (weights if len(weights) else dtype.type(1))
        if kind == "labels" or n_outputs == 1:
            weights = masses
        else:
            options[1] = factors
    return Targets(kind, labels, rows, weights, masses, options)


def loss_options(
    loss: Loss,
    n_outputs: int,
    dtype: np.dtype[Any],
    least: float = -np.inf,
    largest: float = np.inf,
) -> NDArray[Any]:
    """What a loss's kernel needs to know beside logits and targets: (4, n_outputs).

    Its parameter at [0, 0]; weights of classes or outputs in row 1, here ones; in rows 2 and 3 the
    ``least`` and the ``largest`` loss of a label, to which those of labels and "rounded" rows are
    clipped.
    """
    options = np.ones((4, n_outputs), dtype=dtype)
    options[0, 0] = loss.parameter
    options[2:] = [[least], [largest]]
    return options


def _check_rows(
    array: NDArray[Any], count: int, n_outputs: int, loss: Loss, dtype: np.dtype[Any], name: str
) -> NDArray[Any]:
    if array.dtype.kind not in "uifb":
        raise TypeError(f"{name} must hold real numbers for {loss.name}, not dtype {array.dtype}")
    if loss.targets == "classes" and array.dtype.kind != "f":
        raise ValueError(
            f"{name} must have one axis (n_samples,) of labels, or be rows of probabilities as "
            f"floats, not shape {array.shape} of {array.dtype}"
        )
    labels = array.ndim == 1 and array.dtype.kind in "ui"
    if labels and n_outputs > 1:
        raise ValueError(
            f"{name} holds labels of shape {array.shape}; {loss.name} on {n_outputs} outputs needs "
            f"shape (n_samples, {n_outputs})"
        )
    shaped = array[:, None] if array.ndim == 1 else array
    if shaped.ndim != 2 or shaped.shape[1] != n_outputs:
        allowed = (
            "(n_samples,) or (n_samples, 1)" if n_outputs == 1 else f"(n_samples, {n_outputs})"
        )
        raise ValueError(f"{name} must have shape {allowed} for {loss.name}, not {array.shape}")
    if len(shaped) != count:
        raise ValueError(f"{name} has {len(shaped)} rows for {count} samples")
    check_finite(shaped, dtype, name)
    lowest, highest = {"classes": (0, 1), "binary": (0, 1), "counts": (0, np.inf)}.get(
        loss.targets, (-np.inf, np.inf)
    )
    wrong = (shaped < lowest) | (shaped > highest)
    if wrong.any():
        row, column = (int(k) for k in np.argwhere(wrong)[0])
        allowed = f"0 ... {highest:g}" if np.isfinite(highest) else "0 or more"
        raise ValueError(
            f"{name} must hold numbers {allowed} for {loss.name}: "
            f"the value at [{row}, {column}] is {shaped[row, column]}"
        )
    rows = np.ascontiguousarray(shaped, dtype=dtype)
    if loss.targets == "classes":
        sums = shaped.sum(axis=1, dtype=np.float64)
        far = np.abs(sums - 1) > SUM_TOLERANCE
        if far.any():
            row = int(far.argmax())
            raise ValueError(
                f"{name} must hold rows of probabilities: row {row} sums to {sums[row]:g}, not 1"
            )
    return rows


def _check_sample_weight(
    sample_weight: Any, count: int, dtype: np.dtype[Any], name: str
) -> NDArray[Any]:
    if sample_weight is None:
        return np.empty(0, dtype=dtype)
    array = as_array(sample_weight, name)
    if array.dtype.kind not in "uifb":
        raise TypeError(f"{name} must hold real numbers, not dtype {array.dtype}")
    if array.shape != (count,):
        raise ValueError(
            f"{name} must have shape ({count},), one for each sample, not {array.shape}"
        )
    check_finite(array, dtype, name)
    if (array < 0).any():
        where = int((array < 0).argmax())
        raise ValueError(f"{name} must be 0 or more: the value at [{where}] is {array[where]}")
    weights: NDArray[Any] = np.ascontiguousarray(array, dtype=dtype)
    return weights


def _check_class_weight(
    class_weight: Any,
    classes: NDArray[np.int64] | None,
    n_outputs: int,
    loss: Loss,
    dtype: np.dtype[Any],
) -> NDArray[Any] | None:
    """Weight of each class (of each output where these are several labels): None for ones."""
    if class_weight is None:
        return None
    if loss.targets not in ("classes", "binary"):
        raise ValueError(
            f"class_weight needs a loss of classes: {loss.name} has none; use sample_weight"
        )
    n = 2 if loss.targets == "binary" and n_outputs == 1 else n_outputs
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(
                f"class_weight must be 'balanced', a dict or {n} numbers, not {shown(class_weight)}"
            )
        if classes is None:
            raise ValueError("class_weight 'balanced' needs one class label for each sample")
        return balanced_weights(np.bincount(classes, minlength=n)).astype(dtype)
    if isinstance(class_weight, Mapping):
        values = np.ones(n)
        for key, value in class_weight.items():
            message = f"class_weight must have keys 0 ... {n - 1}, not {shown(key)}"
            if isinstance(key, bool) or not isinstance(key, int | np.integer):
                raise TypeError(message)
            if not 0 <= key < n:
                raise ValueError(message)
            values[key] = _number_of(value)
    else:
        values = as_array(class_weight, "class_weight")
        if values.dtype.kind not in "uif":
            raise TypeError(
                f"class_weight must be 'balanced', a dict or {n} numbers, not {shown(class_weight)}"
            )
    if values.shape != (n,):
        raise ValueError(f"class_weight must hold {n} numbers, not shape {values.shape}")
    check_finite(values, dtype, "class_weight")
    if (values < 0).any():
        raise ValueError(f"class_weight must be 0 or more, not {values.min():g}")
    return values.astype(dtype)


def balanced_weights(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """n_samples / (n_classes * count), as scikit-learn's; 0 for a class without samples."""
    weights: NDArray[np.float64] = np.divide(
        counts.sum(), len(counts) * counts, out=np.zeros(len(counts)), where=counts > 0
    )
    return weights


def _number_of(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"class_weight must hold numbers, not {shown(value)}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"class_weight must hold finite numbers, not {shown(value)}") from None
