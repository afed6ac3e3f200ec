"""What was measured of one work: a line for each side, and what was checked."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Line:
    """Samples of one side, and how they stand to the target.

    Attributes
    ----------
    unit : str
        "s" or "bytes".
    ratio : float or None
        Median of this side / median of fastmlp, or what else `target` is about.
    target : str
        What is to be reached; "" where nothing is asked.
    met : bool or None
    note : str
        How the side did it.
    """

    side: str
    samples: list[float]
    unit: str = "s"
    ratio: float | None = None
    target: str = ""
    met: bool | None = None
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def spread(self) -> float:
        return spread(self.samples)


def spread(samples: Sequence[float]) -> float:
    """Interquartile range / median. Of three samples that is half their range."""
    if len(samples) < 2:
        return 0.0
    low, middle, high = statistics.quantiles(samples, n=4, method="inclusive")
    return (high - low) / middle if middle else 0.0


@dataclass
class Result:
    """What was measured of one work.

    Attributes
    ----------
    checks : dict of str to bool
        What has to be so for the lines to be worth anything.
    targets : dict of str to bool
        What is to be reached and belongs to no one line.
    skipped : dict of str to str
        Peer that is not installed: why, and the line that installs it.
    counts : dict of str to float
        `benchmarks.counts.counts` of the task, where all lines have one.
    cells, curves
        Of the grid; of the growth of time with the work, by way of growing and side.
    took : float
        Seconds of the whole measurement, warming up included.
    calibration : list of dict of str to float
        `benchmarks.machine.Calibration.measure` before and after.
    noise : list of str
        What `benchmarks.noise` has to say; empty on a quiet machine.
    """

    title: str
    lines: list[Line] = field(default_factory=list)
    checks: dict[str, bool] = field(default_factory=dict)
    targets: dict[str, bool] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)
    cells: list[dict[str, Any]] = field(default_factory=list)
    curves: dict[str, dict[str, list[dict[str, float]]]] = field(default_factory=dict)
    took: float = 0.0
    calibration: list[dict[str, float]] = field(default_factory=list)
    noise: list[str] = field(default_factory=list)
