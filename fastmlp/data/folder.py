"""Data sets larger than memory: a folder of shards, or of IDX files, of which x stays on disk."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.dataset import Dataset, make_dataset
from fastmlp.data.errors import DataError
from fastmlp.data.idx import read_idx
from fastmlp.data.rows import Rows, open_piece, open_rows

IDX_NAMES = {"train": "train", "test": "t10k"}
"""What names of MNIST's files begin with."""


def open_folder(path: str | os.PathLike[str], window: int | None = None) -> Dataset:
    """Open the training and the test set of a folder; y is read, x stays on disk.

    Parameters
    ----------
    path : str or path-like
        A folder of either

        - shards: ``x_train-00000.npy`` with ``y_train-00000.npy``, ``x_train-00001.npy`` with ...,
          and ``x_test...`` with ``y_test...``; any number of pairs, taken in the order of their
          names. x are of one dtype and shape of a sample, as in an ``.npz`` file; so are y.
        - MNIST's files, not compressed: ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``,
          ``t10k-images-idx3-ubyte``, ``t10k-labels-idx1-ubyte``.
    window : int, optional
        See `open_rows`.

    Returns
    -------
    Dataset
        Named after the path; x_train and x_test are `Rows`.

    Raises
    ------
    DataError
        If a file is missing, damaged, or of another shape or dtype than its like.
    OSError
        If the folder or a file cannot be read.
    """
    name = os.fspath(path)
    folder = Path(path)
    x_train, y_train = _open_part(folder, "train", window)
    x_test, y_test = _open_part(folder, "test", window)
    return make_dataset(name, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


def _open_part(folder: Path, part: str, window: int | None) -> tuple[Rows, NDArray[Any]]:
    names = {path.name for path in folder.iterdir()}
    shards = sorted(n for n in names if n.startswith(f"x_{part}") and n.endswith(".npy"))
    if shards:
        pairs = {x: f"y{x[1:]}" for x in shards}
    else:
        idx = IDX_NAMES[part]
        pairs = {f"{idx}-images-idx3-ubyte": f"{idx}-labels-idx1-ubyte"}
        if not names & set(pairs):
            raise DataError(f"{folder}: holds no x_{part}*.npy, and no {idx}-images-idx3-ubyte")
    for x, y in pairs.items():
        if y not in names:
            raise DataError(f"{folder}: holds {x}, and no {y} with its labels")
    for y in sorted(n for n in names if n.startswith(f"y_{part}") and n.endswith(".npy")):
        if y not in pairs.values():
            raise DataError(f"{folder}: holds {y}, and no x{y[1:]} with its samples")
    parts = [_targets(folder / x, folder / y) for x, y in pairs.items()]
    for (_, y), values in zip(pairs.items(), parts, strict=True):
        if (values.dtype, values.shape[1:]) != (parts[0].dtype, parts[0].shape[1:]):
            raise DataError(
                f"{folder / y}: has {values.dtype} of shape {values.shape}, but "
                f"{next(iter(pairs.values()))} {parts[0].dtype} of shape {parts[0].shape}"
            )
    return open_rows([folder / x for x in pairs], window=window), np.concatenate(parts)


def _targets(x: Path, y: Path) -> NDArray[Any]:
    """What ``y`` holds, which is of as many samples as ``x``."""
    if y.suffix == ".npy":
        try:
            with open(y, "rb") as file:
                values: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        except ValueError as error:
            raise DataError(f"{y}: cannot be read: {' '.join(str(error).split())}") from None
    else:
        values = read_idx(y)
    rows = open_piece(x).rows
    if values.ndim == 0 or len(values) != rows:
        raise DataError(f"{y}: has shape {values.shape}, for {rows} samples in {x.name}")
    return values
