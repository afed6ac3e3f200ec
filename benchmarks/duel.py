"""`Duel`: one task, fastmlp and its opponents in turn, ratios of medians."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.counts import counts
from benchmarks.options import Options
from benchmarks.peers import PEERS
from benchmarks.result import Line, Result
from benchmarks.sides import NotInstalledError, Side, SideError, alternate
from benchmarks.task import Task

LOSS_AGREES = 0.02
"""Relative difference of the mean losses of an epoch. Who takes the same order of samples agrees to
rounding; scikit-learn draws its own."""

PROBABILITY_AGREES = 1e-5


@dataclass(frozen=True)
class Duel:
    """A work that several sides do.

    Attributes
    ----------
    opponents : mapping of str to float or None
        Peer: how many times as long as fastmlp it should take at least, or None.
    one_thread : float or None
        The same for fastmlp itself on one thread, which has to learn the same bits.
    """

    title: str
    task: Task
    opponents: Mapping[str, float | None] = field(default_factory=dict)
    one_thread: float | None = None

    def measure(self, options: Options) -> Result:
        task = replace(self.task, threads=options.threads, search=not options.quick)
        wanted = {PEERS[peer].title: (peer, options.threads) for peer in ("fast", *self.opponents)}
        limits = {PEERS[peer].title: limit for peer, limit in self.opponents.items()}
        result = Result(self.title)
        if self.one_thread is not None and options.threads == 1:
            result.remarks.append("nothing to compare: --threads 1")
        elif self.one_thread is not None:
            wanted["fastmlp, 1 thread"] = ("fast", 1)
            limits["fastmlp, 1 thread"] = self.one_thread
        with ExitStack() as stack:
            sides, answers = start(stack, wanted, task, result, options)
            options.say(self.title)
            seconds = alternate(sides, options.rounds, options.advance)
        ours = Line("fastmlp", seconds["fastmlp"])
        for name, samples in seconds.items():
            line = Line(name, samples, note=sides[name].variant)
            if name != "fastmlp":
                line.ratio = line.median / ours.median
                if limits[name] is not None:
                    line.target, line.met = f"≥ {limits[name]:g}", line.ratio >= limits[name]
            result.lines.append(line)
        result.counts = counts(task)
        _check(result, answers, same_bits=len(answers) > 1 and self.one_thread is not None)
        return result


def start(
    stack: ExitStack,
    wanted: Mapping[str, tuple[str, int]],
    task: Task,
    result: Result,
    options: Options,
) -> tuple[dict[str, Side], dict[str, dict[str, Any]]]:
    """Sides that are ready for the task, and what each says; one that cannot is left out."""
    sides, answers = {}, {}
    for name, (peer, threads) in wanted.items():
        options.say(f"{result.title}: {name} warms up")
        try:
            side = stack.enter_context(Side(peer, threads))
            answers[name] = side.prepare(replace(task, threads=threads))
        except NotInstalledError as error:
            result.skipped[PEERS[peer].title] = str(error)
            continue
        except SideError as error:
            if peer == "fast":
                raise
            result.remarks.append(f"{name} left out: {error}")
            continue
        sides[name] = side
        for variant, why in answers[name]["failed"].items():
            result.remarks.append(f"{name}, {variant}: {why}")
    return sides, answers


def _check(result: Result, answers: Mapping[str, Mapping[str, Any]], same_bits: bool) -> None:
    ours = answers["fastmlp"]
    if "difference" in ours:
        largest = max(answer["difference"] for answer in answers.values())
        text = f"probabilities differ from the reference by {largest:.1g}"
        result.checks[text] = largest <= PROBABILITY_AGREES
    losses = {name: a["loss"] for name, a in answers.items() if a.get("loss") is not None}
    if len(losses) > 1:
        said = ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items())
        apart = max(abs(loss / ours["loss"] - 1) for loss in losses.values())
        result.checks[f"mean loss of the first epoch: {said}"] = apart <= LOSS_AGREES
    if same_bits:
        same = len({answer["parameters"] for answer in answers.values()}) == 1
        result.checks["the same parameter bits at both numbers of threads"] = same
