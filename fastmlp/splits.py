"""Which samples are held out for validation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def held_out(
    labels: NDArray[Any] | None, count: int, fraction: float, seed: int
) -> NDArray[np.bool_]:
    """Whether each of ``count`` samples is held out: ``fraction`` of each class, drawn from seed.

    Parameters
    ----------
    labels : ndarray of int (n_samples,) or None
        Classes, to be split alike; None splits the samples as one.
    count : int
    fraction : float
    seed : int
        The draw is that of ``default_rng((seed, 0))``: epochs are drawn from (seed, 1), (seed, 2).

    Raises
    ------
    ValueError
        If that holds out none.
    """
    rng = np.random.default_rng((seed, 0))
    mask = np.zeros(count, dtype=bool)
    classes = [np.arange(count)]
    if labels is not None:
        classes = [np.flatnonzero(labels == label) for label in range(int(labels.max()) + 1)]
    for rows in classes:
        order = rng.permutation(rows)
        # One sample at least stays to train on.
        kept = min(round(fraction * len(order)), len(order) - 1)
        mask[order[: max(kept, 0)]] = True
    if not mask.any():
        raise ValueError(
            f"validation_fraction {fraction:g} holds out none of {count} samples in "
            f"{len(classes)} classes"
        )
    return mask
