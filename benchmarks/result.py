"""What was measured of one work: a line for each side, and what was checked."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field


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


@dataclass
class Result:
    """What was measured of one work.

    Attributes
    ----------
    checks : dict of str to bool
        What has to be so for the lines to be worth anything.
    targets : dict of str to bool
        What is to be reached and belongs to no one line.
    cells, curves
        Of the grid; of the growth of time with the work.
    """

    title: str
    lines: list[Line] = field(default_factory=list)
    checks: dict[str, bool] = field(default_factory=dict)
    targets: dict[str, bool] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    cells: list[dict[str, object]] = field(default_factory=list)
    curves: dict[str, list[dict[str, float]]] = field(default_factory=dict)
