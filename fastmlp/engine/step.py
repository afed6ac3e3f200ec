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

from fastmlp.kernels.calls import (
    call_augment,
    call_epilogue,
    call_gather,
    call_head,
    call_part,
    call_product,
)
from fastmlp.kernels.clock import ticks
from fastmlp.kernels.compilation import inner, jit
from fastmlp.kernels.dropout import FIRST_ROW, KEY_0, KEY_1, THRESHOLD
from fastmlp.kernels.gather import NON_ZEROS, NOT_FINITE
from fastmlp.kernels.losses import HIT, LOSS
from fastmlp.kernels.masks import mark_row, transpose_masks
from fastmlp.kernels.random import threefry
from fastmlp.kernels.simd import count_bits, lanes, prefetch
from fastmlp.kernels.subnormals import flush_subnormals, restore_subnormals
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

SAMPLES, LOSS_SUM, HITS, STEPS, MASS, PROGRESS_ITEMS = 0, 1, 2, 3, 4, 5
"""Items of the job's progress: samples seen, sum of their losses, their hits, steps done, what the
samples count in the mean of losses."""

NO_NORM, LAYER_NORM, BATCH_NORM = 0, 1, 2

CLIP_NORM, CLIP_VALUE, MAX_NORM, DECAY, INPUT_SCALE, FIRST_LAYER = 0, 1, 2, 3, 4, 5
"""Items of ``job.settings``: largest norm and value of gradients, largest norm of a column of W,
decay of the running mean of weights, what an input that is kept is multiplied by, and from
FIRST_LAYER on the same of each layer's activations."""

GATHER, FORWARD, HEAD, BACKWARD, UPDATE, WAIT, PHASES = 0, 1, 2, 3, 4, 5, 8
"""Columns of the job's clocks: ticks that a thread has spent in each phase of the step."""


BATCH_ROWS, STEP, NUMBERS = 0, 4, 8
"""Items of a thread's line of numbers beside those of `draw_mask`: rows of the batch (while none is
drawn), number of the step."""

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


BIAS, SCALE, SHIFT, MEAN = 0, 1, 2, 3
"""Rows below those of W, see `layout.LayerLayout`; the variance is below the mean."""


@inner
def row_below(buffer, p, dtype, row):
    """Row b_l (1, n_out), or a further one below W_l; as a row that repeats (stride 0)."""
    return matrix(buffer, dtype, p.W + (p.n_in + row) * p.W_stride, 1, p.n_out, 0, 1)


@inner
def beside(job, p, dtype, place, begin, end):
    """What is laid out as A_l, at ``place``; rows [begin, end) of the chunk."""
    place = place + begin * p.out_stride
    return matrix(job.work, dtype, place, end - begin, p.n_out, p.out_stride, 1)


@inner
def setting(job, dtype, item):
    """(1, 1) from ``item`` of the settings on."""
    return matrix(job.settings, dtype, item, 1, 1, 1, 1)


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
def no_numbers(job):
    """(1, 0): for parts of a step that need none."""
    return matrix(job.row_masks, INT64, 0, 1, 0, 1, 1)


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
def forward(job, layers, T, h, first_row, begin, end, rows, thread, numbers):
    """A_0 = X;  A_l = f_l(norm_l(A_{l-1} @ W_l + b_l)), what is dropped being 0."""
    dtype = T.dtype
    for l in range(len(layers)):
        p = layers[l]
        A, out = inputs(job, p, dtype, begin, end), outputs(job, p, dtype, begin, end)
        W, b = weights(job.params, p, dtype, 0, p.n_in), row_below(job.params, p, dtype, BIAS)
        M = beside(job, p, dtype, p.companion, begin, end)
        if end > begin:
            masks = no_masks(job)
            if densest(job, thread, thread + 1) * 100 < p.masked_percent:
                masks = row_masks(job, begin, end)
            call_product(job.product, A, masks, W, b, out, M, h, T, p.product_epilogue, 0)
        if p.norm != NO_NORM:
            normalise(job, p, dtype, begin, end, rows, thread, numbers)
            call_epilogue(p.activation, out, out, M, h)
        if p.keep_threshold > 0 and job.mode == TRAIN:
            K = beside(job, p, dtype, p.mask, begin, end)
            S = beside(job, p, dtype, p.slope, begin, end)
            draw(
                job, K, dtype, FIRST_LAYER + l, numbers, first_row + begin, l + 1, p.keep_threshold
            )
            call_epilogue(p.derivative, K, S, M, h)
            call_epilogue(job.times, out, out, K, h)


