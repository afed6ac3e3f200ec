"""Heads: what is made of the logits.

Every head has the same arguments: ``Z`` (rows, n_classes) logits; ``labels`` (n_samples,) of the
whole data set; ``order``, of which ``order[first + r]`` is the sample in row r; ``D`` where the
result goes; ``scores`` (2, rows): loss and hit (1 or 0) of each row; ``scale`` of the gradient.
"""

from __future__ import annotations

import math
from typing import Any

from fastmlp.kernels.compilation import inner
from fastmlp.kernels.simd import (
    exp,
    full,
    lane_index,
    lanes,
    load,
    max_lanes,
    maximum,
    min_lanes,
    minimum,
    store,
    sum_lanes,
    where,
)

LOSS, HIT = 0, 1


@inner
def masked_row(Z, r, j, fill):
    """Row r from column j on, with ``fill`` beyond the last column."""
    return where(lane_index(Z) < Z.shape[1] - j, load(Z, r, j), fill)


@inner
def row_maximum(Z, r):
    """max_j Z[r, j]."""
    largest = full(Z, -math.inf)
    for j in range(0, Z.shape[1], lanes(Z)):
        largest = maximum(largest, masked_row(Z, r, j, -math.inf))
    return max_lanes(largest)


@inner
def row_argument(Z, r, value):
    """First j with Z[r, j] = value, or Z.shape[1]."""
    n = Z.shape[1]
    first = full(Z, n)
    for j in range(0, n, lanes(Z)):
        found = masked_row(Z, r, j, -math.inf) == value
        first = minimum(first, where(found, lane_index(Z) + j, n))
    return min_lanes(first)


@inner
def exponentials(Z, r, D):
    """D[r] = exp(Z[r] - max(Z[r])), padding 0; the maximum and the sum of D[r].

    Shifted by its maximum, no exponent overflows, and softmax does not change.
    """
    shift = row_maximum(Z, r)
    total = full(Z, 0)
    for j in range(0, Z.shape[1], lanes(Z)):
        e = exp(masked_row(Z, r, j, -math.inf) - shift)
        store(D, r, j, e)
        total = total + e
    return shift, sum_lanes(total)


def softmax_cross_entropy(
    Z: Any, labels: Any, order: Any, first: int, D: Any, scores: Any, scale: float
) -> None:
    """loss = log(sum_j exp(z_j)) - z_y;  D = dZ = scale * (softmax(Z) - onehot(y)).

    Both from z - max(z). D's padding becomes 0.
    """
    for r in range(Z.shape[0]):
        label = labels[order[first + r]]
        shift, normaliser = exponentials(Z, r, D)
        for j in range(0, Z.shape[1], lanes(Z)):
            store(D, r, j, load(D, r, j) * (scale / normaliser))
        D[r, label] -= scale
        scores[LOSS, r] = math.log(normaliser) - (Z[r, label] - shift)
        scores[HIT, r] = row_argument(Z, r, shift) == label


def softmax(Z: Any, labels: Any, order: Any, first: int, D: Any, scores: Any, scale: float) -> None:
    """D[r, j] = exp(z_j) / sum_k exp(z_k), by way of Z: D's rows need no padding."""
    for r in range(Z.shape[0]):
        _, normaliser = exponentials(Z, r, Z)
        for j in range(Z.shape[1]):
            D[r, j] = Z[r, j] / normaliser


def logits(Z: Any, labels: Any, order: Any, first: int, D: Any, scores: Any, scale: float) -> None:
    """D = Z."""
    for r in range(Z.shape[0]):
        for j in range(Z.shape[1]):
            D[r, j] = Z[r, j]
