"""Random numbers that are a function of what they are for: nothing is drawn in turn.

Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as
1, 2, 3, 2011): a block cipher, whose key says which stream is meant and whose plain text, the
counter, which number of it. JAX draws from the same function.
"""

import numpy as np

from .functions import Array

ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
PARITY = 0x1BD11BDA

Pair = tuple[Array, Array]


def threefry(key: Pair, counter: Pair) -> Pair:
    """Two words of 32 random bits for each pair of words of the counter.

    Parameters
    ----------
    key, counter : pairs of uint32 arrays
        Of shapes that broadcast.

    Returns
    -------
    pair of uint32 arrays
    """
    keys = (*key, key[0] ^ key[1] ^ np.uint32(PARITY))
    with np.errstate(over="ignore"):  # all sums are meant modulo 2³²
        x0, x1 = counter[0] + keys[0], counter[1] + keys[1]
        for round_ in range(20):
            bits = ROTATIONS[round_ % 8]
            x0 = x0 + x1
            x1 = (x1 << np.uint32(bits)) | (x1 >> np.uint32(32 - bits))
            x1 = x1 ^ x0
            if round_ % 4 == 3:  # the key again, after every fourth round
                turn = round_ // 4 + 1
                x0, x1 = x0 + keys[turn % 3], x1 + keys[(turn + 1) % 3] + np.uint32(turn)
    return x0, x1


def seed_key(seed: int) -> Pair:
    """The key (two words) that stands for a seed of any size."""
    words = np.random.SeedSequence(seed).generate_state(2, np.uint32)
    return words[:1], words[1:]


def stream_key(seed: int, step: int, stream: int) -> Pair:
    """The key of one use in one step: `stream` numbers the uses, `step` counts from 1."""
    counter = np.array([step], np.uint32), np.array([stream], np.uint32)
    return threefry(seed_key(seed), counter)
