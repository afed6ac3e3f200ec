"""Where things are: matrices of a job and of a layer, at the places that the plan gave them.

``job`` is a record of `records.JOB`, ``p`` one of `records.LAYER`; ``dtype`` is the model's.
"""

from __future__ import annotations

from fastmlp.engine import layout
from fastmlp.engine.records import FLOAT64, INT64, LINE_ITEMS, TRACE_ITEMS
from fastmlp.kernels.compilation import inner
from fastmlp.kernels.gather import NON_ZEROS
from fastmlp.kernels.tile import MASK_BITS, TILE_ROWS
from fastmlp.kernels.views import array, matrix


@inner
def share(items, unit, thread, threads):
    """Half-open range of ``items`` that ``thread`` owns: equal counts of whole units."""
    units = (items + unit - 1) // unit
    begin = unit * (units * thread // threads)
    end = unit * (units * (thread + 1) // threads)
    return min(items, begin), min(items, end)


share_of_rank = inner(layout.share_of_rank)


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
def trace_of(job):
    """What each step of training has met: (n_steps, TRACE_ITEMS), (0, ...) if nobody asks."""
    return matrix(job.step_trace, FLOAT64, 0, job.n_steps, TRACE_ITEMS, TRACE_ITEMS, 1)


@inner
def shares_of(job):
    """Thread t owns the rows [shares[t], shares[t + 1]) of W_1: (threads + 1,)."""
    return array(job.shares, INT64, job.threads + 1)


@inner
def rows_of_weights(job, p, l, thread):
    """Rows of W_l that ``thread`` updates, and the last of them also those below."""
    if l == 0:
        return shares_of(job)[thread], shares_of(job)[thread + 1]
    return share(p.n_in, TILE_ROWS, thread, job.threads)
