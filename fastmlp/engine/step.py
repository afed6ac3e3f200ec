"""The step: gather, forward, loss, backward, update. All training and prediction goes through it.

Threads own rows of the batch from the gather to dZ of the first layer; then a barrier; then they
own rows of the weight matrices for dW and its update; then a barrier. Nothing is ever summed
across threads, so the number of threads changes no bit of the result.

A batch larger than the workspace is cut into chunks of rows. dW of one chunk starts from what the
chunk before left in the gradient buffer, which is one and the same chain of sums (see `tile`): the
cut changes no bit either.

``job`` is a record of `plan.JOB`, ``layers`` are records of `plan.LAYER`; ``p`` is one of them.
"""

from __future__ import annotations

import math

import numpy as np

from fastmlp.kernels.calls import call_epilogue, call_gather, call_head, call_product
from fastmlp.kernels.clock import ticks
from fastmlp.kernels.compilation import inner, jit
from fastmlp.kernels.gather import NON_ZEROS, NOT_FINITE
from fastmlp.kernels.losses import HIT, LOSS
from fastmlp.kernels.masks import transpose_masks
from fastmlp.kernels.simd import count_bits, lanes, prefetch
from fastmlp.kernels.sync import (
    CELLS,
    FAILED,
    HALT,
    STOP,
    atomic_load,
    atomic_store,
    barrier,
)
from fastmlp.kernels.tile import MASK_BITS, TILE_ROWS, TILE_VECTORS
from fastmlp.kernels.transpose import transpose
from fastmlp.kernels.views import array, block, matrix

INT64, FLOAT64 = np.dtype(np.int64), np.dtype(np.float64)

LINE_ITEMS = 8
"""float64 or int64 to a cache line."""

PREDICT, SCORE, GRADIENT, TRAIN = 0, 1, 2, 3
"""Modes: the head's output into ``out``; losses and hits only; dW and db into ``gradients``; the
optimiser's update."""

SAMPLES, LOSS_SUM, HITS, STEPS, PROGRESS_ITEMS = 0, 1, 2, 3, 4
"""Items of the job's progress: samples seen, sum of their losses, their hits, steps done."""

GATHER, FORWARD, HEAD, BACKWARD, UPDATE, WAIT, PHASES = 0, 1, 2, 3, 4, 5, 8
"""Columns of the job's clocks: ticks that a thread has spent in each phase of the step."""


ROW_COST = 6
"""What a row of W_1 costs besides its products, in non-zeros. 784 rows x 128 without any took 4 us
if skipped and 11 if not, the products of MNIST's 19,000 at batch 128 took 25: 4 to 11 of them."""


