"""Augmentation: a plain description, which `fastmlp.kernels.augment` carries out."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from fastmlp.checks import check_integer, shown

RANGES = {
    "shift": (0, 1e6),
    "rotation": (0, 180),
    "scale": (0, 0.99),
    "shear": (0, 89),
    "elastic_alpha": (0, 1e6),
    "elastic_sigma": (0.01, 1000),
    "erase_probability": (0, 1),
    "fill": (-1e30, 1e30),
}
"""Setting: least and largest number allowed. The bounds keep coordinates and pixels finite."""


@dataclass(frozen=True)
class Augmentation:
    """Random changes of images, drawn anew for each sample in each step.

    Each image is sheared, rotated and scaled about its centre, shifted, and displaced pixel by
    pixel: one inverse mapping and one bilinear interpolation. Then a rectangle may be erased. What
    is drawn is a function of the seed, the step and the sample's row in the batch alone. The
    settings' defaults do nothing.

    Parameters
    ----------
    image_shape : (height, width) or (height, width, channels)
        Of the images, whose items in C order are the features.
    shift : float, default 0
        Pixels to the right and downwards, each uniform in ``[-shift, shift]``.
    rotation, shear : float, default 0
        Degrees, uniform in ``[-rotation, rotation]`` (at most 180) and ``[-shear, shear]`` (at
        most 89).
    scale : float, default 0
        Factor of size, uniform in ``[1 - scale, 1 + scale]``; at most 0.99.
    elastic_alpha, elastic_sigma : float, default 0 and 4
        Displacement of ``alpha`` pixels times a field that is uniform in [-1, 1] in each pixel,
        smoothed by a Gaussian of standard deviation ``sigma`` pixels (Simard, Steinkraus and
        Platt, 2003).
    erase_probability : float, default 0
        Of erasing a rectangle, whose aspect ratio is log-uniform in [0.3, 3.3] (Zhong et al.,
        2017).
    erase_area : (float, float), default (0.02, 0.2)
        The rectangle's share of the image is uniform between the two, above 0 and at most 1.
    fill : float, default 0
        Value of erased pixels, and of those outside the image. Features are meant as the network
        reads them: uint8 ones are scaled first.
    """

    image_shape: tuple[int, ...]
    _: KW_ONLY
    shift: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    elastic_alpha: float = 0.0
    elastic_sigma: float = 4.0
    erase_probability: float = 0.0
    erase_area: tuple[float, float] = (0.02, 0.2)
    fill: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_shape", _check_shape(self.image_shape))
        object.__setattr__(self, "erase_area", _check_area(self.erase_area))
        for name, (least, most) in RANGES.items():
            number = _check_range(name, getattr(self, name), least, most)
            object.__setattr__(self, name, number)

    @property
    def n_features(self) -> int:
        """Items of an image: ``height * width * channels``."""
        return math.prod(self.image_shape)


def _check_shape(value: object) -> tuple[int, ...]:
    message = (
        "image_shape must be (height, width) or (height, width, channels), "
        f"each 1 or more, not {shown(value)}"
    )
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TypeError(message)
    if len(value) not in (2, 3):
        raise ValueError(message)
    return tuple(check_integer(f"image_shape[{k}]", size, 1) for k, size in enumerate(value))


def _check_range(name: str, value: object, least: float, most: float) -> float:
    message = f"{name} must be a number from {least:g} to {most:g}, not {shown(value)}"
    if not _is_number(value):
        raise TypeError(message)
    if not least <= value <= most:  # type: ignore[operator]
        raise ValueError(message)
    return float(value)  # type: ignore[arg-type]


def _check_area(value: object) -> tuple[float, float]:
    message = f"erase_area must be (low, high) with 0 < low <= high <= 1, not {shown(value)}"
    # A set would be a pair in no order.
    if not isinstance(value, Sequence) or len(value) != 2 or not all(map(_is_number, value)):
        raise TypeError(message)
    low, high = value
    if not 0 < low <= high <= 1:
        raise ValueError(message)
    return float(low), float(high)


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
