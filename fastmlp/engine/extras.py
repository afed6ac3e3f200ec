"""What a step does for some networks only: norms, dropout, limits, averages, new images.

Each extra is compiled apart, when a network first needs it, and called through its address: whoever
does without waits for none of them (with all of them within the step, it took 1.5 times as long to
compile). All have the same arguments: ``jobs`` (1,) and ``layers`` of `records`; the thread's
scratch ``T``; the step's hyperparameters ``h``; ``numbers`` (1, NUMBERS), which tell the layer, the
rows and the step.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numba.core import types

from fastmlp.engine.access import (
    MEAN,
    SCALE,
    SHIFT,
    beside,
    columns_of,
    errors,
    found_in,
    inputs,
    outputs,
    row_below,
    row_masks,
    rows_of_weights,
    running_statistics,
    setting,
    share,
    state_of,
    weights,
)
from fastmlp.engine.records import (
    ANY_FAILED,
    ANY_STOP,
    BATCH_ROWS,
    BEGIN,
    CLIP_NORM,
    CLIP_VALUE,
    DECAY,
    END,
    FIRST_LAYER,
    FIRST_ROW,
    FLAGS,
    FLOAT64,
    GRADIENT,
    INPUT_SCALE,
    INT64,
    JOB,
    LAYER,
    LAYER_INDEX,
    LINE_ITEMS,
    MAX_NORM,
    ROWS,
    STEP,
    THREAD,
)
from fastmlp.kernels import averages, clipping, norms
from fastmlp.kernels.calls import call_augment, call_back, call_epilogue
from fastmlp.kernels.compilation import inner
from fastmlp.kernels.dropout import draw_mask
from fastmlp.kernels.gather import NON_ZEROS
from fastmlp.kernels.masks import mark_row
from fastmlp.kernels.random import threefry
from fastmlp.kernels.sync import CELLS, FAILED, HALT, STOP, atomic_load, atomic_store, barrier
from fastmlp.kernels.tile import TILE_ROWS
from fastmlp.kernels.views import array, block, matrix, matrix_type

LINE = 2 * LINE_ITEMS
"""Items of float32 to a cache line: the unit of columns that threads share out."""

INPUT_STREAM, AUGMENT_STREAM = 0, 2**31
"""Streams of random words beside those of the layers, which are their numbers, from 1 on."""


def extra_arguments(dtype: types.Type) -> tuple[types.Type, ...]:
    """``(jobs, layers, T, h, numbers)``."""
    records = (types.Array(numba.from_dtype(kind), 1, "C") for kind in (JOB, LAYER))
    M = matrix_type(dtype)
    return (*records, M, M, matrix_type(types.int64))


@inner
def meet(job):
    """Wait for the other threads."""
    barrier(array(job.cells, INT64, CELLS), job.threads)


# Norms.


def layer_norm(jobs: Any, layers: Any, T: Any, h: Any, numbers: Any) -> None:
    """A_l = f(norm(Z_l)) of the thread's rows, Z_l and A_l in one place."""
    job, p, dtype = jobs[0], layers[numbers[0, LAYER_INDEX]], T.dtype
    begin, end = numbers[0, BEGIN], numbers[0, END]
    out, H = outputs(job, p, dtype, begin, end), beside(job, p, dtype, p.H, begin, end)
    scale, shift = (
        row_below(job.params, p, dtype, SCALE),
        row_below(job.params, p, dtype, SHIFT),
    )
    root = matrix(job.work, dtype, p.statistics + begin, end - begin, 1, 1, 1)
    norms.layer_norm(out, out, H, scale, shift, root)
    call_epilogue(p.activation, out, out, beside(job, p, dtype, p.companion, begin, end), h)


def layer_norm_backward(jobs: Any, layers: Any, T: Any, h: Any, numbers: Any) -> None:
    """dZ_l of the thread's rows from dN_l; H becomes dN H."""
    job, p, dtype = jobs[0], layers[numbers[0, LAYER_INDEX]], T.dtype
    begin, end = numbers[0, BEGIN], numbers[0, END]
    dN, dZ = beside(job, p, dtype, p.dN, begin, end), errors(job, p, dtype, begin, end)
    H, scale = beside(job, p, dtype, p.H, begin, end), row_below(job.params, p, dtype, SCALE)
    root = matrix(job.work, dtype, p.statistics + begin, end - begin, 1, 1, 1)
    norms.layer_norm_backward(dN, dZ, H, scale, root)


