"""Augmentation: each row of X, an image (height, width, channels), is changed at random.

Pixel (x, y) of the result shows the point ``M @ (x, y) + t + (dx, dy)`` of the image, between its
pixels bilinear, ``fill`` outside; see `draw_mapping` and `draw_field`. Then a rectangle may be
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
by 2e-5 pixels in images of 200 pixels. Measured on a Xeon (Emerald Rapids), one thread, MNIST
images in float32: see `benchmark figures`.
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
RADIUS, TAPS = 12, 13
"""Columns of ``settings`` (1, n); from TAPS on the Gaussian's ``2 * radius + 1`` taps."""

FIRST_PIXEL = 16

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
    return np.concatenate([head, taps])[None]


def scratch_items(settings: np.ndarray) -> int:
    """Items of float64 that `augment` needs as ``scratch`` (1, n)."""
    return int(_parts(settings)[-1])


def _parts(settings):
    """Where the parts of the scratch begin, and its end: lines, noise, columns, end.

    planes : (channels, height + 3, width + 3), the image in a margin of ``fill``
    lines : (5, wide), of a row of pixels, see `trace`
    noise : (2, height * width), uniform in [-1, 1), and what a block reads beyond them
    columns : (2, height, gap + wide) and a gap, the noise smoothed along y; gaps are 0
    """
    height, width = int(settings[0, HEIGHT]), int(settings[0, WIDTH])
    channels, radius = int(settings[0, CHANNELS]), int(settings[0, RADIUS])
    wide = (width + BLOCK - 1) // BLOCK * BLOCK
    gap = (min(radius, width - 1) + LINE_ITEMS - 1) // LINE_ITEMS * LINE_ITEMS
    planes = channels * (height + 3) * (width + 3)
    lines = (planes + LINE_ITEMS - 1) // LINE_ITEMS * LINE_ITEMS
    noise = lines + 5 * wide
    if settings[0, ALPHA] == 0:
        return lines, noise, noise, noise
    columns = noise + 2 * (height * width + BLOCK)
    return lines, noise, columns, columns + 2 * (height * (gap + wide) + gap)


parts = inner(_parts)


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
def draw_noise(settings, key0, key1, row, noise, columns, scratch):
    """dx, dy of each pixel, uniform in [-1, 1).

    By way of the words in the memory of the columns: in a loop that stores float64 LLVM takes half
    as many lanes.
    """
    n = int(settings[0, HEIGHT]) * int(settings[0, WIDTH])
    words = matrix(scratch.ctypes.data, UINT32, 2 * columns, 2, n, n, 1)
    for p in range(n):
        words[0, p], words[1, p] = threefry(key0, key1, row, FIRST_PIXEL + p)
    dx, dy = window(scratch, noise, 1, n), window(scratch, noise + n + BLOCK, 1, n)
    for p in range(n):
        dx[0, p], dy[0, p] = words[0, p] * 2.0**-31 - 1, words[1, p] * 2.0**-31 - 1


@inner
def filter_block(settings, begin, end, scratch, place, step, out):
    """scratch[out + j] = sum of taps[k] * scratch[place + (k - radius) * step + j], begin <= k < end.

    For a block of four vectors of j, whose sums are chains of their own: one would wait for itself.
    """
    L = lanes(scratch)
    s0 = s1 = s2 = s3 = full(scratch, 0.0)
    place += (begin - int(settings[0, RADIUS])) * step
    for k in range(begin, end):
        tap = settings[0, TAPS + k]
        s0 = fma(load(scratch, 0, place), tap, s0)
        s1 = fma(load(scratch, 0, place + L), tap, s1)
        s2 = fma(load(scratch, 0, place + 2 * L), tap, s2)
        s3 = fma(load(scratch, 0, place + 3 * L), tap, s3)
        place += step
    store(scratch, 0, out, s0)
    store(scratch, 0, out + L, s1)
    store(scratch, 0, out + 2 * L, s2)
    store(scratch, 0, out + 3 * L, s3)


@inner
def smooth_columns(settings, noise, columns, scratch):
    """columns = the noise smoothed along y; beyond the edge it is 0, and so are the gaps."""
    height, width = int(settings[0, HEIGHT]), int(settings[0, WIDTH])
    radius = int(settings[0, RADIUS])
    wide = (width + BLOCK - 1) // BLOCK * BLOCK
    gap = (min(radius, width - 1) + LINE_ITEMS - 1) // LINE_ITEMS * LINE_ITEMS
    for field in range(2):
        source = noise + field * (height * width + BLOCK)
        out = columns + field * (height * (gap + wide) + gap)
        scratch[0, out : out + gap] = 0
        for y in range(height):
            line = out + gap + y * (gap + wide)
            begin, end = max(0, radius - y), min(2 * radius + 1, radius + height - y)
            for j in range(0, width, BLOCK):
                filter_block(settings, begin, end, scratch, source + y * width + j, width, line + j)
            scratch[0, line + width : line + wide + gap] = 0


