"""The plan: sizes and places of everything that a step touches, and the kernels that it calls."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from fastmlp.engine import extras
from fastmlp.engine.layout import CHUNK_ROWS, LayerLayout, aligned_zeros, row_stride
from fastmlp.engine.records import (
    FIRST_LAYER,
    INPUT_SCALE,
    JOB,
    LAYER,
    LINE_ITEMS,
    NUMBERS,
    PHASES,
    PROGRESS_ITEMS,
    Job,
)
from fastmlp.kernels import activations
from fastmlp.kernels.calls import address, epilogue_arguments, product_arguments
from fastmlp.kernels.product import SCRATCH_BYTES, product
from fastmlp.kernels.target import TARGET
from fastmlp.kernels.tile import MASK_BITS, TILE_ROWS, TILE_VECTORS

CHUNK_PRODUCTS = 8_000_000_000
"""Most rows times parameters of a chunk, if that leaves 64 rows: half a second of two threads,
after which Ctrl-C is seen."""


class Workspace:
    """Buffers of one network for chunks of at most ``rows`` rows, and ``threads`` threads.

    Attributes
    ----------
    grows : bool
        Whether chunks would be larger for more rows.
    layers : array of LAYER
    jobs : array of JOB (1,)
        With what does not change from job to job.
    job : Job
        The same, to be written.
    """

    def __init__(
        self,
        places: Sequence[LayerLayout],
        dtype: np.dtype,
        rows: int,
        threads: int,
        whole_batches: bool = False,
        input_dropout: float = 0.0,
    ) -> None:
        parameters = sum(place.n_in * place.n_out for place in places)
        brief_rows = max(CHUNK_PRODUCTS // parameters // MASK_BITS * MASK_BITS, MASK_BITS)
        most = rows if whole_batches else min(CHUNK_ROWS, brief_rows)
        self.chunk_rows = min(rows, most)
        self.grows = whole_batches or self.chunk_rows < most
        self.layers = np.zeros(len(places), dtype=LAYER)
        self.dtype = dtype
        self._items = 0
        self.threads = 0
        self._groups = 0
        inputs = self._place(places[0].n_in, dtype)
        input_mask = self._place(places[0].n_in, dtype)[0] if input_dropout else 0
        for l, place in enumerate(places):
            inputs = self._plan_layer(self.layers.view(np.recarray)[l], place, inputs, dtype)
        first = self.layers.view(np.recarray)[0]
        first.masked_percent, first.masked_rows = _masked_from(places[0].n_out, dtype)
        lanes = TARGET.vector_bytes // dtype.itemsize
        words, blocks = (math.ceil(k / MASK_BITS) for k in (places[0].n_in, self.chunk_rows))
        square_columns = TILE_VECTORS * lanes
        widest = max(row_stride(max(p.n_in, p.n_out, square_columns), dtype) for p in places)
        hidden = max((max(p.n_in, p.n_out) for p in places[1:]), default=0)
        score_stride = row_stride(self.chunk_rows, dtype)
        option_stride = row_stride(places[-1].n_out, dtype)
        self.jobs = np.zeros(1, dtype=JOB)
        self.job = job = Job(self.jobs)
        job.chunk_rows = self.chunk_rows
        job.ranks, job.item_bytes = 1, dtype.itemsize
        job.scratch_items = SCRATCH_BYTES // dtype.itemsize
        job.square_rows = hidden
        job.row_words = words
        job.row_mask_stride, job.column_mask_stride = blocks * MASK_BITS, words * MASK_BITS
        job.score_stride, job.option_stride = score_stride, option_stride
        job.param_items = sum(place.rows * place.stride for place in places)
        masks = words * blocks * MASK_BITS
        integers, floats = np.dtype(np.int64), np.dtype(np.float64)
        self.buffers = {
            "work": aligned_zeros(self._items, dtype),
            "scratch": aligned_zeros(threads * SCRATCH_BYTES // dtype.itemsize, dtype),
            "squares": aligned_zeros(threads * 2 * hidden * square_columns, dtype),
            "row_masks": aligned_zeros(masks, integers),
            "column_masks": aligned_zeros(masks, integers),
            "found": aligned_zeros(threads * LINE_ITEMS, floats),
            "scores": aligned_zeros(2 * score_stride, dtype),
            "zeros": aligned_zeros(widest, dtype),
            "one": np.ones(1, dtype=dtype),
            "shares": np.zeros(threads + 1, dtype=integers),
            "settings": np.zeros(FIRST_LAYER + len(places), dtype=dtype),
            "options": aligned_zeros(4 * option_stride, dtype),
            "numbers": aligned_zeros(threads * NUMBERS, integers),
            "row_norms": aligned_zeros(sum(place.rows for place in places), dtype),
            "weight_squares": aligned_zeros(sum(place.n_in for place in places), dtype),
            "progress": np.zeros(PROGRESS_ITEMS),
            "clocks": aligned_zeros(threads * PHASES, integers),
        }
        for name, buffer in self.buffers.items():
            job[name] = buffer.ctypes.data
        self.use(threads)
        job.product = address(product, product_arguments, dtype)
        job.store = address(activations.identity, epilogue_arguments, dtype)
        self.use_groups(1)
        job.first_step = 1
        job.meeting = any(place.norm == "batch" for place in places)
        job.input_mask, job.input_threshold = input_mask, keep_threshold(input_dropout)
        dropouts = [input_dropout, *(place.dropout for place in places)]
        self.buffers["settings"][INPUT_SCALE:] = [1 / (1 - p) for p in dropouts]
        if any(dropouts):
            job.times = address(activations.times, epilogue_arguments, dtype)
        if any(dropouts[1:]):
            job.drop = self.extra(extras.drop)
        if input_dropout:
            job.drop_inputs = self.extra(extras.drop_inputs)

    def extra(self, kernel: Callable[..., None]) -> int:
        """Address of one of `extras`."""
        return address(kernel, extras.extra_arguments, self.dtype)

    def use(self, threads: int) -> None:
        """Let ``threads`` threads, of those that there is room for, take part in the next job."""
        if threads != self.threads or not self.buffers["shares"].any():
            self.threads = self.job.threads = threads
            units = math.ceil(int(self.layers["n_in"][0]) / TILE_ROWS)
            shares = [TILE_ROWS * (units * t // threads) for t in range(threads)]
            self.buffers["shares"][: threads + 1] = [*shares, self.layers["n_in"][0]]

    def use_groups(self, groups: int) -> None:
        """Let the next job have ``groups`` rows of hyperparameters to a step."""
        if groups == self._groups:
            return
        self._groups = self.job.groups = groups
        for l in range(len(self.layers)):
            self.layers["W_group"][l] = 2 * l if groups > 1 else 0
            self.layers["other_group"][l] = 2 * l + 1 if groups > 1 else 0

    def _plan_layer(
        self, layer: np.record, place: LayerLayout, inputs: tuple[int, int], dtype: np.dtype
    ) -> tuple[int, int]:
        """Fill ``layer``; where its A is, and with what stride."""
        layer.n_in, layer.n_out = place.n_in, place.n_out
        layer.W, layer.W_stride = place.W, place.stride
        layer.A, layer.A_stride = inputs
        out = layer.out, layer.out_stride = self._place(place.n_out, dtype)
        layer.dZ, layer.dZ_stride = self._place(place.n_out, dtype)
        layer.companion = layer.out
        layer.product_epilogue = address(activations.identity, epilogue_arguments, dtype)
        if place.activation is None:
            return out
        function, derivative, leaves_slope = activations.ACTIVATIONS[place.activation]
        layer.activation = address(function, epilogue_arguments, dtype)
        layer.derivative = address(derivative, epilogue_arguments, dtype)
        if leaves_slope:
            layer.companion, _ = self._place(place.n_out, dtype)
        if place.norm:
            layer.normalise, layer.normalise_backward, layer.end_batch = (
                self.extra(kernel) if kernel else 0 for kernel in extras.NORMS[place.norm]
            )
            layer.H, _ = self._place(place.n_out, dtype)
            layer.dN, _ = self._place(place.n_out, dtype)
            layer.statistics, _ = self._place(place.n_out, dtype, least_rows=4)
        else:
            layer.product_epilogue = layer.activation
        if place.dropout:
            layer.keep_threshold = keep_threshold(place.dropout)
            layer.mask, _ = self._place(place.n_out, dtype)
            layer.slope = layer.companion
            if not leaves_slope:
                layer.slope, _ = self._place(place.n_out, dtype)
        return out

    def _place(self, columns: int, dtype: np.dtype, least_rows: int = 1) -> tuple[int, int]:
        stride = row_stride(columns, dtype)
        place = self._items
        self._items += max(self.chunk_rows, least_rows) * stride
        return place, stride


def keep_threshold(dropout: float) -> int:
    """Random words of 32 bits from this one on keep their item."""
    return int(dropout * 2**32)


def _masked_from(n_out: int, dtype: np.dtype) -> tuple[int, int]:
    """Per cent of non-zeros below which products follow the masks; rows from which dW does.

    128 rows x 784, zeros at random, dense and masked took, in us: 106 and 97 at 40 % on 128
    columns, 422 and 363 on 512, both the other way round at 50 %. In one vector's width, finding
    the next k is most of the work: 15 and 17 at 19 %.

    dW has masks of the length of the batch, so that a short one has more overhead than work. MNIST
    on one core of an Intel server, time of the dense update / the masked one, columns x rows:
    16 x 1 to 16 x 32 0.4 to 0.8, 32 x 1 to 32 x 16 0.7, 32 x 32 1.1, 32 x 128 1.4; from 64 columns
    on 1.1 to 3.3 for any number of rows. Forward gains from 32 columns on, always (1.1 to 2.5).
    """
    vectors = n_out * dtype.itemsize / TARGET.vector_bytes
    return 38 if vectors > 1 else 15, 1 if vectors > 2 else 32
