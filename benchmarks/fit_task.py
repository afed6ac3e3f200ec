"""`FitTask`: a whole ``fit`` of ``MLPClassifier``, described once for fastmlp and scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class FitTask:
    """What a side is asked to fit; travels to its process as JSON.

    Attributes
    ----------
    data : str
        A key of `benchmarks.fit_data.DATA`.
    arguments : mapping
        Of ``MLPClassifier``, beside ``random_state=0``, which fixes the number of epochs.
    per_epoch : bool
        Whether the time is that of an epoch (the fit's by ``n_iter_``) or of the whole fit.
    at_once : int
        Fits at the same time in Python threads, each of which computes with one thread, which only
        fastmlp can be told; 0: one fit with as many threads as the side takes.
    rows, calls : int
        ``calls`` predictions of ``rows`` rows in a row make one measurement; 0: the task is a fit.
    """

    data: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = "float64"
    per_epoch: bool = False
    at_once: int = 0
    rows: int = 0
    calls: int = 0
