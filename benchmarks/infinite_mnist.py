"""Write 8.1 million images of 28 x 28, MNIST's 60,000 distorted at random, as a folder of shards.

    python -m benchmarks.infinite_mnist FOLDER [--images N] [--threads N]

As large as the set of Loosli, Canu and Bottou, "Training invariant support vector machines using
selective sampling", 2007: 6.4 GB of uint8, `x_train-00000.npy` with `y_train-00000.npy` and so on,
beside MNIST's test set. Image i is a distortion of image i mod 60,000, and a function of i alone:
a run that was ended goes on with the shards that are missing. About 15 us an image and thread.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

import fastmlp
from fastmlp import Augmentation
from fastmlp.atomic import remove_remains, write_atomically
from fastmlp.checks import parse_integer
from fastmlp.engine.layout import aligned_zeros
from fastmlp.kernels.augment import augment, scratch_items, settings_of
from fastmlp.kernels.calls import address, augment_arguments, call_augment
from fastmlp.threads import available_cores

IMAGES = 8_100_000
SHARD = 100_000
"""Images in a file of 78 MB."""

BLOCK = 1000
"""Images that a thread changes at a time."""

DISTORTION = Augmentation(
    (28, 28), shift=1, rotation=10, scale=0.1, shear=5, elastic_alpha=20, elastic_sigma=4
)

HEADROOM = 2**30
"""Bytes of the disk that stay free."""


@numba.njit(nogil=True)
def _distort(kernel: Any, X: Any, settings: Any, first: Any, scratch: Any) -> None:
    call_augment(kernel, X, settings, 1, 0, first, scratch)


def distorted(images: NDArray[np.uint8], first: int) -> NDArray[np.uint8]:
    """Images first, first + 1, ... of the set, from (n, 784) of MNIST's."""
    settings = settings_of(DISTORTION)
    scratch = aligned_zeros(scratch_items(settings), np.dtype(np.float64))[None]
    X = images.astype(np.float32)
    # Any strides, as the engine's matrices have.
    strided = [np.lib.stride_tricks.as_strided(A, A.shape, A.strides) for A in (X, settings)]
    scratch = np.lib.stride_tricks.as_strided(scratch, scratch.shape, scratch.strides)
    kernel = address(augment, augment_arguments, np.dtype(np.float32))
    _distort(kernel, *strided, first, scratch)
    return np.rint(X).astype(np.uint8)


def write(folder: Path, images: int, threads: int) -> None:
    """Write what is missing of the data set; OSError if the disk is too small."""
    mnist = fastmlp.load_dataset("mnist")
    folder.mkdir(parents=True, exist_ok=True)
    remove_remains(folder)
    firsts = range(0, images, SHARD)
    shards = {f"train-{k:05}.npy": first for k, first in enumerate(firsts)}
    for path in folder.glob("[xy]_train*.npy"):
        if path.name[2:] not in shards:
            raise ValueError(f"{folder} holds {path.name}, of more images than {images}")
    counts = {name: min(SHARD, images - first) for name, first in shards.items()}
    missing = [name for name, count in counts.items() if not _is_there(folder, name, count)]
    needed = sum(counts[name] for name in missing) * mnist.x_train.shape[1] + HEADROOM
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(f"{folder}: {needed / 1e9:.1f} GB are needed, and {free / 1e9:.1f} free")
    _save(folder, "test-00000.npy", mnist.x_test, mnist.y_test)
    with ThreadPoolExecutor(threads) as pool:
        for done, name in enumerate(missing, start=1):
            ids = np.arange(shards[name], shards[name] + counts[name])
            rows = ids % len(mnist.x_train)
            blocks = range(0, len(ids), BLOCK)
            parts = pool.map(
                lambda k, ids=ids, rows=rows: distorted(
                    mnist.x_train[rows[k : k + BLOCK]], int(ids[k])
                ),
                blocks,
            )
            _save(folder, name, np.concatenate(list(parts)), mnist.y_train[rows])
            print(f"\r{done}/{len(missing)} shards", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def _is_there(folder: Path, name: str, count: int) -> bool:
    try:
        x, y = (np.load(folder / f"{key}_{name}", mmap_mode="r") for key in "xy")
    except (OSError, ValueError):
        return False
    return len(x) == len(y) == count


def _save(folder: Path, name: str, x: NDArray[np.uint8], y: NDArray[Any]) -> None:
    """The labels first: a shard is there when its images are."""
    for key, array in (("y", y.astype(np.uint8)), ("x", x.reshape(-1, 28, 28))):
        content = io.BytesIO()
        np.save(content, array)
        write_atomically(folder / f"{key}_{name}", content.getvalue())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", default=str(IMAGES), help=f"how many (default: {IMAGES})")
    parser.add_argument("--threads", default=str(available_cores()), help="default: all cores")
    arguments = parser.parse_args()
    try:
        images = parse_integer("--images", arguments.images, 1)
        threads = parse_integer("--threads", arguments.threads, 1)
        write(arguments.folder, images, threads)
    except (ValueError, OSError) as error:
        print(f"infinite_mnist: error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
    except KeyboardInterrupt:
        print("\ninfinite_mnist: interrupted; the next run goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