AUGMENT_STREAM = 2**31
"""Of the random words of augmentation, beside those of layers."""


@inner
def augment(job, layers, T, first_row, begin, end, thread, numbers):
    """X, the images changed at random, and where it is not zero then."""
    X, masks = inputs(job, layers[0], T.dtype, begin, end), row_masks(job, begin, end)
    settings = matrix(job.augment_settings, FLOAT64, 0, 1, job.augment_columns, 1, 1)
    items = job.augment_items
    scratch = matrix(job.augment_scratch, FLOAT64, thread * items, 1, items, items, 1)
    key0, key1 = threefry(job.key0, job.key1, numbers[0, STEP], AUGMENT_STREAM)
    call_augment(job.augment, X, settings, key0, key1, first_row + begin, scratch)
    total = 0
    for r in range(end - begin):
        total += mark_row(X, r, masks)
    found_in(job, thread)[0, NON_ZEROS] = total / X.size


@inner
def drop_inputs(job, layers, T, h, first_row, begin, end, numbers):
    """X, what is dropped being 0. Its masks stay: they may call an item non-zero that is zero."""
    p, dtype = layers[0], T.dtype
    X = inputs(job, p, dtype, begin, end)
    place = job.input_mask + begin * p.A_stride
    K = matrix(job.work, dtype, place, end - begin, p.n_in, p.A_stride, 1)
    draw(job, K, dtype, INPUT_SCALE, numbers, first_row + begin, 0, job.input_threshold)
    call_epilogue(job.times, X, X, K, h)


@inner
def draw(job, K, dtype, scale, numbers, row, stream, threshold):
    """K = the mask of dropout for the rows of the batch from ``row`` on, see `draw_mask`.

    Its key is made of the seed's, the step (``numbers`` holds it) and the stream: 0 for X, else the
    layer.
    """
    key0, key1 = threefry(job.key0, job.key1, numbers[0, STEP], stream)
    numbers[0, KEY_0], numbers[0, KEY_1] = key0, key1
    numbers[0, FIRST_ROW], numbers[0, THRESHOLD] = row, threshold
    none = no_companion(job, dtype)
    call_part(job.draw_mask, K, setting(job, dtype, scale), none, none, none, none, numbers)


@inner
def columns_of(job, p, dtype, place, rows, begin, end):
    """Columns [begin, end) of what lies at ``place`` beside A_l."""
    return matrix(job.work, dtype, place + begin, rows, end - begin, p.out_stride, 1)


@inner
def running_statistics(job, p, dtype):
    """Running mean and variance of batch norm: (2, n_out)."""
    place = p.W + (p.n_in + MEAN) * p.W_stride
    return matrix(job.params, dtype, place, 2, p.n_out, p.W_stride, 1)


@inner
def normalise(job, p, dtype, begin, end, rows, thread, numbers):
    """``out`` = norm(``out``) of the thread's rows; statistics of a batch by the thread's columns.

    Each column is summed by one thread, row by row: the same bits for any number of threads.
    """
    out, H = outputs(job, p, dtype, begin, end), beside(job, p, dtype, p.H, begin, end)
    scale = row_below(job.params, p, dtype, SCALE)
    shift = row_below(job.params, p, dtype, SHIFT)
    if p.norm == LAYER_NORM:
        statistics = matrix(job.work, dtype, p.statistics + begin, end - begin, 1, 1, 1)
    else:
        statistics = matrix(job.work, dtype, p.statistics, 4, p.n_out, p.out_stride, 1)
        if job.mode >= GRADIENT:
            left, right = share(p.n_out, LINE_ITEMS * 2, thread, job.threads)
            barrier(array(job.cells, INT64, CELLS), job.threads)
            none = no_companion(job, dtype)
            call_part(
                job.batch_statistics,
                columns_of(job, p, dtype, p.out, rows, left, right),
                columns_of(job, p, dtype, p.statistics, 4, left, right),
                *(none, none, none, none, numbers),
            )
            barrier(array(job.cells, INT64, CELLS), job.threads)
        else:
            statistics = running_statistics(job, p, dtype)
    call_part(p.normalise, out, out, H, scale, shift, statistics, numbers)


