"""`load_dataset`: one name or path in, one `Dataset` out."""

import os

from fastmlp.data.dataset import Dataset
from fastmlp.data.digits import load_digits
from fastmlp.data.errors import DataUnavailableError
from fastmlp.data.folder import open_folder
from fastmlp.data.npz import read_npz
from fastmlp.data.published import load_published
from fastmlp.data.registry import PUBLISHED


def load_dataset(
    name: str | os.PathLike[str], *, progress: bool = True, window: int | None = None
) -> Dataset:
    """Load a data set by name, or the four arrays of an `.npz` file, or open those of a folder.

    Parameters
    ----------
    name : str or path-like
        - "mnist", "fashion-mnist": 60000 training and 10000 test images of 28 x 28, uint8. Looked
          for in `$FASTMLP_DATA_DIR/<name>/`, then in the user cache (`$FASTMLP_CACHE_DIR` if set),
          then downloaded unless FASTMLP_OFFLINE=1. Every file is checked against its SHA-256.
        - "digits": scikit-learn's 8 x 8 digits, float32 in [0, 1]; every fifth image (360 of 1797)
          is the test set. Needs no network.
        - a path that ends in .npz, with x_train, y_train, x_test, y_test. x is uint8, float32 or
          float64, of rank 2, or of 3 or 4 for images. y is 1-D, of integers from 0: labels, of
          which the largest in y_train + 1 is the number of classes; or floats of rank 1 or 2, or
          integers of rank 2: targets of regression or of several outputs.
        - a path of a folder, for data larger than memory: x_train and x_test stay on disk. It
          holds shards ``x_train-00000.npy`` with ``y_train-00000.npy`` and so on, and the same for
          ``test``, of arrays as in an .npz file; or MNIST's four files, not compressed.
    progress : bool, default True
        Show downloads on stderr, if that is a terminal.
    window : int, optional
        Of a folder: rows that are shuffled together, see `open_rows`.

    Returns
    -------
    Dataset
        x (n_samples, n_features) C-contiguous; y (n_samples,) int64 if it holds labels.

    Raises
    ------
    ValueError
        If `name` is none of these.
    DataError
        If a file holds something wrong.
    DataUnavailableError
        If the data set is neither on disk nor to be downloaded.
    OSError
        If an `.npz` file, or one in the folder, cannot be opened.
    """
    if not isinstance(name, str | os.PathLike):
        raise TypeError(f"name must be a str or a path, not {type(name).__name__}")
    if window is not None and not _is_folder(name):
        raise ValueError(f"window is of data sets in a folder, which {os.fspath(name)!r} is not")
    if name == "digits":
        return load_digits()
    if isinstance(name, str) and name in PUBLISHED:
        return load_published(PUBLISHED[name], progress=progress)
    path = os.fspath(name)
    if path.lower().endswith(".npz"):
        return read_npz(path)
    if os.path.isdir(path):
        return open_folder(path, window)
    known = ", ".join(map(repr, (*PUBLISHED, "digits")))
    raise ValueError(
        f"name must be {known}, a path that ends in .npz or that of a folder, not {path!r}"
    )


def _is_folder(name: str | os.PathLike[str]) -> bool:
    """Whether it is none of those that have a name."""
    return name not in ("digits", *PUBLISHED) and os.path.isdir(name)


def load_default_dataset(*, progress: bool = True) -> tuple[Dataset, str | None]:
    """Load MNIST if it is on disk or reachable, and else scikit-learn's digits.

    Parameters
    ----------
    progress : bool, default True
        Show downloads on stderr, if that is a terminal.

    Returns
    -------
    dataset : Dataset
        "mnist" or "digits".
    reason : str or None
        None for MNIST; else one line that says why it could not be had.

    Raises
    ------
    DataError
        If `$FASTMLP_DATA_DIR` holds a wrong MNIST file: that is to be repaired, not passed over.
    """
    try:
        return load_dataset("mnist", progress=progress), None
    except DataUnavailableError as error:
        return load_dataset("digits"), str(error)
