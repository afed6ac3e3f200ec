"""How long does it take to change an image at random?

    python -m benchmarks.augmentation

One thread, 64 images at a time of random pixels, the fastest of many runs, in microseconds for an
image. Copying the images, since the kernel works in place, is taken off.
"""

from __future__ import annotations

import time

import numba
import numpy as np

from fastmlp import Augmentation
from fastmlp.engine.layout import aligned_zeros
from fastmlp.kernels.augment import augment, scratch_items, settings_of
from fastmlp.kernels.calls import address, augment_arguments, call_augment

AFFINE = {"shift": 2, "rotation": 15, "scale": 0.1, "shear": 10}
KINDS = {
    "nothing": {},
    "shift": {"shift": 2},
    "affine": AFFINE,
    "erase": {"erase_probability": 0.5},
    "elastic": {"elastic_alpha": 34},
    "all": {**AFFINE, "elastic_alpha": 34, "erase_probability": 0.5},
}
SHAPES = [(8, 8), (28, 28), (32, 32, 3)]
IMAGES, RUNS = 64, 300


@numba.njit(nogil=True)
def _run(kernel, X, settings, step, scratch, images):
    X[:, :] = images
    if kernel != 0:
        call_augment(kernel, X, settings, 1, step, 0, scratch)


def _seconds(kernel: int, shape: tuple[int, ...], dtype: str, kind: str) -> float:
    augmentation = Augmentation(shape, **KINDS[kind])
    settings = settings_of(augmentation)
    images = np.random.default_rng(0).random((IMAGES, augmentation.n_features)).astype(dtype)
    X = aligned_zeros(images.size, images.dtype).reshape(images.shape)
    scratch = aligned_zeros(scratch_items(settings), np.dtype(np.float64))[None]
    matrices = [np.lib.stride_tricks.as_strided(A, A.shape, A.strides) for A in (X, settings)]
    scratch = np.lib.stride_tricks.as_strided(scratch, scratch.shape, scratch.strides)
    times = []
    for step in range(RUNS):
        start = time.perf_counter()
        _run(kernel, *matrices, step, scratch, images)
        times.append(time.perf_counter() - start)
    return min(times) / IMAGES


def main() -> None:
    print(f"{'us per image':24}" + "".join(f"{kind:>9}" for kind in KINDS))
    for dtype in ("float32", "float64"):
        kernel = address(augment, augment_arguments, np.dtype(dtype))
        for shape in SHAPES:
            copy = _seconds(0, shape, dtype, "nothing")
            cells = [1e6 * (_seconds(kernel, shape, dtype, kind) - copy) for kind in KINDS]
            print(f"{dtype} {shape!s:16}" + "".join(f"{cell:9.2f}" for cell in cells))


if __name__ == "__main__":
    main()