@inner
def normalise_backward(job, p, dtype, begin, end, rows, thread, numbers):
    """dZ of the thread's rows from dN; H becomes dN H."""
    dN, dZ = beside(job, p, dtype, p.dN, begin, end), errors(job, p, dtype, begin, end)
    H = beside(job, p, dtype, p.H, begin, end)
    scale = row_below(job.params, p, dtype, SCALE)
    if p.norm == LAYER_NORM:
        statistics = matrix(job.work, dtype, p.statistics + begin, end - begin, 1, 1, 1)
    else:
        statistics = matrix(job.work, dtype, p.statistics, 4, p.n_out, p.out_stride, 1)
        left, right = share(p.n_out, LINE_ITEMS * 2, thread, job.threads)
        barrier(array(job.cells, INT64, CELLS), job.threads)
        none = no_companion(job, dtype)
        call_part(
            job.batch_sums,
            columns_of(job, p, dtype, p.dN, rows, left, right),
            columns_of(job, p, dtype, p.H, rows, left, right),
            columns_of(job, p, dtype, p.statistics, 4, left, right),
            *(none, none, none, numbers),
        )
        barrier(array(job.cells, INT64, CELLS), job.threads)
    numbers[0, BATCH_ROWS] = rows
    call_part(p.normalise_backward, dN, dZ, H, scale, scale, statistics, numbers)


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
    targets = matrix(job.targets, dtype, 0, job.n_targets, p.n_out, p.n_out, 1)
    factors = matrix(job.weights, dtype, 0, 1, job.n_weights, 1, 1)
    options = matrix(job.options, dtype, 0, 2, p.n_out, job.option_stride, 1)
    call_head(
        job.head,
        *(Z, labels, targets, factors, order, first + begin, D, scores, options, gradient_scale),
    )
    if job.mode == PREDICT:
        return True
    total = 0.0
    for r in range(end - begin):
        total += scores[LOSS, r]
    return math.isfinite(total)


@inner
def backward(job, layers, T, h, begin, end, rows, thread, numbers):
    """dN_{l-1} = (dZ_l @ W_l.T) * f'_{l-1}(N_{l-1}), and dZ_{l-1} from it where there is a norm.

    By way of W_l.T where that fits the scratch (few outputs), else as (W_l @ dZ_l.T).T: what is
    transposed stays in the cache. A copy of every W.T, kept up to date by each update, took 7 % of
    a step of 784-1024-1024-10 at batch 256. The sums are the same, and in the same order.
    """
    dtype = T.dtype
    for l in range(len(layers) - 1, 0, -1):
        p, below = layers[l], layers[l - 1]
        target = below.dN if below.norm != NO_NORM else below.dZ
        companion, derivative = below.companion, below.derivative
        if below.keep_threshold > 0 and job.mode == TRAIN:
            companion, derivative = below.slope, job.times
        if end > begin:
            back_through(job, p, below, T, h, begin, end, thread, target, companion, derivative)
        if below.norm != NO_NORM:
            normalise_backward(job, below, dtype, begin, end, rows, thread, numbers)


