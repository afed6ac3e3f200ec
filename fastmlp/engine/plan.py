"""The plan: sizes and places of everything that a step touches, and the kernels that it calls."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastmlp.engine.layout import LayerLayout, aligned_zeros, row_stride
from fastmlp.kernels import activations
from fastmlp.kernels.calls import address, epilogue_arguments
from fastmlp.kernels.target import TARGET
from fastmlp.kernels.tile import MASK_BITS, MASKED_VECTORS, TILE_ROWS, TILE_VECTORS

LAYER = np.dtype(
    [
        (name, np.int64)
        for name in (
            "n_in",
            "n_out",
            # Places are offsets of a matrix's first item, strides the items from row to row.
            "W",
            "W_stride",
            "b",
            "WT",
            "WT_stride",
            "A",
            "A_stride",
            "out",
            "out_stride",
            "dZ",
            "dZ_stride",
            "share_unit",
            "masked_percent",
            "activation",
            "derivative",
        )
    ]
)
"""One layer's sizes, places and kernels."""

CHUNK_ROWS = 512
"""Most rows of a batch that are in the workspace at once."""

CHUNK_PRODUCTS = 8_000_000_000
"""Most rows times parameters of a chunk, if that leaves 64 rows: half a second of two threads,
after which Ctrl-C is seen."""


class Workspace:
    """Buffers of one network for chunks of at most ``chunk_rows`` rows, and ``threads`` threads."""

    def __init__(
        self,
        places: Sequence[LayerLayout],
        activation: str,
        dtype: np.dtype,
        rows: int,
        threads: int,
    ) -> None:
        parameters = sum(place.n_in * place.n_out for place in places)
        brief_rows = max(CHUNK_PRODUCTS // parameters // 64 * 64, 64)
        self.chunk_rows = min(rows, CHUNK_ROWS, brief_rows)
        self.layers = np.zeros(len(places), dtype=LAYER).view(np.recarray)
        function, derivative = activations.ACTIVATIONS[activation]
        self._items = 0
        transposed = 0
        inputs = self._place(places[0].n_in, dtype)
        for index, (layer, place) in enumerate(zip(self.layers, places, strict=True)):
            last = index == len(places) - 1
            layer.n_in, layer.n_out = place.n_in, place.n_out
            layer.W, layer.W_stride, layer.b = place.W, place.stride, place.b
            layer.WT, layer.WT_stride = transposed, row_stride(place.n_in, dtype)
            transposed += place.n_out * layer.WT_stride if index else 0
            layer.A, layer.A_stride = inputs
            layer.out, layer.out_stride = inputs = self._place(place.n_out, dtype)
            layer.dZ, layer.dZ_stride = self._place(place.n_out, dtype)
            # Rows of W are columns of W.T: a share of whole lines keeps two threads off one line.
            layer.share_unit = max(TILE_ROWS, 64 // dtype.itemsize) if index else TILE_ROWS
            layer.masked_percent = 0 if index else _masked_percent(place.n_out, dtype)
            layer.activation = address(
                activations.identity if last else function, epilogue_arguments, dtype
            )
            layer.derivative = address(derivative, epilogue_arguments, dtype)
        widest = max(row_stride(max(p.n_in, p.n_out), dtype) for p in places)
        tile_columns = max(TILE_VECTORS, MASKED_VECTORS) * TARGET.vector_bytes // dtype.itemsize
        self.transposed = aligned_zeros(transposed, dtype)
        self.work = aligned_zeros(self._items, dtype)
        self.tiles = _rows(threads * TILE_ROWS, tile_columns, dtype)
        bits = np.dtype(np.int64)
        n_features = places[0].n_in
        self.row_masks = _rows(self.chunk_rows, math.ceil(n_features / MASK_BITS), bits)
        self.column_masks = _rows(n_features, math.ceil(self.chunk_rows / MASK_BITS), bits)
        self.squares = _rows(threads, MASK_BITS, bits)
        self.densities = _rows(threads, 1, np.dtype(np.float64))
        self.scores = _rows(2, self.chunk_rows, dtype)
        self.zeros = aligned_zeros(widest, dtype)
        self.one = np.ones(1, dtype=dtype)

    def _place(self, columns: int, dtype: np.dtype) -> tuple[int, int]:
        stride = row_stride(columns, dtype)
        place = self._items
        self._items += self.chunk_rows * stride
        return place, stride


def _masked_percent(n_out: int, dtype: np.dtype) -> int:
    """Per cent of non-zero items below which products follow the masks.

    128 rows x 784, zeros at random, dense and masked took, in us: 106 and 97 at 40 % on 128
    columns, 422 and 363 on 512, both the other way round at 50 %; in one vector's width, where
    finding the next k is most of the work, 15 and 17 at 19 %.
    """
    return 15 if n_out * dtype.itemsize <= 2 * TARGET.vector_bytes else 38


def _rows(rows: int, columns: int, dtype: np.dtype) -> NDArray[np.floating]:
    stride = row_stride(columns, dtype)
    return aligned_zeros(rows * stride, dtype).reshape(rows, stride)
