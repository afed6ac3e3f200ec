"""Whole fits of ours and of scikit-learn's own estimators, side by side."""

import inspect
import warnings

import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import load_breast_cancer

from tests.sklearn_helpers import (
    PAIRS,
    PROBLEMS,
    assert_equally_fitted,
    pair_of,
    watch,
    weights_for,
)

RTOL, ATOL = 1e-10, 1e-12
"""Of a fit in float64; the absolute part is for coefficients near zero, which are sums of larger
terms."""

LBFGS_RTOL, LBFGS_ATOL = 1e-8, 1e-9
"""A line search divides differences of nearly equal losses, and each iteration amplifies the
rounding of those before: scikit-learn's own fits, with products summed in two halves, differ from
themselves by up to 3e-10 after 12 iterations, and by 1e-5 after 30."""

SMALL = {"hidden_layer_sizes": (9, 7), "max_iter": 10, "batch_size": 16, "random_state": 3}
SGD = {"solver": "sgd", "learning_rate_init": 0.02}
ADAM = {"solver": "adam", "learning_rate_init": 0.01}
LBFGS = {"solver": "lbfgs", "max_iter": 12}
STOP = {"early_stopping": True, "validation_fraction": 0.2}


def case(problem, *settings, **more):
    merged = dict(SMALL)
    for each in (*settings, more):
        merged |= each
    return problem, merged


CASES = {
    **{
        f"{problem}, {solver['solver']}, {activation}": case(
            problem, solver, activation=activation, weighted=activation in ("tanh", "relu")
        )
        for problem in PROBLEMS
        for solver in (SGD, ADAM, LBFGS)
        for activation in ("identity", "logistic", "tanh", "relu")
    },
    **{
        f"poisson, {solver['solver']}, weighted {weighted}": case(
            "counts", solver, loss="poisson", weighted=weighted
        )
        for solver in (SGD, ADAM, LBFGS)
        for weighted in (False, True)
    },
    **{
        f"{rate}, momentum {momentum}, nesterov {nesterov}": case(
            "multiclass",
            SGD,
            learning_rate=rate,
            momentum=momentum,
            nesterovs_momentum=nesterov,
        )
        for rate in ("constant", "invscaling", "adaptive")
        for momentum in (0, 0.9)
        for nesterov in (True, False)
    },
    "invscaling, power_t": case("regression", SGD, learning_rate="invscaling", power_t=0.1),
    "adaptive, down to its end": case(
        "binary", SGD, learning_rate="adaptive", tol=0.1, n_iter_no_change=1, max_iter=60
    ),
    "adaptive, early stopping": case(
        "multiclass", SGD, STOP, learning_rate="adaptive", n_iter_no_change=1, max_iter=40
    ),
    "momentum 1": case("binary", SGD, momentum=1, max_iter=4),
    "adam, betas, epsilon": case("outputs", ADAM, beta_1=0.5, beta_2=0.9, epsilon=1e-4),
    "adam, betas 0": case("binary", ADAM, beta_1=0, beta_2=0, epsilon=1e-2),
    "alpha 0": case("regression", ADAM, alpha=0),
    "alpha 3": case("multiclass", ADAM, alpha=3, weighted=True),
    "alpha 3, lbfgs": case("multiclass", LBFGS, alpha=3, weighted=True),
    "lbfgs, max_fun": case("digits", LBFGS, max_fun=9),
    "lbfgs, tol": case("multiclass", LBFGS, tol=0.05, max_iter=500),
    "lbfgs, early_stopping counts for nothing": case("binary", LBFGS, STOP),
    **{
        f"early stopping, {problem}, weighted {weighted}": case(
            problem, ADAM, STOP, weighted=weighted, n_iter_no_change=3
        )
        for problem in PROBLEMS
        for weighted in (False, True)
    },
    "early stopping ends": case("multiclass", ADAM, STOP, tol=0.5, n_iter_no_change=2),
    "early stopping, poisson": case("counts", ADAM, STOP, loss="poisson"),
    "tol ends": case("binary", ADAM, tol=0.05, n_iter_no_change=2, max_iter=100),
    "n_iter_no_change infinite": case("binary", ADAM, tol=1e9, n_iter_no_change=np.inf),
    "shuffle False": case("multiclass", ADAM, shuffle=False),
    "shuffle False, sgd, weighted": case("outputs", SGD, shuffle=False, weighted=True),
    **{
        f"batch_size {size}": case("multiclass", ADAM, batch_size=size, max_iter=5)
        for size in (1, 7, 74, 75, 76, 1000, "auto", np.int64(20))
    },
    "more rows than 200 by repetition": case("repeated", ADAM, batch_size="auto"),
    **{
        f"{container.__name__}, {solver['solver']}, {problem}": case(
            problem, solver, container=container, weighted=problem == "outputs"
        )
        for container in (
            *(scipy.sparse.csr_matrix, scipy.sparse.csc_matrix),
            *(scipy.sparse.csr_array, scipy.sparse.csc_array),
        )
        for solver in (ADAM, SGD, LBFGS)
        for problem in ("digits", "outputs")
    },
    "csr, early stopping": case("digits", ADAM, STOP, container=scipy.sparse.csr_matrix),
    "csc, early stopping": case("digits", ADAM, STOP, container=scipy.sparse.csc_matrix),
    "lists": case("multiclass", ADAM, container=np.ndarray.tolist),
    "Fortran order": case("digits", ADAM, container=np.asfortranarray),
    "every other column": case("digits", ADAM, container=lambda X: np.repeat(X, 2, 1)[:, ::2]),
    "integers": case("digits", ADAM, container=lambda X: (X * 16).astype(np.int32)),
    "bytes": case("digits", ADAM, container=lambda X: (X * 16).astype(np.uint8)),
    "float16": case("digits", ADAM, container=lambda X: X.astype(np.float16)),
    "objects": case("multiclass", ADAM, container=lambda X: X.astype(object)),
    "no hidden layer": case("multiclass", ADAM, hidden_layer_sizes=()),
    "no hidden layer, lbfgs": case("binary", LBFGS, hidden_layer_sizes=[]),
    "one integer": case("binary", ADAM, hidden_layer_sizes=6),
    "sizes in an array": case("binary", ADAM, hidden_layer_sizes=np.array([6, 5, 4])),
    "hidden layers of one": case("outputs", SGD, hidden_layer_sizes=(1, 1)),
    "wide": case("digits", ADAM, hidden_layer_sizes=(150, 33), max_iter=4),
    "tiny rate": case("binary", ADAM, learning_rate_init=1e-9),
    "a single epoch": case("binary", SGD, max_iter=1),
}
FLOAT32 = {
    **{
        f"{problem}, {solver['solver']}": case(problem, solver)
        for problem in PROBLEMS
        for solver in (SGD, ADAM, LBFGS)
    },
    "early stopping": case("multiclass", ADAM, STOP),
    "weighted": case("outputs", ADAM, weighted=True),
    "csr": case("digits", ADAM, container=scipy.sparse.csr_matrix),
}


