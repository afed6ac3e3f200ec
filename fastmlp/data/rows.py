"""`Rows`: a data set's features in files, read where they lie, a block at a time."""

from __future__ import annotations

import errno
import math
import mmap
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import check_integer, shown
from fastmlp.data.errors import DataError
from fastmlp.data.idx import GZIP_MAGIC, fill, read_header

WINDOW_BYTES = 64 * 2**20
"""Of the rows in a window, as the engine reads them, where no number of rows is given."""

BLOCK_BYTES = 256 * 2**10
"""Of the rows in a block, as they lie in the file: a fast disk reads such pieces at random at the
rate at which it reads in order, and a window holds 256 of them."""

NPY_MAGIC = b"\x93NUMPY"

MAPPED = ("r", "r+", "w+", "readonly", "readwrite", "write")
"""Modes of a memory map whose content is that of its file."""


class Piece(NamedTuple):
    """Rows of one file.

    Attributes
    ----------
    name : str
        The path as it was given, for messages.
    path : str
        From the root, to open it by.
    offset : int
        Of the first row, in bytes.
    rows : int
    dtype : dtype
        Of the items, in the byte order of the file.
    shape : tuple of int
        Of a row, as the file has it.
    state : tuple of int
        Inode, bytes and time of the last change of the file, when it was opened.
    """

    name: str
    path: str
    offset: int
    rows: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    state: tuple[int, int, int]


