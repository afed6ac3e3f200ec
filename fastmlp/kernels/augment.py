"""Augmentation: each row of X, an image (height, width, channels), is changed at random.

Pixel (x, y) of the result shows the point ``M @ (x, y) + t + (dx, dy)`` of the image, between its
pixels bilinear, ``fill`` outside; see `draw_mapping` and `draw_noise`. Then a rectangle may be
erased, see `erase`. What is drawn for row r of the batch are words of Threefry under the counters
(r, k), which stand for the numbers u = word / 2**32:

    k        first word               second word
    0        shift along x            shift along y
    1        rotation                 shear
    2        scale                    whether to erase
    3        erased area              its aspect ratio
    4        its top                  its left side
    16 + p   displacement of pixel p = y * width + x along x, along y

All is computed in float64, whatever X is, and cast at the end: coordinates of float32 would be off
by 2e-5 pixels in images of 200 pixels. On one core of an Intel Xeon with AVX-512 an MNIST image in
float32 takes 2.6 us to shift, rotate, scale and shear, 9.1 us to displace by sigma 4 too, of which
1.6 are random words and 5 the Gaussian (25 taps along x and along y, for dx and for dy), and 0.1 us
to erase; ``python -m benchmarks.augmentation``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.kernels.compilation import inner
from fastmlp.kernels.random import threefry
from fastmlp.kernels.simd import floor, fma, full, lane_index, lanes, load, maximum, minimum, store
from fastmlp.kernels.target import LINE_BYTES, TARGET
from fastmlp.kernels.views import matrix, window

if TYPE_CHECKING:
    from fastmlp.augmentation import Augmentation

HEIGHT, WIDTH, CHANNELS = 0, 1, 2
SHIFT, ROTATION, SCALE, SHEAR = 3, 4, 5, 6
ALPHA, ERASE, AREA_LOW, AREA_HIGH, FILL = 7, 8, 9, 10, 11
RADIUS, WIDE, GAP, TAPS = 12, 13, 14, 15
"""Columns of ``settings`` (1, n). WIDE: the width in whole blocks; GAP: the zeros beyond each end
of a row that is smoothed; from TAPS on the Gaussian's ``2 * radius + 1`` taps."""

AUGMENT_STREAM = 2**31
"""Number of the stream of all words here, among those of a step; layers have small ones."""

FIRST_PIXEL = 16
"""Of the counters: the one of pixel 0."""

UINT32 = np.dtype(np.uint32)

LOG_ASPECT_LOW, LOG_ASPECT_HIGH = math.log(0.3), math.log(3.3)

BLOCK = 4 * TARGET.vector_bytes // 8
"""Items of four vectors, which `filter_block` keeps in registers."""

LINE_ITEMS = LINE_BYTES // 8


def settings_of(augmentation: Augmentation) -> np.ndarray:
    """The description as ``settings`` (1, n) float64."""
    height, width, channels = (*augmentation.image_shape, 1)[:3]
    sigma = augmentation.elastic_sigma
    radius = int(3 * sigma + 0.5)
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    taps /= taps.sum()
    cut = max(0, radius - (max(height, width) - 1))  # no pixel is farther from another
    taps = taps[cut : len(taps) - cut]
    head = np.zeros(TAPS)
    head[[HEIGHT, WIDTH, CHANNELS]] = height, width, channels
    head[[SHIFT, ROTATION]] = augmentation.shift, augmentation.rotation
    head[[SCALE, SHEAR]] = augmentation.scale, augmentation.shear
    head[[ALPHA, ERASE]] = augmentation.elastic_alpha, augmentation.erase_probability
    head[[AREA_LOW, AREA_HIGH]] = augmentation.erase_area
    head[[FILL, RADIUS]] = augmentation.fill, radius - cut
    head[WIDE] = _round_up(width, BLOCK)
    head[GAP] = _round_up(min(radius, width - 1), LINE_ITEMS)
    return np.concatenate([head, taps])[None]


def scratch_items(settings: np.ndarray) -> int:
    """Items of float64 that `augment` needs as ``scratch`` (1, n)."""
    return int(_parts(settings)[-1])


def _round_up(items: int, unit: int) -> int:
    return (items + unit - 1) // unit * unit