def data_of(problem, settings, dtype=np.float64):
    if problem == "repeated":
        X, y = PROBLEMS["multiclass"]
        X, y = np.tile(X, (6, 1)), np.tile(y, 6)
        return "multiclass", X, y
    X, y = PROBLEMS[problem]
    return problem, X.astype(dtype), y


def fit_both(problem, settings, dtype=np.float64):
    settings = dict(settings)
    problem, X, y = data_of(problem, settings, dtype)
    container = settings.pop("container", np.asarray)
    weights = weights_for(X) if settings.pop("weighted", False) else None
    state = settings.pop("random_state")
    ours, theirs = (
        estimator(**settings, random_state=np.random.RandomState(state), verbose=True)
        for estimator in pair_of(problem)
    )
    X = container(X)
    seen = [watch(each.fit, X, y, weights) for each in (ours, theirs)]
    return ours, theirs, seen, X, y


@pytest.mark.parametrize("name", CASES)
def test_a_whole_fit_is_equal_to_rounding(name):
    """Attributes, predictions, what is printed and warned of, and the random state after it."""
    problem, settings = CASES[name]
    ours, theirs, seen, X, y = fit_both(problem, settings)
    assert seen[0] == seen[1]
    assert seen[1].error is None
    states = [each.random_state.get_state(legacy=False) for each in (ours, theirs)]
    np.testing.assert_equal(states[0], states[1])
    lbfgs = settings["solver"] == "lbfgs"
    rtol, atol = (LBFGS_RTOL, LBFGS_ATOL) if lbfgs else (RTOL, ATOL)
    assert_equally_fitted(ours, theirs, X, y, rtol, atol)