@inner
def share(items, unit, thread, threads):
    """Half-open range of ``items`` that ``thread`` owns: equal counts of whole units."""
    units = (items + unit - 1) // unit
    begin = unit * (units * thread // threads)
    end = unit * (units * (thread + 1) // threads)
    return min(items, begin), min(items, end)


# Matrices of the layer whose places are ``p``. ``dtype`` is the model's.


@inner
def inputs(job, p, dtype, begin, end):
    """A_{l-1} (rows, n_in), of the first layer X; rows [begin, end) of the chunk."""
    place = p.A + begin * p.A_stride
    return matrix(job.work, dtype, place, end - begin, p.n_in, p.A_stride, 1)


@inner
def outputs(job, p, dtype, begin, end):
    """A_l (rows, n_out), of the last layer the logits; rows [begin, end) of the chunk."""
    place = p.out + begin * p.out_stride
    return matrix(job.work, dtype, place, end - begin, p.n_out, p.out_stride, 1)


@inner
def errors(job, p, dtype, begin, end):
    """dZ_l (rows, n_out), the gradient of the loss by Z_l; rows [begin, end) of the chunk."""
    place = p.dZ + begin * p.dZ_stride
    return matrix(job.work, dtype, place, end - begin, p.n_out, p.dZ_stride, 1)


@inner
def weights(buffer, p, dtype, begin, end):
    """W_l (rows, n_out), or what ``buffer`` holds in its place; input rows [begin, end)."""
    return matrix(buffer, dtype, p.W + begin * p.W_stride, end - begin, p.n_out, p.W_stride, 1)


@inner
def bias(buffer, p, dtype):
    """b_l (1, n_out), or what ``buffer`` holds in its place; as a row that repeats (stride 0)."""
    return matrix(buffer, dtype, p.b, 1, p.n_out, 0, 1)


@inner
def state_of(job, p, dtype, begin, end):
    """The optimiser's state of [W_l; b_l], rows [begin, end): (rows, planes * n_out)."""
    stride, columns = job.planes * p.W_stride, job.planes * p.n_out
    place = job.planes * (p.W + begin * p.W_stride)
    return matrix(job.state, dtype, place, end - begin, columns, stride, 1)


@inner
def nothing(job, dtype, columns):
    """Zeros, as a row that repeats: the start of a sum that continues no other."""
    return matrix(job.zeros, dtype, 0, 1, columns, 0, 1)


@inner
def no_masks(job):
    """(1, 0): the masks of a dense matrix."""
    return matrix(job.row_masks, INT64, 0, 1, 0, 1, 1)


@inner
def no_companion(job, dtype):
    """(1, 0): for epilogues that need none."""
    return matrix(job.zeros, dtype, 0, 1, 0, 0, 1)


@inner
def row_masks(job, begin, end):
    """Masks (rows, words) of the rows [begin, end) of X."""
    return matrix(job.row_masks, INT64, begin, end - begin, job.row_words, 1, job.row_mask_stride)


@inner
def column_masks(job, rows, begin, end):
    """Masks (columns, words) of the columns [begin, end) of X, whose rows are ``rows``."""
    words = (rows + MASK_BITS - 1) // MASK_BITS
    return matrix(job.column_masks, INT64, begin, end - begin, words, 1, job.column_mask_stride)


@inner
def found_in(job, thread):
    """What a thread's gather has found in X, see `gather`: (1, 2); each thread's on its line."""
    return matrix(job.found, FLOAT64, thread * LINE_ITEMS, 1, 2, LINE_ITEMS, 1)


@inner
def densest(job, begin, end):
    """Largest share of X that is not zero in the rows of the threads [begin, end)."""
    largest = 0.0
    for thread in range(begin, end):
        largest = max(largest, found_in(job, thread)[0, NON_ZEROS])
    return largest


@inner
def scores_of(job, dtype, begin, end):
    """Loss and hit of the rows [begin, end) of the chunk: (2, rows)."""
    return matrix(job.scores, dtype, begin, 2, end - begin, job.score_stride, 1)


# The phases of a step.


@inner
def take(job, layers, T, first, begin, end, thread):
    """X: the batch's rows, and where they are not zero."""
    X, masks = inputs(job, layers[0], T.dtype, begin, end), row_masks(job, begin, end)
    source = matrix(job.source, INT64, 0, job.n_arrays, 2, 2, 1)
    order = array(job.order, INT64, job.rows)
    found = found_in(job, thread)
    call_gather(job.gather, source, order, first + begin, X, masks, found, float(job.input_scale))
    found[0, NON_ZEROS] /= X.size
    if found[0, NOT_FINITE] != 0:
        atomic_store(array(job.cells, INT64, CELLS), FAILED, 1)
    if job.mode != PREDICT:  # the head would wait for each: 5 us of 130 for 128 labels
        labels = matrix(job.labels, INT64, 0, job.n_labels, 1, 1, 1)
        for r in range(begin, end):
            prefetch(labels, order[first + r], 0)


@inner
def forward(job, layers, T, h, begin, end, thread):
    """A_0 = X;  A_l = f_l(A_{l-1} @ W_l + b_l)."""
    dtype = T.dtype
    for l in range(len(layers)):
        p = layers[l]
        A, out = inputs(job, p, dtype, begin, end), outputs(job, p, dtype, begin, end)
        W, b = weights(job.params, p, dtype, 0, p.n_in), bias(job.params, p, dtype)
        masks = no_masks(job)
        if densest(job, thread, thread + 1) * 100 < p.masked_percent:
            masks = row_masks(job, begin, end)
        M = no_companion(job, dtype)
        call_product(job.product, A, masks, W, b, out, M, h, T, p.activation, 0)


@inner
def score(job, layers, T, first, begin, end, gradient_scale):
    """The head: loss and hit of each row, and dZ of the last layer (or the output).

    True if all losses are finite.
    """
    p, dtype = layers[len(layers) - 1], T.dtype
    Z, scores = outputs(job, p, dtype, begin, end), scores_of(job, dtype, begin, end)
    D = errors(job, p, dtype, begin, end)
    if job.mode == PREDICT:
        D = matrix(job.out, dtype, (first + begin) * p.n_out, end - begin, p.n_out, p.n_out, 1)
    labels, order = array(job.labels, INT64, job.n_labels), array(job.order, INT64, job.rows)
    call_head(job.head, Z, labels, order, first + begin, D, scores, gradient_scale)
    if job.mode == PREDICT:
        return True
    total = 0.0
    for r in range(end - begin):
        total += scores[LOSS, r]
    return math.isfinite(total)


@inner
def backward(job, layers, T, h, begin, end, thread):
    """dZ_{l-1} = (dZ_l @ W_l.T) * f'_{l-1}(Z_{l-1}).

    By way of W_l.T where that fits the scratch (few outputs), else as (W_l @ dZ_l.T).T: what is
    transposed stays in the cache. A copy of every W.T, kept up to date by each update, took 7 % of
    a step of 784-1024-1024-10 at batch 256. The sums are the same, and in the same order.
    """
    dtype, L = T.dtype, lanes(T)
    columns = TILE_VECTORS * L
    size = job.square_rows * columns
    place = 2 * thread * size
    masks, none = no_masks(job), no_companion(job, dtype)
    for l in range(len(layers) - 1, 0, -1):
        p, below = layers[l], layers[l - 1]
        W = weights(job.params, p, dtype, 0, p.n_in)
        stride = (p.n_in + L - 1) // L * L
        if p.n_out * stride <= 2 * size:
            WT = matrix(job.squares, dtype, place, p.n_out, p.n_in, stride, 1)
            transpose(W, WT)
            dZ, dZ_below = errors(job, p, dtype, begin, end), errors(job, below, dtype, begin, end)
            A, start = inputs(job, p, dtype, begin, end), nothing(job, dtype, p.n_in)
            call_product(job.product, dZ, masks, WT, start, dZ_below, A, h, T, below.derivative, 0)
            continue
        start = nothing(job, dtype, columns)
        for first in range(begin, end, columns):
            last = min(first + columns, end)
            dZ = errors(job, p, dtype, first, last)
            dZ_below = errors(job, below, dtype, first, last)
            dZT = matrix(job.squares, dtype, place, p.n_out, last - first, columns, 1)
            dAT = matrix(job.squares, dtype, place + size, p.n_in, last - first, columns, 1)
            transpose(dZ, dZT)
            call_product(job.product, W, masks, dZT, start, dAT, none, h, T, job.store, 0)
            transpose(dAT, dZ_below)
            A = inputs(job, p, dtype, first, last)
            call_epilogue(below.derivative, dZ_below, dZ_below, A, h)


@inner
def shares_of(job):
    """Thread t owns the rows [shares[t], shares[t + 1]) of W_1: (threads + 1,)."""
    return array(job.shares, INT64, job.threads + 1)


@inner
def balance(job, layers, rows):
    """Share W_1 out so that each thread has as many non-zeros of the chunk before in its rows.

    To be called while no thread updates. Bits do not depend on who owns a row: if no masks were
    made of that chunk, older ones do no harm. Halves of MNIST's 784 rows have 5355 and 5889 pairs
    of pixels that are not zero throughout.
    """
    p, shares = layers[0], shares_of(job)
    masks = column_masks(job, rows, 0, p.n_in)
    total = 0
    for turn in range(2):  # first the sum, then where its parts end
        done, thread = 0, 1
        for i in range(p.n_in):
            if turn and i % TILE_ROWS == 0:
                while thread < job.threads and done * job.threads >= total * thread:
                    shares[thread] = i
                    thread += 1
            done += ROW_COST
            for w in range(masks.shape[1]):
                done += count_bits(masks[i, w])
        total = done
        if turn:
            for rest in range(thread, job.threads):
                shares[rest] = p.n_in


@inner
def update(job, layers, T, h, rows, thread, continued, final):
    """dW_l = A_{l-1}.T @ dZ_l, db_l = 1.T @ dZ_l, each tile given to the optimiser at once.

    ``continued``: the sums go on from the gradient buffer; not ``final``: and go back into it.
    """
    dtype = T.dtype
    applied = final and job.mode == TRAIN
    epilogue = job.update if applied else job.store
    target = job.params if applied else job.gradients
    skip = 1 if applied and job.idle_at_zero and not continued else 0
    ones = matrix(job.one, dtype, 0, 1, rows, 0, 0)
    for l in range(len(layers)):
        p = layers[l]
        if l == 0:
            begin, end = shares_of(job)[thread], shares_of(job)[thread + 1]
        else:
            begin, end = share(p.n_in, TILE_ROWS, thread, job.threads)
        if begin == end:
            continue
        A, dZ = inputs(job, p, dtype, 0, rows), errors(job, p, dtype, 0, rows)
        AT = block(A.T, begin, 0, end - begin, rows)
        start = nothing(job, dtype, p.n_out)
        if continued:
            start = weights(job.gradients, p, dtype, begin, end)
        D, M = weights(target, p, dtype, begin, end), state_of(job, p, dtype, begin, end)
        masks = no_masks(job)
        if densest(job, 0, job.threads) * 100 < p.masked_percent and rows >= p.masked_rows:
            # Where shares meet in a word, both threads write it: the same bits.
            transpose_masks(row_masks(job, 0, rows), begin, end, column_masks(job, rows, 0, end))
            masks = column_masks(job, rows, begin, end)
        call_product(job.product, AT, masks, dZ, start, D, M, h, T, epilogue, skip)
        if end == p.n_in:  # one thread's: the row of biases below the last row of W
            start = bias(job.gradients, p, dtype) if continued else nothing(job, dtype, p.n_out)
            D, M = bias(target, p, dtype), state_of(job, p, dtype, p.n_in, p.n_in + 1)
            masks = no_masks(job)
            call_product(job.product, ones, masks, dZ, start, D, M, h, T, epilogue, 0)


@inner
def record(job, dtype, rows, final):
    """Add the chunk's scores, row by row."""
    progress, scores = array(job.progress, FLOAT64, PROGRESS_ITEMS), scores_of(job, dtype, 0, rows)
    for r in range(rows):
        progress[LOSS_SUM] += scores[LOSS, r]
        progress[HITS] += scores[HIT, r]
    progress[SAMPLES] += rows
    if final:
        progress[STEPS] += 1


@inner
def lap(clocks, phase, since):
    """Add the ticks since ``since`` to the phase; the ticks now."""
    now = ticks()
    clocks[phase] += now - since
    return now


@jit(from_python=True)
def run(jobs, layers, hyper, thread):
    """Every batch of the job's order, as thread ``thread`` of its team.

    ``jobs`` (1,), of `plan.JOB`; ``hyper`` (steps, HYPERPARAMETERS): a row for each step, or one.
    Ends early, before the update, when an input or a loss is not finite (FAILED is set; the
    parameters are those before the step), or after the chunk in which STOP was set.
    """
    job, dtype = jobs[0], hyper.dtype
    items = job.scratch_items
    T = matrix(job.scratch, dtype, thread * items, 1, items, items, 1)
    cells = array(job.cells, INT64, CELLS)
    clocks = array(job.clocks + thread * PHASES * 8, INT64, PHASES)
    now = ticks()
    for batch in range(0, job.rows, job.batch_size):
        batch_rows = min(job.batch_size, job.rows - batch)
        h = block(hyper, min(batch // job.batch_size, len(hyper) - 1), 0, 1, hyper.shape[1])
        for chunk in range(0, batch_rows, job.chunk_rows):
            rows = min(job.chunk_rows, batch_rows - chunk)
            final = chunk + rows == batch_rows
            begin, end = share(rows, TILE_ROWS, thread, job.threads)
            if thread == 0 and job.threads > 1 and batch == job.batch_size and chunk == 0:
                balance(job, layers, min(job.batch_size, job.chunk_rows))
            if end > begin:
                first = batch + chunk
                take(job, layers, T, first, begin, end, thread)
                now = lap(clocks, GATHER, now)
                forward(job, layers, T, h, begin, end, thread)
                now = lap(clocks, FORWARD, now)
                finite = score(job, layers, T, first, begin, end, 1.0 / float(batch_rows))
                now = lap(clocks, HEAD, now)
                if job.mode >= GRADIENT:
                    backward(job, layers, T, h, begin, end, thread)
                    now = lap(clocks, BACKWARD, now)
                    if not finite and job.mode == TRAIN:
                        atomic_store(cells, FAILED, 1)
            barrier(cells, job.threads)
            now = lap(clocks, WAIT, now)
            if atomic_load(cells, FAILED):
                return
            if job.mode >= GRADIENT:
                update(job, layers, T, h, rows, thread, chunk > 0, final)
                now = lap(clocks, UPDATE, now)
            if thread == 0:
                atomic_store(cells, HALT, atomic_load(cells, STOP))
                if job.mode >= SCORE:
                    record(job, dtype, rows, final)
            barrier(cells, job.threads)
            now = lap(clocks, WAIT, now)
            if atomic_load(cells, HALT):
                return


@jit(from_python=True)
def predict(jobs, layers, hyper, source, x, out):
    """Run the job on ``x`` (rows, n_features) into ``out``, alone; True if it succeeds.

    One call from Python in place of two: one row takes 4.35 us and took 4.8.
    """
    source[0, 0], source[0, 1] = x.ctypes.data, x.size
    job = jobs[0]
    job.rows, job.batch_size = x.shape[0], x.shape[0]
    job.out = out.ctypes.data
    cells = array(job.cells, INT64, CELLS)
    run(jobs, layers, hyper, 0)
    failed = atomic_load(cells, FAILED)
    atomic_store(cells, FAILED, 0)
    return failed == 0