def _parts(settings):
    """Where the parts of the scratch begin, and its end: sources, lines, words, noise, end.

    planes : (channels, height + 3, width + 3), the image in a margin of ``fill``
    sources : (3, n), where each of n = height * width pixels comes from, see `trace`
    lines : (2, wide) and gap, (2, wide + gap): dx and dy of a row, smoothed; along y alone
    words : (2, n) uint32, what the noise is made of
    noise : (2, height, wide), uniform in [-1, 1); rows that start on a cache line

    Beyond the sources a block may be written.
    """
    height, width = int(settings[0, HEIGHT]), int(settings[0, WIDTH])
    channels, wide, gap = int(settings[0, CHANNELS]), int(settings[0, WIDE]), int(settings[0, GAP])
    planes = channels * (height + 3) * (width + 3)
    sources = (planes + LINE_ITEMS - 1) // LINE_ITEMS * LINE_ITEMS
    field = (height * width + LINE_ITEMS - 1) // LINE_ITEMS * LINE_ITEMS + BLOCK
    lines = sources + 3 * field
    if settings[0, ALPHA] == 0:
        return sources, lines, lines, lines, lines
    words = lines + 2 * wide + gap + 2 * (wide + gap)
    noise = words + field
    return sources, lines, words, noise, noise + 2 * height * wide


parts = inner(_parts)


@inner
def field_items(settings):
    """From one of the sources to the next."""
    n = int(settings[0, HEIGHT]) * int(settings[0, WIDTH])
    return (n + LINE_ITEMS - 1) // LINE_ITEMS * LINE_ITEMS + BLOCK


@inner
def around_zero(word, most):
    """(2u - 1) * most: uniform in [-most, most)."""
    return (word * 2.0**-31 - 1) * most


@inner
def draw_mapping(settings, key0, key1, row):
    """``M, t`` of one image, as six numbers: M[0, 0], M[0, 1], t[0], M[1, 0], M[1, 1], t[1].

    A point q goes to ``p = A @ (q - c) + c + s``, c the centre, s the shift, ``A = factor *
    [cos, -sin; sin, cos] @ [1, tan; 0, 1]``. So p shows ``q = M @ (p - c - s) + c``, ``M =
    inverse(A)``.
    """
    shift_x, shift_y = threefry(key0, key1, row, 0)
    rotation, shear = threefry(key0, key1, row, 1)
    scale, _ = threefry(key0, key1, row, 2)
    theta = math.radians(around_zero(rotation, settings[0, ROTATION]))
    tan = math.tan(math.radians(around_zero(shear, settings[0, SHEAR])))
    factor = 1 + around_zero(scale, settings[0, SCALE])
    cos, sin = math.cos(theta) / factor, math.sin(theta) / factor
    xx, xy, yx, yy = cos + tan * sin, sin - tan * cos, -sin, cos
    cx, cy = (settings[0, WIDTH] - 1) / 2, (settings[0, HEIGHT] - 1) / 2
    sx = cx + around_zero(shift_x, settings[0, SHIFT])
    sy = cy + around_zero(shift_y, settings[0, SHIFT])
    return xx, xy, cx - xx * sx - xy * sy, yx, yy, cy - yx * sx - yy * sy


@inner
def draw_noise(settings, key0, key1, row, words, noise, scratch):
    """dx, dy of each pixel, uniform in [-1, 1).

    By way of the words: in a loop that stores float64 LLVM takes half as many lanes.
    """
    height, width, wide = int(settings[0, HEIGHT]), int(settings[0, WIDTH]), int(settings[0, WIDE])
    n = height * width
    drawn = matrix(scratch.ctypes.data, UINT32, 2 * words, 2, n, n, 1)
    for p in range(n):
        drawn[0, p], drawn[1, p] = threefry(key0, key1, row, FIRST_PIXEL + p)
    for y in range(height):
        dx = window(scratch, noise + y * wide, 1, width)
        dy = window(scratch, noise + (height + y) * wide, 1, width)
        for x in range(width):
            dx[0, x] = drawn[0, y * width + x] * 2.0**-31 - 1
            dy[0, x] = drawn[1, y * width + x] * 2.0**-31 - 1


