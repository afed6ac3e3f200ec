"""What users hand in, checked and brought to the form that the engine reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.data.rows import WINDOW_BYTES, Rows, mapped_rows

CHECKED_ROWS = 4096
"""Rows whose finiteness is checked at once."""


@dataclass(frozen=True)
class Samples:
    """A data set as the engine reads it: no copy where it already has that form.

    Attributes
    ----------
    kind : str
        "uint8", "float" or "csr".
    arrays : tuple of ndarray
        x (n_samples, n_features), or data, indices (int32) and indptr (int64) of a CSR matrix.
    count, n_features : int
        Shape of x.
    scale : float
        Factor on uint8 input.
    source : Rows or None
        Where x lies on disk and is read a window at a time: there are no arrays then.
    window : int
        Rows that are read at once, of a source.
    dtype : dtype or None
        Of the rows that are read.
    """

    kind: str
    arrays: tuple[NDArray[Any], ...]
    count: int
    n_features: int
    scale: float
    source: Rows | None = None
    window: int = 0
    dtype: np.dtype[Any] | None = None


def check_samples(
    x: Any,
    n_features: int,
    dtype: np.dtype[Any],
    uint8_scale: float,
    name: str = "x",
    finite: bool = True,
    in_windows: bool = False,
) -> Samples:
    """Check ``x`` and bring it to a form that the engine reads.

    Parameters
    ----------
    x : array-like or scipy sparse matrix, (n_samples, n_features)
        uint8 stays uint8; other numbers are cast to ``dtype``.
    n_features : int
        What the network expects.
    dtype : dtype
        Of the network.
    uint8_scale : float
        Factor on uint8 input.
    name : str
        The argument's name in messages.
    finite : bool
        Whether to look at every value; False leaves that of dense input to the caller.
    in_windows : bool
        Whether rows on disk may be left there, to be read a window at a time.

    Raises
    ------
    TypeError
        If ``x`` is not numbers.
    ValueError
        If its shape is wrong, it is empty, or a value is NaN or infinite; if rows on disk are more
        than a window holds and may not be left there.
    """
    rows = mapped_rows(x) if isinstance(x, np.memmap) else x
    if isinstance(rows, Rows):
        samples = _on_disk(rows, n_features, dtype, uint8_scale, name)
        if samples.count > samples.window and in_windows:
            return samples
        if rows is x:
            x, finite = _read_whole(rows, samples, name), True
    if hasattr(x, "tocsr"):
        return _check_csr(x.tocsr(), n_features, dtype, uint8_scale, name)
    array = as_array(x, name)
    _check_kind_and_shape(array, n_features, name)
    if array.dtype == np.uint8:
        kind, values, scale = "uint8", np.ascontiguousarray(array), uint8_scale
    else:
        kind, values, scale = "float", _floats(array, dtype), 1.0
        if finite:
            check_finite(array, dtype, name)
    return Samples(kind, (values,), array.shape[0], array.shape[1], scale)


def _on_disk(
    rows: Rows, n_features: int, dtype: np.dtype[Any], uint8_scale: float, name: str
) -> Samples:
    _check_kind_and_shape(rows, n_features, name)
    kind, scale = ("uint8", uint8_scale) if rows.dtype == np.uint8 else ("float", 1.0)
    read = rows.dtype if kind == "uint8" else dtype
    window = rows.window or max(1, WINDOW_BYTES // (rows.shape[1] * read.itemsize))
    return Samples(kind, (), *rows.shape, scale, rows, window, read)


def _read_whole(rows: Rows, samples: Samples, name: str) -> NDArray[Any]:
    if samples.count > samples.window:
        raise ValueError(
            f"{name} has {samples.count} rows on disk, more than the {samples.window} that are "
            "read at once: fit, evaluate and predict can use it, nothing else can"
        )
    return rows[:]


def _check_csr(
    matrix: Any, n_features: int, dtype: np.dtype[Any], uint8_scale: float, name: str
) -> Samples:
    _check_kind_and_shape(matrix, n_features, name)
    indices, indptr = matrix.indices, matrix.indptr
    # The engine follows these without looking: wrong ones would reach beyond the batch.
    if not (
        len(indptr) == matrix.shape[0] + 1
        and indptr[0] == 0
        and (np.diff(indptr) >= 0).all()
        and indptr[-1] <= len(indices) == len(matrix.data)
        and indices.min(initial=0) >= 0
        and indices.max(initial=0) < n_features
    ):
        raise ValueError(f"{name} is no valid CSR matrix: indices or indptr reach beyond it")
    data = _floats(matrix.data, dtype)
    check_finite(matrix.data, dtype, name)
    if matrix.dtype == np.uint8:
        data = data * dtype.type(uint8_scale)
    arrays = (data, indices.astype(np.int32), indptr.astype(np.int64))
    return Samples("csr", arrays, matrix.shape[0], matrix.shape[1], 1.0)


def as_array(value: Any, name: str) -> NDArray[Any]:
    """``value`` as an array; ValueError that names it if it is none."""
    try:
        return np.asarray(value)
    except ValueError as error:  # rows of unequal length; NumPy does not say of which argument
        raise ValueError(f"{name} is no array: {' '.join(str(error).split())}") from None


def _check_kind_and_shape(array: Any, n_features: int, name: str) -> None:
    """Check what dense arrays, CSR matrices and rows on disk have in common."""
    if array.dtype.kind not in "uifb":
        raise TypeError(f"{name} must hold real numbers, not dtype {array.dtype}")
    if len(array.shape) != 2:
        raise ValueError(
            f"{name} must have two axes (n_samples, n_features), not shape {array.shape}"
        )
    if array.shape[0] == 0:
        raise ValueError(f"{name} is empty: shape {array.shape}, at least one sample is needed")
    if array.shape[1] != n_features:
        raise ValueError(f"{name} has {array.shape[1]} features, the network expects {n_features}")


def _floats(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """``values`` as contiguous, aligned ``dtype``; what does not fit becomes infinite."""
    with np.errstate(over="ignore"):
        floats: NDArray[Any] = np.require(values, dtype, ["C", "A"])
    return floats


def check_finite(values: NDArray[Any], dtype: np.dtype[Any], name: str) -> None:
    """Check that every value is finite in ``dtype``.

    Raises
    ------
    ValueError
        If one is not: the message names the first.
    """
    # In blocks: the mask of a whole data set would be a quarter of its size.
    for start in range(0, len(values), CHECKED_ROWS):
        finite = np.isfinite(_floats(values[start : start + CHECKED_ROWS], dtype))
        if not finite.all():
            where = np.argwhere(~finite)[0]
            value = values[start + where[0]][tuple(where[1:])]
            place = ", ".join(str(int(k)) for k in (start + where[0], *where[1:]))
            raise ValueError(f"{name} must be finite in {dtype}: the value at [{place}] is {value}")


def check_labels(y: ArrayLike, count: int, n_classes: int, name: str = "y") -> NDArray[np.int64]:
    """Check class labels: integers 0 ... n_classes - 1, one for each sample.

    Raises
    ------
    TypeError
        If they are not integers.
    ValueError
        If their number or a value is wrong.
    """
    labels = as_array(y, name)
    if labels.dtype.kind not in "ui":
        raise TypeError(
            f"{name} must hold integer class labels 0 ... {n_classes - 1}, not dtype {labels.dtype}"
        )
    if labels.ndim != 1:
        raise ValueError(f"{name} must have one axis (n_samples,), not shape {labels.shape}")
    if len(labels) != count:
        raise ValueError(f"{name} has {len(labels)} labels for {count} samples")
    for position in (int(labels.argmin()), int(labels.argmax())):
        if not 0 <= labels[position] < n_classes:
            raise ValueError(
                f"{name} must hold class labels 0 ... {n_classes - 1}: "
                f"the label at [{position}] is {labels[position]}"
            )
    return np.ascontiguousarray(labels, dtype=np.int64)
