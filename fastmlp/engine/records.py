"""Records that jitted code reads: a layer, a job; and what their numbers mean."""

from __future__ import annotations

import numpy as np

INT64, FLOAT64 = np.dtype(np.int64), np.dtype(np.float64)

LINE_ITEMS = 8
"""float64 or int64 to a cache line."""

PREDICT, SCORE, GRADIENT, TRAIN = 0, 1, 2, 3
"""Modes: the head's output into ``out``; losses and hits only; dW and db into ``gradients``; the
optimiser's update."""

SAMPLES, LOSS_SUM, HITS, STEPS, MASS, PROGRESS_ITEMS = 0, 1, 2, 3, 4, 5
"""Items of the job's progress: samples seen, sum of their losses, their hits, steps done, what the
samples count in the mean of losses."""

STEP_LOSS, STEP_SQUARES, TRACE_ITEMS = 0, 1, 2
"""Columns of the job's trace: the sum of the losses of a step's samples; that of the squares of all
W before the step, where these are measured."""

CLIP_NORM, CLIP_VALUE, MAX_NORM, DECAY, INPUT_SCALE, FIRST_LAYER = 0, 1, 2, 3, 4, 5
"""Items of ``job.settings``: largest norm and value of gradients, largest norm of a column of W,
decay of the running mean of weights, what an input that is kept is multiplied by, and from
FIRST_LAYER on the same of each layer's activations."""

GATHER, FORWARD, HEAD, BACKWARD, UPDATE, WAIT, PHASES = 0, 1, 2, 3, 4, 5, 8
"""Columns of the job's clocks: ticks that a thread has spent in each phase of the step."""

LAYER_INDEX, BEGIN, END, ROWS, THREAD, FIRST_ROW, STEP, BATCH_ROWS, NUMBERS = *range(8), 8
"""Items of a thread's line of ``job.numbers``, which tell `extras` what to do: the layer; the rows
[BEGIN, END) of the chunk that are the thread's, and how many rows the chunk has; the thread; the
place of its first row in the batch; the number of the step, from 1 on; the rows of the batch, on
all ranks."""

ANY_FAILED, ANY_STOP, FLAGS = 0, 1, 2
"""Items behind the gradients, which ranks sum with them: those whose loss is not finite, and those
that are asked to stop."""

_LAYER_FIELDS = (
    "n_in",
    "n_out",
    # Places are offsets of a matrix's first item in its buffer, strides the items from row to row.
    "W",
    "W_stride",
    "A",
    "A_stride",
    "out",
    "out_stride",
    "dZ",
    "dZ_stride",
    "companion",  # of the activation and its derivative, laid out as out
    "mask",  # of dropout, laid out as out
    "slope",  # f'(Z) times the mask, laid out as out
    "H",  # the normalised Z, laid out as out
    "dN",  # the gradient of the loss by the norm's output, laid out as out
    "statistics",  # of the batch, (4, n_out), rows as out's; of layer norm (rows, 1)
    "masked_percent",  # of non-zeros, below which products follow the masks,
    "masked_rows",  # and dW from this many rows of the batch on
    "W_group",  # row of the step's hyperparameters for W,
    "other_group",  # and for all below it
    "keep_threshold",  # of dropout's words; 0 where none is dropped
    # Addresses of kernels.
    "product_epilogue",  # the activation, unless a norm comes first
    "activation",
    "derivative",
    # Extras, 0 for none; see `extras`.
    "normalise",
    "normalise_backward",
    "end_batch",
)

LAYER = np.dtype((np.record, [(name, np.int64) for name in _LAYER_FIELDS]))
"""One layer's sizes, places and kernels."""

