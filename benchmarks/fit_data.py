"""``X`` and ``y`` of a `FitTask`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn import datasets
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import StandardScaler

import fastmlp
from benchmarks.fit_task import FitTask


def table(task: FitTask) -> tuple[Any, NDArray[Any]]:
    """The task's ``X`` and ``y``."""
    X, y = DATA[task.data]()
    return X.astype(task.dtype), y


def _mnist() -> tuple[Any, NDArray[Any]]:
    mnist = fastmlp.load_dataset("mnist")
    return mnist.x_train / np.float32(255), mnist.y_train


def _dense(n_features: int) -> tuple[Any, NDArray[Any]]:
    return datasets.make_classification(
        50_000, n_features, n_informative=n_features // 2, random_state=0
    )


def _standardised(load: Callable[..., Any]) -> tuple[Any, NDArray[Any]]:
    X, y = load(return_X_y=True)
    return StandardScaler().fit_transform(X), y


ROWS, WORDS, LENGTH, TOPICS = 10_000, 20_000, 21, 20
"""21 words make 20 different ones, a thousandth of all, at these frequencies."""


def _text() -> tuple[Any, NDArray[Any]]:
    """tf-idf of short texts: the k-th most frequent word is Zipf's 1 / (k + 2.7) as frequent."""
    rng = np.random.default_rng(0)
    frequencies = 1 / (np.arange(1, WORDS + 1) + 2.7)
    vocabulary = rng.permutation(WORDS)  # columns are in the order of the alphabet
    drawn = rng.choice(WORDS, ROWS * LENGTH, p=frequencies / frequencies.sum())
    places = np.repeat(np.arange(ROWS), LENGTH), vocabulary[drawn]
    X = TfidfTransformer().fit_transform(csr_matrix((np.ones(drawn.size), places), (ROWS, WORDS)))
    return X, np.argmax(X @ rng.standard_normal((WORDS, TOPICS)), axis=1)


DATA: dict[str, Callable[[], tuple[Any, NDArray[Any]]]] = {
    "mnist": _mnist,
    "20": lambda: _dense(20),
    "100": lambda: _dense(100),
    "iris": lambda: _standardised(datasets.load_iris),
    "wine": lambda: _standardised(datasets.load_wine),
    "cancer": lambda: _standardised(datasets.load_breast_cancer),
    "digits": lambda: _standardised(datasets.load_digits),
    "csr": _text,
}
"""Name: what makes ``X`` and ``y``."""