@inner
def back_through(job, p, below, T, h, begin, end, thread, target, companion, derivative):
    """``target`` = (dZ_l @ W_l.T) * f'_{l-1} of the rows [begin, end)."""
    dtype, L = T.dtype, lanes(T)
    columns = TILE_VECTORS * L
    size = job.square_rows * columns
    place = 2 * thread * size
    masks, none = no_masks(job), no_companion(job, dtype)
    W = weights(job.params, p, dtype, 0, p.n_in)
    stride = (p.n_in + L - 1) // L * L
    if p.n_out * stride <= 2 * size:
        WT = matrix(job.squares, dtype, place, p.n_out, p.n_in, stride, 1)
        transpose(W, WT)
        dZ, dN = errors(job, p, dtype, begin, end), beside(job, below, dtype, target, begin, end)
        M, start = beside(job, below, dtype, companion, begin, end), nothing(job, dtype, p.n_in)
        call_product(job.product, dZ, masks, WT, start, dN, M, h, T, derivative, 0)
        return
    start = nothing(job, dtype, columns)
    for first in range(begin, end, columns):
        last = min(first + columns, end)
        dZ, dN = errors(job, p, dtype, first, last), beside(job, below, dtype, target, first, last)
        dZT = matrix(job.squares, dtype, place, p.n_out, last - first, columns, 1)
        dAT = matrix(job.squares, dtype, place + size, p.n_in, last - first, columns, 1)
        transpose(dZ, dZT)
        call_product(job.product, W, masks, dZT, start, dAT, none, h, T, job.store, 0)
        transpose(dAT, dN)
        call_epilogue(derivative, dN, dN, beside(job, below, dtype, companion, first, last), h)


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
def update(job, layers, T, h, rows, thread, continued, final, numbers):
    """dW_l = A_{l-1}.T @ dZ_l, db_l = 1.T @ dZ_l, each tile given to the optimiser at once.

    ``continued``: the sums go on from the gradient buffer; not ``final``: and go back into it.
    """
    dtype = T.dtype
    applied = final and job.mode == TRAIN and not job.whole_gradients
    epilogue = job.update if applied else job.store
    target = job.params if applied else job.gradients
    skip = 1 if applied and job.idle_at_zero and not continued else 0
    for l in range(len(layers)):
        p = layers[l]
        begin, end = rows_of_weights(job, p, l, thread)
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
        hW = block(h, p.W_group, 0, 1, h.shape[1])
        call_product(job.product, AT, masks, dZ, start, D, M, hW, T, epilogue, skip)
        if end == p.n_in:  # one thread's: the rows below the last row of W
            update_row(job, p, T, h, dZ, BIAS, target, continued, epilogue)
            if p.norm != NO_NORM:
                dN, dNH = (
                    beside(job, p, dtype, p.dN, 0, rows),
                    beside(job, p, dtype, p.H, 0, rows),
                )
                update_row(job, p, T, h, dNH, SCALE, target, continued, epilogue)
                update_row(job, p, T, h, dN, SHIFT, target, continued, epilogue)
            if p.norm == BATCH_NORM and job.mode == TRAIN:
                numbers[0, BATCH_ROWS] = rows
                statistics = matrix(job.work, dtype, p.statistics, 2, p.n_out, p.out_stride, 1)
                none = no_companion(job, dtype)
                running = running_statistics(job, p, dtype)
                call_part(job.move_statistics, running, statistics, none, none, none, none, numbers)


@inner
def update_row(job, p, T, h, errors, row, target, continued, epilogue):
    """The gradient of a row below W_l, 1.T @ ``errors``, given to the optimiser."""
    dtype = T.dtype
    ones = matrix(job.one, dtype, 0, 1, errors.shape[0], 0, 0)
    start = nothing(job, dtype, p.n_out)
    if continued:
        start = row_below(job.gradients, p, dtype, row)
    D, place = row_below(target, p, dtype, row), p.n_in + row
    M, h = state_of(job, p, dtype, place, place + 1), block(h, p.other_group, 0, 1, h.shape[1])
    call_product(job.product, ones, no_masks(job), errors, start, D, M, h, T, epilogue, 0)


@inner
def rows_of_weights(job, p, l, thread):
    """Rows of W_l that ``thread`` updates, and the last of them also those below."""
    if l == 0:
        return shares_of(job)[thread], shares_of(job)[thread + 1]
    return share(p.n_in, TILE_ROWS, thread, job.threads)


@inner
def trained_rows(p):
    """Rows of W_l and of those below it that have a gradient."""
    return p.n_in + (1 if p.norm == NO_NORM else 3)


