"""What "equal" means between the engine and the reference, and the networks it is checked on."""

from __future__ import annotations

import numpy as np

TOLERANCE = {"float64": 1e-10, "float32": 2e-5}
"""Largest difference, relative to the largest item of the array.

A sum of k rounded products is off by about sqrt(k) * eps relative to its largest term, and its
order differs between the engine and BLAS. float32: sqrt(1000) * 6e-8 = 2e-6 for the widest layer
here; ten times that for what five layers and several steps add.
"""

ADAM = {"lr": 0.01, "eps": 1e-3}
"""Settings of Adam for which TOLERANCE is the right one after some steps.

Adam divides by sqrt(v) + eps. Its first step is lr * dW / (|dW| + eps), of slope lr / eps at dW =
0: a gradient of zero that another order of sums makes d moves the parameter by lr * d / eps. The
default eps, 1e-8, lies below the rounding of float32, 1e-7 times the largest gradient or so: the
sign of such a step is chance. Measured on the reference against itself with samples, features and
hidden units in another order, one step of each of NETWORKS, by the default settings: 3e-3 in
float32, 4e-12 in float64; by these: 4e-6 and 1e-14. A gradient of which each term is zero, behind
a relu or under a column of zeros, is zero in any order of sums and gives no step.
"""

NETWORKS = {
    # name: (layers, samples)
    "depth 1": ([20, 10], 33),
    "depth 2": ([784, 128, 10], 128),
    "depth 3": ([17, 7, 3, 10], 33),
    "depth 4": ([10, 17, 128, 7, 4], 50),
    "depth 5": ([7, 17, 10, 7, 17, 3], 65),
    "width 1": ([1, 1, 2], 9),
    "width 1000": ([30, 1000, 10], 40),
    "wide input": ([1000, 3, 2], 40),
    "wide output": ([5, 17, 1000], 20),
    "one class": ([4, 3, 1], 6),
    "one sample": ([20, 17, 10], 1),
    "4096-byte rows": ([16, 1024, 512, 5], 17),
}


def problem(layers, n_samples, dtype, seed=0):
    """Seeded samples and labels for a network."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n_samples, layers[0])).astype(dtype)
    return x, rng.integers(0, layers[-1], n_samples)


def sparse_problem(layers, n_samples, dtype, density, seed=0):
    """As `problem`, with zeros in the samples: whole columns, and single items."""
    x, y = problem(layers, n_samples, dtype, seed)
    rng = np.random.default_rng(seed + 1)
    kept = rng.random(x.shape) < density
    kept[:, rng.random(layers[0]) < 0.2] = False
    return x * kept.astype(dtype), y


def assert_equal(actual, expected, dtype, what=""):
    """Arrays are equal within the tolerance of ``dtype``."""
    actual, expected = np.asarray(actual, float), np.asarray(expected, float)
    assert actual.shape == expected.shape
    scale = np.abs(expected).max(initial=np.finfo(float).tiny)
    difference = np.abs(actual - expected).max(initial=0) / scale
    assert difference <= TOLERANCE[dtype], f"{what}: relative difference {difference:.2e}"
