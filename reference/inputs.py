"""What comes in from outside: checked once, each error one line that names the argument.

The maths in the other files may then trust its arrays.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .functions import Array

Entry = TypeVar("Entry")

ROW_SUM_TOLERANCE = 1e-4
"""How far from one the sum of a row of probabilities may be."""


def shown(value: Any) -> str:
    """repr(value) on one line of at most 80 characters, whatever the value is."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def check_integer(name: str, value: Any, minimum: int, also: str = "") -> int:
    """Value as an int that is at least `minimum`; `also` names what else the caller allows."""
    allowed = f"{name} must be an integer >= {minimum}{also}, got {shown(value)}"
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(allowed) from None
    if isinstance(value, bool):
        raise TypeError(allowed)
    if number < minimum:
        raise ValueError(allowed)
    return number


def check_number(name: str, value: Any, minimum: float) -> float:
    """Value as a finite float that is at least `minimum`."""
    allowed = f"{name} must be a finite number >= {minimum:g}, got {shown(value)}"
    number = _as_finite(value, allowed)
    if number < minimum:
        raise ValueError(allowed)
    return number


def check_positive(name: str, value: Any) -> float:
    """Value as a finite float above 0."""
    allowed = f"{name} must be a finite number > 0, got {shown(value)}"
    number = _as_finite(value, allowed)
    if number <= 0:
        raise ValueError(allowed)
    return number


def check_fraction(name: str, value: Any) -> float:
    """Value as a float in [0, 1)."""
    allowed = f"{name} must be a number >= 0 and < 1, got {shown(value)}"
    number = _as_finite(value, allowed)
    if not 0 <= number < 1:
        raise ValueError(allowed)
    return number


def check_share(name: str, value: Any) -> float:
    """Value as a float from 0 to 1, both of them included."""
    allowed = f"{name} must be a number >= 0 and <= 1, got {shown(value)}"
    number = _as_finite(value, allowed)
    if not 0 <= number <= 1:
        raise ValueError(allowed)
    return number


