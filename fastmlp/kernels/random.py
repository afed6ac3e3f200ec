"""Random numbers that are a function of what they are for: nothing is drawn in turn.

Threefry-2x32 with 20 rounds (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011; the
generator of JAX). It adds, rotates and xors 32-bit words only, which vectors do as fast as
numbers: Philox multiplies 32 x 32 to 64 bits, for which a vector has half the lanes.
"""

from __future__ import annotations

from fastmlp.kernels.compilation import inner

WORD = 0xFFFFFFFF
"""Mask of 32 bits: words are int64 here, which numba leaves int64."""

PARITY = 0x1BD11BDA

ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
"""By how many bits, round by round."""


@inner
def _mix(x0, x1, bits):
    """One round: add, rotate, xor."""
    x0 = (x0 + x1) & WORD
    x1 = ((x1 << bits) | (x1 >> (32 - bits))) & WORD
    return x0, x1 ^ x0


@inner
def _four(x0, x1, first, second, third, fourth):
    """Four rounds."""
    x0, x1 = _mix(x0, x1, first)
    x0, x1 = _mix(x0, x1, second)
    x0, x1 = _mix(x0, x1, third)
    return _mix(x0, x1, fourth)


@inner
def threefry(key0, key1, counter0, counter1):
    """Two words of 32 random bits for a counter of two words, under a key of two words."""
    key2 = key0 ^ key1 ^ PARITY
    x0, x1 = (counter0 + key0) & WORD, (counter1 + key1) & WORD
    x0, x1 = _four(x0, x1, 13, 15, 26, 6)
    x0, x1 = (x0 + key1) & WORD, (x1 + key2 + 1) & WORD
    x0, x1 = _four(x0, x1, 17, 29, 16, 24)
    x0, x1 = (x0 + key2) & WORD, (x1 + key0 + 2) & WORD
    x0, x1 = _four(x0, x1, 13, 15, 26, 6)
    x0, x1 = (x0 + key0) & WORD, (x1 + key1 + 3) & WORD
    x0, x1 = _four(x0, x1, 17, 29, 16, 24)
    x0, x1 = (x0 + key1) & WORD, (x1 + key2 + 4) & WORD
    x0, x1 = _four(x0, x1, 13, 15, 26, 6)
    return (x0 + key2) & WORD, (x1 + key0 + 5) & WORD