class Rows:
    """Features of a data set in one or more files; made by `open_rows`.

    Nothing is held but the files' names: each read opens its file anew.

    Parameters
    ----------
    pieces : sequence of Piece
        Of one dtype and shape.
    window : int, optional
        See `open_rows`.

    Attributes
    ----------
    shape : (int, int)
        (n_samples, n_features): rows of more axes are flattened.
    dtype : dtype
        Of the items in the files.
    row_shape : tuple of int
        Of a row, as the files have it: (28, 28) for MNIST's images.
    window : int or None
        As given.
    block : int
        Rows to a block.
    """

    def __init__(self, pieces: Iterable[Piece], window: int | None = None) -> None:
        self.pieces = [piece for piece in pieces if piece.rows]
        first = self.pieces[0]
        self.dtype, self.row_shape = first.dtype, first.shape
        self._ends = list(accumulate(piece.rows for piece in self.pieces))
        self.shape = self._ends[-1], math.prod(first.shape)
        self.window = window
        self.block = max(1, BLOCK_BYTES // (self.shape[1] * self.dtype.itemsize))

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        files = len({piece.path for piece in self.pieces})
        return f"Rows of shape {self.shape}, {self.dtype}, in {files} file{'s'[: files > 1]}"

    def __getitem__(self, key: slice) -> NDArray[Any]:
        """Consecutive rows, read: ``rows[:5]`` (5, n_features)."""
        if not isinstance(key, slice) or key.step not in (None, 1):
            raise TypeError(f"rows on disk are read as in rows[10:20], not by {shown(key)}")
        begin, end, _ = key.indices(len(self))
        out = np.empty((max(end - begin, 0), self.shape[1]), self.dtype)
        self.read(begin, out)
        return out

    def read(self, first: int, out: NDArray[Any]) -> None:
        """Read ``len(out)`` consecutive rows from row ``first`` on.

        Parameters
        ----------
        first : int
        out : ndarray (n_rows, n_features)
            Contiguous, of `dtype`.

        Raises
        ------
        OSError
            If a file is gone, cannot be read, or has been written to since it was opened.
        """
        done = 0
        for piece, begin, count in self._parts(first, len(out)):
            target = out[done : done + count].reshape(-1).view(np.uint8).data
            with open(piece.path, "rb", buffering=0) as file:
                file.seek(piece.offset + begin * (len(target) // count))
                filled = fill(file, target)
                if filled < len(target) or state_of(os.fstat(file.fileno())) != piece.state:
                    raise OSError(errno.EIO, "has changed since it was opened", piece.name)
            done += count

    def place(self, row: int) -> tuple[str, int]:
        """The file that row ``row`` lies in, and its number there."""
        piece, begin, _ = next(self._parts(row, 1))
        return piece.name, begin

    def _parts(self, first: int, count: int) -> Iterator[tuple[Piece, int, int]]:
        """Pieces with rows ``first`` and ``count`` in all: the first row in each, and how many."""
        k = bisect_right(self._ends, first)
        while count:
            piece = self.pieces[k]
            begin = first - (self._ends[k] - piece.rows)
            some = min(count, piece.rows - begin)
            yield piece, begin, some
            first, count, k = first + some, count - some, k + 1


def open_rows(source: Any, *, window: int | None = None) -> Rows:
    """Features that stay on disk: for `fit`, `evaluate` and the like in place of an array.

    Parameters
    ----------
    source : path-like, numpy.memmap, or a sequence of these
        ``.npy`` files, IDX files (not compressed), memory maps of whole rows; several are taken as
        one, in their order. The first axis is that of the samples; further ones are flattened.
    window : int, default None
        Rows that are shuffled together, and read at once; None: as many as take 64 MiB. Two
        windows are held in memory, one in use and one being read. A source of no more rows than
        this is read whole and is an array from then on, with an array's order of samples.

    Returns
    -------
    Rows

    Raises
    ------
    TypeError, ValueError
        If ``source`` or ``window`` is none of these; ``window`` is 1 or more.
    DataError
        If a file is damaged, holds what is no real number, or differs from the first in the shape
        or dtype of its rows; or if there are no rows.
    OSError
        If a file cannot be opened.
    """
    if window is not None:
        window = check_integer("window", window, 1)
    one = isinstance(source, str | os.PathLike | np.memmap)
    if not one and (
        isinstance(source, np.ndarray | set | frozenset) or not isinstance(source, Iterable)
    ):
        raise TypeError(
            f"source must be a path, a numpy.memmap, or a sequence of these, not {shown(source)}"
        )
    pieces = [open_piece(item) for item in ([source] if one else source)]
    for piece in pieces:
        for name, own, other in (
            ("dtype", piece.dtype, pieces[0].dtype),
            ("rows of shape", piece.shape, pieces[0].shape),
        ):
            if own != other:
                raise DataError(f"{piece.name}: has {name} {own}, but {pieces[0].name} {other}")
    if not any(piece.rows and math.prod(piece.shape) for piece in pieces):
        where = pieces[0].name if pieces else shown(source)
        raise DataError(f"{where}: holds no rows")
    return Rows(pieces, window)


def mapped_rows(array: Any) -> Rows | None:
    """The rows of a memory map, to be read from its file; None if that cannot be."""
    try:
        return Rows([_piece_of_map(array)]) if array.size else None
    except (ValueError, OSError):
        return None


def open_piece(source: Any) -> Piece:
    """What `open_rows` makes of one ``source``."""
    if isinstance(source, np.memmap):
        piece = _piece_of_map(source)
        _check_dtype(piece.dtype, piece.name)
        return piece
    if not isinstance(source, str | os.PathLike):
        raise TypeError(f"source must hold paths or numpy.memmaps, not {type(source).__name__}")
    name = os.fsdecode(source)
    with open(name, "rb") as file:
        magic = file.read(len(NPY_MAGIC))
        file.seek(0)
        if magic == NPY_MAGIC:
            dtype, shape = _npy_header(file, name)
        elif magic.startswith(GZIP_MAGIC):
            raise DataError(f"{name}: is compressed, and files are read in place: gunzip it")
        else:
            dtype, shape = read_header(file, name)
        offset, about = file.tell(), os.fstat(file.fileno())
    _check_dtype(dtype, name)
    promised = offset + math.prod(shape) * dtype.itemsize
    if about.st_size != promised:
        what = "truncated" if about.st_size < promised else "longer than its header says"
        raise DataError(
            f"{name}: {what}: {about.st_size} bytes, and its header promises {promised}"
        )
    if len(shape) < 2:
        raise DataError(f"{name}: has shape {shape}; two axes or more are needed")
    path = os.path.abspath(name)  # it is opened anew later, in whichever folder
    return Piece(name, path, offset, shape[0], dtype, shape[1:], state_of(about))


def state_of(about: os.stat_result) -> tuple[int, int, int]:
    """What changes when a file is written to, or another one takes its name."""
    return about.st_ino, about.st_size, about.st_mtime_ns


def _check_dtype(dtype: np.dtype[Any], name: str) -> None:
    if dtype.kind not in "uifb":
        raise DataError(f"{name}: must hold real numbers, not dtype {dtype}")


def _npy_header(file: Any, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    form = np.lib.format
    readers = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}
    try:
        shape, by_columns, dtype = readers[form.read_magic(file)](file)
    except (ValueError, KeyError, TypeError, SyntaxError) as error:
        raise DataError(f"{name}: has no header of an .npy file: {error}") from None
    if by_columns and len(shape) > 1:
        raise DataError(f"{name}: is stored by columns, and rows are needed: save it in C order")
    return dtype, shape


def _piece_of_map(array: np.memmap[Any, Any]) -> Piece:
    """Where a memory map, or a part of one, lies in its file."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if not isinstance(base, mmap.mmap) or array.filename is None or array.mode not in MAPPED:
        raise ValueError("source must be a memory map of a file, not a copy or a private one")
    if array.ndim < 2 or not array.flags.c_contiguous:
        raise ValueError(
            f"source must be whole rows of a memory map, not a part of shape {array.shape} and "
            f"strides {array.strides}"
        )
    if array.mode not in ("r", "readonly"):
        array.flush()
    # `array.offset` is that of the whole map, which begins at a page.
    start = array.offset - array.offset % mmap.ALLOCATIONGRANULARITY
    offset = start + array.ctypes.data - np.frombuffer(base, np.uint8).ctypes.data
    about = os.stat(array.filename)
    if about.st_size < offset + array.nbytes:
        raise ValueError(f"source must be a memory map of what is in {array.filename} now")
    name, path, shape = str(array.filename), os.path.abspath(array.filename), array.shape
    return Piece(name, path, offset, shape[0], array.dtype, shape[1:], state_of(about))
