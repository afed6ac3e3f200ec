"""Data sets: verified downloads, a cache, the IDX format and `.npz` files."""

from fastmlp.data.dataset import Dataset
from fastmlp.data.errors import DataError, DataUnavailableError
from fastmlp.data.idx import read_idx
from fastmlp.data.loading import load_dataset, load_default_dataset

__all__ = [
    "DataError",
    "DataUnavailableError",
    "Dataset",
    "load_dataset",
    "load_default_dataset",
    "read_idx",
]
