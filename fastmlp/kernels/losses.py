"""Heads: what is made of the logits.

Every head has the same arguments: ``Z`` (rows, n_outputs) logits; ``labels`` (n_samples,) of the
whole data set or ``targets`` (n_samples, n_outputs), whichever it needs; ``weights`` (1, n_samples)
of the samples, or (1, 0) for ones; ``order``, of which ``order[first + r]`` is the sample in row r;
``D`` where the result goes, its padding too; ``scores`` (2, rows): weighted loss and hit (1 or 0)
of each row; ``options`` (4, n): the loss's parameter (label smoothing, delta) at [0, 0], in row 1
the weights c of classes or outputs, in rows 2 and 3 the least and the largest loss of a label where
it is clipped, which its gradient does not heed; ``scale`` of the gradient.
"""

from __future__ import annotations

import math

from fastmlp.kernels.compilation import inner
from fastmlp.kernels.simd import (
    absolute,
    exp,
    full,
    lane_index,
    lanes,
    load,
    log1p,
    max_lanes,
    maximum,
    min_lanes,
    minimum,
    store,
    sum_lanes,
    where,
)

LOSS, HIT = 0, 1

LEAST, LARGEST = 2, 3
"""Rows of ``options``: what the loss of a label is clipped to."""


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


@inner
def weight_of(weights, sample):
    """Weight of a sample."""
    return weights[0, sample] if weights.shape[1] > 0 else weights.dtype.type(1)


@inner
def clipped(loss, options, j):
    """The loss between the limits of output j; NaN stays."""
    if loss > options[LARGEST, j]:
        return options[LARGEST, j]
    if loss < options[LEAST, j]:
        return options[LEAST, j]
    return loss


def softmax_cross_entropy(Z, labels, targets, weights, order, first, D, scores, options, scale):
    """loss = s (log(sum_j exp(z_j)) - z_y);  D = dZ = scale s (softmax(Z) - onehot(y)).

    Both from z - max(z); s is the sample's weight.
    """
    for r in range(Z.shape[0]):
        sample = order[first + r]
        label = labels[sample]
        weight = weight_of(weights, sample)
        row_scale = scale * weight
        shift, normaliser = exponentials(Z, r, D)
        for j in range(0, Z.shape[1], lanes(Z)):
            store(D, r, j, load(D, r, j) * (row_scale / normaliser))
        D[r, label] -= row_scale
        loss = math.log(normaliser) - (Z[r, label] - shift)
        scores[LOSS, r] = weight * clipped(loss, options, 0)
        scores[HIT, r] = row_argument(Z, r, shift) == label


@inner
def cross_entropy_row(Z, r, D, weight, scale):
    """loss = s sum_j u_j (log(sum_k exp(z_k)) - z_j);  dZ_j = scale s (U softmax(z)_j - u_j).

    u waits in D[r], where dZ comes; U is its sum. Z[r] is lost. The loss, and the argument of the
    largest logit.
    """
    total, product, shift = full(Z, 0), full(Z, 0), row_maximum(Z, r)
    argument = row_argument(Z, r, shift)
    for j in range(0, Z.shape[1], lanes(Z)):
        u = load(D, r, j)
        total = total + u
        product = product + u * masked_row(Z, r, j, 0)
    U, weighted = sum_lanes(total), sum_lanes(product)
    _, normaliser = exponentials(Z, r, Z)
    row_scale = scale * weight
    for j in range(0, Z.shape[1], lanes(Z)):
        softmax_part = load(Z, r, j) * (U / normaliser)
        store(D, r, j, (softmax_part - load(D, r, j)) * row_scale)
    loss = U * (math.log(normaliser) + shift) - weighted
    return weight * loss, argument


def smooth_cross_entropy(Z, labels, targets, weights, order, first, D, scores, options, scale):
    """Cross-entropy of labels, u_j = c_j ((1 - e) [j = y] + e / K), e the smoothing."""
    n = Z.shape[1]
    smoothing = options[0, 0]
    for r in range(Z.shape[0]):
        sample = order[first + r]
        label = labels[sample]
        for j in range(0, n, lanes(Z)):
            store(D, r, j, masked_row(options, 1, j, 0) * (smoothing / n))
        D[r, label] += options[1, label] * (1 - smoothing)
        loss, argument = cross_entropy_row(Z, r, D, weight_of(weights, sample), scale)
        scores[LOSS, r], scores[HIT, r] = loss, argument == label


