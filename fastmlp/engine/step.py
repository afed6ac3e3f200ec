"""The step: gather, forward, loss, backward, update. All training and prediction goes through it.

Threads own rows of the batch from the gather to dZ of the first layer; then a barrier; then they
own rows of the weight matrices for dW and its update; then a barrier. Nothing is ever summed
across threads, so the number of threads changes no bit of the result.

A batch larger than the workspace is cut into chunks of rows. dW of one chunk starts from what the
chunk before left in the gradient buffer, which is one and the same chain of sums (see `tile`): the
cut changes no bit either.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from fastmlp.kernels.calls import call_gather, call_head, call_product
from fastmlp.kernels.compilation import inner, jit
from fastmlp.kernels.losses import HIT, LOSS
from fastmlp.kernels.masks import mark_non_zeros, transpose_masks
from fastmlp.kernels.sync import FAILED, HALT, STOP, atomic_load, atomic_store, barrier
from fastmlp.kernels.tile import MASK_BITS, TILE_ROWS
from fastmlp.kernels.views import block, matrix

PREDICT, SCORE, GRADIENT, TRAIN = 0, 1, 2, 3
"""Modes: the head's output into ``out``; losses and hits only; dW and db into ``gradients``; the
optimiser's update."""

SAMPLES, LOSS_SUM, HITS, STEPS, PROGRESS_ITEMS = 0, 1, 2, 3, 4
"""Items of ``Job.progress``: samples seen, sum of their losses, their hits, steps done."""


FORWARD_DEPTH = 2 * MASK_BITS
"""Rows of W for one pass of a masked forward product: with all 128 samples over 128 rows of W at a
time, MNIST's first layer took 34 us, over 64 rows 37, over all 784 rows 45."""


class Job(NamedTuple):
    """All that the threads of a team work on.

    Flat buffers of the model's dtype, except where said. ``layers`` is a record array of
    `plan.LAYER` that holds the place of every matrix in them.
    """

    mode: int
    threads: int
    batch_size: int
    chunk_rows: int
    layers: Any
    params: Any  # W_1, b_1, W_2, ...
    transposed: Any  # W_l.T of every layer but the first
    gradients: Any  # laid out as params
    state: Any  # laid out as params: the optimiser's
    hyper: Any  # (1, items): learning rate, ...
    work: Any  # activations and dZ of one chunk
    tiles: Any  # (threads * TILE_ROWS, columns) one tile of scratch for each thread
    row_masks: Any  # (chunk_rows, words) int64, see `masks`: where the chunk's X is not zero
    column_masks: Any  # (n_features, words) int64: the same by columns
    squares: Any  # (threads, 64) int64, scratch
    densities: Any  # (threads, items to a line) share of X that is not zero, in each thread's rows
    scores: Any  # (2, chunk_rows) loss and hit of each row
    zeros: Any  # (columns,)
    one: Any  # (1,)
    source: Any  # addresses of the data set's arrays, see `gather`
    labels: Any  # (n_samples,) int64
    order: Any  # (rows,) int64: the samples, in the order of the epoch
    out: Any  # (rows, n_classes) what PREDICT writes
    input_scale: float
    gather: int  # addresses of kernels, see `calls`
    head: int
    product: int
    update: int
    store: int
    cells: Any  # int64, see `sync`
    progress: Any  # (PROGRESS_ITEMS,) float64


