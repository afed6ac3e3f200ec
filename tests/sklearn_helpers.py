"""What the tests of the scikit-learn estimators share: small problems, and two fits compared."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from sklearn import neural_network
from sklearn.datasets import load_digits, load_iris, make_multilabel_classification

from fastmlp.sklearn import MLPClassifier, MLPRegressor

CLASSIFIERS = MLPClassifier, neural_network.MLPClassifier
REGRESSORS = MLPRegressor, neural_network.MLPRegressor
"""Ours, theirs."""

PAIRS = {"MLPClassifier": CLASSIFIERS, "MLPRegressor": REGRESSORS}


def _problems():
    iris, species = load_iris(return_X_y=True)
    iris = iris[::2] - iris.mean(0)
    species = species[::2]
    digits, numbers = load_digits(return_X_y=True)
    tags, several = make_multilabel_classification(
        60, n_features=8, n_classes=3, n_labels=2, random_state=0
    )
    tags = tags / 10.0
    rng = np.random.default_rng(0)
    real = np.stack([iris @ [0.5, -1, 0.3, 1], np.sin(iris).sum(1)], axis=1)
    return {
        "binary": (iris, np.where(species == 1, "yes", "no")),
        "multiclass": (iris, species * 2 - 1),
        "digits": (digits[:200] / 16.0, numbers[:200]),
        "multilabel": (tags, several),
        "regression": (iris, real[:, 0]),
        "outputs": (iris, real),
        "counts": (iris, rng.poisson(np.exp(0.5 * iris[:, 0] + 0.3)).astype(float)),
    }


PROBLEMS = _problems()
"""Name to X and y; none has more than 200 rows."""

CLASSIFICATION = ("binary", "multiclass", "digits", "multilabel")


def pair_of(problem: str) -> tuple[type, type]:
    return CLASSIFIERS if problem in CLASSIFICATION else REGRESSORS


def weights_for(X: Any) -> Any:
    return np.random.default_rng(7).uniform(0.2, 2.0, X.shape[0])


def in_order(match: re.Match[str]) -> str:
    """A set in a message, which is in any order."""
    return "{" + ", ".join(sorted(match[1].split(", "))) + "}"


class Watched(NamedTuple):
    """What a call did, all that a user can see of it but its result."""

    error: tuple[type, str] | None
    warnings: list[tuple[type, str]]
    printed: str


def watch(action: Any, *arguments: Any, **more: Any) -> Watched:
    """Call, and keep what is raised, warned of and printed.

    RuntimeWarning is NumPy's own, of an overflow in an array: compiled loops have none.
    """
    printed = io.StringIO()
    error = None
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(printed):
        warnings.simplefilter("always")
        try:
            action(*arguments, **more)
        except Exception as raised:
            error = (type(raised), re.sub(r"\{(.+?)\}", in_order, str(raised)))
    seen = [(w.category, str(w.message)) for w in caught if w.category is not RuntimeWarning]
    return Watched(error, seen, printed.getvalue())


FITTED = (
    *("coefs_", "intercepts_", "loss_curve_", "loss_", "best_loss_", "n_iter_", "t_"),
    *("validation_scores_", "best_validation_score_", "out_activation_", "n_layers_"),
    *("n_outputs_", "classes_", "n_features_in_", "feature_names_in_"),
)
PREDICTIONS = ("predict", "predict_proba", "predict_log_proba")


def assert_same(ours: Any, theirs: Any, what: str, rtol: float, atol: float = 0.0) -> None:
    """Equal type of container, shape, dtype and, to the tolerance, values."""
    if scipy.sparse.issparse(theirs):
        ours, theirs = ours.toarray(), theirs.toarray()
    if isinstance(theirs, (list, tuple)):
        assert isinstance(ours, type(theirs)), what
        assert len(ours) == len(theirs), what
        for position, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(one, other, f"{what}[{position}]", rtol, atol)
    elif theirs is None or isinstance(theirs, (str, int)):
        assert ours == theirs, f"{what}: {ours!r}, not {theirs!r}"
    elif isinstance(theirs, np.ndarray):
        assert ours.dtype == theirs.dtype, f"{what}: {ours.dtype}, not {theirs.dtype}"
        if theirs.dtype.kind == "f":
            np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol, err_msg=what)
        else:
            np.testing.assert_array_equal(ours, theirs, err_msg=what)
    else:
        assert isinstance(ours, float), f"{what}: {type(ours)}"
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol, err_msg=what)


def assert_equally_fitted(
    ours: Any, theirs: Any, X: Any, y: Any, rtol: float, atol: float = 0.0
) -> None:
    """Every public attribute and every prediction equal, to the tolerance."""
    for name in FITTED:
        assert hasattr(ours, name) == hasattr(theirs, name), name
        if hasattr(theirs, name):
            assert_same(getattr(ours, name), getattr(theirs, name), name, rtol, atol)
    for name in PREDICTIONS:
        assert hasattr(ours, name) == hasattr(theirs, name), name
        if hasattr(theirs, name):
            with np.errstate(divide="ignore"):  # the logarithm of a probability of 0
                one, other = getattr(ours, name)(X), getattr(theirs, name)(X)
            assert_same(one, other, name, rtol, atol)
    assert_same(float(ours.score(X, y)), float(theirs.score(X, y)), "score", rtol, atol)
