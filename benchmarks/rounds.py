"""The rounds of `benchmarks.gate`: two sides, several workloads, until all is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.paired import CANNOT_TELL, FALSE_ALARMS, LOOKS, Comparison
from benchmarks.sides import Side, SideError
from benchmarks.task import Task


@dataclass
class Outcome:
    """The comparison of one workload; why it could not be made; what else there is to say."""

    comparison: Comparison = field(default_factory=Comparison)
    left_out: str = ""
    note: str = ""


def measure(
    before: Side,
    after: Side,
    tasks: Mapping[str, Task],
    seconds: float,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Outcome]:
    """Compare the two sides at every task, with rounds of ``seconds`` by ``clock`` at the most.

    What time there is is shared out equally among the workloads that are not yet told.
    """
    outcomes = {title: Outcome() for title in tasks}
    error = FALSE_ALARMS / len(tasks) / len(LOOKS)
    undecided = list(tasks)
    for rounds in LOOKS:
        for number, title in enumerate(undecided):
            outcome, share = outcomes[title], seconds / (len(undecided) - number)
            say(f"{title}: to {rounds} rounds")
            if not _prepare(before, after, tasks[title], outcome):
                continue
            start = clock()
            while len(outcome.comparison.before) < rounds and clock() - start < share:
                _round(before, after, outcome.comparison)
            seconds -= clock() - start
            outcome.comparison.look(error)
        undecided = [
            title
            for title in undecided
            if outcomes[title].comparison.verdict == CANNOT_TELL and not outcomes[title].left_out
        ]
        if seconds <= 0:
            break
    return outcomes


def _prepare(before: Side, after: Side, task: Task, outcome: Outcome) -> bool:
    """Compile what the task needs; whether both sides can do it, and how they differ."""
    try:
        old = before.prepare(task)
    except SideError as error:
        outcome.left_out = f"the commit before cannot do it: {error}"
        return False
    new = after.prepare(task)
    if old.get("parameters") != new.get("parameters"):
        losses = f"{old['loss']:.6f} and {new['loss']:.6f}"
        outcome.note = f"an epoch ends with other parameters, of mean loss {losses}"
    return True


def _round(before: Side, after: Side, comparison: Comparison) -> None:
    """A B B A, or the other way round every other time."""
    number = len(comparison.before)
    sides = (before, after) if number % 2 else (after, before)
    times: dict[Side, list[float]] = {before: [], after: []}
    for side in (*sides, *reversed(sides)):
        times[side].append(side.run(seed=number, rest=False))
    comparison.before.append(min(times[before]))
    comparison.after.append(min(times[after]))
