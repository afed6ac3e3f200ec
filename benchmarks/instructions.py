"""What does a sample cost, in instructions? ``python benchmarks/instructions.py [PEER ...]``.

Energy is not to be measured on most machines, and time is noisy; instructions are neither. Counted
are those of user code for a sample of an epoch of MNIST (784-128-10, SGD, batch 128, float32) with
one thread: two runs of one and of more epochs, so that what is done once drops out of their
difference. By ``perf stat`` where the machine counts instructions, else by ``valgrind``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import counters, machine
from benchmarks.arguments import Parser, fail
from benchmarks.counters import Counter, CountError, Run
from benchmarks.peers import PEERS
from benchmarks.sides import ROOT, SideError, worker
from benchmarks.task import Task, at_hand
from fastmlp.atomic import check_writable, write_atomically

PROGRAM = "instructions.py"
TASK = Task((784, 128, 10), samples=2_560, search=False)
FEW, MANY = 1, 4
OURS = "fast_call"
TRAINERS = (OURS, "numpy_reference", "sklearn_mlp", "jax_scan", "torch_mlp")
QUICK = TRAINERS[:3]
"""Those whose start valgrind runs in a minute or two."""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _arguments(argv)
    sides: dict[str, dict[str, Any]] = {}
    try:
        counter = counters.find()
        task = at_hand(TASK)
        print(f"counted by {counter.title}", file=sys.stderr, flush=True)
        for peer in arguments.peers:
            try:
                sides[peer] = _count(counter, peer, task)
            except SideError as error:
                print(f"{PEERS[peer].title} left out: {error}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        return fail(PROGRAM, "interrupted", 130)
    except (CountError, OSError) as error:
        return fail(PROGRAM, error, 1)
    if arguments.json != "-":
        print(_table(counter, task, sides))
    if arguments.json:
        about = {"schema": "fastmlp.instructions/1", "machine": machine.about(threads=1)}
        result = about | {"counter": counter.title, "task": asdict(task), "sides": sides}
        text = json.dumps(result, indent=1)
        if arguments.json == "-":
            print(text)
        else:
            write_atomically(Path(arguments.json), f"{text}\n".encode())
    return 0


def _count(counter: Counter, peer: str, task: Task) -> dict[str, Any]:
    """Instructions of a sample, from a short and a long run of the worker of `Side`."""
    command, environment = worker(peer, threads=1)
    environment |= {"PYTHONHASHSEED": "0"}  # sets are walked in the same order
    # Compiles, which neither of the two is to do.
    compiled = subprocess.run(
        command,
        cwd=ROOT,
        env=environment | counter.environment,
        input=_requests(task, 0),
        capture_output=True,
        text=True,
    )
    if compiled.returncode:
        raise CountError(compiled.stderr.strip().splitlines()[-1])
    _answers(compiled.stdout)
    with tempfile.TemporaryDirectory() as folder:
        runs = [
            Run(counter, command, environment, _requests(task, epochs), Path(folder))
            for epochs in (FEW, MANY)
        ]
        try:
            (few, said), (many, said_too) = (run.end() for run in runs)
        finally:
            for run in runs:
                run.kill()
    variants = [_answers(text)[0]["variant"] for text in (said, said_too)]
    if variants[0] != variants[1]:
        raise SideError(f"it took {variants[0]} in one run and {variants[1]} in the other")
    return {
        "title": PEERS[peer].title,
        "variant": variants[0],
        "instructions_per_sample": (many - few) / ((MANY - FEW) * task.samples),
        "instructions": {str(FEW): few, str(MANY): many},
    }


def _answers(text: str) -> list[dict[str, Any]]:
    """The worker's answers; SideError if one says that it cannot."""
    answers = [json.loads(line) for line in text.splitlines()]
    for answer in answers:
        if "error" in answer:
            raise SideError(answer["error"])
    return answers


def _requests(task: Task, epochs: int) -> str:
    requests: list[dict[str, Any]] = [{"do": "prepare", "task": asdict(task)}]
    requests += [{"do": "run", "seed": seed, "rested": False} for seed in range(epochs)]
    return "".join(f"{json.dumps(request)}\n" for request in requests)


def _table(counter: Counter, task: Task, sides: Mapping[str, Mapping[str, Any]]) -> str:
    kind = "MNIST" if task.data == "mnist" else "uint8, 81 % zeros at random"
    lines = [
        f"{kind}, 784-128-10, SGD, batch {task.batch_size}, float32, one thread",
        f"counted by {counter.title}",
        f"{'side':<20} {'instructions per sample':>23} {'ratio':>8}",
    ]
    counts = {side["title"]: side["instructions_per_sample"] for side in sides.values()}
    ours = counts.get(PEERS[OURS].title)
    for title, count in counts.items():
        ratio = f"{count / ours:.2f}" if ours else ""
        lines.append(f"{title:<20} {count:>23,.0f} {ratio:>8}".rstrip())
    return "\n".join(lines)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog=PROGRAM,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "peers",
        nargs="*",
        metavar="PEER",
        help=f"of {', '.join(TRAINERS)} (default: {' '.join(QUICK)})",
    )
    parser.add_argument(
        "--json", metavar="PATH", help="write the counts as JSON; - for stdout, without the table"
    )
    arguments = parser.parse_args(argv)
    unknown = [name for name in arguments.peers if name not in TRAINERS]
    if unknown:
        parser.error(f"no peer is called {unknown[0]!r}; there are {', '.join(TRAINERS)}")
    arguments.peers = list(dict.fromkeys(arguments.peers)) or QUICK
    try:
        if arguments.json not in (None, "-"):
            check_writable(Path(arguments.json), "--json")
    except (OSError, ValueError) as error:
        parser.error(" ".join(str(error).split()))
    return arguments


if __name__ == "__main__":
    sys.exit(main())
