"""Where parameters lie in the one flat buffer, and other sizes that need no numba."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

LINE_BYTES = 64
"""A cache line. Every buffer and every row starts on one, so that no vector crosses two and no
two threads write to the same."""

CHUNK_ROWS = 512
"""Most rows of a batch that are in the workspace at once."""

PREDICT_ROWS = 256
"""Rows of one chunk in prediction: large enough for full tiles, small enough for the L2 cache. With
chunks of 512, 10,000 rows of 784-128-10 took 3 to 8 % longer."""

BRIEF_PRODUCTS = 10_000_000
"""Samples times parameters of a job too short to interrupt: 60 MFLOP, 0.3 ms at 200 GFLOP/s."""


def row_stride(columns: int, dtype: np.dtype) -> int:
    """Items from one row to the next: whole cache lines, an odd number of them in a wide row.

    A tile reads a few lines' width of many rows. If rows lie a power of two apart, they share a few
    sets of the first-level cache: a dense product with row stride 1024 (float32) ran at 66-85 % of
    the FMA peak, with 1040 at 98-103 %; a masked one with 512 took 346 us, with 528 214 us.
    """
    line = LINE_BYTES // dtype.itemsize
    lines = -(-columns // line)
    return (lines | 1 if lines > 8 else lines) * line


def aligned_zeros(items: int, dtype: np.dtype) -> NDArray[np.floating]:
    """Zeros (items,) whose first item starts a cache line."""
    raw = np.zeros(items * dtype.itemsize + LINE_BYTES, dtype=np.uint8)
    start = -raw.ctypes.data % LINE_BYTES
    return raw[start : start + items * dtype.itemsize].view(dtype)


@dataclass(frozen=True)
class LayerLayout:
    """Place of one layer's parameters: W (n_in, n_out) in rows of ``stride`` items, then b."""

    n_in: int
    n_out: int
    stride: int
    W: int
    b: int


def parameter_layout(layers: Sequence[int], dtype: np.dtype) -> tuple[list[LayerLayout], int]:
    """Layout of each layer and the number of items of the whole buffer."""
    places, end = [], 0
    for n_in, n_out in pairwise(layers):
        stride = row_stride(n_out, dtype)
        places.append(LayerLayout(n_in, n_out, stride, end, end + n_in * stride))
        end += (n_in + 1) * stride
    return places, end


def parameter_views(
    buffer: NDArray[np.floating], places: Sequence[LayerLayout]
) -> tuple[list[NDArray[np.floating]], list[NDArray[np.floating]]]:
    """Views W (n_in, n_out) and b (n_out,) of the flat buffer; the padding stays zero."""
    weights, biases = [], []
    for place in places:
        rows = buffer[place.W : place.W + place.n_in * place.stride]
        weights.append(rows.reshape(place.n_in, place.stride)[:, : place.n_out])
        biases.append(buffer[place.b : place.b + place.n_out])
    return weights, biases
