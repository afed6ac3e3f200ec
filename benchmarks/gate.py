"""Is this commit slower than the one before? ``python benchmarks/gate.py [BEFORE [AFTER]]``.

Both commits' engines run in turn on the same machine at the same time, in long-lived processes
driven by this tool (so that a commit that is older than it can be measured), until each workload's
interval of the ratio after / before is above or below 1.15, or time is up. Exit status: 0 no
workload is slower, or the machine is too noisy to tell; 1 one is; 2 wrong usage; 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import commits, machine
from benchmarks.arguments import Parser, fail, integer
from benchmarks.commits import Commit, CommitError
from benchmarks.paired import CANNOT_TELL, FALSE_ALARMS, LIMIT, NOISY, SLOWER
from benchmarks.rounds import Outcome, measure
from benchmarks.sides import Side, SideError
from benchmarks.task import Task, at_hand
from fastmlp.atomic import check_writable, write_atomically
from fastmlp.threads import available_cores

PROGRAM = "gate.py"
SMALL, WIDE = (784, 128, 10), (784, 512, 512, 10)
SECONDS = 60
ALONE = {"threads": 1, "clock": "process_time"}

WORKLOADS = {
    "784-128-10, SGD, batch 128, sparse": Task(SMALL, samples=6_400, **ALONE),
    "the same, every core a thread": Task(SMALL, samples=12_800, threads=available_cores()),
    "784-128-10, SGD, batch 16, sparse": Task(SMALL, samples=3_200, batch_size=16, **ALONE),
    "784-512-512-10, Adam, batch 128, sparse": Task(
        WIDE, samples=1_280, optimizer="adam", learning_rate=0.001, **ALONE
    ),
    "784-512-512-10, SGD, batch 256, dense": Task(
        WIDE, samples=1_280, batch_size=256, learning_rate=0.01, data="gaussian", **ALONE
    ),
    "prediction of 1 row, 784-128-10": Task(SMALL, samples=1, calls=2_000, **ALONE),
    "prediction of 10,000 rows, 784-128-10": Task(SMALL, samples=10_000, calls=2),
}
"""Title: what a run is. "sparse" is MNIST, or where that cannot be had as many zeros at random.

Those of one thread are measured by the processor's time, in which the time slices of other programs
are not. Threads wait for each other, so that the time of several is that on the clock.
"""


def main(argv: Sequence[str] | None = None) -> int:
    arguments, before, after = _arguments(argv)
    try:
        outcomes = _measure(before, after, arguments.seconds)
    except KeyboardInterrupt:
        return fail(PROGRAM, "interrupted", 130)
    except (CommitError, SideError, OSError) as error:
        return fail(PROGRAM, error, 1)
    verdict = overall(outcomes)
    if arguments.json != "-":
        print(table(before, after, outcomes))
    if arguments.json:
        text = json.dumps(_as_json(before, after, outcomes), indent=1)
        if arguments.json == "-":
            print(text)
        else:
            write_atomically(Path(arguments.json), f"{text}\n".encode())
    return int(verdict == SLOWER)


def _measure(before: Commit, after: Commit, seconds: float) -> dict[str, Outcome]:
    with ExitStack() as stack:
        sides = [
            stack.enter_context(Side("fast_call", available_cores(), commits.files(commit)))
            for commit in (before, after)
        ]
        tasks = {title: at_hand(task) for title, task in WORKLOADS.items()}
        if tasks != WORKLOADS:
            _say("MNIST is not to be had: zeros at random in its place")
        return measure(*sides, tasks, seconds, _say)


def overall(outcomes: Mapping[str, Outcome]) -> str:
    """The run's verdict: that of its worst workload, of those that both commits can do."""
    verdicts = [o.comparison.verdict for o in outcomes.values() if not o.left_out]
    return next((worst for worst in (SLOWER, CANNOT_TELL) if worst in verdicts), "not slower")


def table(before: Commit, after: Commit, outcomes: Mapping[str, Outcome]) -> str:
    """What was measured, for people."""
    lines = [
        f"before: {before}",
        f"after:  {after}",
        "",
        f"{'after / before':<43} {'ratio':>6}  {'interval':<12} {'rounds':>6} {'spread':>6}",
    ]
    for title, outcome in outcomes.items():
        lines.append(f"{title:<43} {_row(outcome)}".rstrip())
        if outcome.note:
            lines.append(f"    {outcome.note}")
    noisy = [o.comparison.spread for o in outcomes.values() if o.comparison.noisy]
    lines.append("")
    if noisy:
        lines.append(
            f"a noisy machine: ratios spread over up to {max(noisy):.0%} (quiet: below {NOISY:.0%})"
        )
    return "\n".join([*lines, SENTENCES[overall(outcomes)]])


SENTENCES = {
    SLOWER: f"SLOWER: a whole interval is above {LIMIT}",
    CANNOT_TELL: f"passed, but cannot tell of every workload: {LIMIT} is within the interval",
    "not slower": f"passed: every interval is below {LIMIT}",
}


def _row(outcome: Outcome) -> str:
    comparison = outcome.comparison
    if not comparison.ratios:
        return f"left out: {outcome.left_out}"
    ends = "none"
    if comparison.low is not None:
        ends = f"{comparison.low:.2f} to {comparison.high:.2f}"
    rounds, spread = len(comparison.ratios), f"{comparison.spread:.0%}"
    return f"{comparison.ratio:>6.3f}  {ends:<12} {rounds:>6} {spread:>6}  {comparison.verdict}"


def _as_json(before: Commit, after: Commit, outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    workloads = {}
    for title, outcome in outcomes.items():
        comparison = outcome.comparison
        workloads[title] = asdict(comparison) | {"left_out": outcome.left_out, "note": outcome.note}
        if comparison.ratios:
            workloads[title] |= {
                "ratio": comparison.ratio,
                "spread": comparison.spread,
                "noisy": comparison.noisy,
            }
    return {
        "schema": "fastmlp.gate/1",
        "machine": machine.about(available_cores()),
        "before": asdict(before),
        "after": asdict(after),
        "limit": LIMIT,
        "false_alarms": FALSE_ALARMS,
        "verdict": overall(outcomes),
        "workloads": workloads,
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _arguments(argv: Sequence[str] | None) -> tuple[argparse.Namespace, Commit, Commit]:
    parser = Parser(
        prog=PROGRAM,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("before", nargs="?", help="a commit (default: the parent of AFTER)")
    parser.add_argument("after", nargs="?", default="HEAD", help="a commit (default: HEAD)")
    parser.add_argument(
        "--seconds",
        type=integer(1, 3600),
        default=SECONDS,
        metavar="N",
        help="longest time to measure, beside compiling (default: %(default)s)",
    )
    parser.add_argument(
        "--json", metavar="PATH", help="write every round as JSON; - for stdout, without the table"
    )
    arguments = parser.parse_args(argv)
    try:
        if arguments.json not in (None, "-"):
            check_writable(Path(arguments.json), "--json")
        after = commits.find(arguments.after)
        before = commits.find(arguments.before or f"{arguments.after}~1")
        edited = commits.changed() if arguments.after == "HEAD" else []
    except (CommitError, OSError, ValueError) as error:
        parser.error(str(error))
    if edited:
        parser.error(
            f"{edited[0]} is not as in HEAD, and commits are what is compared: commit or stash it, "
            "or name the commits by hash"
        )
    return arguments, before, after


if __name__ == "__main__":
    sys.exit(main())