@inner
def apply_whole(job, layers, T, h, thread):
    """Clip the whole gradient, then give it to the optimiser, row by row.

    By norm as torch.nn.utils.clip_grad_norm_: times c / (|g| + 1e-6) where that is below 1. Rows
    are squared by whoever owns them and summed by everyone in one order.
    """
    dtype = T.dtype
    numbers, none = no_numbers(job), no_companion(job, dtype)
    settings = array(job.settings, dtype, FIRST_LAYER)
    factor = 1.0
    if job.clipping and settings[CLIP_NORM] < math.inf:
        first, total = 0, 0.0
        for l in range(len(layers)):
            p = layers[l]
            begin, end = share(trained_rows(p), LINE_ITEMS * 2, thread, job.threads)
            G = weights(job.gradients, p, dtype, begin, end)
            squares = matrix(job.row_norms, dtype, first + begin, 1, end - begin, 1, 1)
            call_part(job.row_squares, G, squares, none, none, none, none, numbers)
            first += trained_rows(p)
        barrier(array(job.cells, INT64, CELLS), job.threads)
        squares = array(job.row_norms, dtype, first)
        for r in range(first):
            total += squares[r]
        factor = min(1.0, settings[CLIP_NORM] / (math.sqrt(total) + 1e-6))
    T[0, 0], T[0, 1] = factor, settings[CLIP_VALUE]
    for l in range(len(layers)):
        p = layers[l]
        begin, end = share(trained_rows(p), TILE_ROWS, thread, job.threads)
        G = weights(job.gradients, p, dtype, begin, end)
        if job.clipping:
            call_part(job.clipper, G, T, none, none, none, none, numbers)
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


@inner
def constrain(job, layers, dtype, thread):
    """Keep the columns of every W below their largest norm, each thread some columns."""
    none, numbers = no_companion(job, dtype), no_numbers(job)
    for l in range(len(layers)):
        p = layers[l]
        begin, end = share(p.n_out, LINE_ITEMS * 2, thread, job.threads)
        W = matrix(job.params, dtype, p.W + begin, p.n_in, end - begin, p.W_stride, 1)
        largest = setting(job, dtype, MAX_NORM)
        call_part(job.limit_columns, W, largest, none, none, none, none, numbers)


@inner
def average(job, T, step, thread):
    """The running mean of all parameters, which starts as a copy."""
    dtype = T.dtype
    decay = array(job.settings, dtype, FIRST_LAYER)[DECAY] if step > 1 else 0.0
    begin, end = share(job.param_items, LINE_ITEMS * 2, thread, job.threads)
    V = matrix(job.params, dtype, begin, 1, end - begin, 1, 1)
    mean = matrix(job.average, dtype, begin, 1, end - begin, 1, 1)
    T[0, 0], T[0, 1] = decay, 1 - decay
    none = no_companion(job, dtype)
    call_part(job.averager, V, mean, T, none, none, none, no_numbers(job))


@inner
def after_update(job, layers, T, h, step, thread):
    """What follows the gradients of a batch where it is asked for; each part after a barrier."""
    cells = array(job.cells, INT64, CELLS)
    if job.whole_gradients:
        barrier(cells, job.threads)
        apply_whole(job, layers, T, h, thread)
    if job.limiting:
        barrier(cells, job.threads)
        constrain(job, layers, T.dtype, thread)
    if job.averaging:
        barrier(cells, job.threads)
        average(job, T, step, thread)


@inner
def mass_of(job, dtype, first, rows):
    """What ``rows`` samples of the order count in a mean, from position ``first`` on."""
    if job.n_masses == 0:
        return float(rows)
    masses, order = array(job.masses, dtype, job.n_masses), array(job.order, INT64, job.rows)
    total = 0.0
    for r in range(first, first + rows):
        total += masses[order[r]]
    return total


@inner
def record(job, dtype, first, rows, final):
    """Add the chunk's scores, row by row."""
    progress, scores = array(job.progress, FLOAT64, PROGRESS_ITEMS), scores_of(job, dtype, 0, rows)
    for r in range(rows):
        progress[LOSS_SUM] += scores[LOSS, r]
        progress[HITS] += scores[HIT, r]
    progress[SAMPLES] += rows
    progress[MASS] += mass_of(job, dtype, first, rows)
    if final:
        progress[STEPS] += 1