def check_boolean(name: str, value: Any) -> bool:
    """Value if it is True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return value


def check_multipliers(name: str, value: Any) -> tuple[float, ...] | None:
    """Value as a tuple of finite floats >= 0, or None."""
    if value is None:
        return None
    if not isinstance(value, (Sequence, np.ndarray)) or isinstance(value, str):
        raise TypeError(f"{name} must be a sequence of numbers >= 0 or None, got {shown(value)}")
    return tuple(check_number(f"{name}[{i}]", factor, 0) for i, factor in enumerate(value))


def check_each_hidden(
    name: str, value: Any, n_hidden: int, check: Callable[[str, Any], Entry]
) -> tuple[Entry, ...]:
    """One checked value for each hidden layer: a single value is that of all of them."""
    if not isinstance(value, (list, tuple, np.ndarray)):
        return (check(name, value),) * n_hidden
    if len(value) != n_hidden:
        raise ValueError(
            f"{name} must be one value or a sequence of {n_hidden}, one for each hidden layer, "
            f"got {shown(value)}"
        )
    return tuple(check(f"{name}[{i}]", item) for i, item in enumerate(value))


def check_betas(name: str, value: Any) -> tuple[float, float]:
    """Value as a pair of floats in [0, 1)."""
    allowed = f"{name} must be two numbers >= 0 and < 1, got {shown(value)}"
    if not isinstance(value, Sequence) or len(value) != 2:  # a set would be a pair in no order
        raise TypeError(allowed)
    beta1, beta2 = (_as_finite(beta, allowed) for beta in value)
    if not (0 <= beta1 < 1 and 0 <= beta2 < 1):
        raise ValueError(allowed)
    return beta1, beta2


def check_name(name: str, value: Any, table: Mapping[str, Entry]) -> str:
    """Value if it is a key of the table."""
    if value not in list(table):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, table))}, got {shown(value)}")
    return str(value)


def check_dtype(value: Any) -> np.dtype[Any]:
    """Value as the dtype float32 or float64."""
    for dtype in (np.dtype(np.float32), np.dtype(np.float64)):
        if value is not None and value == dtype:  # None would be equal to NumPy's default, float64
            return dtype
    raise ValueError(f"dtype must be 'float32' or 'float64', got {shown(value)}")


def check_layers(value: Any) -> tuple[int, ...]:
    """Value as the layer sizes (n_features, hidden ..., n_classes)."""
    try:
        sizes = tuple(value)
    except TypeError:
        raise TypeError(f"layers must be a sequence of integers, got {shown(value)}") from None
    if len(sizes) < 2:
        raise ValueError(
            f"layers must hold at least two sizes, input and output, got {shown(value)}"
        )
    return tuple(check_integer(f"layers[{i}]", size, 1) for i, size in enumerate(sizes))


def check_batch_size(value: Any, n_samples: int) -> int:
    """Value as the samples of a step: an int >= 1, or "full"; never more than there are."""
    also = " or 'full'"
    if isinstance(value, str):
        if value != "full":
            raise ValueError(f"batch_size must be an integer >= 1{also}, got {shown(value)}")
        return n_samples
    return min(check_integer("batch_size", value, 1, also), n_samples)


def check_threads(threads: int | None) -> None:
    """Refuse what would be no number of threads."""
    if threads is not None:
        check_integer("threads", threads, 1)


def check_x(name: str, x: Any, n_features: int, dtype: np.dtype[Any]) -> Any:
    """X as an array (n_samples, n_features), or as it is if it is a sparse matrix, in CSR.

    Nothing is copied or cast here: uint8 stays uint8 until :func:`as_batch` takes some rows.
    """
    if hasattr(x, "tocsr"):
        x = x.tocsr()
        values = x.data
    else:
        x = values = as_array(name, x)
    if values.dtype.kind not in "buif":
        raise TypeError(f"{name} must hold real numbers, got dtype {values.dtype}")
    if x.ndim != 2 or x.shape[1] != n_features:
        raise ValueError(f"{name} must have shape (n_samples, {n_features}), got {x.shape}")
    if x.shape[0] == 0:
        raise ValueError(f"{name} must hold at least one sample, got shape {x.shape}")
    if values.dtype.kind == "f" and values.size:
        # A NaN is its array's minimum and maximum, so two passes find all three without a copy.
        limit = float(np.finfo(dtype).max)
        for extreme in (float(values.min()), float(values.max())):
            if not -limit <= extreme <= limit:
                raise ValueError(f"{name} must hold finite numbers that fit {dtype}, got {extreme}")
    return x


def check_y(name: str, y: Any, n_samples: int, n_classes: int) -> NDArray[np.intp]:
    """Y as class numbers (n_samples,) in 0..n_classes-1."""
    labels = as_array(name, y)
    if labels.shape != (n_samples,):
        raise ValueError(
            f"{name} must have shape ({n_samples},), a label for each row of x, got {labels.shape}"
        )
    if labels.dtype.kind not in "ui":
        raise TypeError(f"{name} must hold integers 0..{n_classes - 1}, got dtype {labels.dtype}")
    for extreme in (labels.min(), labels.max()):
        if not 0 <= extreme < n_classes:
            raise ValueError(f"{name} must hold integers 0..{n_classes - 1}, got {extreme}")
    return labels.astype(np.intp, copy=False)


def check_probabilities(name: str, y: Any, n_samples: int, n_classes: int) -> Array:
    """Y as rows of probabilities (n_samples, n_classes): floats >= 0, each row sums to one."""
    P = as_array(name, y)
    if P.shape != (n_samples, n_classes) or P.dtype.kind != "f":
        raise ValueError(
            f"{name} must have shape ({n_samples},), a label for each row of x, or hold floats of "
            f"shape ({n_samples}, {n_classes}), got {P.dtype} of shape {P.shape}"
        )
    if not (P.min() >= 0 and abs(P.sum(axis=1, dtype=np.float64) - 1).max() <= ROW_SUM_TOLERANCE):
        row = int(((P >= 0).all(axis=1) & (abs(P.sum(axis=1) - 1) <= ROW_SUM_TOLERANCE)).argmin())
        raise ValueError(
            f"{name} must hold rows of probabilities, >= 0 and of sum 1, got {shown(P[row])} in "
            f"row {row}"
        )
    return P


def check_targets(
    name: str, y: Any, n_samples: int, n_outputs: int, dtype: np.dtype[Any], low: float, high: float
) -> Array:
    """Y as real targets (n_samples, n_outputs) in [low, high], finite in the model's dtype.

    A single output may have targets of shape (n_samples,).
    """
    T = as_array(name, y)
    if T.dtype.kind not in "buif":
        raise TypeError(f"{name} must hold real numbers, got dtype {T.dtype}")
    shape = (n_samples, n_outputs)
    if T.shape != shape and not (n_outputs == 1 and T.shape == (n_samples,)):
        flat = f"({n_samples},) or " if n_outputs == 1 else ""
        raise ValueError(f"{name} must have shape {flat}{shape}, got {T.shape}")
    limit = float(np.finfo(dtype).max)
    for extreme in (float(T.min()), float(T.max())):  # of which NaN is both
        if not -limit <= extreme <= limit:
            raise ValueError(f"{name} must hold finite numbers that fit {dtype}, got {extreme}")
        if not low <= extreme <= high:
            allowed = f">= {low:g}" if math.isinf(high) else f"in {low:g}..{high:g}"
            raise ValueError(f"{name} must hold numbers {allowed}, got {extreme:g}")
    return T.reshape(shape).astype(dtype, copy=False)


def check_sample_weight(name: str, value: Any, n_samples: int) -> Array | None:
    """Value as a weight >= 0 for each sample (n_samples,) of float64, not all 0; or None."""
    if value is None:
        return None
    weights = _as_weights(name, value)
    if weights.shape != (n_samples,):
        raise ValueError(
            f"{name} must have shape ({n_samples},), a weight for each row of x, "
            f"got {weights.shape}"
        )
    if not weights.any():
        raise ValueError(f"{name} must hold a number > 0, got zeros only")
    return weights


def check_class_weight(
    name: str, value: Any, n_classes: int, counts: Callable[[], Array | None]
) -> Array:
    """Value as a weight >= 0 for each class (n_classes,) of float64; None makes ones.

    Parameters
    ----------
    value : None, dict {class: weight}, array-like (n_classes,), or "balanced"
        A dict means 1 for classes that it does not hold. "balanced" is n / (n_classes · countⱼ) for
        class j, as scikit-learn weighs, and 0 for a class without samples.
    counts : callable
        The samples of each class (n_classes,); None where the targets are no labels.
    """
    if value is None:
        return np.ones(n_classes)
    if isinstance(value, str):
        if value != "balanced":
            raise ValueError(f"{name} must be a dict, an array or 'balanced', got {shown(value)}")
        count = counts()
        if count is None:
            raise ValueError(
                f"{name} 'balanced' needs labels: y holds probabilities or several outputs"
            )
        return np.where(count > 0, count.sum() / (n_classes * np.maximum(count, 1)), 0.0)
    if isinstance(value, Mapping):
        weights = np.ones(n_classes)
        for label, weight in value.items():
            j = check_integer(f"{name}: a class", label, 0)
            if j >= n_classes:
                raise ValueError(f"{name} must hold classes 0..{n_classes - 1}, got {shown(label)}")
            weights[j] = check_number(f"{name}[{j}]", weight, 0)
        return weights
    weights = _as_weights(name, value)
    if weights.shape != (n_classes,):
        raise ValueError(
            f"{name} must have shape ({n_classes},), a weight for each class, got {weights.shape}"
        )
    return weights


def as_batch(x: Any, dtype: np.dtype[Any], uint8_scale: float) -> Array:
    """X = x in the model's dtype, dense; times uint8_scale if x is uint8 (bytes 0..255 to 0..1)."""
    rows: Array = x.toarray() if hasattr(x, "toarray") else x  # (n, n_features)
    if rows.dtype == np.uint8:
        # dtype= casts inside the product: one pass, and no second array of the batch's size.
        X: Array = np.multiply(rows, dtype.type(uint8_scale), dtype=dtype)
        return X
    return rows.astype(dtype, copy=False)


def _as_finite(value: Any, allowed: str) -> float:
    """float(value); the error for what is no finite number says what is allowed."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(allowed)
    try:
        number = float(value)
    except OverflowError:  # an int beyond float64
        raise ValueError(allowed) from None
    if not math.isfinite(number):
        raise ValueError(allowed)
    return number


def _as_weights(name: str, value: Any) -> Array:
    """Value as finite float64 numbers >= 0."""
    weights = as_array(name, value)
    if weights.dtype.kind not in "buif":
        raise TypeError(f"{name} must hold real numbers, got dtype {weights.dtype}")
    weights = weights.astype(np.float64)
    bad = weights[~((weights >= 0) & (weights < math.inf))]
    if bad.size:
        raise ValueError(f"{name} must hold finite numbers >= 0, got {bad[0]:g}")
    return weights


def as_array(name: str, value: Any) -> Array:
    """np.asarray, whose error for rows of unequal length does not say which argument it means."""
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be an array: {error}") from None