@inner
def statistics_of(job, p, dtype):
    """Mean, variance, and two sums of the batch: (4, n_out)."""
    return matrix(job.work, dtype, p.statistics, 4, p.n_out, p.out_stride, 1)


def batch_norm(jobs: Any, layers: Any, T: Any, h: Any, numbers: Any) -> None:
    """As `layer_norm`, with the batch's statistics where gradients follow, else the running ones.

    Each column is summed by one thread, row by row: the same bits for any number of threads.
    """
    job, p, dtype = jobs[0], layers[numbers[0, LAYER_INDEX]], T.dtype
    begin, end, rows = numbers[0, BEGIN], numbers[0, END], numbers[0, ROWS]
    statistics = running_statistics(job, p, dtype)
    if job.mode >= GRADIENT:
        statistics = statistics_of(job, p, dtype)
        left, right = share(p.n_out, LINE, numbers[0, THREAD], job.threads)
        meet(job)
        norms.batch_statistics(
            columns_of(job, p, dtype, p.out, rows, left, right),
            columns_of(job, p, dtype, p.statistics, 4, left, right),
        )
        meet(job)
        if job.ranks > 1:
            pool_statistics(job, p, dtype, numbers)
    out, H = outputs(job, p, dtype, begin, end), beside(job, p, dtype, p.H, begin, end)
    scale, shift = (
        row_below(job.params, p, dtype, SCALE),
        row_below(job.params, p, dtype, SHIFT),
    )
    norms.batch_norm(out, out, H, scale, shift, statistics)
    call_epilogue(p.activation, out, out, beside(job, p, dtype, p.companion, begin, end), h)


@inner
def sum_rows(job, p, first, count):
    """Sum rows of a layer's statistics over all ranks."""
    place = job.work + (p.statistics + first * p.out_stride) * job.item_bytes
    call_back(job.sum_over_ranks, place, (count - 1) * p.out_stride + p.n_out)


@inner
def pool_statistics(job, p, dtype, numbers):
    """Mean and variance over the batch of all ranks, from those of each; by the first thread."""
    rows, all_rows = numbers[0, ROWS], numbers[0, BATCH_ROWS]
    if numbers[0, THREAD] == 0:
        statistics = statistics_of(job, p, dtype)
        norms.weigh_mean(statistics, rows)
        sum_rows(job, p, norms.SUM, 1)
        norms.weigh_variance(statistics, rows, all_rows)
        sum_rows(job, p, norms.PRODUCT_SUM, 1)
        norms.take_pooled(statistics, all_rows)
    meet(job)


def batch_norm_backward(jobs: Any, layers: Any, T: Any, h: Any, numbers: Any) -> None:
    """As `layer_norm_backward`; sums over the batch by the thread's columns."""
    job, p, dtype = jobs[0], layers[numbers[0, LAYER_INDEX]], T.dtype
    begin, end, rows = numbers[0, BEGIN], numbers[0, END], numbers[0, ROWS]
    left, right = share(p.n_out, LINE, numbers[0, THREAD], job.threads)
    meet(job)
    norms.batch_sums(
        columns_of(job, p, dtype, p.dN, rows, left, right),
        columns_of(job, p, dtype, p.H, rows, left, right),
        columns_of(job, p, dtype, p.statistics, 4, left, right),
    )
    meet(job)
    if job.ranks > 1:
        if numbers[0, THREAD] == 0:
            sum_rows(job, p, norms.SUM, 2)
        meet(job)
    dN, dZ = beside(job, p, dtype, p.dN, begin, end), errors(job, p, dtype, begin, end)
    H, scale = beside(job, p, dtype, p.H, begin, end), row_below(job.params, p, dtype, SCALE)
    statistics = statistics_of(job, p, dtype)
    norms.batch_norm_backward(dN, dZ, H, scale, statistics, numbers[0, BATCH_ROWS])


def move_statistics(jobs: Any, layers: Any, T: Any, h: Any, numbers: Any) -> None:
    """The running statistics of a layer, by those of the batch; one thread's."""
    job, p, dtype = jobs[0], layers[numbers[0, LAYER_INDEX]], T.dtype
    running = running_statistics(job, p, dtype)
    norms.move_statistics(running, statistics_of(job, p, dtype), numbers[0, BATCH_ROWS])


