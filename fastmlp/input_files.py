"""Files to predict for, told by their first bytes: images, ``.npy``, ``.npz``, IDX and CSV."""

from __future__ import annotations

import itertools
import math
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.errors import DataError
from fastmlp.data.idx import GZIP_MAGIC, MAX_BYTES, decode_idx
from fastmlp.data.npz import read_array
from fastmlp.data.rows import NPY_MAGIC, Rows, open_rows
from fastmlp.images import FORMATS, ImageFormat, format_of, is_light_ground, prepare, read_image
from fastmlp.images.reading import SIGNATURES, is_image

BLOCK = 4096
"""Rows that are predicted at a time: 12 MB of MNIST in float32."""

JUDGED = 256
"""Images of an array whose borders tell whether they are dark on light."""

ZIP_MAGIC = b"PK\x03\x04"
IDX_MAGIC = b"\0\0"
KNOWN = f"{', '.join(SIGNATURES)}, .npy, .npz, IDX or CSV"

ARRAYS = ("x", "x_test")
"""Of several arrays in an ``.npz`` file, the first of these that is there is taken."""


class Block(NamedTuple):
    """Consecutive samples of a file.

    Attributes
    ----------
    rows : ndarray (n_rows, n_features)
        As the network takes them.
    first : int or None
        Number of the first in its file, from 0; None for an image, which is the only one.
    """

    rows: NDArray[Any]
    first: int | None


def read_blocks(
    file: BinaryIO, name: str, n_features: int, say: Callable[[str], None]
) -> Iterator[Block]:
    """The samples of a file, a block at a time.

    Images are prepared as `fastmlp.images.prepare` says. Arrays are taken as they are, so that the
    network predicts what it does in Python: (n, n_features), (n, height, width) or a single sample
    of either. But uint8 arrays of images that are dark on light are inverted, by the borders of the
    first `JUDGED`, and those of another size are prepared as images, one (height, width) or several
    (n, height, width). Files ``.npy`` and IDX
    that are named are read where they lie, a block at a time. Numbers of a CSV file have no dtype:
    whole ones for a network of images, from 0 to 255 (or 16, for the digits), are pixels.

    Parameters
    ----------
    file : binary file
        Seekable. If it has the ``name`` of a path, that is what is opened in blocks.
    name : str
        What errors and ``say`` call it.
    n_features : int
        Inputs of the network.
    say : callable of str
        Is told, in one line, what was done to the samples, if anything.

    Raises
    ------
    DataError
        If it is none of these files, damaged, or does not fit the network.
    OSError, ImportError
        If it cannot be read; if there is no Pillow to read an image.
    """
    start = file.read(16)
    file.seek(0)
    if not start:
        raise DataError(f"{name}: is empty")
    if is_image(start):
        pixels = read_image(file, name)
        yield _prepared(pixels, n_features, name, say)
    elif start.startswith((NPY_MAGIC, IDX_MAGIC, ZIP_MAGIC, GZIP_MAGIC)):
        array = _array(file, name, start, say)
        yield from _array_blocks(array, n_features, name, say)
    else:
        yield from _csv_blocks(file, name, n_features, say)


def _prepared(
    pixels: NDArray[np.uint8], n_features: int, name: str, say: Callable[[str], None]
) -> Block:
    prepared = prepare(pixels, _format(n_features, name), name)
    say(f"{name}: {prepared.steps}")
    return Block(prepared.row, None)


def _format(n_features: int, name: str) -> ImageFormat:
    known = format_of(n_features)
    if known is None:
        sizes = " or ".join(f"{k.n_features} inputs ({k.side}x{k.side})" for k in FORMATS)
        raise DataError(
            f"{name}: images are for networks of {sizes}, and this one has {n_features}: give it "
            ".npy, .npz, IDX or CSV"
        )
    return known


