"""`TrainingState`: all that a training run needs to go on as if it had never stopped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass
class TrainingState:
    """Where a training run stands at the end of an epoch.

    Attributes
    ----------
    epoch, step : int
        Epochs and steps that were done.
    seed : int
        Of the order of samples, of dropout and of augmentation: with epoch and step it is all of
        the random state, since nothing is drawn in turn.
    run : dict
        What must be equal in a run that goes on: the optimiser and the like, as text.
    arrays : dict of str to ndarray
        ``model/W1`` ...: the parameters that training goes on with; ``optimizer/W1/0`` ...: the
        planes of the optimiser's state; ``average/W1`` ...: the averaged parameters.
    schedule : dict
        What the schedule remembers.
    averaged : int
        Epochs that are in the average.
    epochs : list of dict
        Records of the epochs that were done.
    callbacks : list of dict
        What each callback that has ``set_state`` remembers, in their order.
    """

    epoch: int = 0
    step: int = 0
    seed: int = 0
    run: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    schedule: dict[str, Any] = field(default_factory=dict)
    averaged: int = 0
    epochs: list[dict[str, Any]] = field(default_factory=list)
    callbacks: list[dict[str, Any]] = field(default_factory=list)

    def part(self, name: str) -> dict[str, NDArray[Any]]:
        """The arrays below ``name``, without it."""
        return {
            key.partition("/")[2]: value
            for key, value in self.arrays.items()
            if key.partition("/")[0] == name
        }

    def add(self, name: str, arrays: dict[str, NDArray[Any]]) -> None:
        """Put copies of ``arrays`` below ``name``."""
        self.arrays |= {f"{name}/{key}": np.array(value) for key, value in arrays.items()}

    def check(self, run: dict[str, str], shapes: dict[str, tuple[int, ...]], seed: int) -> None:
        """ValueError if a run with these settings and arrays cannot go on from here."""
        if seed != self.seed:
            raise ValueError(f"seed must be {self.seed} to resume, as before, not {seed}")
        for name, value in run.items():
            if self.run.get(name) != value:
                raise ValueError(
                    f"{name} must be {self.run.get(name)} to resume, as before, not {value}"
                )
        found = {name: array.shape for name, array in self.arrays.items()}
        if found != shapes:
            wrong = sorted(set(found.items()).symmetric_difference(shapes.items()))
            raise ValueError(f"resume holds other arrays than this run: {wrong[0][0]}")