@inner
def lap(clocks, phase, since):
    """Add the ticks since ``since`` to the phase; the ticks now."""
    now = ticks()
    clocks[phase] += now - since
    return now


@inner
def run_batches(jobs, layers, hyper, thread):
    """See `run`."""
    job, dtype = jobs[0], hyper.dtype
    items = job.scratch_items
    T = matrix(job.scratch, dtype, thread * items, 1, items, items, 1)
    cells = array(job.cells, INT64, CELLS)
    clocks = array(job.clocks + thread * PHASES * 8, INT64, PHASES)
    numbers = matrix(job.numbers, INT64, thread * NUMBERS, 1, NUMBERS, NUMBERS, 1)
    groups = job.groups
    now = ticks()
    for batch in range(0, job.rows, job.batch_size):
        batch_rows = min(job.batch_size, job.rows - batch)
        step = batch // job.batch_size
        h = block(hyper, min(step, len(hyper) // groups - 1) * groups, 0, groups, hyper.shape[1])
        step += job.first_step
        numbers[0, STEP] = step
        mass = mass_of(job, dtype, batch, batch_rows)
        gradient_scale = 1.0 / mass if mass > 0 else 0.0
        for chunk in range(0, batch_rows, job.chunk_rows):
            rows = min(job.chunk_rows, batch_rows - chunk)
            final = chunk + rows == batch_rows
            begin, end = share(rows, TILE_ROWS, thread, job.threads)
            if thread == 0 and job.threads > 1 and batch == job.batch_size and chunk == 0:
                balance(job, layers, min(job.batch_size, job.chunk_rows))
            first = batch + chunk
            if end > begin:
                take(job, layers, T, first, begin, end, thread)
                if job.augment and job.mode == TRAIN:
                    augment(job, layers, T, chunk, begin, end, thread, numbers)
                if job.input_threshold > 0 and job.mode == TRAIN:
                    drop_inputs(job, layers, T, h, chunk, begin, end, numbers)
                now = lap(clocks, GATHER, now)
            if end > begin or job.meeting:
                forward(job, layers, T, h, chunk, begin, end, rows, thread, numbers)
                now = lap(clocks, FORWARD, now)
                finite = score(job, layers, T, first, begin, end, gradient_scale)
                now = lap(clocks, HEAD, now)
                if job.mode >= GRADIENT:
                    backward(job, layers, T, h, begin, end, rows, thread, numbers)
                    now = lap(clocks, BACKWARD, now)
                    if not finite and job.mode == TRAIN:
                        atomic_store(cells, FAILED, 1)
            barrier(cells, job.threads)
            now = lap(clocks, WAIT, now)
            if atomic_load(cells, FAILED):
                return
            if job.mode >= GRADIENT:
                update(job, layers, T, h, rows, thread, chunk > 0, final, numbers)
                if final and job.mode == TRAIN and job.after_update:
                    after_update(job, layers, T, h, step, thread)
                now = lap(clocks, UPDATE, now)
            if thread == 0:
                atomic_store(cells, HALT, atomic_load(cells, STOP))
                if job.mode >= SCORE:
                    record(job, dtype, first, rows, final)
            barrier(cells, job.threads)
            now = lap(clocks, WAIT, now)
            if atomic_load(cells, HALT):
                return


@jit(from_python=True)
def run(jobs, layers, hyper, thread):
    """Every batch of the job's order, as thread ``thread`` of its team.

    ``jobs`` (1,), of `plan.JOB`; ``hyper`` (steps, HYPERPARAMETERS): a row for each step, or one
    (``job.groups`` rows in place of one). Ends early, before the update, when an input or a loss is
    not finite (FAILED is set; the parameters are those before the step), or after the chunk in
    which STOP was set.
    """
    before = flush_subnormals()
    run_batches(jobs, layers, hyper, thread)
    restore_subnormals(before)


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
