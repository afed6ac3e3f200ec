"""`FitDuel`, fastmlp's estimator and scikit-learn's in turn, and `FitsAtOnce`, in two threads."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.fit_task import FitTask
from benchmarks.options import Options
from benchmarks.peers import PEERS
from benchmarks.result import Line, Result
from benchmarks.sides import Side, SideError, alternate

OURS, THEIRS = PEERS["fast_fit"].title, PEERS["sklearn_fit"].title

LOSS_AGREES = {"float64": 1e-4, "float32": 1e-2}
"""Relative difference of the last epoch's losses, of equal random states: rounding, grown over
hundreds of epochs. Tests hold the bounds of equality; this tells whether the work was the same."""


@dataclass(frozen=True)
class FitDuel:
    """Tasks that fastmlp's estimator and scikit-learn's do with equal arguments.

    Attributes
    ----------
    tasks : mapping of str to FitTask
        What the tasks differ in: task.
    least : float or None
        How many times as long as fastmlp scikit-learn should take at least.
    """

    title: str
    tasks: Mapping[str, FitTask]
    least: float | None

    def measure(self, options: Options) -> Result:
        result = Result(self.title)
        with ExitStack() as stack:
            sides = {
                PEERS[peer].title: stack.enter_context(Side(peer, options.threads))
                for peer in ("fast_fit", "sklearn_fit")
            }
            for name, task in self.tasks.items():
                answers = _prepare(sides, dict.fromkeys(sides, task), result, options)
                options.say(f"{self.title}: {name}")
                seconds = alternate(sides, options.rounds, options.advance)
                self._judge(result, name, seconds)
                _check(result, name, task, answers)
        return result

    def _judge(self, result: Result, name: str, seconds: Mapping[str, list[float]]) -> None:
        ours, theirs = (Line(f"{side} {name}", seconds[side]) for side in (OURS, THEIRS))
        theirs.ratio = theirs.median / ours.median
        if self.least is not None:
            theirs.target, theirs.met = f"≥ {self.least:g}", theirs.ratio >= self.least
        result.lines += ours, theirs


@dataclass(frozen=True)
class FitsAtOnce:
    """Two fits in two Python threads, each computing with one thread, against one such fit.

    Attributes
    ----------
    most : float
        How many times as long as the one the two may take.
    """

    title: str
    tasks: Mapping[str, FitTask]
    most: float

    def measure(self, options: Options) -> Result:
        result = Result(self.title)
        if options.threads == 1:
            result.remarks.append("nothing to compare: --threads 1")
            return result
        with ExitStack() as stack:
            sides = {name: stack.enter_context(Side("fast_fit", 2)) for name in ("one", "two")}
            for name, task in self.tasks.items():
                tasks = {"one": replace(task, at_once=1), "two": replace(task, at_once=2)}
                answers = _prepare(sides, tasks, result, options)
                options.say(f"{self.title}: {name}")
                seconds = alternate(sides, options.rounds, options.advance)
                one, two = (Line(f"{side} {name}", seconds[side]) for side in sides)
                two.ratio = two.median / one.median
                two.target, two.met = f"≤ {self.most:g}", two.ratio <= self.most
                result.lines += one, two
                losses = [loss for answer in answers.values() for loss in answer["losses"]]
                result.checks[f"{name}: the same loss, alone or not"] = len(set(losses)) == 1
        result.remarks.append("ratio: time of two fits at once / time of one")
        return result


def _prepare(
    sides: Mapping[str, Side], tasks: Mapping[str, FitTask], result: Result, options: Options
) -> dict[str, dict[str, Any]]:
    answers = {}
    for name, side in sides.items():
        options.say(f"{result.title}: {PEERS[side.peer].title} warms up")
        try:
            answers[name] = side.prepare(tasks[name])
        except SideError as error:
            raise SideError(f"{PEERS[side.peer].title}: {error}") from None
    return answers


def _check(
    result: Result, name: str, task: FitTask, answers: Mapping[str, Mapping[str, Any]]
) -> None:
    ours, theirs = answers[OURS], answers[THEIRS]
    apart = abs(ours["losses"][0] / theirs["losses"][0] - 1)
    epochs = f"n_iter_ {ours['n_iter']}"
    if ours["n_iter"] != theirs["n_iter"]:
        epochs += f", {THEIRS}'s {theirs['n_iter']}"
    agrees = ours["n_iter"] == theirs["n_iter"] and apart <= LOSS_AGREES[task.dtype]
    result.checks[f"{name}: {epochs}; losses differ by {apart:.1g}"] = agrees