_JOB_FIELDS = (
    "mode",
    "threads",
    "rows",  # of the order, this rank's: its share of each batch, which is cut into chunks
    "samples",  # of all ranks, which are cut into batches
    "batch_size",
    "rank",
    "ranks",
    "chunk_rows",
    # Addresses of buffers of the model's dtype, unless said otherwise.
    "params",  # W_1, b_1, W_2, ...
    "gradients",  # laid out as params
    "state",  # the optimiser's; each row of params stands for ``planes`` rows of it
    "average",  # running mean of params, laid out as them
    "work",  # activations and dZ of one chunk
    "scratch",  # for products: scratch_items for each thread
    "squares",  # scratch for transposed matrices: 2 of square_rows for each thread
    "row_masks",  # int64, see `masks`: where the chunk's X is not zero
    "column_masks",  # the same by columns
    "found",  # float64, see `gather`: a line for each thread
    "scores",  # loss and hit of each row of the chunk
    "zeros",
    "one",
    "source",  # int64 (n_arrays, 2), see `gather`
    "labels",  # int64 (n_labels,)
    "targets",  # (n_targets, n_outputs)
    "weights",  # (n_weights,) of the samples
    "masses",  # (n_masses,): what they count in the mean
    "options",  # (4, option_stride), see `losses`
    "settings",  # what parts of a step are set to, see above
    "augment_settings",  # float64 (augment_columns,), see `augment`
    "augment_scratch",  # float64: augment_items for each thread
    "numbers",  # int64 (threads, NUMBERS), see above
    "row_norms",  # sum of squares of each row of the gradients
    "weight_squares",  # the same of each row of W_1, W_2, ...
    "order",  # int64 (rows,): the samples, in the order of the epoch
    "out",  # (rows, n_out): what PREDICT writes
    "cells",  # int64, see `sync`
    "shares",  # int64 (threads + 1,): see `access.shares_of`
    "progress",  # float64 (PROGRESS_ITEMS,)
    "step_trace",  # float64 (n_steps, TRACE_ITEMS)
    "batch_masses",  # float64 (n_batch_masses,): what each batch counts, on all ranks
    "clocks",  # int64 (threads, PHASES)
    # Sizes of these.
    "planes",
    "scratch_items",
    "square_rows",
    "row_words",
    "row_mask_stride",
    "column_mask_stride",
    "score_stride",
    "option_stride",
    "param_items",
    "item_bytes",
    "augment_columns",
    "augment_items",
    "n_steps",
    "n_arrays",
    "n_labels",
    "n_targets",
    "n_weights",
    "n_masses",
    "n_batch_masses",
    "groups",  # rows of hyperparameters to a step
    "input_mask",  # place of dropout's mask of X in ``work``
    "tolerant",  # whether losses may be NaN or infinite
    "meeting",  # whether threads without rows meet the others in a barrier of batch norm
    "input_threshold",  # of dropout's words for X; 0 where none is dropped
    # What random words are made from: two words of the seed, the number of the first step.
    "key0",
    "key1",
    "first_step",
    # Addresses of kernels, see `calls`.
    "gather",
    "head",
    "product",
    "update",
    "store",
    "times",
    "augment",
    "sum_over_ranks",  # a callback: (address, items) of the model's dtype
    # Extras, 0 for none; see `extras`.
    "change_images",
    "drop_inputs",
    "drop",
    "sum_gradients",
    "apply_whole",
    "constrain",
    "average_weights",
    "measure_weights",
    "idle_at_zero",  # whether ``update`` changes nothing where dW = 0
)

PLACES = {name: place for place, name in enumerate((*_JOB_FIELDS, "input_scale"))}
"""Which of a job's words of 8 bytes holds a field."""

JOB = np.dtype(
    (np.record, [*((name, np.int64) for name in _JOB_FIELDS), ("input_scale", np.float64)])
)
"""All that the threads of a team work on."""


class Job:
    """The one item of an array of JOB, its fields as attributes, to be set from Python.

    A field is written in 0.25 us; by way of np.recarray it takes 3.9, and a job has twenty.
    """

    __slots__ = ("_floats", "_words")
    _floats: np.ndarray
    _words: np.ndarray

    def __init__(self, jobs: np.ndarray) -> None:
        object.__setattr__(self, "_words", jobs.view(np.int64))
        object.__setattr__(self, "_floats", jobs.view(np.float64))

    def __setattr__(self, name: str, value: float) -> None:
        if name == "input_scale":
            self._floats[PLACES[name]] = value
        else:
            self._words[PLACES[name]] = value

    __setitem__ = __setattr__
