"""Is it slower? The statistic of a paired comparison of two commits.

A round runs both sides twice, in the order A B B A, so that a drift of the machine falls on both
alike; its ratio is that of the lesser of each side's two times, since whatever else the machine
does can only add to a time. Of the rounds' ratios we give the median, with the interval whose ends
are order statistics of the ratios (the sign test turned round: H. A. David and H. N. Nagaraja,
Order Statistics, 3rd ed., 7.1; ``scipy.stats.quantile_test``). It holds for whatever distribution
the ratios have, which on a shared machine has long tails: two runs in ten that lose a time slice
move a mean, and Student's interval with it, but not the median. Logarithms would change neither,
since order statistics go with every increasing function.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import quantile_test

LIMIT = 1.15
"""How many times as long the later commit may take."""

FALSE_ALARMS = 0.01
"""Largest probability that a run fails though no workload takes more than `LIMIT` times as long."""

LOOKS = (16, 32, 64, 128, 256)
"""Rounds after which the interval is looked at. Every look at every workload is one more occasion
for a false alarm, so each has an equal share of `FALSE_ALARMS` (Bonferroni)."""

NOISY = 0.10
"""Spread from which a machine is called noisy. A quiet one has 0.01 to 0.04."""

SLOWER, FASTER_THAN_LIMIT, CANNOT_TELL = "SLOWER", "not slower", "cannot tell"


@dataclass
class Comparison:
    """The rounds of one workload, and what they say.

    Attributes
    ----------
    before, after : list of float
        Seconds of each round: the lesser of the two runs.
    low, high : float or None
        Interval of the median of after / before; None while rounds are too few to have one.
    verdict : str
        "SLOWER": the whole interval is above `LIMIT`. "not slower": all of it is below. "cannot
        tell": `LIMIT` is within.
    """

    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    low: float | None = None
    high: float | None = None
    verdict: str = CANNOT_TELL

    @property
    def ratios(self) -> list[float]:
        return [b / a for a, b in zip(self.before, self.after, strict=True)]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def spread(self) -> float:
        """Width of the middle half of the ratios, as a share of their median."""
        first, third = np.quantile(self.ratios, (0.25, 0.75))
        return float(third - first) / self.ratio

    @property
    def noisy(self) -> bool:
        return bool(self.ratios) and self.spread > NOISY

    def look(self, error: float) -> None:
        """Judge the rounds so far; each end is wrong with a probability of at most ``error``."""
        self.low, self.high = interval(self.ratios, error)
        if self.low is not None and self.low > LIMIT:
            self.verdict = SLOWER
        elif self.high is not None and self.high < LIMIT:
            self.verdict = FASTER_THAN_LIMIT


def interval(ratios: Sequence[float], error: float) -> tuple[float | None, float | None]:
    """Ends of the median's interval, each wrong with a probability of at most ``error``.

    None for both where ratios are too few: 2 ** -n has to be less than ``error``.
    """
    if 0.5 ** len(ratios) > error:
        return None, None
    ends = quantile_test(ratios, q=1).confidence_interval(1 - 2 * error)
    return float(ends.low), float(ends.high)