def row_cross_entropy(Z, labels, targets, weights, order, first, D, scores, options, scale):
    """Cross-entropy of rows t of probabilities, u_j = c_j ((1 - e) t_j + e / K)."""
    n = Z.shape[1]
    smoothing = options[0, 0]
    for r in range(Z.shape[0]):
        sample = order[first + r]
        copy_target(targets, sample, D, r)
        target = row_argument(D, r, row_maximum(D, r))
        for j in range(0, n, lanes(Z)):
            t = load(D, r, j) * (1 - smoothing) + smoothing / n
            store(D, r, j, masked_row(options, 1, j, 0) * t)
        loss, argument = cross_entropy_row(Z, r, D, weight_of(weights, sample), scale)
        scores[LOSS, r], scores[HIT, r] = loss, argument == target


@inner
def copy_target(targets, sample, D, r):
    """D[r] = targets[sample], padding 0."""
    n = D.shape[1]
    last = (n - 1) // lanes(D) * lanes(D)
    store(D, r, last, full(D, 0))
    for j in range(n):
        D[r, j] = targets[sample, j]


@inner
def begin_row(Z, r, targets, sample, D, scores):
    """D[r] = the targets t; a hit is a row in which z_j > 0 just where t_j > 1/2."""
    copy_target(targets, sample, D, r)
    wrong, no = full(Z, 0), full(Z, 0)
    for j in range(0, Z.shape[1], lanes(Z)):
        positive = where(masked_row(Z, r, j, 0) > 0, 1, no)
        wrong = wrong + absolute(positive - where(load(D, r, j) > 0.5, 1, no))
    scores[HIT, r] = sum_lanes(wrong) == 0


@inner
def end_row(Z, r, weights, sample, D, scores, options, scale):
    """loss = s / K sum_j c_j l_j, l_j in Z[r];  D[r] = dZ = scale s / K c_j l'_j, l'_j in D[r]."""
    n = Z.shape[1]
    weight = weight_of(weights, sample) / n
    total = full(Z, 0)
    for j in range(0, n, lanes(Z)):
        c = masked_row(options, 1, j, 0)
        total = total + c * load(Z, r, j)
        store(D, r, j, c * load(D, r, j) * (scale * weight))
    scores[LOSS, r] = weight * sum_lanes(total)


def binary_cross_entropy(Z, labels, targets, weights, order, first, D, scores, options, scale):
    """l = max(z, 0) - z t + log(1 + exp(-|z|)), l' = 1 / (1 + exp(-z)) - t."""
    for r in range(Z.shape[0]):
        sample = order[first + r]
        begin_row(Z, r, targets, sample, D, scores)
        for j in range(0, Z.shape[1], lanes(Z)):
            z, t = load(Z, r, j), load(D, r, j)
            e = exp(0 - absolute(z))
            store(Z, r, j, maximum(z, 0) - z * t + log1p(e))
            store(D, r, j, where(z < 0, e, 1) / (1 + e) - t)
        end_row(Z, r, weights, sample, D, scores, options, scale)


def binary_log_loss(Z, labels, targets, weights, order, first, D, scores, options, scale):
    """l = -log(p) where t = 1, -log(1 - p) where t = 0, clipped; l' = p - t, p = 1 / (1 + exp(-z)).

    1 - p as it is rounded, of which scikit-learn's loss is: with z = 30 that of
    `binary_cross_entropy` differs from it by 3e-5. One number at a time: most networks have one
    such output, for which a vector of eight does no less work.
    """
    for r in range(Z.shape[0]):
        sample = order[first + r]
        begin_row(Z, r, targets, sample, D, scores)
        for j in range(Z.shape[1]):
            z, t = Z[r, j], D[r, j]
            e = math.exp(-abs(z))
            p = (1 if z >= 0 else e) / (1 + e)
            share = p if t > 0.5 else 1 - p
            loss = -math.log(share) if share != 0 else math.inf
            Z[r, j] = clipped(loss, options, j)
            D[r, j] = p - t
        end_row(Z, r, weights, sample, D, scores, options, scale)


