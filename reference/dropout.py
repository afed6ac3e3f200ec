"""Dropout: in each step of training some units are left out, drawn anew (Srivastava et al., 2014).

A ← A ⊙ M, where an item of M is 0 with probability p and 1 / (1 − p) otherwise, so that the mean of
A ⊙ M over all masks is A, and prediction needs no mask ("inverted" dropout). The gradient takes the
same way: dA ← dA ⊙ M.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .functions import Array
from .random import stream_key, threefry


def draw_mask(
    shape: tuple[int, int], rate: float, seed: int, step: int, stream: int, dtype: np.dtype[Any]
) -> Array:
    """M (n, n_units): item (i, j) is kept where its word, 32 random bits, is at least p · 2³².

    The word is threefry(key, (i // 2, j))[i % 2], with the key of (seed, step, stream): a cipher
    gives two words at once, which two rows share. It depends on the place in the batch alone.
    """
    n, n_units = shape
    pairs = np.arange((n + 1) // 2, dtype=np.uint32)[:, None]
    columns = np.arange(n_units, dtype=np.uint32)
    words = threefry(stream_key(seed, step, stream), (pairs, columns))
    rows = np.stack(words, axis=1).reshape(-1, n_units)[:n]  # first, second, first, second, ...
    kept = rows >= np.uint32(int(rate * 2**32))
    M: Array = kept * dtype.type(1 / (1 - rate))
    return M


def draw_masks(
    n: int, sizes: Sequence[int], rates: Sequence[float], seed: int, step: int, dtype: np.dtype[Any]
) -> list[Array | None]:
    """A mask for the input (stream 0) and each hidden layer (streams 1, 2, ...), None at rate 0."""
    return [
        draw_mask((n, size), rate, seed, step, stream, dtype) if rate > 0 else None
        for stream, (size, rate) in enumerate(zip(sizes, rates, strict=True))
    ]