def _array(
    file: BinaryIO, name: str, start: bytes, say: Callable[[str], None]
) -> NDArray[Any] | Rows:
    """What the file holds; on disk, if it is a file of rows that has a path."""
    if start.startswith(ZIP_MAGIC):
        return _from_npz(file, name, say)
    path = getattr(file, "name", None)
    compressed = start.startswith(GZIP_MAGIC)
    if isinstance(path, str) and not compressed and _rank(file, start) >= 2:
        return open_rows([path])
    file.seek(0)
    if start.startswith(NPY_MAGIC):
        try:
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        except Exception as error:  # ValueError, SyntaxError, MemoryError, ... for damaged bytes
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"{name}: is a damaged .npy file: {reason}") from None
        return array
    return decode_idx(file, name)  # type: ignore[arg-type]


def _rank(file: BinaryIO, start: bytes) -> int:
    """Axes of a plain ``.npy`` or IDX file; 2 if that cannot be told, and `open_rows` will say."""
    if start.startswith(IDX_MAGIC):
        return start[3] if len(start) > 3 else 2
    form = np.lib.format
    try:
        version = form.read_magic(file)
        read = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
        shape, by_columns, _ = read(file)
    except (ValueError, KeyError, TypeError, SyntaxError):
        return 2
    # Those stored by columns cannot be read by rows: they are read whole.
    return 1 if by_columns else len(shape)


def _from_npz(file: BinaryIO, name: str, say: Callable[[str], None]) -> NDArray[Any]:
    try:
        archive = zipfile.ZipFile(file)
    except Exception as error:  # zipfile has a dozen kinds
        raise DataError(f"{name}: is a damaged .npz file: {error}") from None
    with archive:
        keys = [key.removesuffix(".npy") for key in archive.namelist() if key.endswith(".npy")]
        chosen = keys if len(keys) == 1 else [key for key in ARRAYS if key in keys]
        if not chosen:
            held = ", ".join(keys) or "none"
            raise DataError(
                f"{name}: must hold one array, or one named {' or '.join(ARRAYS)}; it holds {held}"
            )
        if archive.getinfo(f"{chosen[0]}.npy").file_size > MAX_BYTES:
            raise DataError(f"{name}: {chosen[0]} has more than {MAX_BYTES} bytes: use .npy")
        if len(keys) > 1:
            say(f"{name}: of {', '.join(keys)}, {chosen[0]} is taken")
        return read_array(archive, chosen[0], name)


def _array_blocks(
    array: NDArray[Any] | Rows, n_features: int, name: str, say: Callable[[str], None]
) -> Iterator[Block]:
    shape = (len(array), *array.row_shape) if isinstance(array, Rows) else array.shape
    if array.dtype.kind not in "uifb":
        raise DataError(f"{name}: must hold real numbers, not dtype {array.dtype}")
    if not all(shape):
        raise DataError(f"{name}: has shape {shape}: no samples")
    known = format_of(n_features)
    grey = known is not None and array.dtype == np.uint8
    if grey and len(shape) > 2 and shape[-1] in (3, 4):
        raise DataError(
            f"{name}: has shape {shape}, images in colour: give grey ones, (n, height, width), or "
            "image files"
        )
    if len(shape) > 1 and math.prod(shape[1:]) == n_features:
        rows = array if isinstance(array, Rows) else array.reshape(shape[0], n_features)
        yield from _row_blocks(rows, known, name, say)
    elif math.prod(shape) == n_features:
        yield from _row_blocks(array[:].reshape(1, n_features), known, name, say)
    elif grey and len(shape) == 3:
        yield from _image_blocks(array, shape, n_features, name, say)
    elif grey and len(shape) == 2 and shape[1] != n_features + 1:
        yield _prepared(array[:].reshape(shape), n_features, name, say)
    else:
        raise DataError(
            f"{name}: has shape {shape}, and the network expects {n_features} features"
            f"{_label_hint(math.prod(shape[1:]), n_features)}"
        )


