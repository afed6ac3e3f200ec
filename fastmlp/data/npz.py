"""Data sets of the user's own, as the four arrays of an `.npz` file."""

import os
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.dataset import Dataset, make_dataset
from fastmlp.data.errors import DataError

KEYS = ("x_train", "y_train", "x_test", "y_test")


def read_npz(path: str | os.PathLike[str]) -> Dataset:
    """Read x_train, y_train, x_test and y_test from an `.npz` file; nothing is ever unpickled.

    Parameters
    ----------
    path : str or path-like
        The file. x is (n_samples, n_features), (n_samples, height, width) or
        (n_samples, height, width, channels), of uint8, float32 or float64. y is (n_samples,), of
        any integer type: labels; or (n_samples,) or (n_samples, n_outputs) of float32 or float64,
        or (n_samples, n_outputs) of any integer type: targets that are no labels.

    Returns
    -------
    Dataset
        Named after the path. Samples are flattened; grey images keep their `image_shape`.

    Raises
    ------
    DataError
        If the file is no `.npz`, is damaged (each array is checked against the zip's CRC-32), or
        holds arrays that `make_dataset` refuses.
    OSError
        If the file cannot be opened.
    """
    name = os.fspath(path)
    with open(name, "rb") as file:
        # zipfile answers damage with a dozen kinds of exception (BadZipFile, struct.error,
        # NotImplementedError, ...): whatever it is, the file is wrong.
        try:
            archive = zipfile.ZipFile(file)
        except Exception as error:
            raise DataError(f"{name}: not an .npz file: {_one_line(error)}") from error
        with archive:
            missing = [key for key in KEYS if f"{key}.npy" not in archive.namelist()]
            if missing:
                raise DataError(f"{name}: no array {', '.join(missing)}; {', '.join(KEYS)} needed")
            x_train, y_train, x_test, y_test = (read_array(archive, key, name) for key in KEYS)
    return make_dataset(name, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


def read_array(archive: zipfile.ZipFile, key: str, name: str) -> NDArray[Any]:
    """An array of an open ``.npz`` file that errors call ``name``; nothing is ever unpickled."""
    # zipfile, zlib, tokenize and NumPy each raise their own kinds on damaged bytes, MemoryError for
    # an impossible shape among them.
    try:
        with archive.open(f"{key}.npy") as member:
            array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
            # zipfile checks the CRC-32 at the member's end: make sure that it gets there.
            trailing = member.read(1)
    except Exception as error:
        raise DataError(f"{name}: {key} cannot be read: {_one_line(error)}") from error
    if trailing:
        raise DataError(f"{name}: {key} is followed by more bytes than its shape holds")
    return array


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
