"""Data sets: verified downloads, a cache, the IDX format and `.npz` files."""

from fastmlp.data.dataset import Dataset
from fastmlp.data.errors import DataError, DataUnavailableError
from fastmlp.data.idx import read_idx
from fastmlp.data.loading import load_dataset, load_default_dataset
from fastmlp.data.rows import Rows, open_rows

__all__ = [
    "DataError",
    "DataUnavailableError",
    "Dataset",
    "Rows",
    "load_dataset",
    "load_default_dataset",
    "open_rows",
    "read_idx",
]