@pytest.mark.parametrize("name", FLOAT32)
def test_a_fit_in_float32_is_equal_to_its_rounding(name):
    """Theirs and theirs with products summed in two halves differ by 2e-6, by L-BFGS by 1e-4."""
    problem, settings = FLOAT32[name]
    ours, theirs, seen, X, y = fit_both(problem, settings, np.float32)
    assert seen[0].error is seen[1].error is None
    assert seen[0].warnings == seen[1].warnings
    parameters = [each.coefs_ + each.intercepts_ for each in (ours, theirs)]
    if settings["solver"] == "lbfgs":
        # Their coefficients are float64 then, of steps in float32.
        for one, other in zip(*parameters, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=1e-3)
    else:
        assert {array.dtype for array in parameters[0]} == {np.dtype(np.float32)}
        assert_equally_fitted(ours, theirs, X, y, 2e-5, 2e-5)


LABELS = {
    "strings": lambda y: np.array(["b", "a", "c"])[y],
    "objects": lambda y: np.array(["b", "a", "c"], dtype=object)[y],
    "booleans": lambda y: y == 1,
    "floats": lambda y: y * 1.0 - 7,
    "bytes": lambda y: y.astype(np.uint8),
    "a list": lambda y: y.tolist(),
    "a column": lambda y: y[:, None],
    "a single class": lambda y: np.full(len(y), 4),
    "one label each": lambda y: (y == 1).astype(int)[:, None],
    "all labels or none": lambda y: np.repeat((y == 1).astype(int)[:, None], 3, axis=1),
    "sparse indicators": lambda y: scipy.sparse.csr_matrix(np.eye(3, dtype=int)[y]),
    "several classes of several outputs": lambda y: np.stack([y, y], axis=1),
    "real numbers": lambda y: y + 0.5,
    "missing": lambda y: np.where(y == 1, np.nan, y),
    "None": lambda y: None,
    "fewer": lambda y: y[1:],
    "empty": lambda y: y[:0],
}


ACCIDENTS = ("strings", "objects", "sparse indicators")
"""Targets at which their regressors fail somewhere in NumPy, in words that are of no use."""


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("kind", PAIRS)
def test_targets_of_any_kind_are_equally_taken_or_refused(kind, name):
    X, y = PROBLEMS["multiclass"]
    y = LABELS[name](np.arange(len(y)) % 3)
    ours, theirs = (estimator(**SMALL) for estimator in PAIRS[kind])
    seen = [watch(each.fit, X, y) for each in (ours, theirs)]
    if kind == "MLPRegressor" and name in ACCIDENTS:
        assert None not in (seen[0].error, seen[1].error)
        return
    assert seen[0] == seen[1]
    if seen[1].error is None:
        assert_equally_fitted(ours, theirs, X, y, RTOL, ATOL)
        assert type(ours.predict(X)) is type(theirs.predict(X))
        assert ours.predict(X).dtype == theirs.predict(X).dtype


def set_alpha_and_batch_size(each):
    each.set_params(alpha=0.5, batch_size=10, shuffle=False, learning_rate_init=5.0)


def change_coefs(each):
    each.coefs_[0] = each.coefs_[0] * 0.5
    each.intercepts_[1][:] = 0.25


def fit(each, X, y, weights):
    each.fit(X, y)


def weighted_fit(each, X, y, weights):
    each.fit(X, y, weights)


def partial_fit(rows, weighted=False, **more):
    """A step that sees some of the rows."""

    def step(each, X, y, weights):
        first = not hasattr(each, "coefs_") and hasattr(each, "predict_proba")
        classes = {"classes": np.unique(y) if y.ndim == 1 else range(3)} if first else {}
        part = weights[rows] if weighted else None
        each.partial_fit(X[rows], y[rows], sample_weight=part, **classes, **more)

    return step


def change(function):
    return lambda each, X, y, weights: function(each)


def settings(**values):
    return lambda each, X, y, weights: each.set_params(**values)


