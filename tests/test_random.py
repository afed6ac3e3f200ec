"""The random words: published answers, and the same in both implementations."""

import numpy as np
import pytest

from fastmlp.kernels.random import threefry
from reference import random as plain
from tests.jitted import jitted

# kat_vectors of Random123: key, counter, result.
KNOWN = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
]


@jitted
def words(key0, key1, counter0, counter1):
    return threefry(key0, key1, counter0, counter1)


def word(value):
    return np.array([value], np.uint32)


@pytest.mark.parametrize(("key", "counter", "result"), KNOWN)
def test_threefry_gives_the_published_words(key, counter, result):
    assert words(*key, *counter) == result
    found = plain.threefry(tuple(map(word, key)), tuple(map(word, counter)))
    assert tuple(int(x[0]) for x in found) == result


def test_bits_are_even_and_streams_differ():
    rows, columns = np.arange(256, dtype=np.uint32)[:, None], np.arange(256, dtype=np.uint32)
    seen = []
    for step, stream in ((1, 0), (1, 1), (2, 0)):
        x = np.stack(plain.threefry(plain.stream_key(0, step, stream), (rows, columns)))
        ones = np.unpackbits(x.view(np.uint8)).mean()
        assert abs(ones - 0.5) < 5 * 0.5 / np.sqrt(x.size * 32)
        seen.append(x)
    assert (seen[0] != seen[1]).mean() > 0.99
    assert (seen[0] != seen[2]).mean() > 0.99
    assert len(np.unique(seen[0].astype(np.uint64)[0] << np.uint64(32) | seen[0][1])) == 256**2
