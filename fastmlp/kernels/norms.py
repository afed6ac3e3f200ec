"""Normalisation between a product and its activation, by rows (layer) or by columns (batch).

``Z`` (rows, n) becomes ``N = scale H + shift``, H the normalised Z, which backward needs; ``scale``
and ``shift`` (1, n).
"""

from __future__ import annotations

from fastmlp.kernels.compilation import inner
from fastmlp.kernels.losses import masked_row
from fastmlp.kernels.simd import full, lanes, load, sqrt, store, sum_lanes

EPSILON = 1e-5
"""Added to the variance: PyTorch's default, and the papers'."""

MOMENTUM = 0.1
"""Of the new batch in the running statistics (PyTorch's default)."""

SUM, PRODUCT_SUM = 2, 3
"""Rows of the statistics, after mean and variance: sums of dN and of dN H over the batch; forward,
what ranks sum to pool theirs."""


@inner
def layer_norm(Z, N, H, scale, shift, root):
    """H = (Z - mean) / sqrt(variance + eps), of each row (Ba et al., 2016); root (rows, 1)."""
    n = Z.shape[1]
    for r in range(Z.shape[0]):
        total = full(Z, 0)
        for j in range(0, n, lanes(Z)):
            total = total + masked_row(Z, r, j, 0)
        mean = sum_lanes(total) / n
        total = full(Z, 0)
        for j in range(0, n, lanes(Z)):
            d = masked_row(Z, r, j, mean) - mean
            total = total + d * d
        root[r, 0] = 1 / (sum_lanes(total) / n + EPSILON) ** 0.5
        for j in range(0, n, lanes(Z)):
            h = (masked_row(Z, r, j, mean) - mean) * root[r, 0]
            store(H, r, j, h)
            store(N, r, j, load(scale, 0, j) * h + load(shift, 0, j))


@inner
def layer_norm_backward(dN, dZ, H, scale, root):
    """dZ = root (dH - mean(dH) - H mean(dH H)), dH = scale dN; H becomes dN H, for dscale."""
    n = dN.shape[1]
    for r in range(dN.shape[0]):
        total, product = full(dN, 0), full(dN, 0)
        for j in range(0, n, lanes(dN)):
            dH = load(scale, 0, j) * load(dN, r, j)
            total = total + dH
            product = product + dH * load(H, r, j)
        mean, slope = sum_lanes(total) / n, sum_lanes(product) / n
        for j in range(0, n, lanes(dN)):
            d, h = load(dN, r, j), load(H, r, j)
            store(dZ, r, j, (load(scale, 0, j) * d - mean - h * slope) * root[r, 0])
            store(H, r, j, d * h)
        last = (n - 1) // lanes(dZ) * lanes(dZ)
        store(dZ, r, last, masked_row(dZ, r, last, 0))  # the padding of the weights stays zero


@inner
def batch_statistics(Z, statistics):
    """Mean and (biased) variance of each column.

    The mean is taken first: a sum of squares less the square of the sum would lose all digits where
    the mean is large. Both are 0 without rows.
    """
    rows = Z.shape[0]
    count = max(rows, 1)
    for j in range(0, Z.shape[1], lanes(Z)):
        total = full(Z, 0)
        for r in range(rows):
            total = total + load(Z, r, j)
        mean = total / count
        total = full(Z, 0)
        for r in range(rows):
            d = load(Z, r, j) - mean
            total = total + d * d
        store(statistics, 0, j, mean)
        store(statistics, 1, j, total / count)


@inner
def weigh_mean(statistics, rows):
    """SUM = n_r mean_r; summed over ranks and divided by n it is the mean of all."""
    for j in range(0, statistics.shape[1], lanes(statistics)):
        store(statistics, SUM, j, load(statistics, 0, j) * rows)


@inner
def weigh_variance(statistics, rows, all_rows):
    """PRODUCT_SUM = n_r (variance_r + (mean_r - mean)²), which makes the variance in the same way.

    (Chan et al., Updating formulae and a pairwise algorithm for computing sample variances, 1979.)
    """
    for j in range(0, statistics.shape[1], lanes(statistics)):
        d = load(statistics, 0, j) - load(statistics, SUM, j) / all_rows
        store(statistics, PRODUCT_SUM, j, (load(statistics, 1, j) + d * d) * rows)


@inner
def take_pooled(statistics, all_rows):
    """Mean and variance of all ranks, from the sums."""
    for j in range(0, statistics.shape[1], lanes(statistics)):
        store(statistics, 0, j, load(statistics, SUM, j) / all_rows)
        store(statistics, 1, j, load(statistics, PRODUCT_SUM, j) / all_rows)


@inner
def move_statistics(running, statistics, rows):
    """running (2, n) = 0.9 running + 0.1 mean and unbiased variance of a batch of ``rows``.

    A single one has no unbiased variance.
    """
    for j in range(0, running.shape[1], lanes(running)):
        mean, variance = load(statistics, 0, j), load(statistics, 1, j)
        store(running, 0, j, load(running, 0, j) * (1 - MOMENTUM) + mean * MOMENTUM)
        if rows > 1:
            unbiased = variance * (rows / (rows - 1))
            store(running, 1, j, load(running, 1, j) * (1 - MOMENTUM) + unbiased * MOMENTUM)


@inner
def batch_norm(Z, N, H, scale, shift, statistics):
    """H = (Z - mean) / sqrt(variance + eps), of each column (Ioffe and Szegedy, 2015)."""
    for j in range(0, Z.shape[1], lanes(Z)):
        mean, root = load(statistics, 0, j), 1 / sqrt(load(statistics, 1, j) + EPSILON)
        factor, offset = load(scale, 0, j), load(shift, 0, j)
        for r in range(Z.shape[0]):
            h = (load(Z, r, j) - mean) * root
            store(H, r, j, h)
            store(N, r, j, factor * h + offset)


@inner
def batch_sums(dN, H, statistics):
    """Sums of dN and of dN H over the batch, of each column."""
    for j in range(0, dN.shape[1], lanes(dN)):
        total, product = full(dN, 0), full(dN, 0)
        for r in range(dN.shape[0]):
            d = load(dN, r, j)
            total = total + d
            product = product + d * load(H, r, j)
        store(statistics, SUM, j, total)
        store(statistics, PRODUCT_SUM, j, product)


@inner
def batch_norm_backward(dN, dZ, H, scale, statistics, rows):
    """dZ = scale root (dN - mean(dN) - H mean(dN H)), means over the rows; H becomes dN H."""
    for j in range(0, dN.shape[1], lanes(dN)):
        factor = load(scale, 0, j) / sqrt(load(statistics, 1, j) + EPSILON)
        mean, slope = load(statistics, SUM, j) / rows, load(statistics, PRODUCT_SUM, j) / rows
        for r in range(dN.shape[0]):
            d, h = load(dN, r, j), load(H, r, j)
            store(dZ, r, j, factor * (d - mean - h * slope))
            store(H, r, j, d * h)
