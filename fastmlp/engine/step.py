"""The step: gather, forward, loss, backward, update. All training and prediction goes through it.

Threads own rows of the batch from the gather to dZ of the first layer; then a barrier; then they
own rows of the weight matrices for dW and its update; then a barrier. Nothing is ever summed
across threads, so the number of threads changes no bit of the result.

A batch larger than the workspace is cut into chunks of rows. dW of one chunk starts from what the
chunk before left in the gradient buffer, which is one and the same chain of sums (see `tile`): the
cut changes no bit either.

Several processes, the ranks, may share each batch: see `share_of_rank`. Their gradients are then
summed before the update, which each applies to all of its own copy of the parameters.

What not every network has is in `extras`. ``job`` is a record of `records.JOB`, ``layers`` are
records of `records.LAYER`; ``p`` is one of them.
"""

from __future__ import annotations

import math

from fastmlp.engine.access import (
    BIAS,
    SCALE,
    SHIFT,
    beside,
    column_masks,
    densest,
    errors,
    found_in,
    inputs,
    no_companion,
    no_masks,
    nothing,
    outputs,
    row_below,
    row_masks,
    rows_of_weights,
    scores_of,
    share,
    share_of_rank,
    shares_of,
    state_of,
    trace_of,
    weights,
)
from fastmlp.engine.records import (
    BACKWARD,
    BATCH_ROWS,
    BEGIN,
    END,
    FIRST_ROW,
    FLOAT64,
    FORWARD,
    GATHER,
    GRADIENT,
    HEAD,
    HITS,
    INT64,
    LAYER_INDEX,
    LOSS_SUM,
    MASS,
    NUMBERS,
    PHASES,
    PREDICT,
    PROGRESS_ITEMS,
    ROWS,
    SAMPLES,
    SCORE,
    STEP,
    STEP_LOSS,
    STEP_SQUARES,
    STEPS,
    THREAD,
    TRAIN,
    UPDATE,
    WAIT,
)
from fastmlp.kernels.calls import (
    call_epilogue,
    call_extra,
    call_gather,
    call_head,
    call_product,
)
from fastmlp.kernels.clock import ticks
from fastmlp.kernels.compilation import inner, jit
from fastmlp.kernels.gather import NON_ZEROS, NOT_FINITE
from fastmlp.kernels.losses import HIT, LOSS
from fastmlp.kernels.masks import transpose_masks
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
from fastmlp.kernels.tile import TILE_ROWS, TILE_VECTORS
from fastmlp.kernels.transpose import transpose
from fastmlp.kernels.views import array, block, matrix

ROW_COST = 6
"""What a row of W_1 costs besides its products, in non-zeros. 784 rows x 128 without any took 4 us
if skipped and 11 if not, the products of MNIST's 19,000 at batch 128 took 25: 4 to 11 of them."""


@inner
def take(job, layers, T, first, begin, end, thread):
    """X: the batch's rows, and where they are not zero."""
    X, masks = inputs(job, layers[0], T.dtype, begin, end), row_masks(job, begin, end)
    source = matrix(job.source, INT64, 0, job.n_arrays, 2, 2, 1)
    order = array(job.order, INT64, job.rows)
    found = found_in(job, thread)
    call_gather(job.gather, source, order, first + begin, X, masks, found, float(job.input_scale))
    found[0, NON_ZEROS] /= X.size
    if found[0, NOT_FINITE] != 0 and not (job.tolerant and job.mode >= GRADIENT):
        atomic_store(array(job.cells, INT64, CELLS), FAILED, 1)
    if job.mode != PREDICT:  # the head would wait for each: 5 us of 130 for 128 labels
        labels = matrix(job.labels, INT64, 0, job.n_labels, 1, 1, 1)
        for r in range(begin, end):
            prefetch(labels, order[first + r], 0)