# Dropout, and images.


@inner
def draw(job, K, dtype, scale, row, step, stream, threshold):
    """K = the mask of ``stream`` in ``step``, for the rows of the batch from ``row`` on."""
    key0, key1 = threefry(job.key0, job.key1, step, stream)
    draw_mask(K, key0, key1, row, threshold, setting(job, dtype, scale)[0, 0])


def drop(jobs: Any, layers: Any, T: Any, h: Any, numbers: Any) -> None:
    """A_l, what is dropped being 0, and the slope f'(N_l) times the mask, for backward."""
    l = numbers[0, LAYER_INDEX]
    job, p, dtype = jobs[0], layers[l], T.dtype
    begin, end = numbers[0, BEGIN], numbers[0, END]
    out, K = outputs(job, p, dtype, begin, end), beside(job, p, dtype, p.mask, begin, end)
    M = beside(job, p, dtype, p.companion, begin, end)
    row, step = numbers[0, FIRST_ROW], numbers[0, STEP]
    draw(job, K, dtype, FIRST_LAYER + l, row, step, l + 1, p.keep_threshold)
    call_epilogue(p.derivative, K, beside(job, p, dtype, p.slope, begin, end), M, h)
    call_epilogue(job.times, out, out, K, h)


def drop_inputs(jobs: Any, layers: Any, T: Any, h: Any, numbers: Any) -> None:
    """X, what is dropped being 0. Its masks stay: they may call an item non-zero that is zero."""
    job, p, dtype = jobs[0], layers[0], T.dtype
    begin, end = numbers[0, BEGIN], numbers[0, END]
    X = inputs(job, p, dtype, begin, end)
    place = job.input_mask + begin * p.A_stride
    K = matrix(job.work, dtype, place, end - begin, p.n_in, p.A_stride, 1)
    row, step = numbers[0, FIRST_ROW], numbers[0, STEP]
    draw(job, K, dtype, INPUT_SCALE, row, step, INPUT_STREAM, job.input_threshold)
    call_epilogue(job.times, X, X, K, h)


def change_images(jobs: Any, layers: Any, T: Any, h: Any, numbers: Any) -> None:
    """X, the images changed at random, and where it is not zero then."""
    job, thread = jobs[0], numbers[0, THREAD]
    begin, end = numbers[0, BEGIN], numbers[0, END]
    X, masks = inputs(job, layers[0], T.dtype, begin, end), row_masks(job, begin, end)
    settings = matrix(job.augment_settings, FLOAT64, 0, 1, job.augment_columns, 1, 1)
    items = job.augment_items
    scratch = matrix(job.augment_scratch, FLOAT64, thread * items, 1, items, items, 1)
    key0, key1 = threefry(job.key0, job.key1, numbers[0, STEP], AUGMENT_STREAM)
    call_augment(job.augment, X, settings, key0, key1, numbers[0, FIRST_ROW], scratch)
    total = 0
    for r in range(end - begin):
        total += mark_row(X, r, masks)
    found_in(job, thread)[0, NON_ZEROS] = total / X.size


# Gradients and weights as a whole.


@inner
def trained_rows(p):
    """Rows of W_l and of those below it that have a gradient."""
    return p.n_in + (MEAN if p.normalise else SCALE)


@inner
def norm_of_gradients(job, layers, dtype, thread):
    """|g| over all parameters: rows are squared by their owners, and summed by all in one order."""
    first, total = 0, 0.0
    for l in range(len(layers)):
        p = layers[l]
        begin, end = share(trained_rows(p), LINE, thread, job.threads)
        G = weights(job.gradients, p, dtype, begin, end)
        clipping.row_squares(G, matrix(job.row_norms, dtype, first + begin, 1, end - begin, 1, 1))
        first += trained_rows(p)
    meet(job)
    squares = array(job.row_norms, dtype, first)
    for r in range(first):
        total += squares[r]
    return math.sqrt(total)


