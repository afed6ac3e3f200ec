"""`Scaling`: does time grow faster than the work, for ten times the samples, width or depth, and
does it fall with more threads?"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

from benchmarks.duel import start
from benchmarks.options import Options
from benchmarks.peers import PEERS
from benchmarks.result import Line, Result
from benchmarks.sides import Side, alternate
from benchmarks.task import Task

OURS = PEERS["fast"].title

FACTORS = (1, 2, 5, 10)
QUICK_FACTORS = (1, 10)

NOISE = 1.05
"""Time in proportion to the work, to the last digit, would be met by half of all runs."""


@dataclass(frozen=True)
class Scaling:
    """Epochs of tasks that grow from ``task`` in one way at a time; dense data, or pixels that are
    zero make the first layer's count of operations say too much."""

    title: str
    task: Task
    opponents: tuple[str, ...] = ()

    def measure(self, options: Options) -> Result:
        base = replace(self.task, threads=options.threads, search=not options.quick)
        factors = QUICK_FACTORS if options.quick else FACTORS
        ways = {
            way: {factor: _grown(base, way, factor) for factor in factors}
            for way in ("samples", "width", "depth")
        }
        result = Result(self.title)
        if options.threads == 1:
            result.remarks.append("threads: nothing to compare: --threads 1")
        else:
            numbers = sorted({*(n for n in FACTORS if n < options.threads), options.threads})
            ways["threads"] = {n: replace(base, threads=n) for n in numbers}
        peers = {PEERS[peer].title: peer for peer in ("fast", *self.opponents)}
        with ExitStack() as stack:
            wanted = {side: (peer, base.threads) for side, peer in peers.items()}
            common = start(stack, wanted, base, result, options)[0]
            for way, tasks in ways.items():
                self._measure(way, tasks, base, common, result, options)
        result.remarks.append(
            f"ratio: time / the same side's time of x 1; met if within {NOISE - 1:.0%} of the "
            "growth of the work"
        )
        return result

    def _measure(
        self,
        way: str,
        tasks: Mapping[int, Task],
        base: Task,
        common: Mapping[str, Side],
        result: Result,
        options: Options,
    ) -> None:
        """All factors of all sides in turn; the sides that do the base task are there."""
        with ExitStack() as stack:
            sides, about = {}, {}
            for title, side in common.items():
                for factor, task in tasks.items():
                    name = f"{title} {way} x {factor}"
                    about[name] = title, factor
                    if task == base:
                        sides[name] = side
                        continue
                    wanted = {name: (side.peer, task.threads)}
                    sides |= start(stack, wanted, task, result, options)[0]
            options.say(f"{self.title}: {way}")
            seconds = alternate(sides, options.rounds, options.advance)
        first: dict[str, float] = {}
        curves = result.curves[way] = {}
        for name, samples in seconds.items():
            title, factor = about[name]
            task, least = tasks[factor], tasks[1]
            growth = task.flops / least.flops * least.threads / task.threads
            line = Line(name, samples, note=f"{task.flops / 1e9:.3g} GFLOP")
            if factor > 1 and title in first:
                line.ratio = line.median / first[title]
                line.note += f", {growth:.2f} x the time if in proportion"
            elif factor == 1:
                first[title] = line.median
            if title == OURS and factor == FACTORS[-1] and way != "threads":
                line.target, line.met = f"≤ {growth:.2f}", line.ratio <= NOISE * growth
            point = {"factor": factor, "growth": growth, "seconds": line.median}
            curves.setdefault(title, []).append(point)
            result.lines.append(line)


def _grown(task: Task, way: str, factor: int) -> Task:
    first, *hidden, last = task.layers
    if way == "samples":
        return replace(task, samples=task.samples * factor)
    if way == "width":
        return replace(task, layers=(first, *(n * factor for n in hidden), last))
    return replace(task, layers=(first, *(hidden * factor), last))
