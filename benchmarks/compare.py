"""Epoch time of the engine against the float32 NumPy reference, side by side.

``python benchmarks/compare.py`` alternates the two in one process, so that whatever else the
machine does falls on both, and prints the median and spread of each and the ratio of medians.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from threadpoolctl import threadpool_limits

import fastmlp
from benchmarks.implementations import IMPLEMENTATIONS
from fastmlp.threads import threads_for

BLAS_REST_SECONDS = 0.2
"""OpenBLAS's threads go on spinning for some milliseconds after a product. Without this pause they
take a core from whoever runs next: two threads of the engine took 0.12 s instead of 0.064."""


def epoch_seconds(rounds: int, threads: int) -> dict[str, list[float]]:
    """Seconds of one MNIST epoch, 784-128-10, SGD, batch 128, for each implementation."""
    data = fastmlp.load_dataset("mnist")
    models = {name: m.MLP([784, 128, 10]) for name, m in IMPLEMENTATIONS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in IMPLEMENTATIONS}
    with threadpool_limits(limits=threads):
        for round_number in range(rounds + 1):
            for name, implementation in IMPLEMENTATIONS.items():
                time.sleep(BLAS_REST_SECONDS)
                history = implementation.fit(
                    models[name],
                    data.x_train,
                    data.y_train,
                    epochs=1,
                    batch_size=128,
                    threads=threads,
                )
                if round_number:  # the first round compiles and warms up
                    seconds[name].append(history.epochs[0].seconds)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="alternations (default: 15)")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    threads = threads_for(arguments.threads)
    seconds = epoch_seconds(arguments.rounds, threads)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    result: dict[str, Any] = {
        "work": "one epoch, MNIST 784-128-10, SGD, batch 128, float32",
        "threads": threads,
        "machine": platform.machine(),
        "seconds": seconds,
        "ratio_of_medians": medians["reference"] / medians["fast"],
    }
    if arguments.json:
        print(json.dumps(result))
        return
    print(f"{result['work']}, {threads} threads, {arguments.rounds} rounds")
    for name, values in seconds.items():
        low, high = min(values), max(values)
        print(f"{name:>10}  median {medians[name]:.4f} s   {low:.4f} to {high:.4f} s")
    print(f"the engine is {result['ratio_of_medians']:.2f} times as fast")


if __name__ == "__main__":
    main()
