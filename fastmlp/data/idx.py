"""The IDX format, in which MNIST is published.

A file is two zero bytes, a byte for the element type, a byte for the rank, the rank's sizes as
big-endian uint32, and the elements, big-endian, last axis fastest
(http://yann.lecun.com/exdb/mnist/, "The IDX file format").
"""

import gzip
import math
import os
import struct
import zlib
from io import BufferedIOBase, RawIOBase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.errors import DataError

ELEMENT_TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
MAX_RANK = 64  # NumPy's own limit; the format goes to 255.
MAX_BYTES = 4 * 2**30
GZIP_MAGIC = b"\x1f\x8b"
BLOCK_BYTES = 2**20  # Decompressed through one such block: peak memory is one array and this.


def read_idx(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> NDArray[Any]:
    """Read an IDX file, plain or gzip, into an array in native byte order.

    Gzip is told by its first two bytes, never by the name. The header is checked before memory is
    taken, and gzip's own size field is never trusted.

    Parameters
    ----------
    path : str or path-like
        The file.
    max_bytes : int, default 4 GiB
        The largest array, in bytes, that the header may promise.

    Returns
    -------
    ndarray of uint8, int8, int16, int32, float32 or float64
        C-contiguous, of the file's rank (1 to 64).

    Raises
    ------
    DataError
        If the file is not IDX, promises more than `max_bytes`, is truncated, is followed by more
        bytes (zeros after a gzip stream are padding, as for gzip itself) or is damaged gzip.
    OSError
        If the file cannot be opened or read.
    """
    name = os.fspath(path)
    with open(name, "rb") as file:
        return decode_idx(file, name, max_bytes=max_bytes)


def decode_idx(file: BufferedIOBase, name: str, *, max_bytes: int = MAX_BYTES) -> NDArray[Any]:
    """Read the IDX data, plain or gzip, of a seekable `file` that errors call `name`."""
    magic = file.read(len(GZIP_MAGIC))
    file.seek(0)
    if magic != GZIP_MAGIC:
        return _decode_plain(file, name, max_bytes)
    try:
        with gzip.GzipFile(fileobj=file) as stream:
            return _decode_plain(stream, name, max_bytes)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{name}: damaged gzip data: {error}") from error


def _decode_plain(stream: BufferedIOBase, name: str, max_bytes: int) -> NDArray[Any]:
    dtype, shape = read_header(stream, name)
    # A size of zero counts as one: NumPy refuses (0, 2**32 - 1, 2**32 - 1) as if the 0 were not.
    promised = math.prod(size or 1 for size in shape) * dtype.itemsize
    if promised > max_bytes:
        sizes = " x ".join(map(str, shape))
        raise DataError(
            f"{name}: promises {sizes} elements of {dtype.name}, "
            f"{promised} bytes; at most {max_bytes} are allowed"
        )
    data = np.empty(math.prod(shape) * dtype.itemsize, np.uint8)
    filled = fill(stream, data.data)
    if filled < data.size:
        raise DataError(f"{name}: truncated: {filled} of {data.size} bytes of elements")
    # For gzip this read also reaches the trailer, where the CRC is checked.
    if stream.read(1):
        raise DataError(f"{name}: more bytes follow the {data.size} that its header promises")
    array = data.view(dtype)
    if not dtype.isnative:
        array = array.byteswap(inplace=True).view(dtype.newbyteorder("="))
    return array.reshape(shape)


def read_header(stream: BufferedIOBase, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Element type, in the file's byte order, and shape, of a file that errors call `name`."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        found = magic.hex(" ") or "nothing"
        raise DataError(f"{name}: not an IDX file: it starts with {found}, not with 00 00")
    code, rank = magic[2], magic[3]
    if code not in ELEMENT_TYPES:
        allowed = ", ".join(f"0x{known:02x} {dtype.name}" for known, dtype in ELEMENT_TYPES.items())
        raise DataError(f"{name}: unknown element type 0x{code:02x}; allowed are {allowed}")
    if not 1 <= rank <= MAX_RANK:
        raise DataError(f"{name}: rank {rank}; 1 to {MAX_RANK} are allowed")
    sizes = stream.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise DataError(f"{name}: truncated inside its header: {len(sizes)} of {4 * rank} bytes")
    return ELEMENT_TYPES[code], struct.unpack(f">{rank}I", sizes)


def fill(stream: BufferedIOBase | RawIOBase, target: memoryview) -> int:
    """Read into `target` until it is full or `stream` ends; return the number of bytes read."""
    filled = 0
    while filled < len(target):
        n_read = stream.readinto(target[filled : filled + BLOCK_BYTES])
        if not n_read:
            break
        filled += n_read
    return filled