@inner
def forward(jobs, layers, T, h, numbers):
    """A_0 = X;  A_l = f_l(norm_l(A_{l-1} @ W_l + b_l)), what is dropped being 0."""
    job, dtype, thread = jobs[0], T.dtype, numbers[0, THREAD]
    begin, end = numbers[0, BEGIN], numbers[0, END]
    for l in range(len(layers)):
        p = layers[l]
        numbers[0, LAYER_INDEX] = l
        if end > begin:
            A, out = inputs(job, p, dtype, begin, end), outputs(job, p, dtype, begin, end)
            W, b = weights(job.params, p, dtype, 0, p.n_in), row_below(job.params, p, dtype, BIAS)
            M = beside(job, p, dtype, p.companion, begin, end)
            masks = no_masks(job)
            if densest(job, thread, thread + 1) * 100 < p.masked_percent:
                masks = row_masks(job, begin, end)
            call_product(job.product, A, masks, W, b, out, M, h, T, p.product_epilogue, 0)
        if p.normalise:
            call_extra(p.normalise, jobs, layers, T, h, numbers)
        if p.keep_threshold > 0 and job.mode == TRAIN:
            call_extra(job.drop, jobs, layers, T, h, numbers)


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
    options = matrix(job.options, dtype, 0, 4, p.n_out, job.option_stride, 1)
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
def backward(jobs, layers, T, h, numbers):
    """dN_{l-1} = (dZ_l @ W_l.T) * f'_{l-1}(N_{l-1}), and dZ_{l-1} from it where there is a norm.

    By way of W_l.T where that fits the scratch (few outputs), else as (W_l @ dZ_l.T).T: what is
    transposed stays in the cache. A copy of every W.T, kept up to date by each update, took 7 % of
    a step of 784-1024-1024-10 at batch 256. The sums are the same, and in the same order.
    """
    job = jobs[0]
    for l in range(len(layers) - 1, 0, -1):
        p, below = layers[l], layers[l - 1]
        target = below.dN if below.normalise else below.dZ
        companion, derivative = below.companion, below.derivative
        if below.keep_threshold > 0 and job.mode == TRAIN:
            companion, derivative = below.slope, job.times
        begin, end = numbers[0, BEGIN], numbers[0, END]
        if end > begin:
            thread = numbers[0, THREAD]
            back_through(job, p, below, T, h, begin, end, thread, target, companion, derivative)
        if below.normalise:
            numbers[0, LAYER_INDEX] = l - 1
            call_extra(below.normalise_backward, jobs, layers, T, h, numbers)


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
def update(jobs, layers, T, h, rows, thread, continued, final, numbers):
    """dW_l = A_{l-1}.T @ dZ_l, db_l = 1.T @ dZ_l, each tile given to the optimiser at once.

    ``continued``: the sums go on from the gradient buffer; not ``final``: and go back into it.
    """
    job, dtype = jobs[0], T.dtype
    if job.measure_weights and final and job.mode == TRAIN:
        call_extra(job.measure_weights, jobs, layers, T, h, numbers)
    applied = final and job.mode == TRAIN and not job.apply_whole
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
            if p.normalise:
                dN, dNH = (
                    beside(job, p, dtype, p.dN, 0, rows),
                    beside(job, p, dtype, p.H, 0, rows),
                )
                update_row(job, p, T, h, dNH, SCALE, target, continued, epilogue)
                update_row(job, p, T, h, dN, SHIFT, target, continued, epilogue)
            if p.end_batch and job.mode == TRAIN:
                numbers[0, LAYER_INDEX] = l
                call_extra(p.end_batch, jobs, layers, T, h, numbers)
    if final and job.sum_gradients:
        call_extra(job.sum_gradients, jobs, layers, T, h, numbers)
        if atomic_load(array(job.cells, INT64, CELLS), FAILED):
            return
    if final and job.mode == TRAIN:
        if job.apply_whole:
            call_extra(job.apply_whole, jobs, layers, T, h, numbers)
        if job.constrain:
            call_extra(job.constrain, jobs, layers, T, h, numbers)
        if job.average_weights:
            call_extra(job.average_weights, jobs, layers, T, h, numbers)


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
def mass_of_batch(job, dtype, step, first, rows, batch_rows):
    """What a batch counts in a mean: ``batch_rows`` of all ranks, ``rows`` of this one."""
    if job.n_masses == 0:
        return float(batch_rows)
    if job.n_batch_masses:
        return array(job.batch_masses, FLOAT64, job.n_batch_masses)[step]
    return mass_of(job, dtype, first, rows)


@inner
def record(job, dtype, step, first, rows, final):
    """Add the chunk's scores, row by row."""
    progress, scores = array(job.progress, FLOAT64, PROGRESS_ITEMS), scores_of(job, dtype, 0, rows)
    trace = trace_of(job)
    for r in range(rows):
        progress[LOSS_SUM] += scores[LOSS, r]
        if len(trace) > 0:
            trace[step, STEP_LOSS] += scores[LOSS, r]
        progress[HITS] += scores[HIT, r]
    progress[SAMPLES] += rows
    progress[MASS] += mass_of(job, dtype, first, rows)
    if final:
        progress[STEPS] += 1