@inner
def smooth_row(settings, y, columns, lines, scratch):
    """Lines 0 and 1 = dx and dy of the row y, in pixels over alpha: its columns smoothed along x."""
    height, width = int(settings[0, HEIGHT]), int(settings[0, WIDTH])
    radius = int(settings[0, RADIUS])
    reach = min(radius, width - 1)
    wide = (width + BLOCK - 1) // BLOCK * BLOCK
    gap = (reach + LINE_ITEMS - 1) // LINE_ITEMS * LINE_ITEMS
    for field in range(2):
        source = columns + field * (height * (gap + wide) + gap) + gap + y * (gap + wide)
        for j in range(0, width, BLOCK):
            filter_block(
                settings,
                *(radius - reach, radius + reach + 1),
                *(scratch, source + j, 1, lines + field * wide + j),
            )


@inner
def trace(settings, mapping, y, lines, scratch):
    """Where the pixels of row y come from: lines 2, 3, 4 = first neighbour, fractions of x, of y.

    The first neighbour is the item of a plane at (floor(x), floor(y)). Beyond the margin, where
    all is ``fill``, the nearest point of it stands for any other.
    """
    height, width, alpha = settings[0, HEIGHT], int(settings[0, WIDTH]), settings[0, ALPHA]
    wide = (width + BLOCK - 1) // BLOCK * BLOCK
    xx, xy, tx, yx, yy, ty = mapping
    for j in range(0, width, lanes(scratch)):
        column = lane_index(scratch) + j
        x = fma(column, xx, full(scratch, xy * y + tx))
        y_ = fma(column, yx, full(scratch, yy * y + ty))
        if alpha != 0:
            x = fma(load(scratch, 0, lines + j), alpha, x)
            y_ = fma(load(scratch, 0, lines + wide + j), alpha, y_)
        x = maximum(minimum(x, settings[0, WIDTH]), -1.0) + 1.0
        y_ = maximum(minimum(y_, height), -1.0) + 1.0
        x0, y0 = floor(x), floor(y_)
        store(scratch, 0, lines + 2 * wide + j, fma(y0, settings[0, WIDTH] + 3, x0))
        store(scratch, 0, lines + 3 * wide + j, x - x0)
        store(scratch, 0, lines + 4 * wide + j, y_ - y0)


@inner
def interpolate(settings, image, y, lines, scratch):
    """Row y of the image = its planes P at the points that `trace` has left.

    left = (1 - b) * P[y0, x0] + b * P[y0 + 1, x0], right the same at x0 + 1, (1 - a) left + a right
    """
    height, width = int(settings[0, HEIGHT]), int(settings[0, WIDTH])
    channels = int(settings[0, CHANNELS])
    wide = (width + BLOCK - 1) // BLOCK * BLOCK
    stride, items = width + 3, (height + 3) * (width + 3)
    first = window(scratch, lines + 2 * wide, 1, wide)
    a, b = window(scratch, lines + 3 * wide, 1, wide), window(scratch, lines + 4 * wide, 1, wide)
    pixels = window(image, y * width * channels, width, channels)
    for c in range(channels):
        plane = c * items
        P00, P01 = window(scratch, plane, 1, items), window(scratch, plane + 1, 1, items)
        plane += stride
        P10, P11 = window(scratch, plane, 1, items), window(scratch, plane + 1, 1, items)
        for x in range(width):
            i = np.uint32(first[0, x])  # a signed index would be checked for one below 0
            left = P00[0, i] + b[0, x] * (P10[0, i] - P00[0, i])
            right = P01[0, i] + b[0, x] * (P11[0, i] - P01[0, i])
            pixels[x, c] = left + a[0, x] * (right - left)


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
    lines, noise, columns, _ = parts(settings)
    mapping = draw_mapping(settings, key0, key1, row)
    if settings[0, ALPHA] != 0:
        draw_noise(settings, key0, key1, row, noise, columns, scratch)
        smooth_columns(settings, noise, columns, scratch)
    copy_planes(settings, image, scratch)
    for y in range(int(settings[0, HEIGHT])):
        if settings[0, ALPHA] != 0:
            smooth_row(settings, y, columns, lines, scratch)
        trace(settings, mapping, y, lines, scratch)
        interpolate(settings, image, y, lines, scratch)


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
    height = int(math.floor(math.sqrt(area * math.exp(log_aspect)) + 0.5))
    height = max(1, min(rows, max(int(math.ceil(area / columns)), height)))
    width = max(1, min(columns, int(math.floor(area / height + 0.5))))
    top = int(math.floor(place_y * 2.0**-32 * (rows - height + 1)))
    left = int(math.floor(place_x * 2.0**-32 * (columns - width + 1)))
    for y in range(top, top + height):
        for j in range((y * columns + left) * channels, (y * columns + left + width) * channels):
            image[0, j] = settings[0, FILL]


def augment(X: Any, settings: Any, key0: int, key1: int, first: int, scratch: Any) -> None:
    """X[r] = the image X[r], changed as row ``first + r`` of the batch is under the key.

    The key is that of the step and of `reference.augmentation.AUGMENT_STREAM`.
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
