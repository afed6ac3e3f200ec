"""Operations and bytes of a task: where it stands in the roofline picture."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.task import Task, samples

PLANES = {"sgd": 1, "momentum": 2, "nesterov": 2, "adam": 3, "adamw": 3}
"""Arrays of the parameters' size that a step of the optimiser reads and writes."""


def counts(task: Task) -> dict[str, float]:
    """Of one epoch of training, or of one prediction.

    Returns
    -------
    dict of str to float
        flop : of the matrix products, as if all input were dense.
        flop_nonzero : the same without the terms that an input of zero makes zero. What exceeds
            the FMA peak in the first count does not in this one.
        bytes : the least that has to be moved if nothing but activations stays in the cache from
            one step to the next: a step reads its rows, as the data set has them (MNIST: a byte a
            pixel), and reads and writes each parameter and each number of the optimiser's state
            once. A prediction reads its float rows and the parameters, and writes its
            probabilities. Small networks do stay in the cache, and may pass the memory's line.
    """
    x = samples(task.data, task.samples)[0]
    products = [n * m for n, m in zip(task.layers, task.layers[1:], strict=False)]
    item = np.dtype(task.dtype).itemsize
    parameters = item * (sum(products) + sum(task.layers[1:]))
    if task.calls:
        flop = 2 * task.samples * sum(products)
        first = 2 * task.samples * products[0]
        moved = parameters + item * task.samples * (task.layers[0] + task.layers[-1])
    else:
        flop, first = task.flops, 4 * task.samples * products[0]
        steps = math.ceil(task.samples / task.batch_size)
        moved = x.nbytes + 2 * steps * PLANES[task.optimizer] * parameters
    zeros = 1 - int(np.count_nonzero(x)) / x.size
    return {"flop": flop, "flop_nonzero": flop - zeros * first, "bytes": moved}