def squared_error(Z, labels, targets, weights, order, first, D, scores, options, scale):
    """l = d², l' = 2 d, d = z - t."""
    for r in range(Z.shape[0]):
        sample = order[first + r]
        begin_row(Z, r, targets, sample, D, scores)
        for j in range(0, Z.shape[1], lanes(Z)):
            d = load(Z, r, j) - load(D, r, j)
            store(Z, r, j, d * d)
            store(D, r, j, d + d)
        end_row(Z, r, weights, sample, D, scores, options, scale)


def absolute_error(Z, labels, targets, weights, order, first, D, scores, options, scale):
    """l = |z - t|, l' = the sign of z - t, 0 at 0."""
    for r in range(Z.shape[0]):
        sample = order[first + r]
        begin_row(Z, r, targets, sample, D, scores)
        for j in range(0, Z.shape[1], lanes(Z)):
            d = load(Z, r, j) - load(D, r, j)
            store(Z, r, j, absolute(d))
            store(D, r, j, where(d > 0, 1, where(d < 0, -1, d)))
        end_row(Z, r, weights, sample, D, scores, options, scale)


def huber(Z, labels, targets, weights, order, first, D, scores, options, scale):
    """l = d² / 2 where |d| <= delta, else delta (|d| - delta / 2); l' = d within [-delta, delta].

    d = z - t (Huber, 1964).
    """
    delta = options[0, 0]
    for r in range(Z.shape[0]):
        sample = order[first + r]
        begin_row(Z, r, targets, sample, D, scores)
        for j in range(0, Z.shape[1], lanes(Z)):
            d = load(Z, r, j) - load(D, r, j)
            inside = minimum(absolute(d), delta)
            store(Z, r, j, inside * (absolute(d) - inside * 0.5))
            store(D, r, j, maximum(minimum(d, delta), 0 - delta))
        end_row(Z, r, weights, sample, D, scores, options, scale)


def poisson(Z, labels, targets, weights, order, first, D, scores, options, scale):
    """l = exp(z) - t z, l' = exp(z) - t."""
    for r in range(Z.shape[0]):
        sample = order[first + r]
        begin_row(Z, r, targets, sample, D, scores)
        for j in range(0, Z.shape[1], lanes(Z)):
            z, t = load(Z, r, j), load(D, r, j)
            e = exp(z)
            store(Z, r, j, e - t * z)
            store(D, r, j, e - t)
        end_row(Z, r, weights, sample, D, scores, options, scale)


def softmax(Z, labels, targets, weights, order, first, D, scores, options, scale):
    """D[r, j] = exp(z_j) / sum_k exp(z_k), by way of Z: D's rows need no padding."""
    for r in range(Z.shape[0]):
        _, normaliser = exponentials(Z, r, Z)
        for j in range(Z.shape[1]):
            D[r, j] = Z[r, j] / normaliser


def sigmoid(Z, labels, targets, weights, order, first, D, scores, options, scale):
    """D = 1 / (1 + exp(-Z)), by way of Z."""
    for r in range(Z.shape[0]):
        for j in range(0, Z.shape[1], lanes(Z)):
            store(Z, r, j, 1 / (1 + exp(0 - load(Z, r, j))))
        for j in range(Z.shape[1]):
            D[r, j] = Z[r, j]


def exponential(Z, labels, targets, weights, order, first, D, scores, options, scale):
    """D = exp(Z), by way of Z."""
    for r in range(Z.shape[0]):
        for j in range(0, Z.shape[1], lanes(Z)):
            store(Z, r, j, exp(load(Z, r, j)))
        for j in range(Z.shape[1]):
            D[r, j] = Z[r, j]


def logits(Z, labels, targets, weights, order, first, D, scores, options, scale):
    """D = Z."""
    for r in range(Z.shape[0]):
        for j in range(Z.shape[1]):
            D[r, j] = Z[r, j]


LOSSES = {
    "cross_entropy": {
        "labels": softmax_cross_entropy,
        "smooth": smooth_cross_entropy,
        "rows": row_cross_entropy,
    },
    "binary_cross_entropy": {"rows": binary_cross_entropy, "rounded": binary_log_loss},
    "squared_error": {"rows": squared_error},
    "absolute_error": {"rows": absolute_error},
    "huber": {"rows": huber},
    "poisson": {"rows": poisson},
}
"""Head of a loss by what its targets are."""

OUTPUTS = {"logits": logits, "softmax": softmax, "sigmoid": sigmoid, "exponential": exponential}
"""Heads of predictions."""
