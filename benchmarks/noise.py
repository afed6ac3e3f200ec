"""Was the machine quiet? What is said of a result where it was not."""

from __future__ import annotations

from benchmarks.result import Result, spread

SPREAD_MOST = 0.10
"""Interquartile range / median of one side's samples. A ratio of two medians of samples that spread
by so much is good to about as much, which is less than what most targets are missed or met by."""

DRIFT_MOST = 0.10
"""How far the FMA rate right before or after a work may lie below the highest of the whole run."""

OTHERS_MOST = 0.10
"""The share of the cores' time that other programs may have taken from those FMAs. A neighbour that
is there from the first work to the last slows every sample down, spreads none, and never drifts."""

BOUNDS = (
    f"noisy: a side's samples spread by more than {SPREAD_MOST:.0%} (interquartile range / "
    "median), or bare FMAs before or after the work "
    f"ran more than {DRIFT_MOST:.0%} below the run's highest rate, or lost more than "
    f"{OTHERS_MOST:.0%} of the cores' time to other programs"
)


def find(result: Result, highest: float) -> list[str]:
    """What is out of bounds, a line for each.

    Parameters
    ----------
    highest : float
        GFLOP/s of bare FMAs on all threads, the highest of the run.
    """
    found = []
    loose = [line for line in result.lines if line.spread > SPREAD_MOST]
    if loose:
        sides = ", ".join(f"{line.side} {line.spread:.0%}" for line in loose)
        found.append(f"samples spread: {sides}")
    noisy = [
        cell
        for cell in result.cells
        if any(spread(samples) > SPREAD_MOST for samples in cell["seconds"].values())
    ]
    if noisy:
        found.append(
            f"samples spread by more than {SPREAD_MOST:.0%} in {len(noisy)} of "
            f"{len(result.cells)} cells"
        )
    lowest = min((measured["gflops"] for measured in result.calibration), default=highest)
    if lowest < (1 - DRIFT_MOST) * highest:
        found.append(
            f"FMAs ran {1 - lowest / highest:.0%} below the run's highest rate "
            f"({lowest:.0f} of {highest:.0f} GFLOP/s)"
        )
    others = 1 - min((measured["cores"] for measured in result.calibration), default=1.0)
    if others > OTHERS_MOST:
        found.append(f"other programs took {others:.0%} of the cores' time")
    return found
