"""Time to accuracy on MNIST: ``python benchmarks/records.py MARK``.

Trains the 60,000 images by the recipe of the mark (`benchmarks/recipes.py`), over 20 seeds, and
tells the mean accuracy on the test set, its 95 % confidence interval, and the time of a training:
the median over seeds, from the data in memory to the trained model, kernels being compiled. Test
labels are read once a seed, at its end. The same recipe runs in JAX and PyTorch beside it, for the
ratio of the times of an epoch. Exit status 0 if the mean reaches the mark, else 1; it counts as a
record ("counts") if it is of 20 seeds or more.

``--held-out`` is how recipes are chosen: trained on the first 50,000 training images, measured on
the last 10,000, and no test label read.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from scipy.stats import t as student

from benchmarks import machine
from benchmarks.arguments import Parser, fail, integer
from benchmarks.duel import start
from benchmarks.noise import SPREAD_MOST
from benchmarks.options import Options
from benchmarks.progress import Progress, showing
from benchmarks.recipes import AIMS, RECIPES, describe, in_words
from benchmarks.records_table import FILE, LEAST_SEEDS, keep
from benchmarks.result import Result, spread
from benchmarks.sides import SideError, alternate
from benchmarks.task import Task
from fastmlp.atomic import write_atomically

PROGRAM = "records.py"

PEERS = {"JAX": ("jax_scan", 3.5), "PyTorch": ("torch_mlp", 8.0)}
"""Module in `benchmarks/peers`, and how many times as long as ours it should take at least."""

CHOOSING = 50_000
"""Training images that ``--held-out`` trains on."""

ROUNDS = 5
PEER_SEEDS, PEER_SECONDS = 3, 60.0
"""A peer trains to the end with so many seeds, if one takes no longer, to show what it learns."""


def main() -> int:
    arguments = _arguments()
    try:
        with showing([arguments.mark]) as progress:
            progress.begin(arguments.mark)
            record = _measure(arguments, progress)
    except KeyboardInterrupt:
        return fail(PROGRAM, "interrupted", 130)
    except (SideError, OSError) as error:
        return fail(PROGRAM, error, 1)
    if arguments.json == "-":
        print(json.dumps(record, indent=1))
    else:
        print(_text(record))
        if arguments.json:
            write_atomically(Path(arguments.json), f"{json.dumps(record, indent=1)}\n".encode())
    if not record["reached"]:
        mean = statistics.mean(record["ci95"])
        return fail(PROGRAM, f"the mean, {mean:.3%}, does not reach {arguments.mark} %", 1)
    if arguments.keep:
        keep(record)
    return 0


def _measure(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """The record: ours over the seeds, then epochs of ours and the peers in turn."""
    mark, threads = arguments.mark, arguments.threads
    task = replace(RECIPES[mark], threads=threads)
    part = "test"
    if arguments.held_out:
        part, task = "held_out", replace(task, samples=CHOOSING)
    about = machine.describe(threads)
    result = Result(f"{mark} %")
    options = Options(ROUNDS, threads, quick=False, say=progress.say, advance=progress.advance)
    with ExitStack() as stack:
        sides, _ = start(stack, {"fastmlp": ("fast", threads)}, task, result, options)
        ours, trained = sides["fastmlp"], []
        ours.train(arguments.seeds)  # warms caches and clocks; of the seeds below it is none
        for seed in range(arguments.seeds):
            trained.append(ours.train(seed))
            progress.advance()
            mean = statistics.mean(accuracy for _, accuracy in trained)
            progress.say(f"{mark} %: {mean:.3%} after {seed + 1} seeds")
        seconds, accuracies = zip(*trained, strict=True)
        peers = {}
        if not arguments.alone:
            wanted = {name: (peer, threads) for name, (peer, _) in PEERS.items()}
            sides |= start(stack, wanted, task, result, options)[0]
            peers = _peers(task, sides, options, part)
    mean, half = _interval(accuracies)
    skipped = [f"{name} skipped: {why}" for name, why in result.skipped.items()]
    spreads = {"trainings": spread(seconds)}
    for name, it in peers.items():
        spreads["epochs of fastmlp"] = spread(it["samples_of_fastmlp"])
        spreads[f"epochs of {name}"] = spread(it["samples"])
    wide = ", ".join(f"{what} {it:.0%}" for what, it in spreads.items() if it > SPREAD_MOST)
    noise = [f"noisy: samples spread (interquartile range / median): {wide}"] if wide else []
    return {
        "schema": "fastmlp.records/1",
        "mark": float(mark),
        "n": len(accuracies),
        f"mean_{part}_accuracy": mean,
        "ci95": [mean - half, mean + half],
        "train_seconds": statistics.median(seconds),
        "aim_seconds": AIMS[mark],
        "reached": mean >= float(mark) / 100,
        "counts": mean >= float(mark) / 100 and part == "test" and len(accuracies) >= LEAST_SEEDS,
        "recipe": describe(task),
        f"{part}_accuracies": list(accuracies),
        "seconds": list(seconds),
        "peers": peers,
        "remarks": [*result.remarks, *skipped],
        "noise": noise,
        "noise_bounds": {"spread": SPREAD_MOST},
        **{key: about[key] for key in ("date", "commit", "cpu", "cores", "threads", "versions")},
    }


def _peers(task: Task, sides: dict[str, Any], options: Options, part: str) -> dict[str, Any]:
    """Of each peer: its epoch's time, the ratio to ours, and what it learns.

    ``part``: what its accuracy is measured on.
    """
    options.say("epochs in turn")
    samples = alternate(sides, ROUNDS, options.advance)
    epochs = {name: statistics.median(seconds) for name, seconds in samples.items()}
    ours = epochs.pop("fastmlp")
    found: dict[str, Any] = {}
    for name, seconds in epochs.items():
        found[name] = {
            "epoch_seconds": seconds,
            "samples": samples[name],
            "samples_of_fastmlp": samples["fastmlp"],
            "ratio": seconds / ours,
            "least_ratio": PEERS[name][1],
            "variant": sides[name].variant,
            f"{part}_accuracies": [],
        }
        if seconds * task.epochs <= PEER_SECONDS:
            for seed in range(PEER_SEEDS):
                options.say(f"{name}: seed {seed}")
                found[name][f"{part}_accuracies"].append(sides[name].train(seed)[1])
    return found


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and half of its 95 % confidence interval by Student's t."""
    mean, n = statistics.mean(values), len(values)
    if n == 1:
        return mean, math.inf
    return mean, float(student.ppf(0.975, n - 1)) * statistics.stdev(values) / math.sqrt(n)