def _row_blocks(
    rows: NDArray[Any] | Rows, known: ImageFormat | None, name: str, say: Callable[[str], None]
) -> Iterator[Block]:
    """Rows of as many features as the network has: as they are, or inverted if dark on light."""
    told, inverted = known is None or rows.dtype == np.uint8, False
    # uint8 of the 8x8 digits may be of 16 levels or of 255: what white is cannot be told.
    if known is not None and rows.dtype == np.uint8 == known.dtype:
        inverted = is_light_ground(rows[:JUDGED].reshape(-1, known.side, known.side))
        if inverted:
            say(f"{name}: dark on light: inverted")
    for first in range(0, len(rows), BLOCK):
        block = rows[first : first + BLOCK]
        if not told and (block > 1).any():
            say(f"{name}: {block.dtype} values beyond 1 are taken as they are, not scaled as uint8")
            told = True
        yield Block(255 - block if inverted else block, first)


def _image_blocks(
    array: NDArray[Any] | Rows,
    shape: tuple[int, ...],
    n_features: int,
    name: str,
    say: Callable[[str], None],
) -> Iterator[Block]:
    """uint8 images of another size, each prepared by itself."""
    known = _format(n_features, name)
    count, height, width = shape
    say(
        f"{name}: {count} images {width}x{height}: each inverted if it is dark on light, cropped, "
        f"scaled into {known.box}x{known.box}, centred"
    )
    for first in range(0, count, BLOCK):
        pixels = array[first : first + BLOCK].reshape(-1, height, width)
        rows = [prepare(p, known, f"{name}[{first + k}]").row for k, p in enumerate(pixels)]
        yield Block(np.concatenate(rows), first)


def _label_hint(columns: int, n_features: int) -> str:
    return ": is one of them the label? leave it out" if columns == n_features + 1 else ""


def _csv_blocks(
    file: BinaryIO, name: str, n_features: int, say: Callable[[str], None]
) -> Iterator[Block]:
    lines = _text_lines(file, name)
    head = next(lines, "")
    delimiter = next((mark for mark in ",;\t" if mark in head), ",")
    fields = [field.strip() for field in head.split(delimiter)]
    known = format_of(n_features)
    header = not any(map(_is_number, fields))
    if header and len(fields) == 1 != n_features:
        raise DataError(f"{name}: is no {KNOWN}")
    if len(fields) != n_features:
        raise DataError(
            f"{name}: has {len(fields)} columns, and the network expects {n_features}"
            f"{_label_hint(len(fields), n_features)}"
        )
    # Names that pandas gives to columns without any; no pixels, which end below.
    header |= known is not None and fields == list(map(str, range(n_features)))
    if not header:
        lines = itertools.chain([head], lines)
    pixels, first = False, 0
    while block := list(itertools.islice(lines, BLOCK)):
        where = f"{name}: samples from {first} on"
        try:
            rows = np.loadtxt(block, delimiter=delimiter, ndmin=2, comments=None)
        except ValueError as error:
            raise DataError(f"{where}: {error}") from None
        if rows.shape[1] != n_features:
            raise DataError(f"{where}: have {rows.shape[1]} columns, not {n_features}")
        if known is not None:
            values = f"whole numbers from 0 to {known.levels}"
            whole = known.are_pixels(rows)
            if first == 0 and whole and rows.max() > 1:  # 0 and 1 alone may be of [0, 1]
                pixels = True
                say(f"{name}: {values} are taken as pixels, scaled by 1/{known.levels}")
            if pixels and not whole:
                raise DataError(f"{where}: are no pixels, {values}, as those before are")
        yield Block(known.scaled(rows) if known and pixels else rows, first)
        first += len(rows)
    if not first:
        raise DataError(f"{name}: holds no samples")


def _text_lines(file: BinaryIO, name: str) -> Iterator[str]:
    """Lines that are not empty, the first one included."""
    try:
        for k, line in enumerate(file):
            if not line.isspace():
                yield line.decode("utf-8" if k else "utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{name}: is no {KNOWN}") from None


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
