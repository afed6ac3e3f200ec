"""Where parameters lie in the one flat buffer, and other sizes that need no numba."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def share_of_rank(rows: int, rank: int, ranks: int) -> tuple[int, int]:
    """First and number of those of ``rows`` that are a rank's: as `numpy.array_split` deals them.

    Shares differ by one row at most, and no share of fewer rows is larger than that of more.
    """
    return rank * (rows // ranks) + min(rank, rows % ranks), (rows + ranks - 1 - rank) // ranks


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
    """Place of one layer's parameters, and what follows its product.

    Rows of ``stride`` items: W (n_in, n_out), b; with a norm its scale and shift; with that of
    batches its running mean and variance, which no gradient moves.
    """

    n_in: int
    n_out: int
    stride: int
    W: int
    activation: str | None = None
    norm: str | None = None
    dropout: float = 0.0

    @property
    def rows(self) -> int:
        """Rows of W and of what lies below."""
        return self.n_in + 1 + (2 if self.norm else 0) + (2 if self.norm == "batch" else 0)

    @property
    def trained_rows(self) -> int:
        """Rows that a gradient moves."""
        return self.n_in + 1 + (2 if self.norm else 0)

    def names(self, layer: int) -> dict[str, int]:
        """Name of each array of layer ``layer``, and its first row."""
        names = {f"W{layer}": 0, f"b{layer}": self.n_in}
        if self.norm:
            names |= {f"scale{layer}": self.n_in + 1, f"shift{layer}": self.n_in + 2}
        if self.norm == "batch":
            names |= {f"mean{layer}": self.n_in + 3, f"variance{layer}": self.n_in + 4}
        return names


def parameter_layout(
    layers: Sequence[int],
    dtype: np.dtype,
    activations: Sequence[str],
    norms: Sequence[str | None],
    dropouts: Sequence[float],
) -> tuple[list[LayerLayout], int]:
    """Layout of each layer and the number of items of the whole buffer.

    ``activations``, ``norms``, ``dropouts``: of each hidden layer.
    """
    places, end = [], 0
    following = zip((*activations, None), (*norms, None), (*dropouts, 0.0), strict=True)
    for (n_in, n_out), what in zip(pairwise(layers), following, strict=True):
        place = LayerLayout(n_in, n_out, row_stride(n_out, dtype), end, *what)
        places.append(place)
        end += place.rows * place.stride
    return places, end


def parameter_views(
    buffer: NDArray[np.floating], places: Sequence[LayerLayout]
) -> dict[str, NDArray[np.floating]]:
    """Views W1 (n_in, n_out), b1 (n_out,), ... of the flat buffer; the padding stays zero."""
    views = {}
    for layer, place in enumerate(places, start=1):
        rows = buffer[place.W : place.W + place.rows * place.stride]
        rows = rows.reshape(place.rows, place.stride)[:, : place.n_out]
        for name, first in place.names(layer).items():
            views[name] = rows[: place.n_in] if first == 0 else rows[first]
    return views


def views_of(views: Mapping[str, NDArray[np.floating]], kind: str) -> list[NDArray[np.floating]]:
    """Those called ``kind`` and a number, in order."""
    return [view for name, view in views.items() if name.rstrip("0123456789") == kind]


def state_views(
    buffer: NDArray[np.floating], places: Sequence[LayerLayout], planes: int
) -> dict[str, NDArray[np.floating]]:
    """Views W1/0, W1/1, ..., b1/0, ... of the optimiser's state: plane by plane of what it trains.

    Each row of the parameters stands for a row of each plane, one after another.
    """
    views = {}
    for layer, place in enumerate(places, start=1):
        begin = planes * place.W
        rows = buffer[begin : begin + planes * place.rows * place.stride]
        rows = rows.reshape(place.rows, planes, place.stride)[:, :, : place.n_out]
        for name, first in place.names(layer).items():
            if first < place.trained_rows:
                for plane in range(planes):
                    part = rows[: place.n_in, plane] if first == 0 else rows[first, plane]
                    views[f"{name}/{plane}"] = part
    return views
