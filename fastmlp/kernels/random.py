"""Random numbers that are a function of what they are for: nothing is drawn in turn.

Threefry-2x32 with 20 rounds (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011; the
generator of JAX). It adds, rotates and xors 32-bit words only, which vectors do as fast as
numbers: Philox multiplies 32 x 32 to 64 bits, for which a vector has half the lanes.
"""

from __future__ import annotations

import numpy as np

from fastmlp.kernels.compilation import inner
from fastmlp.kernels.simd import JIT

PARITY = 0x1BD11BDA

ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
"""By how many bits, round by round."""


def _word(x):
    """The last 32 bits of an integer, or of an array of them."""
    return np.uint32(x) if JIT else x & 0xFFFFFFFF


if JIT:
    # As int64 with masks, which LLVM does not narrow, 784 pairs took 4.1 us instead of 1.6.
    _word = inner(_word)


@inner
def _mix(x0, x1, bits):
    """One round: add, rotate, xor."""
    x0 = _word(x0 + x1)
    x1 = _word((x1 << bits) | (x1 >> (32 - bits)))
    return x0, _word(x1 ^ x0)


@inner
def _four(x0, x1, first, second, third, fourth):
    """Four rounds."""
    x0, x1 = _mix(x0, x1, first)
    x0, x1 = _mix(x0, x1, second)
    x0, x1 = _mix(x0, x1, third)
    return _mix(x0, x1, fourth)


@inner
def threefry(key0, key1, counter0, counter1):
    """Two words of 32 random bits for a counter of two words, under a key of two words: int64."""
    key2 = key0 ^ key1 ^ PARITY
    x0, x1 = _word(counter0 + key0), _word(counter1 + key1)
    x0, x1 = _four(x0, x1, 13, 15, 26, 6)
    x0, x1 = _word(x0 + key1), _word(x1 + key2 + 1)
    x0, x1 = _four(x0, x1, 17, 29, 16, 24)
    x0, x1 = _word(x0 + key2), _word(x1 + key0 + 2)
    x0, x1 = _four(x0, x1, 13, 15, 26, 6)
    x0, x1 = _word(x0 + key0), _word(x1 + key1 + 3)
    x0, x1 = _four(x0, x1, 17, 29, 16, 24)
    x0, x1 = _word(x0 + key1), _word(x1 + key2 + 4)
    x0, x1 = _four(x0, x1, 13, 15, 26, 6)
    return np.int64(_word(x0 + key2)), np.int64(_word(x1 + key0 + 5))
