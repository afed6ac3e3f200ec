"""Data of the benchmarks, made or loaded once in a process."""

from functools import cache

import numpy as np

import fastmlp

ROWS, HELD_OUT, FEATURES, CLASSES = 10_000, 2_000, 784, 10
WORDS, LENGTH = 20_000, 21
"""Of a text: its 21 words make 20 different ones, a thousandth of all, at Zipf's frequencies."""


@cache
def dataset(name):
    """A data set by name; the benchmark is not applicable where its files cannot be had."""
    try:
        return fastmlp.load_dataset(name)
    except fastmlp.DataUnavailableError as error:
        raise NotImplementedError(str(error)) from None


@cache
def synthetic(kind):
    """``X, y`` of 10,000 training samples and of 2,000 held out, labelled by a linear rule."""
    rng = np.random.default_rng(0)
    x = INPUTS[kind](rng)
    y = np.argmax(x @ rng.standard_normal((x.shape[1], CLASSES)).astype(np.float32), axis=1)
    return (x[:ROWS], y[:ROWS]), (x[ROWS:], y[ROWS:])


def gaussian(rng):
    """No zero at all."""
    return rng.standard_normal((ROWS + HELD_OUT, FEATURES), dtype=np.float32)


def mnist_like(rng):
    """28×28 pixels, 81 % of them zero as in MNIST: more and more towards the border."""
    squares = (np.arange(28) - 13.5) ** 2
    ink = np.exp(-(squares[:, None] + squares) / 50).ravel()  # its mean is 0.19
    x = rng.random((ROWS + HELD_OUT, FEATURES), dtype=np.float32)
    return x * (rng.random(x.shape, dtype=np.float32) < ink)


def csr(rng):
    """Counts of words in short texts, 20,000 columns of which each row has 20."""
    from scipy.sparse import csr_matrix

    rows = ROWS + HELD_OUT
    frequencies = 1 / (np.arange(1, WORDS + 1) + 2.7)
    vocabulary = rng.permutation(WORDS)  # columns are in the order of the alphabet
    words = vocabulary[rng.choice(WORDS, rows * LENGTH, p=frequencies / frequencies.sum())]
    places = np.repeat(np.arange(rows), LENGTH), words
    return csr_matrix((np.ones(words.size, np.float32), places), (rows, WORDS))


INPUTS = {"gaussian": gaussian, "mnist-like": mnist_like, "csr": csr}