def _text(record: dict[str, Any]) -> str:
    low, high = record["ci95"]
    part = "test" if "mean_test_accuracy" in record else "held-out"
    lines = [
        f"{record['mark']:g} %: {in_words(record['recipe'])}",
        f"  {part} accuracy {statistics.mean(record['ci95']):.3%}, mean of {record['n']} seeds "
        f"(95 % interval {low:.3%} to {high:.3%})",
        f"  trained in {record['train_seconds']:.3g} s (aim {record['aim_seconds']:g} s), "
        f"{min(record['seconds']):.3g} to {max(record['seconds']):.3g}",
    ]
    for name, peer in record["peers"].items():
        learned = peer[f"{part.replace('-', '_')}_accuracies"]
        accuracy = f", {part} accuracy {statistics.mean(learned):.2%}" if learned else ""
        lines.append(
            f"  {name}: {peer['ratio']:.2f} times as long an epoch "
            f"(≥ {peer['least_ratio']:g} wanted){accuracy}; {peer['variant']}"
        )
    return "\n".join(
        [*lines, *(f"  note: {remark}" for remark in (*record["noise"], *record["remarks"]))]
    )


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog=PROGRAM,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("mark", metavar="MARK", choices=list(RECIPES), help=", ".join(RECIPES))
    parser.add_argument(
        "--seeds",
        type=integer(2, 10_000),
        default=LEAST_SEEDS,
        metavar="N",
        help="seeds 0 ... N-1 (default: %(default)s, the least that --keep takes)",
    )
    parser.add_threads()
    parser.add_argument("--alone", action="store_true", help="without JAX and PyTorch")
    parser.add_argument(
        "--held-out",
        action="store_true",
        help=f"train on {CHOOSING:,} of the training images, measure on the others",
    )
    parser.add_json("the record")
    parser.add_argument(
        "--keep", action="store_true", help=f"enter it into {FILE.name} and the table made from it"
    )
    arguments = parser.parse_args()
    if arguments.keep and arguments.seeds < LEAST_SEEDS:
        parser.error(f"--keep needs --seeds {LEAST_SEEDS} or more, not {arguments.seeds}")
    if arguments.keep and arguments.held_out:
        parser.error("--keep and --held-out exclude each other: a record is of the test set")
    parser.check_json(arguments.json)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