@inner
def trace_squares(job, layers, dtype, step):
    """Write down the sum of squares of all W before the step, which `extras` has taken by rows."""
    rows, total = 0, 0.0
    for l in range(len(layers)):
        rows += layers[l].n_in
    squares = array(job.weight_squares, dtype, rows)
    for r in range(rows):
        total += squares[r]
    trace_of(job)[step, STEP_SQUARES] = total


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
    _, most_rows = share_of_rank(job.batch_size, job.rank, job.ranks)
    together = job.sum_gradients and job.mode >= GRADIENT  # no rank leaves a step alone
    for step in range((job.samples + job.batch_size - 1) // job.batch_size):
        all_rows = min(job.batch_size, job.samples - step * job.batch_size)
        offset, batch_rows = share_of_rank(all_rows, job.rank, job.ranks)
        batch = step * most_rows
        h = block(hyper, min(step, len(hyper) // groups - 1) * groups, 0, groups, hyper.shape[1])
        numbers[0, STEP], numbers[0, THREAD] = step + job.first_step, thread
        numbers[0, BATCH_ROWS] = all_rows
        mass = mass_of_batch(job, dtype, step, batch, batch_rows, all_rows)
        gradient_scale = 1.0 / mass if mass != 0 else 0.0
        for chunk in range(0, max(batch_rows, 1), job.chunk_rows):  # without rows: to meet others
            rows = min(job.chunk_rows, batch_rows - chunk)
            final = chunk + rows == batch_rows
            begin, end = share(rows, TILE_ROWS, thread, job.threads)
            if thread == 0 and job.threads > 1 and step == 1 and chunk == 0:
                balance(job, layers, min(most_rows, job.chunk_rows))
            first = batch + chunk
            numbers[0, BEGIN], numbers[0, END], numbers[0, ROWS] = begin, end, rows
            numbers[0, FIRST_ROW] = offset + chunk + begin
            if end > begin:
                take(job, layers, T, first, begin, end, thread)
                if job.change_images and job.mode == TRAIN:
                    call_extra(job.change_images, jobs, layers, T, h, numbers)
                if job.drop_inputs and job.mode == TRAIN:
                    call_extra(job.drop_inputs, jobs, layers, T, h, numbers)
                now = lap(clocks, GATHER, now)
            if end > begin or job.meeting:
                forward(jobs, layers, T, h, numbers)
                now = lap(clocks, FORWARD, now)
                finite = score(job, layers, T, first, begin, end, gradient_scale)
                now = lap(clocks, HEAD, now)
                if job.mode >= GRADIENT:
                    backward(jobs, layers, T, h, numbers)
                    now = lap(clocks, BACKWARD, now)
                    if not finite and job.mode == TRAIN and not job.tolerant:
                        atomic_store(cells, FAILED, 1)
            barrier(cells, job.threads)
            now = lap(clocks, WAIT, now)
            if atomic_load(cells, FAILED) and not together:
                return
            if job.mode >= GRADIENT:
                update(jobs, layers, T, h, rows, thread, chunk > 0, final, numbers)
                now = lap(clocks, UPDATE, now)
                if final and atomic_load(cells, FAILED):
                    return
            if thread == 0:
                if not together:
                    atomic_store(cells, HALT, atomic_load(cells, STOP))
                if job.mode >= SCORE:
                    record(job, dtype, step, first, rows, final)
            barrier(cells, job.threads)
            if thread == 0 and final and job.mode == TRAIN and job.measure_weights:
                trace_squares(job, layers, dtype, step)
            now = lap(clocks, WAIT, now)
            if atomic_load(cells, HALT):
                return


@jit(from_python=True)
def run(jobs, layers, hyper, thread):
    """Every batch of the job's order, as thread ``thread`` of its team.

    ``jobs`` (1,), of `records.JOB`; ``hyper`` (steps, HYPERPARAMETERS): a row for each step, or one
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
    job.rows = job.samples = job.batch_size = x.shape[0]
    job.out = out.ctypes.data
    cells = array(job.cells, INT64, CELLS)
    run(jobs, layers, hyper, 0)
    failed = atomic_load(cells, FAILED)
    atomic_store(cells, FAILED, 0)
    return failed == 0
