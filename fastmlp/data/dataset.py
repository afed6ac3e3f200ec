"""The four arrays that every data set comes down to, and what they must hold."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.errors import DataError
from fastmlp.data.rows import Rows

FEATURE_TYPES = (np.dtype(np.uint8), np.dtype(np.float32), np.dtype(np.float64))
TARGET_TYPES = (np.dtype(np.float32), np.dtype(np.float64))
MAX_LABEL = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set, of classes or of numbers, split into a training and a test part.

    Parameters
    ----------
    name : str
        What `load_dataset` was asked for.
    x_train, x_test : ndarray or Rows of shape (n_samples, n_features), uint8, float32 or float64
        Features, C-contiguous, both of one dtype. uint8 are pixels from 0 to 255. `Rows` are those
        of a folder, and lie on disk.
    y_train, y_test : ndarray of shape (n_samples,), int64
        Labels, 0 to n_classes - 1; or targets that are no labels: float32 or float64, (n_samples,)
        or (n_samples, n_outputs), or int64 (n_samples, n_outputs).
    n_classes : int or None
        Largest training label + 1; None without labels.
    image_shape : tuple (height, width) or None
        How one row of `x_train` is seen as a grey image; None if it is none.
    """

    name: str
    x_train: Any = field(repr=False)
    y_train: NDArray[Any] = field(repr=False)
    x_test: Any = field(repr=False)
    y_test: NDArray[Any] = field(repr=False)
    n_classes: int | None
    image_shape: tuple[int, int] | None

    @property
    def n_outputs(self) -> int:
        """Outputs of a network that predicts y: one for each class, or for each target."""
        if self.n_classes is not None:
            return self.n_classes
        return 1 if self.y_train.ndim == 1 else self.y_train.shape[1]


def make_dataset(
    name: str,
    *,
    x_train: NDArray[Any] | Rows,
    y_train: NDArray[Any],
    x_test: NDArray[Any] | Rows,
    y_test: NDArray[Any],
) -> Dataset:
    """Check the four arrays, flatten each sample and return the `Dataset`.

    Samples may have one to three axes: features, a grey image, or an image with channels. Values on
    disk are not looked at. A `DataError` begins with `name` and the array.
    """
    for key, x in (("x_train", x_train), ("x_test", x_test)):
        _check_features(f"{name}: {key}", x)
    if x_test.dtype != x_train.dtype:
        # uint8 is scaled by 1/255 and floats are not: mixed, the test set would be another task.
        raise DataError(f"{name}: x_test is {x_test.dtype} but x_train is {x_train.dtype}")
    shape, shape_test = _sample_shape(x_train), _sample_shape(x_test)
    if shape_test != shape:
        raise DataError(f"{name}: x_test has samples of shape {shape_test} but x_train of {shape}")
    for key, y, x in (("y_train", y_train, x_train), ("y_test", y_test, x_test)):
        _check_targets(f"{name}: {key}", y, len(x))
    if y_test.shape[1:] != y_train.shape[1:] or _is_labels(y_test) != _is_labels(y_train):
        raise DataError(f"{name}: y_test is {_kind(y_test)} but y_train is {_kind(y_train)}")
    n_classes = _n_classes(name, y_train, y_test) if _is_labels(y_train) else None
    return Dataset(
        name=name,
        x_train=_rows(x_train),
        y_train=_targets(y_train),
        x_test=_rows(x_test),
        y_test=_targets(y_test),
        n_classes=n_classes,
        image_shape=(shape[0], shape[1]) if len(shape) == 2 else None,
    )


def _sample_shape(x: NDArray[Any] | Rows) -> tuple[int, ...]:
    return x.row_shape if isinstance(x, Rows) else x.shape[1:]


def _check_features(what: str, x: NDArray[Any] | Rows) -> None:
    if x.dtype.newbyteorder("=") not in FEATURE_TYPES:
        allowed = ", ".join(dtype.name for dtype in FEATURE_TYPES)
        raise DataError(f"{what} is {x.dtype}; allowed are {allowed}")
    if not 1 <= len(_sample_shape(x)) <= 3:
        shape = (len(x), *_sample_shape(x))
        raise DataError(f"{what} has shape {shape}; rank 2, 3 or 4 is allowed")
    if isinstance(x, Rows):
        return
    if x.size == 0:
        raise DataError(f"{what} is empty, shape {x.shape}")
    # Both extremes are finite exactly when all values are, and need no temporary array.
    with np.errstate(invalid="ignore"):
        extremes = float(x.min()), float(x.max())
    if not all(map(math.isfinite, extremes)):
        raise DataError(f"{what} has NaN or infinite values")


def _check_targets(what: str, y: NDArray[Any], n_samples: int) -> None:
    if y.dtype.kind not in "iu" and y.dtype.newbyteorder("=") not in TARGET_TYPES:
        allowed = ", ".join(dtype.name for dtype in TARGET_TYPES)
        raise DataError(f"{what} is {y.dtype}; labels are integers, other targets {allowed}")
    if y.ndim not in (1, 2):
        raise DataError(f"{what} has shape {y.shape}; labels have rank 1, other targets 1 or 2")
    if len(y) != n_samples:
        raise DataError(f"{what} has {len(y)} {_noun(y)} for {n_samples} samples")
    if y.size == 0:
        raise DataError(f"{what} is empty, shape {y.shape}")
    lowest, highest = y.min(), y.max()
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        raise DataError(f"{what} has NaN or infinite values")
    if _is_labels(y) and not (lowest >= 0 and highest <= MAX_LABEL):
        wrong = int(lowest if lowest < 0 else highest)
        raise DataError(f"{what} has label {wrong}; 0 to {MAX_LABEL} are allowed")


def _is_labels(y: NDArray[Any]) -> bool:
    return y.ndim == 1 and y.dtype.kind in "iu"


def _noun(y: NDArray[Any]) -> str:
    return "labels" if _is_labels(y) else "targets"


def _kind(y: NDArray[Any]) -> str:
    return f"{_noun(y)} of {y.dtype}, shape (n_samples{''.join(f', {n}' for n in y.shape[1:])})"


def _n_classes(name: str, y_train: NDArray[Any], y_test: NDArray[Any]) -> int:
    n_classes = int(y_train.max()) + 1
    if y_test.max() >= n_classes:
        raise DataError(
            f"{name}: y_test has label {y_test.max()}, but the labels of y_train end at "
            f"{n_classes - 1}"
        )
    return n_classes


def _targets(y: NDArray[Any]) -> NDArray[Any]:
    dtype = np.dtype(np.int64) if y.dtype.kind in "iu" else y.dtype.newbyteorder("=")
    return np.ascontiguousarray(y, dtype=dtype)


def _rows(x: NDArray[Any] | Rows) -> NDArray[Any] | Rows:
    if isinstance(x, Rows):
        return x
    return np.ascontiguousarray(x.reshape(len(x), -1), dtype=x.dtype.newbyteorder("="))
