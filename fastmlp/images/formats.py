"""The kinds of images that networks here are trained on, told by the number of their inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FULL = 0.85
"""Least of the strongest ink in an image of a data set: MNIST's have 254/255, the digits 14/16."""


@dataclass(frozen=True)
class ImageFormat:
    """How a data set shows a digit: light ink on a dark ground, grey, square.

    Attributes
    ----------
    name : str
        Of the data set.
    side : int
        Height and width, pixels.
    box : int
        Side of the square that the ink fills, pixels.
    slack : int
        By which the longer side of an image's ink may differ from ``box``.
    middle : float
        Where the centre of mass is, of rows and of columns, counted from 0.
    drift : float
        How far from ``middle`` it may be in an image.
    levels : int
        A pixel is full at this value in the published files.
    dtype : dtype
        uint8: pixels as they are published, which the network scales. float32: over ``levels``.
    """

    name: str
    side: int
    box: int
    slack: int
    middle: float
    drift: float
    levels: int
    dtype: np.dtype[Any]

    @property
    def n_features(self) -> int:
        """Inputs of a network that sees such images."""
        return self.side * self.side

    def row(self, ink: NDArray[np.floating]) -> NDArray[Any]:
        """Ink from 0 to 1, (side, side), as a network's input: (1, side * side) of ``dtype``."""
        return self.scaled(np.rint(ink * self.levels).reshape(1, -1))

    def is_own(self, ink: NDArray[np.floating]) -> bool:
        """Whether ink from 0 to 1, (height, width), lies as in the data set's own images."""
        if ink.shape != (self.side, self.side) or ink.max() < FULL:
            return False
        longer, place = 0, np.arange(self.side)
        for axis in (0, 1):
            mass = ink.sum(axis)
            if abs(mass @ place / mass.sum() - self.middle) > self.drift:
                return False
            longer = max(longer, int(np.ptp(np.flatnonzero(mass))) + 1)
        return abs(longer - self.box) <= self.slack

    def are_pixels(self, values: NDArray[np.floating]) -> bool:
        """Whether all are as in the published files: whole numbers from 0 to ``levels``."""
        return bool(((values >= 0) & (values <= self.levels) & (values == np.rint(values))).all())

    def scaled(self, pixels: NDArray[np.floating]) -> NDArray[Any]:
        """Published pixels as a network takes them, of ``dtype``."""
        return (pixels if self.dtype == np.uint8 else pixels / self.levels).astype(self.dtype)


FORMATS = (
    # http://yann.lecun.com/exdb/mnist/: fitted into 20x20, then the centre of mass at (14, 14). All
    # 70,000 have it within 0.52 pixels, and 99.98 % a longer side of 20, the others of 19.
    ImageFormat("MNIST", 28, 20, 1, 14.0, 0.6, levels=255, dtype=np.dtype(np.uint8)),
    # UCI, Optical Recognition of Handwritten Digits: 32x32 bits that the digit fills, counted in
    # squares of 4x4. Every one of them has ink in its first and its last row, and its centre of
    # mass within 1.18 squares of the middle.
    ImageFormat("digits", 8, 8, 0, 3.5, 1.2, levels=16, dtype=np.dtype(np.float32)),
)


def format_of(n_features: int) -> ImageFormat | None:
    """The format of images of so many pixels; None if none is known."""
    return next((known for known in FORMATS if known.n_features == n_features), None)