@inner
def filter_block(settings, begin, end, scratch, place, step, field, out, out_field):
    """Scratch[out + j] = sum of taps[k] * scratch[place + (k - radius) * step + j].

    The sum is over begin <= k < end, for a block of four vectors of j; and the same for the other
    field, which comes ``field`` items later and goes ``out_field`` later. These are eight sums,
    since each addition of one waits for the last.
    """
    L = lanes(scratch)
    x0 = x1 = x2 = x3 = y0 = y1 = y2 = y3 = full(scratch, 0.0)
    at = place + (begin - int(settings[0, RADIUS])) * step
    for k in range(begin, end):
        tap = settings[0, TAPS + k]
        x0 = fma(load(scratch, 0, at), tap, x0)
        x1 = fma(load(scratch, 0, at + L), tap, x1)
        x2 = fma(load(scratch, 0, at + 2 * L), tap, x2)
        x3 = fma(load(scratch, 0, at + 3 * L), tap, x3)
        y0 = fma(load(scratch, 0, at + field), tap, y0)
        y1 = fma(load(scratch, 0, at + field + L), tap, y1)
        y2 = fma(load(scratch, 0, at + field + 2 * L), tap, y2)
        y3 = fma(load(scratch, 0, at + field + 3 * L), tap, y3)
        at += step
    store(scratch, 0, out, x0)
    store(scratch, 0, out + L, x1)
    store(scratch, 0, out + 2 * L, x2)
    store(scratch, 0, out + 3 * L, x3)
    store(scratch, 0, out + out_field, y0)
    store(scratch, 0, out + out_field + L, y1)
    store(scratch, 0, out + out_field + 2 * L, y2)
    store(scratch, 0, out + out_field + 3 * L, y3)


@inner
def smooth_along_y(settings, y, noise, lines, scratch):
    """The noise around row y, smoothed along y; beyond the edge it is 0."""
    height, width = int(settings[0, HEIGHT]), int(settings[0, WIDTH])
    radius, wide, gap = int(settings[0, RADIUS]), int(settings[0, WIDE]), int(settings[0, GAP])
    begin, end = max(0, radius - y), min(2 * radius + 1, radius + height - y)
    source, field = noise + y * wide, height * wide
    out, out_field = lines + 2 * wide + gap, wide + gap
    for j in range(0, width, BLOCK):
        filter_block(settings, begin, end, scratch, source + j, wide, field, out + j, out_field)
    scratch[0, out + width : out + wide] = 0
    scratch[0, out + out_field + width : out + out_field + wide] = 0


@inner
def smooth_along_x(settings, lines, scratch):
    """dx and dy of a row over alpha: what `smooth_along_y` has left, smoothed along x too."""
    width = int(settings[0, WIDTH])
    radius, wide, gap = int(settings[0, RADIUS]), int(settings[0, WIDE]), int(settings[0, GAP])
    reach = min(radius, width - 1)
    begin, end = radius - reach, radius + reach + 1
    source, field = lines + 2 * wide + gap, wide + gap
    for j in range(0, width, BLOCK):
        filter_block(settings, begin, end, scratch, source + j, 1, field, lines + j, wide)


@inner
def trace(settings, mapping, y, lines, sources, scratch):
    """Where the pixels of row y come from: the first neighbour, and fractions of x and of y.

    The first neighbour is the item of a plane at (floor(x), floor(y)). Beyond the margin, where
    all is ``fill``, the nearest point of it stands for any other.
    """
    height, width, alpha = settings[0, HEIGHT], int(settings[0, WIDTH]), settings[0, ALPHA]
    wide, field = int(settings[0, WIDE]), field_items(settings)
    xx, xy, tx, yx, yy, ty = mapping
    for j in range(0, width, lanes(scratch)):
        column = lane_index(scratch) + j
        source_x = fma(column, xx, full(scratch, xy * y + tx))
        source_y = fma(column, yx, full(scratch, yy * y + ty))
        if alpha != 0:
            source_x = fma(load(scratch, 0, lines + j), alpha, source_x)
            source_y = fma(load(scratch, 0, lines + wide + j), alpha, source_y)
        source_x = maximum(minimum(source_x, settings[0, WIDTH]), -1.0) + 1.0
        source_y = maximum(minimum(source_y, height), -1.0) + 1.0
        x0, y0 = floor(source_x), floor(source_y)
        # Lanes beyond the row are overwritten by the next.
        at = sources + y * width + j
        store(scratch, 0, at, fma(y0, settings[0, WIDTH] + 3, x0))
        store(scratch, 0, at + field, source_x - x0)
        store(scratch, 0, at + 2 * field, source_y - y0)