ALL = slice(None)
GROWING = [partial_fit(slice(0, size)) for size in (1, 5, 40, 3, 75)]
SEQUENCES = {
    "fit twice": ({}, [fit, fit]),
    "warm start": ({"warm_start": True}, [fit, fit, weighted_fit]),
    "warm start, early stopping": ({"warm_start": True} | STOP, [fit, fit]),
    "warm start, then none": ({"warm_start": True}, [fit, settings(warm_start=False), fit]),
    "warm start, longer": ({"warm_start": True, "max_iter": 3}, [fit, settings(max_iter=8), fit]),
    "warm start, partial_fit": ({"warm_start": True}, [fit, partial_fit(ALL), fit]),
    "warm start of partial_fit": ({"warm_start": True}, [partial_fit(ALL), fit]),
    "partial_fit": ({}, [partial_fit(ALL)] * 5),
    "partial_fit, weighted": ({}, [partial_fit(ALL, weighted=True)] * 3 + [partial_fit(ALL)]),
    "partial_fit of sizes that change": ({"batch_size": "auto"}, GROWING),
    "partial_fit after fit": ({}, [fit, *GROWING]),
    "fit after partial_fit": ({}, [*GROWING, fit]),
    "settings that change": (
        {},
        [partial_fit(ALL), change(set_alpha_and_batch_size), *[partial_fit(ALL)] * 2],
    ),
    "coefficients set by hand": ({}, [fit, change(change_coefs), *[partial_fit(ALL)] * 2]),
    "coefficients set by hand, warm start": (
        {"warm_start": True},
        [fit, change(change_coefs), weighted_fit],
    ),
    "no shuffle": ({"shuffle": False}, [partial_fit(ALL), fit, partial_fit(ALL)]),
    "invscaling": ({"learning_rate": "invscaling"}, [*GROWING, fit]),
    "adaptive": ({"learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 1}, GROWING * 2),
    "no random state between": ({"random_state": 3}, [fit, partial_fit(ALL), partial_fit(ALL)]),
}


@pytest.mark.parametrize("problem", ["binary", "multilabel", "outputs"])
@pytest.mark.parametrize("solver", [SGD, ADAM], ids=["sgd", "adam"])
@pytest.mark.parametrize("name", SEQUENCES)
def test_a_sequence_of_calls_is_equal_after_each(name, solver, problem):
    changes, steps = SEQUENCES[name]
    X, y = PROBLEMS[problem]
    given = SMALL | solver | {"random_state": np.random.RandomState(5)} | changes
    pair = [estimator(**given) for estimator in pair_of(problem)]
    for each in pair:
        each.set_params(verbose=True)
        if not isinstance(given["random_state"], int):
            each.set_params(random_state=np.random.RandomState(5))
    for step in steps:
        seen = [watch(step, each, X, y, weights_for(X)) for each in pair]
        assert seen[0] == seen[1]
        assert seen[1].error is None
        assert_equally_fitted(*pair, X, y, RTOL, ATOL)


def test_a_sequence_of_lbfgs_is_equal():
    X, y = PROBLEMS["multiclass"]
    pair = [e(**SMALL | LBFGS | {"warm_start": True, "max_iter": 4}) for e in pair_of("binary")]
    for step in (fit, fit, settings(max_iter=9), weighted_fit):
        seen = [watch(step, each, X, y, weights_for(X)) for each in pair]
        assert seen[0] == seen[1]
        assert hasattr(pair[1], "coefs_")
        assert_equally_fitted(*pair, X, y, LBFGS_RTOL, LBFGS_ATOL)


@pytest.mark.parametrize("kind", PAIRS)
def test_partial_fit_is_there_for_the_same_solvers(kind):
    for solver in ("sgd", "adam", "lbfgs"):
        ours, theirs = (estimator(solver=solver) for estimator in PAIRS[kind])
        assert hasattr(ours, "partial_fit") == hasattr(theirs, "partial_fit")
    seen = [watch(lambda each: each.partial_fit, each) for each in (ours, theirs)]
    assert seen[0] == seen[1]


def call(each, method, *arguments, **more):
    return getattr(each, method)(*arguments, **more)


BAD_SETTINGS = {
    "hidden_layer_sizes": [0, -1, (10, 0), [5, -2], "a", None, 2.5, {}],
    "solver": ["newton", None, 1, "ADAM"],
    "alpha": [-1, -1e-9, np.nan, np.inf, "a", None, 1j],
    "batch_size": [0, -1, 2.5, "all", None],
    "learning_rate": ["falling", None, 0.1],
    "learning_rate_init": [0, -1, np.nan, "a", None],
    "power_t": [-0.5, "a", None],
    "max_iter": [0, -1, 2.5, np.inf, None, True],
    "shuffle": [1, "yes", None],
    "random_state": [-1, "a", 2.5, np.random.default_rng(0)],
    "tol": [-1, np.nan, "a", None],
    "verbose": [-1, "a", None],
    "warm_start": [1, "yes", None],
    "momentum": [-0.1, 1.1, np.nan, "a", None],
    "nesterovs_momentum": [1, "yes", None],
    "early_stopping": [1, "yes", None],
    "validation_fraction": [-0.1, 1, 1.0, "a", None],
    "beta_1": [-0.1, 1, 1.0, "a", None],
    "beta_2": [-0.1, 1, 1.0, "a", None],
    "epsilon": [0, -1, "a", None],
    "n_iter_no_change": [0, -1, 2.5, -np.inf, None],
    "max_fun": [0, -1, 2.5, None],
    "loss": ["log_loss", "absolute", None],
}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("name", BAD_SETTINGS)
@pytest.mark.parametrize("kind", PAIRS)
def test_bad_settings_are_refused_or_taken_alike(kind, name, method):
    """Type and words; a value that theirs takes, ours takes."""
    X, y = PROBLEMS["binary"]
    y = np.arange(len(y)) % 2
    if kind == "MLPClassifier" and name == "loss":
        assert "loss" not in PAIRS[kind][0]().get_params()
        return
    refused = 0
    for value in BAD_SETTINGS[name]:
        pair = [estimator(**SMALL | {"max_iter": 2, name: value}) for estimator in PAIRS[kind]]
        more = {"classes": [0, 1]} if (kind, method) == ("MLPClassifier", "partial_fit") else {}
        seen = [watch(call, each, method, X, y, **more) for each in pair]
        assert seen[0] == seen[1], repr(value)
        refused += seen[1].error is not None
    assert refused >= min(2, len(BAD_SETTINGS[name]) - 1)


@pytest.mark.parametrize("kind", PAIRS)
def test_an_activation_that_is_none_is_refused_in_their_words(kind):
    for value in ("swish?", None, 3, ""):
        pair = [estimator(activation=value) for estimator in PAIRS[kind]]
        seen = [watch(each.fit, *PROBLEMS["binary"]) for each in pair]
        begin = f"The 'activation' parameter of {kind} must be a str among {{"
        assert seen[0].error[0] is seen[1].error[0]
        assert all(each.error[1].startswith(begin) for each in seen)
        assert all(f"Got {value!r} instead." in each.error[1] for each in seen)


def nan_at(X, value=np.nan):
    X = X.copy()
    X[3, 1] = value
    return X


BAD_X = {
    "NaN": nan_at,
    "infinity": lambda X: nan_at(X, np.inf),
    "NaN in CSR": lambda X: scipy.sparse.csr_matrix(nan_at(X)),
    "one dimension": lambda X: X[:, 0],
    "three dimensions": lambda X: X[None],
    "a number": lambda X: 3.0,
    "None": lambda X: None,
    "no rows": lambda X: X[:0],
    "no columns": lambda X: X[:, :0],
    "fewer rows": lambda X: X[1:],
    "fewer columns": lambda X: X[:, 1:],
    "fewer columns in CSC": lambda X: scipy.sparse.csc_matrix(X[:, 1:]),
    "complex numbers": lambda X: X + 1j,
    "text": lambda X: np.full(X.shape, "a"),
    "text objects": lambda X: np.full(X.shape, "a", dtype=object),
    "rows of unequal length": lambda X: [[1.0, 2.0], [1.0]],
    "COO": scipy.sparse.coo_matrix,
    "huge": lambda X: X * 1e300,
}


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("name", BAD_X)
def test_bad_x_is_refused_or_taken_alike(name, kind):
    X, y = PROBLEMS["binary"]
    y = np.arange(len(y)) % 2
    bad = BAD_X[name](X)
    pair = [estimator(**SMALL) for estimator in PAIRS[kind]]
    for method in ("fit", "partial_fit"):
        more = {"classes": [0, 1]} if (kind, method) == ("MLPClassifier", "partial_fit") else {}
        seen = [watch(call, each, method, bad, y, **more) for each in pair]
        assert seen[0] == seen[1]
    for method in ("predict", "predict_proba", "score"):
        fitted = [watch(each.fit, X, y) for each in pair]
        assert fitted[0] == fitted[1]
        if method == "predict_proba" and kind == "MLPRegressor":
            continue
        more = (y,) if method == "score" else ()
        seen = [watch(getattr(each, method), bad, *more) for each in pair]
        assert seen[0] == seen[1]


BAD_WEIGHTS = {
    "fewer": lambda w: w[1:],
    "two columns": lambda w: np.stack([w, w], axis=1),
    "NaN": lambda w: np.where(w > 1, np.nan, w),
    "infinite": lambda w: np.where(w > 1, np.inf, w),
    "text": lambda w: np.full(len(w), "a"),
    "a word": lambda w: "balanced",
    "zero": lambda w: 0 * w,
    "a batch of zero weight": lambda w: np.where(np.arange(len(w)) // 16 == 1, 0, w),
    "some of zero weight": lambda w: np.where(np.arange(len(w)) % 3 == 1, 0, w),
    "negative": lambda w: np.where(np.arange(len(w)) % 9 == 1, -w, w),
    "a number": lambda w: 2.0,
    "integers": lambda w: np.arange(len(w)) % 3 + 1,
    "float32": lambda w: w.astype(np.float32),
    "a list": lambda w: w.tolist(),
}


@pytest.mark.parametrize("solver", [SGD, ADAM, LBFGS], ids=["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("problem", ["binary", "outputs"])
@pytest.mark.parametrize("name", BAD_WEIGHTS)
def test_sample_weights_of_any_kind_are_taken_or_refused_alike(name, problem, solver):
    X, y = PROBLEMS[problem]
    weights = BAD_WEIGHTS[name](weights_for(X))
    given = SMALL | solver | {"shuffle": False}
    pair = [estimator(**given) for estimator in pair_of(problem)]
    seen = [watch(each.fit, X, y, weights) for each in pair]
    assert seen[0] == seen[1]
    if seen[1].error is None and np.isfinite(pair[1].loss_):
        tolerances = (LBFGS_RTOL, LBFGS_ATOL) if solver is LBFGS else (RTOL, ATOL)
        if name == "float32":
            tolerances = 1e-4, 1e-4  # which they sum in float32
        if name == "negative" and solver is LBFGS:
            return  # a loss without a minimum: rounding grows without bound
        assert_equally_fitted(*pair, X, y, *tolerances)


def small_set(X, y):
    return X[:4], y[:4]


OTHER_ERRORS = {
    "partial_fit and early_stopping": (
        STOP,
        lambda e, X, y: e.partial_fit(X, y, **classes_of(e, y)),
    ),
    "a validation set too small": (STOP, lambda e, X, y: e.fit(*small_set(X, y))),
    "validation_fraction 0": (STOP | {"validation_fraction": 0}, lambda e, X, y: e.fit(X, y)),
    "a class of one row": (STOP, lambda e, X, y: e.fit(X, np.arange(len(X)) // (len(X) - 1))),
    "predict before fit": ({}, lambda e, X, y: e.predict(X)),
    "score before fit": ({}, lambda e, X, y: e.score(X, y)),
    "no classes": ({}, lambda e, X, y: e.partial_fit(X, y)),
    "warm start, other features": (
        {"warm_start": True},
        lambda e, X, y: e.fit(X, y).fit(X[:, 1:], y),
    ),
    "partial_fit, other features": ({}, lambda e, X, y: e.fit(X, y).partial_fit(X[:, 1:], y)),
    "divergence": (
        {"solver": "sgd", "learning_rate_init": 1e150, "activation": "identity"},
        lambda e, X, y: e.fit(X, y),
    ),
}


def classes_of(each, y):
    return {"classes": np.unique(y)} if hasattr(each, "predict_proba") else {}


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("name", OTHER_ERRORS)
def test_other_errors_are_theirs(name, kind):
    given, action = OTHER_ERRORS[name]
    X, y = PROBLEMS["binary"]
    y = np.arange(len(y)) % 2
    seen = [watch(action, each(**SMALL | given), X, y) for each in PAIRS[kind]]
    assert seen[0] == seen[1]
    taken = kind == "MLPRegressor" and name in ("a class of one row", "no classes")
    assert (seen[1].error is None) == taken


def first(classes):
    return lambda e, X, y: e.partial_fit(X, y, classes=classes)


CLASS_ERRORS = {
    "unseen in partial_fit": ({}, lambda e, X, y: e.fit(X, y).partial_fit(X, y + 7)),
    "unseen in the first partial_fit": ({}, first([0])),
    "other classes": ({}, lambda e, X, y: (first([0, 1])(e, X, y), first([0, 1, 2])(e, X, y))),
    "classes None": ({}, first(None)),
    "a class fewer, warm start": (
        {"warm_start": True},
        lambda e, X, y: e.fit(X, y).fit(X, 0 * y),
    ),
    "a class more, warm start": (
        {"warm_start": True},
        lambda e, X, y: e.fit(X, y).fit(X, np.arange(len(y)) % 3),
    ),
    "predict_proba before fit": ({}, lambda e, X, y: e.predict_proba(X)),
    "predict_log_proba before fit": ({}, lambda e, X, y: e.predict_log_proba(X)),
    "partial_fit by lbfgs": (LBFGS, first([0, 1])),
}


@pytest.mark.parametrize("name", CLASS_ERRORS)
def test_errors_of_classes_are_theirs(name):
    given, action = CLASS_ERRORS[name]
    X, y = PROBLEMS["binary"]
    y = np.arange(len(y)) % 2
    seen = [watch(action, each(**SMALL | given), X, y) for each in PAIRS["MLPClassifier"]]
    assert seen[0] == seen[1]
    assert seen[1].error is not None


@pytest.mark.parametrize("solver", [SGD, ADAM], ids=["sgd", "adam"])
def test_negative_counts_of_poisson_are_taken_as_they_take_them(solver):
    """Their loss is NaN then, and training goes on."""
    X, y = PROBLEMS["counts"]
    y = np.where(np.arange(len(y)) % 10 == 3, -1.0, y)
    given = SMALL | solver | {"loss": "poisson"}
    pair = [estimator(**given) for estimator in PAIRS["MLPRegressor"]]
    seen = [watch(each.fit, X, y) for each in pair]
    assert seen[0] == seen[1]
    assert np.isnan(pair[1].loss_)
    assert_equally_fitted(*pair, X, y, RTOL, ATOL)


@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel", "outputs", "regression"])
def test_predictions_of_other_kinds_of_x_are_equal(problem):
    X, y = PROBLEMS[problem]
    pair = [estimator(**SMALL).fit for estimator in pair_of(problem)]
    assert all(watch(each, X, y).error is None for each in pair)
    pair = [each.__self__ for each in pair]
    whole = np.rint(X * 4)
    for other in (
        whole.astype(np.int64),
        whole.astype(np.float32),
        whole.tolist(),
        scipy.sparse.csr_matrix(X),
        scipy.sparse.csc_array(X),
        scipy.sparse.csr_matrix(whole.astype(np.float32)),
        scipy.sparse.csr_matrix(whole.astype(np.int64)),
        np.asfortranarray(X),
        X[:1],
        X[::-2],
    ):
        rtol = 1e-5 if getattr(other, "dtype", None) == np.float32 else RTOL
        for method in ("predict", "predict_proba", "predict_log_proba"):
            if hasattr(pair[1], method):
                ours, theirs = (getattr(each, method)(other) for each in pair)
                assert ours.dtype == theirs.dtype
                if theirs.dtype.kind == "f":
                    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol)
                else:
                    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", PAIRS)
def test_the_constructor_begins_with_theirs(kind):
    ours, theirs = (parameters_of(each.__init__) for each in PAIRS[kind])
    assert ours[: len(theirs)] == theirs
    additions = ours[len(theirs) :]
    expected = {"dropout", "optimizer", "schedule", "callbacks", "threads", "dtype", "max_seconds"}
    if kind == "MLPClassifier":
        expected.add("class_weight")
    assert {name for name, _, _ in additions} == expected
    assert {each for _, each, _ in additions} == {inspect.Parameter.KEYWORD_ONLY}


def parameters_of(function):
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict", "predict_proba", "score"])
@pytest.mark.parametrize("kind", PAIRS)
def test_methods_begin_with_the_parameters_of_theirs(kind, method):
    ours, theirs = PAIRS[kind]
    if not hasattr(theirs, method):
        assert not hasattr(ours, method)
        return
    facts = [
        [
            (p.name, p.kind, p.default)
            for p in inspect.signature(getattr(e, method)).parameters.values()
        ]
        for e in (ours, theirs)
    ]
    assert facts[0][: len(facts[1])] == facts[1]
    additions = facts[0][len(facts[1]) :]
    assert all(kind is inspect.Parameter.KEYWORD_ONLY for _, kind, _ in additions)


@pytest.mark.parametrize("solver", [SGD, ADAM, LBFGS], ids=["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("problem", ["binary", "multilabel", "outputs"])
def test_every_public_name_of_theirs_is_there_after_fit(problem, solver):
    ours, theirs, *_ = fit_both(problem, SMALL | solver)
    public = [{n for n in dir(each) if not n.startswith("_")} for each in (ours, theirs)]
    assert public[1] <= public[0]
    # scikit-learn takes any attribute that ends with an underscore for a fitted one.
    assert {n for n in public[0] - public[1] if n.endswith("_")} <= {"validation_loss_curve_"}
    assert ours.__sklearn_tags__() == theirs.__sklearn_tags__()
    assert repr(type(ours)(alpha=2)) == repr(type(theirs)(alpha=2))
    assert (
        ours.get_params().items()
        >= {
            name: value for name, value in theirs.get_params().items() if name != "random_state"
        }.items()
    )


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_losses_are_theirs_where_logits_are_large(solver):
    """Features that are not scaled: logits of 30 and more, where they round 1 - p."""
    X, y = load_breast_cancer(return_X_y=True)
    X = X / 100 if solver == "lbfgs" else X
    rate = 1e-5 if solver == "sgd" else 1e-3
    settings = {"solver": solver, "max_iter": 20, "random_state": 2, "learning_rate_init": rate}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = (each(**settings).fit(X, y) for each in PAIRS["MLPClassifier"])
    np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=1e-10)
    if solver != "lbfgs":
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-10)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fitted_network_refuses_data_of_another_shape():
    rng = np.random.default_rng(0)
    X, y, t = rng.random((60, 5)), rng.integers(0, 3, 60), rng.random((60, 2))
    regressor = PAIRS["MLPRegressor"][0](
        hidden_layer_sizes=6, max_iter=2, warm_start=True, random_state=0
    ).fit(X, t)
    for other in (t[:, 0], rng.random((60, 4))):
        for method in ("fit", "partial_fit"):
            with pytest.raises(ValueError, match="outputs, the fitted network 5 and 2"):
                getattr(regressor, method)(X, other)
    classifier = PAIRS["MLPClassifier"][0](6, max_iter=2, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="sample_weight"):  # after n_features_in_ has changed
        classifier.fit(X[:, :3], y, sample_weight=[1])
    with pytest.raises(ValueError, match="3 features and 3 outputs, the fitted network 5 and 3"):
        classifier.partial_fit(X[:, :3], y)
    classifier = PAIRS["MLPClassifier"][0](6, max_iter=2, warm_start=True).fit(X, y)
    classifier.set_params(hidden_layer_sizes=(6, 6))
    with pytest.raises(ValueError, match="hidden_layer_sizes"):
        classifier.fit(X, y)


@pytest.mark.parametrize(
    "changed", [{"learning_rate": "invscaling", "power_t": 1.0}, {"power_t": 2}]
)
def test_partial_fit_keeps_the_rule_of_the_learning_rate_it_began_with(changed):
    X, y = PROBLEMS["multiclass"]
    settings = {"solver": "sgd", "learning_rate_init": 0.1, "max_iter": 3, "random_state": 0}
    if "learning_rate" not in changed:
        settings["learning_rate"] = "invscaling"
    losses = []
    for each in PAIRS["MLPClassifier"]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator = each(**settings).fit(X, y).set_params(**changed)
            losses.append([estimator.partial_fit(X, y).loss_ for _ in range(3)])
    np.testing.assert_allclose(*losses, rtol=1e-10)
