"""Epochs from disk against epochs from memory: how fast, and in how much memory?

    python -m benchmarks.infinite_mnist FOLDER
    python -m benchmarks.out_of_core FOLDER [--rounds N] [--threads N]

Two processes train 784-128-10 on the folder's training set, batch 128, SGD, one of them from an
array, which needs the memory for it. Their epochs take turns, the first of each not counted: by
then the files are in the page cache, if the machine has the memory for both.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
from multiprocessing.connection import Connection

import fastmlp
from benchmarks.arguments import Parser, fail, integer
from fastmlp.machine import peak_rss_bytes

PROGRAM = "out_of_core"

SIDES = ("disk", "memory")
MOST_MEMORY, LEAST_SPEED = 600e6, 0.8
"""Targets: bytes resident, and the share of the speed from memory."""


def _side(connection: Connection, name: str, folder: str, threads: int) -> None:
    """One process: answers each message with the seconds of an epoch and the memory so far."""
    try:
        data = fastmlp.load_dataset(folder)
        x = data.x_train[:] if name == "memory" else data.x_train
        model = fastmlp.MLP([x.shape[1], 128, data.n_outputs], seed=0)
        connection.send(len(x))
        while connection.recv():
            history = fastmlp.fit(model, x, data.y_train, epochs=1, threads=threads)
            connection.send((history.epochs[0].seconds, peak_rss_bytes()))
    except (OSError, ValueError, MemoryError) as error:
        connection.send(f"{name}: {error}")


def _answer(connection: Connection) -> object:
    answer = connection.recv()
    if isinstance(answer, str):
        raise OSError(answer)
    return answer


def measure(folder: str, rounds: int, threads: int) -> None:
    """Run both sides in turn, and print what they took."""
    context = multiprocessing.get_context("spawn")
    ends, processes = {}, []
    try:
        for name in SIDES:
            ends[name], far = context.Pipe()
            process = context.Process(target=_side, args=(far, name, folder, threads), daemon=True)
            process.start()
            processes.append(process)
            far.close()
            images = _answer(ends[name])
        seconds: dict[str, list[float]] = {name: [] for name in SIDES}
        memory = {}
        for k in range(rounds + 1):
            for name in SIDES if k % 2 else SIDES[::-1]:
                ends[name].send(True)
                taken, memory[name] = _answer(ends[name])
                if k:
                    seconds[name].append(taken)
                print(f"round {k}: {name} {taken:.2f} s", file=sys.stderr, flush=True)
    except EOFError:
        raise OSError("a process has ended before its answer: too little memory?") from None
    finally:
        for process in processes:
            process.terminate()
    print(f"{images:,} images, {threads} threads, {rounds} rounds")
    for name in SIDES:
        median = statistics.median(seconds[name])
        print(
            f"{name:>7}  {median:8.2f} s an epoch ({min(seconds[name]):.2f} to "
            f"{max(seconds[name]):.2f}), {images / median:10,.0f} images/s, "
            f"{memory[name] / 1e6:8,.0f} MB resident at most"
        )
    speed = statistics.median(seconds["memory"]) / statistics.median(seconds["disk"])
    print(f"  speed  {speed:.2f} of that from memory (target: {LEAST_SPEED:g} and more)")
    print(f" memory  target: below {MOST_MEMORY / 1e6:g} MB from disk")


def main() -> int:
    parser = Parser(prog=PROGRAM, description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument(
        "--rounds",
        type=integer(1, 1000),
        default=5,
        metavar="N",
        help="epochs of each side (default: %(default)s)",
    )
    parser.add_threads()
    arguments = parser.parse_args()
    try:
        measure(arguments.folder, arguments.rounds, arguments.threads)
    except (ValueError, OSError) as error:
        return fail(PROGRAM, error, 2 if isinstance(error, ValueError) else 1)
    except KeyboardInterrupt:
        return fail(PROGRAM, "interrupted", 130)
    return 0


if __name__ == "__main__":
    sys.exit(main())
