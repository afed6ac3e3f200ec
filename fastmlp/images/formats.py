"""The kinds of images that networks here are trained on, told by the number of their inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
    levels : int
        A pixel is full at this value in the published files.
    dtype : dtype
        uint8: pixels as they are published, which the network scales. float32: over ``levels``.
    """

    name: str
    side: int
    box: int
    middle: float
    levels: int
    dtype: np.dtype[Any]

    @property
    def n_features(self) -> int:
        """Inputs of a network that sees such images."""
        return self.side * self.side

    def row(self, ink: NDArray[np.floating]) -> NDArray[Any]:
        """Ink from 0 to 1, (side, side), as a network's input: (1, side * side) of ``dtype``."""
        return self.scaled(np.rint(ink * self.levels).reshape(1, -1))

    def are_pixels(self, values: NDArray[np.floating]) -> bool:
        """Whether all are as in the published files: whole numbers from 0 to ``levels``."""
        return bool(((values >= 0) & (values <= self.levels) & (values == np.rint(values))).all())

    def scaled(self, pixels: NDArray[np.floating]) -> NDArray[Any]:
        """Published pixels as a network takes them, of ``dtype``."""
        return (pixels if self.dtype == np.uint8 else pixels / self.levels).astype(self.dtype)


FORMATS = (
    # http://yann.lecun.com/exdb/mnist/: fitted into 20x20, then the centre of mass at (14, 14). All
    # of the test set's have it within half a pixel, and 99.97 % a longer side of 20.
    ImageFormat("MNIST", side=28, box=20, middle=14.0, levels=255, dtype=np.dtype(np.uint8)),
    # UCI, Optical Recognition of Handwritten Digits: 32x32 bits that the digit fills, counted in
    # squares of 4x4. Every one of them has ink in its first and its last row.
    ImageFormat("digits", side=8, box=8, middle=3.5, levels=16, dtype=np.dtype(np.float32)),
)


def format_of(n_features: int) -> ImageFormat | None:
    """The format of images of so many pixels; None if none is known."""
    return next((known for known in FORMATS if known.n_features == n_features), None)
