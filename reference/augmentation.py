"""Augmentation: images shifted, turned, scaled, sheared, bent and partly erased, at random.

An image has the axes (height, width, channels); x counts its columns to the right, y its rows
downwards. What happens to an image is a function of (seed, step, row of the batch) and of nothing
else: see `AUGMENT_STREAM`. All is worked out in float64, whatever the dtype of X.
"""

import math
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .functions import Array
from .inputs import check_integer, shown
from .random import Pair, stream_key, threefry

AUGMENT_STREAM = 2**31
"""The stream of all words here. Row r of the batch has those of the counters (r, k):

    k       first word      second word
    0       shift along x   shift along y
    1       rotation        shear
    2       scale           whether to erase
    3       erased area     its aspect ratio
    4       its top         its left side
    16 + p  displacement of pixel p = y · width + x along x, and along y

A word w stands for the number u = w / 2³² in [0, 1).
"""

FIRST_PIXEL = 16

ASPECTS = (0.3, 3.3)
"""The least and the largest height / width of what is erased (Zhong et al., 2017)."""

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
"""What each setting may be: the least and the largest number."""


@dataclass(frozen=True)
class Augmentation:
    """What may happen to an image: each setting is the most of its kind, and 0 is none of it.

    Parameters
    ----------
    image_shape : (height, width) or (height, width, channels)
        Of the images whose pixels, in C order, are the features.
    shift : float, default 0
        Pixels along x and along y, each uniform in [-shift, shift].
    rotation, shear : float, default 0
        Degrees, uniform in [-rotation, rotation] and [-shear, shear].
    scale : float, default 0
        The factor of size is uniform in [1 - scale, 1 + scale].
    elastic_alpha, elastic_sigma : float, default 0 and 4
        Each pixel is displaced by alpha pixels times a field that is uniform in [-1, 1], smoothed
        by a Gaussian of standard deviation sigma (Simard, Steinkraus, Platt: Best practices for
        convolutional neural networks applied to visual document analysis, 2003).
    erase_probability : float, default 0
        How likely it is that a rectangle is erased (Zhong et al.: Random erasing data
        augmentation, 2017).
    erase_area : (float, float), default (0.02, 0.2)
        The rectangle's share of the image is uniform between the two.
    fill : float, default 0
        The value of what is erased, and of all that lies outside the image.
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
        for name, limits in RANGES.items():
            object.__setattr__(self, name, _check_range(name, getattr(self, name), *limits))

    @property
    def n_features(self) -> int:
        """Pixels times channels: the features of a sample."""
        return math.prod(self.image_shape)


def augment(X: Array, augmentation: Augmentation, seed: int, step: int, first_row: int) -> Array:
    """X with each row, an image, changed at random.

    Parameters
    ----------
    X : (n, n_features) of float32 or float64
    augmentation : Augmentation
    seed, step : int
        Of the training run; steps count from 1.
    first_row : int
        Where the first row of X stands in the batch of this step.

    Returns
    -------
    (n, n_features), of X's dtype
    """
    height, width, channels = (*augmentation.image_shape, 1)[:3]
    key = stream_key(seed, step, AUGMENT_STREAM)
    result = np.empty_like(X)
    for i, row in enumerate(X):
        image = row.astype(np.float64).reshape(height, width, channels)
        image = _warp(image, augmentation, key, first_row + i)
        image = _erase(image, augmentation, key, first_row + i)
        result[i] = image.ravel()
    return result


class Mapping(NamedTuple):
    """An inverse affine mapping: the pixel (x, y) of the result shows the point M (x, y) + t."""

    M: NDArray[np.float64]  # (2, 2)
    t: NDArray[np.float64]  # (2,)


def draw_mapping(augmentation: Augmentation, key: Pair, row: int) -> Mapping:
    """The mapping of one image: about its centre c sheared, turned, scaled, and then shifted by s.

    A point q goes to p = A (q − c) + c + s, where A = scale · rotation · shear:

        A = scale · [cos θ, −sin θ; sin θ, cos θ] · [1, tan φ; 0, 1]

    so that p shows the point q = A⁻¹ (p − c − s) + c.
    """
    height, width = augmentation.image_shape[:2]
    (u0, u1), (u2, u3), (u4, _) = (_uniform(key, row, k) for k in (0, 1, 2))
    s = np.array([2 * u0 - 1, 2 * u1 - 1]) * augmentation.shift
    theta = math.radians((2 * u2 - 1) * augmentation.rotation)
    phi = math.radians((2 * u3 - 1) * augmentation.shear)
    factor = 1 + (2 * u4 - 1) * augmentation.scale
    cos, sin, tan = math.cos(theta), math.sin(theta), math.tan(phi)
    # The inverse of each, in the other order.
    M = np.array([[1, -tan], [0, 1]]) @ np.array([[cos, sin], [-sin, cos]]) / factor
    c = np.array([(width - 1) / 2, (height - 1) / 2])
    return Mapping(M, c - M @ (c + s))


def draw_field(augmentation: Augmentation, key: Pair, row: int) -> NDArray[np.float64]:
    """The displacement of each pixel, (2, height, width): along x, along y.

    alpha · G_height D G_width, where D is uniform in [-1, 1) in each pixel, and G smooths along
    one axis.
    """
    height, width = augmentation.image_shape[:2]
    u = _uniform(key, row, FIRST_PIXEL + np.arange(height * width))
    D = 2 * u.reshape(2, height, width) - 1
    sigma = augmentation.elastic_sigma
    return augmentation.elastic_alpha * (_gaussian(height, sigma) @ D @ _gaussian(width, sigma))


def _gaussian(size: int, sigma: float) -> NDArray[np.float64]:
    """G (size, size): G v is v smoothed by a Gaussian that ends at 3 sigma; v is 0 beyond its ends.

    G[i, j] = g(i − j), g(k) ∝ exp(−k² / 2σ²) for |k| <= 3σ, else 0; the sum of all g(k) is 1.
    """
    radius = int(3 * sigma + 0.5)
    g = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    g /= g.sum()
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    return np.where(distance <= radius, g[radius + np.minimum(distance, radius)], 0)


def _warp(image: Array, augmentation: Augmentation, key: Pair, row: int) -> Array:
    """The image under the mapping, and displaced: one interpolation for all."""
    settings = augmentation
    affine = settings.shift or settings.rotation or settings.scale or settings.shear
    if not (affine or settings.elastic_alpha):
        return image
    height, width = settings.image_shape[:2]
    M, t = draw_mapping(settings, key, row)
    y, x = np.indices((height, width))
    source = np.tensordot(M, [x, y], 1) + t[:, None, None]  # (2, height, width): x, y
    if settings.elastic_alpha:
        source += draw_field(settings, key, row)
    return _interpolate(image, source[0], source[1], settings.fill)


def _interpolate(image: Array, x: Array, y: Array, fill: float) -> Array:
    """The image at the points (x, y), between its pixels bilinear; all pixels outside are `fill`.

    Within a square of four pixels, from (x0, y0) on, with a = x − x0 and b = y − y0:

        (1 − b) ((1 − a) top left + a top right) + b ((1 − a) bottom left + a bottom right)
    """
    height, width = image.shape[:2]
    # A margin of one pixel, of two at the right and below: beyond all is `fill`, as at its edge.
    padded = np.pad(image, ((1, 2), (1, 2), (0, 0)), constant_values=fill)
    x, y = np.clip(x, -1, width) + 1, np.clip(y, -1, height) + 1
    x0, y0 = x.astype(np.intp), y.astype(np.intp)
    a, b = (x - x0)[:, :, None], (y - y0)[:, :, None]
    top = padded[y0, x0] + a * (padded[y0, x0 + 1] - padded[y0, x0])
    bottom = padded[y0 + 1, x0] + a * (padded[y0 + 1, x0 + 1] - padded[y0 + 1, x0])
    result: Array = top + b * (bottom - top)
    return result


class Rectangle(NamedTuple):
    """What is erased, in pixels; empty if nothing is."""

    top: int
    left: int
    height: int
    width: int


def draw_rectangle(augmentation: Augmentation, key: Pair, row: int) -> Rectangle:
    """The rectangle of one image: its area and its aspect height / width are drawn, then its place.

    height = √(area · aspect), width = area / height; a rectangle too long for the image is made
    as long as the image, and wider.
    """
    (_, u0), (u1, u2), (u3, u4) = (_uniform(key, row, k) for k in (2, 3, 4))
    if u0 >= augmentation.erase_probability:
        return Rectangle(0, 0, 0, 0)
    rows, columns = augmentation.image_shape[:2]
    low, high = augmentation.erase_area
    area = (low + u1 * (high - low)) * rows * columns
    a, b = (math.log(aspect) for aspect in ASPECTS)
    aspect = math.exp(a + u2 * (b - a))
    height = math.floor(math.sqrt(area * aspect) + 0.5)
    height = max(1, min(rows, max(math.ceil(area / columns), height)))
    width = max(1, min(columns, math.floor(area / height + 0.5)))
    top, left = math.floor(u3 * (rows - height + 1)), math.floor(u4 * (columns - width + 1))
    return Rectangle(top, left, height, width)


def _erase(image: Array, augmentation: Augmentation, key: Pair, row: int) -> Array:
    """The image, in which all channels of a rectangle may be `fill`."""
    top, left, height, width = draw_rectangle(augmentation, key, row)
    image[top : top + height, left : left + width] = augmentation.fill
    return image


def _uniform(key: Pair, row: int, k: Any) -> NDArray[np.float64]:
    """The two numbers in [0, 1) of each counter (row, k): (2,), or (2, n) for n numbers k."""
    counters = np.atleast_1d(np.asarray(k, np.uint32))
    words = threefry(key, (np.full_like(counters, row), counters))
    numbers = np.array(words) / 2.0**32  # (2, n)
    return numbers if np.ndim(k) else numbers[:, 0]


def _check_shape(value: Any) -> tuple[int, ...]:
    """Value as (height, width) or (height, width, channels)."""
    allowed = "(height, width) or (height, width, channels)"
    try:
        sizes = tuple(value)
    except TypeError:
        raise TypeError(f"image_shape must be {allowed}, got {shown(value)}") from None
    if len(sizes) not in (2, 3):
        raise ValueError(f"image_shape must be {allowed}, got {shown(value)}")
    return tuple(check_integer(f"image_shape[{i}]", size, 1) for i, size in enumerate(sizes))


def _check_range(name: str, value: Any, least: float, most: float) -> float:
    """Value as a float from `least` to `most`."""
    allowed = f"{name} must be a number from {least:g} to {most:g}, got {shown(value)}"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(allowed)
    number: Any = value
    if not least <= number <= most:
        raise ValueError(allowed)
    return float(number)


def _check_area(value: Any) -> tuple[float, float]:
    """Value as two shares of an image, of which the second is not the smaller."""
    allowed = f"erase_area must be two numbers, 0 < low <= high <= 1, got {shown(value)}"
    if not isinstance(value, (tuple, list)) or len(value) != 2:  # a set would be in no order
        raise TypeError(allowed)
    if any(isinstance(share, bool) or not isinstance(share, Real) for share in value):
        raise TypeError(allowed)
    low, high = value
    if not 0 < low <= high <= 1:
        raise ValueError(allowed)
    return float(low), float(high)