@inner
def share(items, unit, thread, threads):
    """Half-open range of ``items`` that ``thread`` owns: equal counts of whole units."""
    units = (items + unit - 1) // unit
    begin = unit * (units * thread // threads)
    end = unit * (units * (thread + 1) // threads)
    return min(items, begin), min(items, end)


# Matrices of the layer whose places are ``p``. They take the buffer that they lie in, not the job:
# its hundred and more machine words as arguments would cost 0.2 s of compilation for each function.


@inner
def inputs(work, p, begin, end):
    """A_{l-1} (rows, n_in), of the first layer X; rows [begin, end) of the chunk."""
    return matrix(work, p.A + begin * p.A_stride, end - begin, p.n_in, p.A_stride, 1)


@inner
def outputs(work, p, begin, end):
    """A_l (rows, n_out), of the last layer the logits; rows [begin, end) of the chunk."""
    return matrix(work, p.out + begin * p.out_stride, end - begin, p.n_out, p.out_stride, 1)


@inner
def errors(work, p, begin, end):
    """dZ_l (rows, n_out), the gradient of the loss by Z_l; rows [begin, end) of the chunk."""
    return matrix(work, p.dZ + begin * p.dZ_stride, end - begin, p.n_out, p.dZ_stride, 1)


@inner
def weights(buffer, p, begin, end):
    """W_l (rows, n_out), or what ``buffer`` holds in its place; input rows [begin, end)."""
    return matrix(buffer, p.W + begin * p.W_stride, end - begin, p.n_out, p.W_stride, 1)


@inner
def bias(buffer, p):
    """b_l (1, n_out), or what ``buffer`` holds in its place; as a row that repeats (stride 0)."""
    return matrix(buffer, p.b, 1, p.n_out, 0, 1)


@inner
def weights_transposed(transposed, p):
    """W_l.T (n_out, n_in)."""
    return matrix(transposed, p.WT, p.n_out, p.n_in, p.WT_stride, 1)


@inner
def transpose_rows(params, transposed, p, begin, end):
    """W_l.T[:, begin:end] = W_l[begin:end].T."""
    W, WT = weights(params, p, 0, end), weights_transposed(transposed, p)
    for j in range(WT.shape[0]):
        for i in range(begin, end):
            WT[j, i] = W[i, j]


@inner
def nothing(zeros, columns):
    """Zeros, as a row that repeats: the start of a sum that continues no other."""
    return matrix(zeros, 0, 1, columns, 0, 1)


@inner
def no_masks(masks):
    """(1, 0): the masks of a dense matrix."""
    return block(masks, 0, 0, 1, 0)


@inner
def densest(densities):
    """Largest of the threads' shares of non-zero items."""
    largest = 0.0
    for thread in range(densities.shape[0]):
        largest = max(largest, densities[thread, 0])
    return largest


@inner
def hyperparameters(hyper):
    """(1, items): learning rate, ..."""
    return block(hyper, 0, 0, 1, hyper.shape[1])


# The phases of a step.


@inner
def forward(job, T, first, begin, end, thread):
    """A_0 = X;  A_l = f_l(A_{l-1} @ W_l + b_l)."""
    h = hyperparameters(job.hyper)
    X = inputs(job.work, job.layers[0], begin, end)
    call_gather(job.gather, job.source, job.order, first + begin, X, job.input_scale)
    words = (X.shape[1] + MASK_BITS - 1) // MASK_BITS
    masks = block(job.row_masks, begin, 0, end - begin, words)
    density = mark_non_zeros(X, masks) / X.size
    job.densities[thread, 0] = density
    for l in range(len(job.layers)):
        p = job.layers[l]
        A, out = inputs(job.work, p, begin, end), outputs(job.work, p, begin, end)
        W, b = weights(job.params, p, 0, p.n_in), bias(job.params, p)
        depth = p.n_in
        if density * 100 < p.masked_percent:
            depth = FORWARD_DEPTH
        else:
            masks = no_masks(job.row_masks)
        call_product(job.product, A, masks, W, b, out, out, h, T, p.activation, depth)


@inner
def score(job, first, begin, end, gradient_scale):
    """The head: loss and hit of each row, and dZ of the last layer (or the output).

    True if all losses are finite.
    """
    p = job.layers[len(job.layers) - 1]
    Z = outputs(job.work, p, begin, end)
    rows, n_classes = Z.shape
    if job.mode == PREDICT:
        D = block(job.out, first + begin, 0, rows, n_classes)
    else:
        D = errors(job.work, p, begin, end)
    scores = block(job.scores, 0, begin, 2, rows)
    call_head(job.head, Z, job.labels, job.order, first + begin, D, scores, gradient_scale)
    if job.mode == PREDICT:
        return True
    total = 0.0
    for r in range(rows):
        total += scores[LOSS, r]
    return math.isfinite(total)


@inner
def backward(job, T, begin, end):
    """dZ_{l-1} = (dZ_l @ W_l.T) * f'_{l-1}(Z_{l-1})."""
    h = hyperparameters(job.hyper)
    for l in range(len(job.layers) - 1, 0, -1):
        p, below = job.layers[l], job.layers[l - 1]
        dZ, below_dZ = errors(job.work, p, begin, end), errors(job.work, below, begin, end)
        WT, A = weights_transposed(job.transposed, p), inputs(job.work, p, begin, end)
        start = nothing(job.zeros, p.n_in)
        masks = no_masks(job.row_masks)
        call_product(
            job.product, dZ, masks, WT, start, below_dZ, A, h, T, below.derivative, p.n_out
        )


@inner
def column_masks(job, rows, begin, end, thread):
    """Masks of the columns [begin, end) of the chunk's X."""
    words = (rows + MASK_BITS - 1) // MASK_BITS
    out = block(job.column_masks, begin, 0, end - begin, words)
    transpose_masks(job.row_masks, rows, begin, end, job.squares[thread], out)
    return out


@inner
def update(job, T, rows, thread, continued, final):
    """dW_l = A_{l-1}.T @ dZ_l, db_l = 1.T @ dZ_l, each tile given to the optimiser at once.

    ``continued``: the sums go on from the gradient buffer; not ``final``: and go back into it.
    """
    applied = final and job.mode == TRAIN
    epilogue = job.update if applied else job.store
    target = job.params if applied else job.gradients
    h = hyperparameters(job.hyper)
    ones = matrix(job.one, 0, 1, rows, 0, 0)
    for l in range(len(job.layers)):
        p = job.layers[l]
        begin, end = share(p.n_in, p.share_unit, thread, job.threads)
        if begin == end:
            continue
        A, dZ = inputs(job.work, p, 0, rows), errors(job.work, p, 0, rows)
        AT = block(A.T, begin, 0, end - begin, rows)
        start = weights(job.gradients, p, begin, end) if continued else nothing(job.zeros, p.n_out)
        D, state = weights(target, p, begin, end), weights(job.state, p, begin, end)
        masks = no_masks(job.column_masks)
        if densest(job.densities) * 100 < p.masked_percent:
            masks = column_masks(job, rows, begin, end, thread)
        call_product(job.product, AT, masks, dZ, start, D, state, h, T, epilogue, rows)
        if applied and l > 0:
            transpose_rows(job.params, job.transposed, p, begin, end)
        if end == p.n_in:  # one thread's: the row of biases below the last row of W
            start = bias(job.gradients, p) if continued else nothing(job.zeros, p.n_out)
            D, state = bias(target, p), bias(job.state, p)
            masks = no_masks(job.column_masks)
            call_product(job.product, ones, masks, dZ, start, D, state, h, T, epilogue, rows)


@inner
def record(progress, scores, rows, final):
    """Add the chunk's scores, row by row."""
    for r in range(rows):
        progress[LOSS_SUM] += scores[LOSS, r]
        progress[HITS] += scores[HIT, r]
    progress[SAMPLES] += rows
    if final:
        progress[STEPS] += 1


@jit()
def run(job, thread):
    """Every batch of ``job.order``, as thread ``thread`` of ``job.threads``.

    Ends early, before the update, when a loss is not finite (FAILED is set; the parameters are
    those before the step), or after the chunk in which STOP was set.
    """
    T = block(job.tiles, thread * TILE_ROWS, 0, TILE_ROWS, job.tiles.shape[1])
    for batch in range(0, len(job.order), job.batch_size):
        batch_rows = min(job.batch_size, len(job.order) - batch)
        for chunk in range(0, batch_rows, job.chunk_rows):
            rows = min(job.chunk_rows, batch_rows - chunk)
            final = chunk + rows == batch_rows
            begin, end = share(rows, TILE_ROWS, thread, job.threads)
            if end > begin:
                forward(job, T, batch + chunk, begin, end, thread)
                finite = score(job, batch + chunk, begin, end, 1.0 / batch_rows)
                if job.mode >= GRADIENT:
                    backward(job, T, begin, end)
                    if not finite and job.mode == TRAIN:
                        atomic_store(job.cells, FAILED, 1)
            barrier(job.cells, job.threads)
            if atomic_load(job.cells, FAILED):
                return
            if job.mode >= GRADIENT:
                update(job, T, rows, thread, chunk > 0, final)
            if thread == 0:
                atomic_store(job.cells, HALT, atomic_load(job.cells, STOP))
                if job.mode >= SCORE:
                    record(job.progress, job.scores, rows, final)
            barrier(job.cells, job.threads)
            if atomic_load(job.cells, HALT):
                return
