"""Latency of single predictions: ``python benchmarks/latency.py``, a million calls by each side.

784-128-10, float32, one of 256 rows a call, from one Python thread and from four at once, which
share the calls. fastmlp is ``model.predict_proba`` ("model"), and ``model.predictor(batch_size=1)``
with a new array for each result and with ``out=``, which all threads share; onnxruntime, where it
is installed, one session of one thread (``intra_op_num_threads=1``), shared alike, by ``run`` and
by ``run_with_iobinding``. Every call is timed within Python by ``time.perf_counter_ns``; what two
readings of that clock take is printed, and is in each figure. Threads wait for the GIL, which
Python's own part of a call needs, and for a core where there are more of them than cores: both are
in the figures, too.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from numpy.typing import NDArray

import fastmlp
from benchmarks.arguments import Parser, fail, integer
from benchmarks.machine import about
from benchmarks.sides import NotInstalledError, check_installed
from benchmarks.task import Task, at_hand, floats, initial
from fastmlp.atomic import write_atomically

PROGRAM = "latency.py"

TASK = Task((784, 128, 10), samples=256, calls=1)
THREADS = (1, 4)
QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
WARM_UP = 1000

Predict = Callable[[NDArray[Any]], Any]
Side = Callable[[], Predict]
"""Called by each thread: gives what it calls with a row."""


def sides(task: Task) -> tuple[dict[str, Side], str]:
    """The ways to predict one row, and why one is left out, if it is."""
    model = fastmlp.MLP(task.layers, dtype=task.dtype)
    model.load_state_dict(initial(task).state_dict())
    predict = model.predictor(batch_size=1).predict_proba

    def into_own_array() -> Predict:
        return partial(predict, out=np.empty((1, task.layers[-1]), task.dtype))

    made: dict[str, Side] = {
        "fastmlp, model": lambda: model.predict_proba,
        "fastmlp": lambda: predict,
        "fastmlp, out=": into_own_array,
    }
    try:
        check_installed("onnx_runtime")
    except NotInstalledError as error:
        return made, f"onnxruntime left out: {error}"
    from benchmarks.peers import onnx_runtime

    peer = onnx_runtime.Predictor(replace(task, samples=1), "run, threads: 1")

    def bound_to_own_array() -> Predict:
        own = copy(peer)
        own.out = np.empty_like(peer.out)
        return own.run_bound

    made["onnxruntime"] = lambda: peer.run
    made["onnxruntime, bound"] = bound_to_own_array
    return made, ""


def serve(
    predict: Predict,
    rows: list[NDArray[Any]],
    nanoseconds: NDArray[np.int64],
    stopped: threading.Event,
) -> None:
    """Call ``predict`` once for each item of ``nanoseconds``, with one row after another."""
    clock = time.perf_counter_ns
    for k, x in zip(range(len(nanoseconds)), itertools.cycle(rows), strict=False):
        start = clock()
        predict(x)
        nanoseconds[k] = clock() - start
        if stopped.is_set():
            break


def measure(side: Side, rows: list[NDArray[Any]], calls: int, threads: int) -> dict[str, float]:
    """Latencies in microseconds, and calls a second, of ``threads`` at once."""
    shares = [calls // threads + (k < calls % threads) for k in range(threads)]
    taken = [np.empty(share, np.int64) for share in shares]
    barrier, stopped = threading.Barrier(threads), threading.Event()

    def work(predict: Predict, nanoseconds: NDArray[np.int64]) -> float:
        barrier.wait()
        serve(predict, rows, np.empty(WARM_UP, np.int64), stopped)
        start = time.perf_counter()
        serve(predict, rows, nanoseconds, stopped)
        return len(nanoseconds) / (time.perf_counter() - start)

    with ThreadPoolExecutor(threads) as pool:
        try:
            rates = list(pool.map(work, [side() for _ in shares], taken))
        except BaseException:  # Ctrl-C, say: the pool waits for its threads
            stopped.set()
            raise
    microseconds = np.concatenate(taken) / 1e3
    found = np.quantile(microseconds, list(QUANTILES.values()), method="higher")
    figures = {name: float(value) for name, value in zip(QUANTILES, found, strict=True)}
    return {**figures, "calls_per_second": sum(rates)}


def clock_nanoseconds() -> float:
    """Median of what two readings of the clock in a row take."""
    clock, taken = time.perf_counter_ns, np.empty(100_000)
    for k in range(len(taken)):
        start = clock()
        taken[k] = clock() - start
    return float(np.median(taken))


def check(made: dict[str, Side], rows: list[NDArray[Any]], task: Task) -> None:
    """ArithmeticError unless all give the reference's probabilities."""
    x = rows[0]
    expected = initial(task).predict_proba(x)
    for name, side in made.items():
        difference = float(np.abs(side()(x) - expected).max())
        if not difference <= 1e-5:
            raise ArithmeticError(f"{name} differs from the reference by {difference:.1g}")


def compare(task: Task, calls: int) -> dict[str, Any]:
    """The latencies of each side, and who was left out."""
    x = floats(task)[0]
    rows = [x[k : k + 1].copy() for k in range(len(x))]
    made, left_out = sides(task)
    check(made, rows, task)
    latencies = []
    for n in THREADS:
        for name, side in made.items():
            print(f"{name}, threads: {n}", file=sys.stderr, flush=True)
            figures = measure(side, rows, calls, n)
            latencies.append({"side": name, "threads": n, **figures})
    return {"clock_ns": clock_nanoseconds(), "latencies": latencies, "left_out": left_out}


def table(result: dict[str, Any]) -> str:
    heads = "".join(f"{name}, µs".rjust(12) for name in QUANTILES)
    lines = [
        f"{result['calls']:,} calls by each side; two readings of the clock take "
        f"{result['clock_ns']:.0f} ns",
        f"{'side':20} threads {heads}     calls/s",
    ]
    for line in result["latencies"]:
        figures = "".join(f"{line[name]:12.2f}" for name in QUANTILES)
        lines.append(
            f"{line['side']:20} {line['threads']:7} {figures}{line['calls_per_second']:12,.0f}"
        )
    return "\n".join([*lines, *filter(None, [result["left_out"]])])


def main() -> int:
    parser = Parser(prog=PROGRAM, description=__doc__.splitlines()[0])
    parser.add_argument(
        "--calls",
        type=integer(1, 100_000_000),
        default=1_000_000,
        metavar="N",
        help="by each side, shared by its threads (default: %(default)s)",
    )
    parser.add_json("all figures")
    arguments = parser.parse_args()
    parser.check_json(arguments.json)
    try:
        found = compare(at_hand(TASK), arguments.calls)
    except KeyboardInterrupt:
        return fail(PROGRAM, "interrupted", 130)
    except (ArithmeticError, OSError) as error:
        return fail(PROGRAM, error, 1)
    result = {
        "schema": "fastmlp.latency/1",
        **about(max(THREADS)),
        "layers": TASK.layers,
        "calls": arguments.calls,
        **found,
    }
    text = json.dumps(result, indent=1)
    if arguments.json == "-":
        print(text)
        return 0
    print(table(result))
    if arguments.json:
        write_atomically(Path(arguments.json), f"{text}\n".encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
