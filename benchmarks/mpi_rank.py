"""For mpiexec, by `benchmarks.mpi_scaling`: times of steps and of sums; rank 0 prints them as JSON.

A step is that of `fit(comm=...)` with one thread a rank, on numbers without zeros; of one rank also
that of `fit` without ``comm``, whose update is the epilogue of dW.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from typing import Any

import numpy as np
from mpi4py import MPI
from threadpoolctl import threadpool_limits

import fastmlp

COMM = MPI.COMM_WORLD
EPOCHS = 5
"""The first is not counted; the least time of the others is what no other program was part of."""


OVERLAPS = 31
"""Times that each way of `overlap_seconds` is tried, in turn."""


def step_seconds(layers: list[int], batch_size: int, steps: int, alone: bool) -> float:
    """Seconds of a step."""
    rng = np.random.default_rng(COMM.rank)
    rows = batch_size * steps // COMM.size
    x = rng.standard_normal((rows, layers[0])).astype(np.float32)
    y = rng.integers(0, layers[-1], rows)
    model = fastmlp.MLP(layers, seed=0)
    options: dict[str, Any] = {} if alone else {"comm": COMM}
    # Not shuffled: the rows are dealt once, and the exchange is a part of the model of its own.
    history = fastmlp.fit(
        *(model, x, y),
        epochs=EPOCHS,
        batch_size=batch_size,
        optimizer=fastmlp.SGD(lr=1e-3),
        shuffle=False,
        threads=1,
        **options,
    )
    return min(epoch.seconds for epoch in history.epochs[1:]) / steps


def sum_seconds(items: int) -> float:
    """Seconds of an in-place sum of float32 over the ranks: the median of rounds."""
    buffer = np.zeros(items, dtype=np.float32)
    repeats = int(min(200, max(5, 2e7 // items)))
    rounds = []
    for _ in range(7):
        COMM.Barrier()
        start = time.perf_counter()
        for _ in range(repeats):
            COMM.Allreduce(MPI.IN_PLACE, buffer)
        rounds.append((time.perf_counter() - start) / repeats)
    return float(np.median(rounds))


def overlap_seconds(layers: list[int], batch_size: int) -> dict[str, float]:
    """Would a sum by layers pay? Seconds of the first layer's dW and of the sum of all gradients.

    "whole": one after the other. "split": the sum of the other layers' begins before dW and ends
    after it. The product is BLAS's, in the calling thread.
    """
    n_in, n_out = layers[:2]
    sizes = [(n + 1) * m for n, m in itertools.pairwise(layers)]
    first, others = (np.zeros(n, np.float32) for n in (sizes[0], sum(sizes[1:])))
    x, delta = (np.ones((batch_size // COMM.size, n), np.float32) for n in (n_in, n_out))
    dW = np.empty((n_in, n_out), np.float32)

    def whole() -> None:
        np.matmul(x.T, delta, out=dW)
        for part in (others, first):
            COMM.Allreduce(MPI.IN_PLACE, part)

    def split() -> None:
        request = COMM.Iallreduce(MPI.IN_PLACE, others)
        np.matmul(x.T, delta, out=dW)
        request.Wait()
        COMM.Allreduce(MPI.IN_PLACE, first)

    seconds: dict[str, list[float]] = {"whole": [], "split": []}
    with threadpool_limits(1):
        for _ in range(OVERLAPS):
            for way in (whole, split):
                COMM.Barrier()
                start = time.perf_counter()
                way()
                seconds[way.__name__].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def main() -> None:
    asked = json.loads(sys.argv[1])
    answer: dict[str, Any] = {"steps": [], "sums": [], "overlap": []}
    for layers, batch_size, steps in asked["steps"]:
        cell = {"layers": layers, "batch_size": batch_size}
        cell["seconds"] = step_seconds(layers, batch_size, steps, alone=False)
        if COMM.size == 1:
            cell["alone"] = step_seconds(layers, batch_size, steps, alone=True)
        answer["steps"].append(cell)
    for items in asked["sums"]:
        answer["sums"].append({"bytes": 4 * items, "seconds": sum_seconds(items)})
    for layers, batch_size in asked["overlap"]:
        cell = {"layers": layers, "batch_size": batch_size}
        answer["overlap"].append(cell | overlap_seconds(layers, batch_size))
    if COMM.rank == 0:
        print(json.dumps(answer))


if __name__ == "__main__":
    main()