def sum_gradients(jobs: Any, layers: Any, T: Any, h: Any, numbers: Any) -> None:
    """The gradients become their sum over all ranks.

    With them the ranks learn whether a loss of one is not finite, and whether one is asked to stop:
    all leave after the same step, or one would wait for the others for ever.
    """
    job, dtype = jobs[0], T.dtype
    cells = array(job.cells, INT64, CELLS)
    meet(job)
    if numbers[0, THREAD] == 0:
        flags = matrix(job.gradients, dtype, job.param_items, 1, FLAGS, FLAGS, 1)
        flags[0, ANY_FAILED] = atomic_load(cells, FAILED)
        flags[0, ANY_STOP] = atomic_load(cells, STOP)
        call_back(job.sum_over_ranks, job.gradients, job.param_items + FLAGS)
        if flags[0, ANY_FAILED] != 0:
            atomic_store(cells, FAILED, 1)
        if flags[0, ANY_STOP] != 0:
            atomic_store(cells, HALT, 1)
    meet(job)


def apply_whole(jobs: Any, layers: Any, T: Any, h: Any, numbers: Any) -> None:
    """Clip the whole gradient, then give it to the optimiser, row by row.

    By norm as `torch.nn.utils.clip_grad_norm_`: times c / (|g| + 1e-6) where that is below 1.
    """
    job, dtype, thread = jobs[0], T.dtype, numbers[0, THREAD]
    settings = array(job.settings, dtype, FIRST_LAYER)
    meet(job)
    factor = 1.0
    if settings[CLIP_NORM] < np.inf:
        norm = norm_of_gradients(job, layers, dtype, thread)
        factor = min(1.0, settings[CLIP_NORM] / (norm + 1e-6))
    for l in range(len(layers)):
        p = layers[l]
        begin, end = share(trained_rows(p), TILE_ROWS, thread, job.threads)
        clipping.clip(weights(job.gradients, p, dtype, begin, end), factor, settings[CLIP_VALUE])
        middle = max(begin, min(end, p.n_in))
        for part in range(2):
            left, right = (begin, middle) if part == 0 else (middle, end)
            group = p.W_group if part == 0 else p.other_group
            call_epilogue(
                job.update,
                weights(job.gradients, p, dtype, left, right),
                weights(job.params, p, dtype, left, right),
                state_of(job, p, dtype, left, right),
                block(h, group, 0, 1, h.shape[1]),
            )


def measure_weights(jobs: Any, layers: Any, T: Any, h: Any, numbers: Any) -> None:
    """Sum of squares of each row of every W; those that the thread is about to update."""
    job, dtype, thread = jobs[0], T.dtype, numbers[0, THREAD]
    first = 0
    for l in range(len(layers)):
        p = layers[l]
        begin, end = rows_of_weights(job, p, l, thread)
        W = weights(job.params, p, dtype, begin, end)
        place = first + begin
        clipping.row_squares(W, matrix(job.weight_squares, dtype, place, 1, end - begin, 1, 1))
        first += p.n_in


def constrain(jobs: Any, layers: Any, T: Any, h: Any, numbers: Any) -> None:
    """Keep the columns of every W below their largest norm, each thread some columns."""
    job, dtype = jobs[0], T.dtype
    meet(job)
    for l in range(len(layers)):
        p = layers[l]
        begin, end = share(p.n_out, LINE, numbers[0, THREAD], job.threads)
        W = matrix(job.params, dtype, p.W + begin, p.n_in, end - begin, p.W_stride, 1)
        clipping.limit_columns(W, array(job.settings, dtype, FIRST_LAYER)[MAX_NORM])


def average_weights(jobs: Any, layers: Any, T: Any, h: Any, numbers: Any) -> None:
    """The running mean of all parameters, which starts as a copy."""
    job, dtype = jobs[0], T.dtype
    meet(job)
    decay = array(job.settings, dtype, FIRST_LAYER)[DECAY] if numbers[0, STEP] > 1 else 0.0
    begin, end = share(job.param_items, LINE, numbers[0, THREAD], job.threads)
    V = matrix(job.params, dtype, begin, 1, end - begin, 1, 1)
    averages.average(V, matrix(job.average, dtype, begin, 1, end - begin, 1, 1), decay)


NORMS = {
    "layer": (layer_norm, layer_norm_backward, None),
    "batch": (batch_norm, batch_norm_backward, move_statistics),
}
"""Name: forward, backward, and what ends a batch."""
