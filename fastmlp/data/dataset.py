"""The four arrays that every data set comes down to, and what they must hold."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.errors import DataError

FEATURE_TYPES = (np.dtype(np.uint8), np.dtype(np.float32), np.dtype(np.float64))
MAX_LABEL = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Dataset:
    """A classification data set, split into a training and a test part.

    Parameters
    ----------
    name : str
        What `load_dataset` was asked for.
    x_train, x_test : ndarray of shape (n_samples, n_features), uint8, float32 or float64
        Features, C-contiguous, both of one dtype. uint8 are pixels from 0 to 255.
    y_train, y_test : ndarray of shape (n_samples,), int64
        Labels, 0 to n_classes - 1.
    n_classes : int
        Largest training label + 1.
    image_shape : tuple (height, width) or None
        How one row of `x_train` is seen as a grey image; None if it is none.
    """

    name: str
    x_train: NDArray[Any] = field(repr=False)
    y_train: NDArray[np.int64] = field(repr=False)
    x_test: NDArray[Any] = field(repr=False)
    y_test: NDArray[np.int64] = field(repr=False)
    n_classes: int
    image_shape: tuple[int, int] | None


def make_dataset(
    name: str,
    *,
    x_train: NDArray[Any],
    y_train: NDArray[Any],
    x_test: NDArray[Any],
    y_test: NDArray[Any],
) -> Dataset:
    """Check the four arrays, flatten each sample and return the `Dataset`.

    Samples may have one to three axes: features, a grey image, or an image with channels. A
    `DataError` begins with `name` and the array.
    """
    for key, x in (("x_train", x_train), ("x_test", x_test)):
        _check_features(f"{name}: {key}", x)
    if x_test.dtype != x_train.dtype:
        # uint8 is scaled by 1/255 and floats are not: mixed, the test set would be another task.
        raise DataError(f"{name}: x_test is {x_test.dtype} but x_train is {x_train.dtype}")
    if x_test.shape[1:] != x_train.shape[1:]:
        raise DataError(
            f"{name}: x_test has samples of shape {x_test.shape[1:]} "
            f"but x_train of {x_train.shape[1:]}"
        )
    for key, y, x in (("y_train", y_train, x_train), ("y_test", y_test, x_test)):
        _check_labels(f"{name}: {key}", y, len(x))
    n_classes = int(y_train.max()) + 1
    if y_test.max() >= n_classes:
        raise DataError(
            f"{name}: y_test has label {y_test.max()}, but the labels of y_train end at "
            f"{n_classes - 1}"
        )
    return Dataset(
        name=name,
        x_train=_rows(x_train),
        y_train=y_train.astype(np.int64),
        x_test=_rows(x_test),
        y_test=y_test.astype(np.int64),
        n_classes=n_classes,
        image_shape=(x_train.shape[1], x_train.shape[2]) if x_train.ndim == 3 else None,
    )


def _check_features(what: str, x: NDArray[Any]) -> None:
    if x.dtype.newbyteorder("=") not in FEATURE_TYPES:
        allowed = ", ".join(dtype.name for dtype in FEATURE_TYPES)
        raise DataError(f"{what} is {x.dtype}; allowed are {allowed}")
    if not 2 <= x.ndim <= 4:
        raise DataError(f"{what} has shape {x.shape}; rank 2, 3 or 4 is allowed")
    if x.size == 0:
        raise DataError(f"{what} is empty, shape {x.shape}")
    # Both extremes are finite exactly when all values are, and need no temporary array.
    with np.errstate(invalid="ignore"):
        extremes = float(x.min()), float(x.max())
    if not all(map(math.isfinite, extremes)):
        raise DataError(f"{what} has NaN or infinite values")


def _check_labels(what: str, y: NDArray[Any], n_samples: int) -> None:
    if y.ndim != 1:
        raise DataError(f"{what} has shape {y.shape}; labels have rank 1")
    if len(y) != n_samples:
        raise DataError(f"{what} has {len(y)} labels for {n_samples} samples")
    if y.dtype.kind not in "iu":
        raise DataError(f"{what} is {y.dtype}; labels are integers")
    lowest, highest = int(y.min()), int(y.max())
    if lowest < 0 or highest > MAX_LABEL:
        wrong = lowest if lowest < 0 else highest
        raise DataError(f"{what} has label {wrong}; 0 to {MAX_LABEL} are allowed")


def _rows(x: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(x.reshape(len(x), -1), dtype=x.dtype.newbyteorder("="))