@inner
def interpolate(settings, image, sources, scratch):
    """Image = its planes P at the points that `trace` has left.

    left = (1 - b) * P[y0, x0] + b * P[y0 + 1, x0], right the same at x0 + 1, (1 - a) left + a right
    """
    height, width = int(settings[0, HEIGHT]), int(settings[0, WIDTH])
    channels, field, n = int(settings[0, CHANNELS]), field_items(settings), height * width
    stride, items = width + 3, (height + 3) * (width + 3)
    first = window(scratch, sources, 1, n)
    a, b = window(scratch, sources + field, 1, n), window(scratch, sources + 2 * field, 1, n)
    pixels = window(image, 0, n, channels)
    for c in range(channels):
        plane = c * items
        P00, P01 = window(scratch, plane, 1, items), window(scratch, plane + 1, 1, items)
        plane += stride
        P10, P11 = window(scratch, plane, 1, items), window(scratch, plane + 1, 1, items)
        for p in range(n):
            i = np.uint32(first[0, p])  # a signed index would be checked for one below 0
            left = P00[0, i] + b[0, p] * (P10[0, i] - P00[0, i])
            right = P01[0, i] + b[0, p] * (P11[0, i] - P01[0, i])
            pixels[p, c] = left + a[0, p] * (right - left)


@inner
def copy_planes(settings, image, scratch):
    """Planes = the channels of the image, inside their margin."""
    height, width = int(settings[0, HEIGHT]), int(settings[0, WIDTH])
    channels = int(settings[0, CHANNELS])
    for c in range(channels):
        for y in range(height):
            line = window(scratch, (c * (height + 3) + y + 1) * (width + 3) + 1, 1, width)
            for x in range(width):
                line[0, x] = image[0, (y * width + x) * channels + c]


@inner
def warp(settings, key0, key1, row, image, scratch):
    """The image under its mapping, and displaced."""
    sources, lines, words, noise, _ = parts(settings)
    height, bends = int(settings[0, HEIGHT]), settings[0, ALPHA] != 0
    mapping = draw_mapping(settings, key0, key1, row)
    copy_planes(settings, image, scratch)
    if bends:
        draw_noise(settings, key0, key1, row, words, noise, scratch)
        scratch[0, lines:words] = 0
    for y in range(height):
        if bends:
            smooth_along_y(settings, y, noise, lines, scratch)
            smooth_along_x(settings, lines, scratch)
        trace(settings, mapping, y, lines, sources, scratch)
    interpolate(settings, image, sources, scratch)


@inner
def erase(settings, key0, key1, row, image):
    """A rectangle of the image = ``fill``, with the probability of the settings.

    ``height = sqrt(area * aspect), width = area / height``, in whole pixels; one too long for the
    image is made as long as the image, and wider.
    """
    _, u = threefry(key0, key1, row, 2)
    if u * 2.0**-32 >= settings[0, ERASE]:
        return
    share, ratio = threefry(key0, key1, row, 3)
    place_y, place_x = threefry(key0, key1, row, 4)
    rows, columns = int(settings[0, HEIGHT]), int(settings[0, WIDTH])
    channels = int(settings[0, CHANNELS])
    low, high = settings[0, AREA_LOW], settings[0, AREA_HIGH]
    area = (low + share * 2.0**-32 * (high - low)) * rows * columns
    log_aspect = LOG_ASPECT_LOW + ratio * 2.0**-32 * (LOG_ASPECT_HIGH - LOG_ASPECT_LOW)
    height = math.floor(math.sqrt(area * math.exp(log_aspect)) + 0.5)
    height = max(1, min(rows, max(math.ceil(area / columns), height)))
    width = max(1, min(columns, math.floor(area / height + 0.5)))
    top = math.floor(place_y * 2.0**-32 * (rows - height + 1))
    left = math.floor(place_x * 2.0**-32 * (columns - width + 1))
    for y in range(top, top + height):
        for j in range((y * columns + left) * channels, (y * columns + left + width) * channels):
            image[0, j] = settings[0, FILL]


def augment(X: Any, settings: Any, key0: int, key1: int, first: int, scratch: Any) -> None:
    """X[r] = the image X[r], changed as row ``first + r`` of the batch is under the key.

    The key is that of the step and of AUGMENT_STREAM. ``settings`` is made by `settings_of`;
    ``scratch`` (1, `scratch_items`) float64 may hold anything, and is best on a cache line.
    """
    warps = False
    for column in (SHIFT, ROTATION, SCALE, SHEAR, ALPHA):
        warps = warps or settings[0, column] != 0
    if warps:  # margins stay what they are from image to image
        scratch[0, : parts(settings)[0]] = settings[0, FILL]
    n = X.shape[1]
    for r in range(X.shape[0]):
        image = window(X, r * (X.strides[0] // X.itemsize), 1, n)
        if warps:
            warp(settings, key0, key1, first + r, image, scratch)
        if settings[0, ERASE] != 0:
            erase(settings, key0, key1, first + r, image)
