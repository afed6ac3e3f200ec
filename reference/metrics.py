"""Metrics: how good the predictions for a whole data set are, in one number.

Shapes: Z (n, K) are the model's outputs, y (n,) class numbers, T (n, K) targets.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .functions import Array
from .inputs import shown

# A metric of classes is told for each class j, in a column of its own, who has it and who is given
# it: two boolean arrays (n, K). Then several classes, several outputs and one output are one case.


def precision(has: Array, given: Array) -> float:
    """Of those given the class, the share that have it; the mean over the classes."""
    return _mean_ratio((has & given).sum(axis=0), given.sum(axis=0))


def recall(has: Array, given: Array) -> float:
    """Of those that have the class, the share that are given it; the mean over the classes."""
    return _mean_ratio((has & given).sum(axis=0), has.sum(axis=0))


def f1(has: Array, given: Array) -> float:
    """2 / (1/precision + 1/recall) = 2 · both / (has + given); the mean over the classes."""
    return _mean_ratio(2 * (has & given).sum(axis=0), has.sum(axis=0) + given.sum(axis=0))


def accuracy(has: Array, given: Array) -> float:
    """The share of samples that are right in every column."""
    return float((has == given).all(axis=1).mean())


def top_k(y: Array, Z: Array, k: int) -> float:
    """The share of samples whose class is among the k with the largest outputs.

    Of equal outputs the first come first, as they do for argmax: top_1 is the accuracy.
    """
    ranking = np.argsort(-Z, axis=1, kind="stable")  # (n, K): classes from best to worst
    return float((ranking[:, :k] == y[:, np.newaxis]).any(axis=1).mean())


def mae(T: Array, Z: Array) -> float:
    """Mean of |z − t|."""
    return float(abs(Z - T).mean())


def mse(T: Array, Z: Array) -> float:
    """Mean of (z − t)²."""
    return float(((Z - T) ** 2).mean())


def r2(T: Array, Z: Array) -> float:
    """1 − Σ (z − t)² / Σ (t − mean t)²: what the model explains of the variance of its targets.

    The mean over the outputs; one without variance counts 1 if all is predicted exactly, else 0.
    It needs two samples: of one it is NaN.
    """
    if len(T) == 1:
        return float("nan")
    scores = []
    for t, z in zip(T.T, Z.T, strict=True):
        variation = ((t - t.mean()) ** 2).sum()
        error = ((z - t) ** 2).sum()
        scores.append(float(error == 0) if variation == 0 else 1 - error / variation)
    return float(np.mean(scores))


OF_CLASSES: dict[str, Callable[[Array, Array], float]] = {
    "accuracy": accuracy,
    "f1": f1,
    "precision": precision,
    "recall": recall,
}
OF_NUMBERS: dict[str, Callable[[Array, Array], float]] = {"mae": mae, "mse": mse, "r2": r2}

# What makes sense of what a loss predicts. The loss itself is measured by the training; top_k
# stands for every k.
NAMES_OF = {
    "labels": ["accuracy", "f1", "loss", "precision", "recall", "top_k"],
    "binary": ["accuracy", "f1", "loss", "precision", "recall"],
    "real": ["loss", "mae", "mse", "r2"],
}
NAMES = sorted({name for names in NAMES_OF.values() for name in names})
LOWER_IS_BETTER = ["loss", "mae", "mse"]


def check_name(argument: str, name: Any, also: Sequence[str] = ()) -> str:
    """Name if it is one of `also`, or a metric's: one of NAMES, with a number in place of k."""
    if name == "top_k" or (k_of(name) is None and name not in [*also, *NAMES]):
        allowed = ", ".join([*also, *NAMES]).replace("top_k", "top_2, top_5, ...")
        raise ValueError(f"{argument} must be one of {allowed}, got {shown(name)}")
    return str(name)


def k_of(name: Any) -> int | None:
    """5 for "top_5"; None for a name of another kind."""
    found = re.fullmatch(r"top_([0-9]{1,9})", name) if isinstance(name, str) else None
    return int(found.group(1)) if found else None


def check_metrics(metrics: Any, kind: str, n_outputs: int) -> tuple[str, ...]:
    """Metrics as a tuple of different names that make sense where the loss predicts `kind`.

    Parameters
    ----------
    metrics : sequence of str
    kind : "labels", "binary" or "real"
    n_outputs : int
        K.
    """
    if isinstance(metrics, str) or not isinstance(metrics, Sequence):
        raise TypeError(f"metrics must be a sequence of names, got {shown(metrics)}")
    for name in metrics:
        check_name("metrics", name)
        k = k_of(name)
        if (name if k is None else "top_k") not in NAMES_OF[kind]:
            allowed = ", ".join(NAMES_OF[kind])
            raise ValueError(f"metrics of {kind} outputs must be among {allowed}, got {name}")
        if k is not None and not 1 <= k <= n_outputs:
            raise ValueError(f"metrics: k must be in 1..{n_outputs}, the classes, got {name}")
    return tuple(dict.fromkeys(metrics))


def measure(name: str, y: Any, outputs: Any, kind: str) -> float:
    """Metric `name` of outputs (n, K) for targets y; see :func:`check_metrics`.

    Parameters
    ----------
    y : array
        "labels": integers (n,), or rows of probabilities (n, K), the largest of which is the label.
        "binary": zeros and ones, "real": numbers, both (n,) if K = 1 or (n, K).
    outputs : (n, K)
        Logits; predictions if `kind` is "real".
    """
    y, Z = np.asarray(y), np.asarray(outputs)
    if kind == "real":
        return OF_NUMBERS[name](y.reshape(Z.shape).astype(np.float64), Z.astype(np.float64))
    if kind == "binary":
        return OF_CLASSES[name](y.reshape(Z.shape) > 0.5, Z > 0)
    if y.ndim == 2:
        y = y.argmax(axis=1)
    k = k_of(name)
    if k is not None:
        return top_k(y, Z, k)
    predicted = Z.argmax(axis=1)
    # Classes that nobody has and nobody is given say nothing.
    classes = np.union1d(y, predicted)
    return OF_CLASSES[name](y[:, np.newaxis] == classes, predicted[:, np.newaxis] == classes)


def _mean_ratio(parts: Array, wholes: Array) -> float:
    """Mean of part / whole over the columns, where 0 / 0 counts as 0."""
    return float(np.mean([p / w if w else 0.0 for p, w in zip(parts, wholes, strict=True)]))
