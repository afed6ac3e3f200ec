"""`Scaling`: does time grow faster than the work, for ten times the samples, width or depth?"""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from dataclasses import dataclass, replace

from benchmarks.duel import start
from benchmarks.options import Options
from benchmarks.result import Line, Result
from benchmarks.sides import alternate
from benchmarks.task import Task

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

    def measure(self, options: Options) -> Result:
        base = replace(self.task, threads=options.threads)
        result = Result(self.title)
        for way in ("samples", "width", "depth"):
            factors = QUICK_FACTORS if options.quick else FACTORS
            tasks = {f"{way} x {factor}": _grown(base, way, factor) for factor in factors}
            with ExitStack() as stack:
                sides = {}
                for name, task in tasks.items():
                    wanted = {name: ("fast", options.threads)}
                    sides |= start(stack, wanted, task, result, options)[0]
                options.say(f"{self.title}: {way}")
                seconds = alternate(sides, options.rounds, options.advance)
            medians = {name: statistics.median(samples) for name, samples in seconds.items()}
            first = f"{way} x 1"
            result.curves[way] = [
                {"factor": factor, "flops": task.flops, "seconds": medians[name]}
                for factor, (name, task) in zip(factors, tasks.items(), strict=True)
            ]
            for name, task in tasks.items():
                line = Line(name, seconds[name], note=f"{task.flops / 1e9:.3g} GFLOP")
                if name != first:
                    line.ratio = medians[name] / medians[first]
                    growth = task.flops / tasks[first].flops
                    line.note += f", {growth:.2f} x the work"
                    if name == f"{way} x {FACTORS[-1]}":
                        line.target, line.met = f"≤ {growth:.2f}", line.ratio <= NOISE * growth
                result.lines.append(line)
        result.remarks.append(
            f"ratio: time / time of x 1; met if within {NOISE - 1:.0%} of the growth of the work"
        )
        return result


def _grown(task: Task, way: str, factor: int) -> Task:
    first, *hidden, last = task.layers
    if way == "samples":
        return replace(task, samples=task.samples * factor)
    if way == "width":
        return replace(task, layers=(first, *(n * factor for n in hidden), last))
    return replace(task, layers=(first, *(hidden * factor), last))
